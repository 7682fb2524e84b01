//! What the tests of whole brambles are made of; the tests themselves are in `tests/`.
//!
//! - [`demo`], [`http_client`]: real processes, started and asked as users do
//! - [`sim`]: one bramble in simulation

pub mod demo;
pub mod http_client;
pub mod sim;
