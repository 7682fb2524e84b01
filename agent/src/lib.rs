//! The part of every node that reports, runs replicas and follows the leader's orders.
//!
//! ```text
//!                      ┌────────────── one node ──────────────────────────────────────────┐
//!   leader ◄── sync ──►│ replicas (what was ordered, shown, remembered) ──► plan ──► steps │
//!                      │     ▲ observe        ▲ answered                               │   │
//!                      │   engine.list      prober                      engine.run ◄───┘   │
//!                      │  (docker | process | fake)                                        │
//!                      └── routes and own replicas' addresses ──► gateway ─────────────────┘
//! ```
//!
//! What to do is decided without effects ([`plan`], [`replicas`]); the [`engine`]s and the reconciler carry it out
//! without choices of their own. Nothing is written down: containers carry labels, and the leader knows the rest.
//!
//! [`images`] brings images from node to node, [`mod@logs`] tells what replicas write, [`secrets`]
//! gives them what only they may know.
//!
//! The node's [`light`] says what the leader wants it to say, and what only this node knows.
//!
//! [`discovery`] finds other nodes on the network, before and after this one is part of a bramble.
//!
//! May touch: its engine, the replicas' health paths, the leader through `transport`, the node's gateway,
//! multicast DNS.
//!
//! Not here: where replicas go (the `cluster` room), carrying invocations (`gateway`), what a Pi is (`hardware`).

#![cfg_attr(not(test), warn(missing_docs))]

mod agent;
pub mod builtin;
mod config;
mod contacts;
pub mod discovery;
pub mod engine;
pub mod images;
pub mod light;
pub mod logs;
pub mod plan;
pub mod probe;
mod prober;
mod pulse;
mod reconciler;
pub mod replicas;
mod report;
pub mod secrets;
mod senses;
mod shared;
mod sign;
mod strangers;
mod sync;
mod words;

pub use agent::{Agent, AgentError, Leave};
pub use config::{AgentConfig, EngineConfig, VirtualBoard};
pub use contacts::{Contacts, OwnAddress};
pub use light::{NodeLight, Stage};
pub use pulse::Pulse;
pub use replicas::Replicas;
pub use shared::Told;
pub use sign::Sign;
pub use strangers::Strangers;
