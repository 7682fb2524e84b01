//! What the tests of whole brambles are made of; the tests themselves are in `tests/`.
//!
//! - [`sim`]: one bramble in simulation

pub mod sim;
