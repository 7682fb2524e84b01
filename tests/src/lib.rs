//! What the tests of whole brambles are made of; the tests themselves are in `tests/`.
//!
//! - [`demo`], [`http_client`], [`following`]: real processes, started and asked as users do
//! - [`table`]: Pis with cards in them, powered on and off
//! - [`hosts`]: real processes on machines of their own, as far as the network goes
//! - [`rogue`]: somebody who wants to be taken for a bramble
//! - [`docker`]: a Docker Engine of a test's own
//! - [`browser`]: chromium, driven as a person would
//! - [`sim`]: one bramble in simulation

pub mod browser;
pub mod demo;
pub mod docker;
pub mod following;
pub mod hosts;
pub mod http_client;
pub mod rogue;
pub mod sim;
pub mod table;
