//! What makes a Debian system a bramble node.
//!
//! - [`files`]: units and settings of the system, one place for the Debian image and for pi-gen.
//! - [`card`]: what a card says besides what the node reads, from `bramble.toml` or from Raspberry Pi Imager.
//! - [`apply`]: what follows from it, as files below `/run`. Pure.
//! - [`grow`]: a partition table whose last partition fills the card. Pure.
//! - [`status`]: what a Pi says about itself on its screen and its card. Pure.
//!
//! The root of the appliance is never written: at each start everything that differs from Pi to Pi is made anew in `/run`
//! from what the card says, so that no cut of the power leaves a setting half applied. `src/main.rs`, the program
//! `bramble-firstboot`, carries it out.

pub mod apply;
pub mod card;
pub mod files;
pub mod grow;
mod imager;
pub mod status;
