//! Functions that show what a function, and the machine below it, is.

pub(super) mod blink;
pub(super) mod echo;
pub(super) mod nodeinfo;
pub(super) mod sleep;
