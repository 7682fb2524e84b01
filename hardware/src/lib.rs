//! What a Pi is and shows: its [`board`], its [`system`] (kernel, operating system, cores) and its [`sensors`].
//!
//! Everything is read below a root directory, `/` on a real machine, so that tests and simulations hand in a small
//! tree of files instead. Nothing here fails: what a machine cannot tell is absent, and a machine that is no Pi says
//! so and works.
//!
//! May touch: files below `/proc`, `/sys` and `/etc`, and what the kernel says of itself.
//!
//! Not here: what is made of it (the agent reports it, the leader decides by it). This room knows no other.

#![cfg_attr(not(test), warn(missing_docs))]

pub mod board;
pub mod revision;
pub mod sensors;
pub mod system;

pub use board::Board;
pub use revision::Revision;
pub use sensors::Vitals;
pub use system::System;
