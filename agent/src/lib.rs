//! The part of every node that reports, runs replicas and follows the leader's orders.

#![cfg_attr(not(test), warn(missing_docs))]

pub mod engine;
pub mod plan;
pub mod replicas;
mod words;

pub use replicas::Replicas;
