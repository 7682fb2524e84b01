//! The part of every node that reports, runs replicas and follows the leader's orders.

#![cfg_attr(not(test), warn(missing_docs))]

pub mod builtin;
pub mod engine;
pub mod plan;
pub mod probe;
pub mod replicas;
mod words;

pub use replicas::Replicas;
