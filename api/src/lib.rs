//! The words that both sides of every conversation speak.
//!
//! Here: ids and units, the checked [`FunctionSpec`], what a node says of itself ([`node`]) and before it is part of
//! anything ([`join`]), the conversation between agent and leader ([`sync`]), the OpenFaaS JSON as clients write it
//! ([`openfaas`]), Bramble's own `/api/v1/` JSON ([`v1`]), the function store ([`store`]), what replicas write
//! ([`logs`]), what only some may know ([`secrets`]), what of a node functions may use ([`devices`]), and the envelope that gives every stored or sent value a
//! version ([`versioned`]).
//!
//! May touch: nothing. No I/O, no clock, no randomness, so that every other room can depend on it.
//!
//! Not here: decisions about any of it (the `cluster` room).

#![cfg_attr(not(test), warn(missing_docs))]

// First, because the others use its macros.
#[macro_use]
pub mod written;

pub mod devices;
pub mod ids;
pub mod images;
pub mod join;
pub mod light;
pub mod logs;
pub mod node;
pub mod openfaas;
pub mod secrets;
pub mod sensors;
pub mod settings;
pub mod spec;
pub mod store;
pub mod sync;
pub mod units;
pub mod v1;
pub mod versioned;
pub mod words;

pub use devices::{Device, Devices};
pub use ids::{FunctionName, Generation, NodeId, ReplicaId, Revision, SessionId};
pub use node::{BoardDetails, NodeFacts, NodeVitals, Platform};
pub use spec::FunctionSpec;
pub use units::{Cpu, Memory, Timestamp};
