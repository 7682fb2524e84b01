//! `bramble-image`: SD-card images that are flashed, put in, powered on, and are a bramble.
//!
//! - [`arch`]: which image is for which board, and what Debian calls things there.
//! - [`overlay`]: what is added to the Debian system: a pure function from settings to files ([`tree`]).
//! - [`base`]: the Debian system itself, made by mmdebstrap and kept by the hash of its inputs.
//! - [`layout`], [`fat`], [`assemble`]: an image file without mounts and without loop devices.
//! - [`release`]: what lies beside an image: sums, a manifest for Raspberry Pi Imager, a bill of materials, a block map.
//! - [`build`]: all of that in order.
//! - [`customise`], [`inspect`]: the settings of a class written into an image; what is on one, and whether it is whole.
//! - [`tools`]: the programs of others that this needs.

pub mod arch;
pub mod assemble;
pub mod base;
pub mod build;
pub mod customise;
pub mod fat;
pub mod inspect;
pub mod layout;
pub mod overlay;
pub mod release;
pub mod tools;
pub mod tree;
