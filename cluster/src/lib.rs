//! The brain: what a bramble's controllers replicate, and every decision about it.
//!
//! ```text
//! Command ──► State::apply ──► Outcome            the same on every controller
//!                 │
//! State ──► plan, schedule, liveness, routes ──► Actions     on the leader, proposed as the next Commands
//!                 │
//! State + LeaderMemory ──► views ──► answers      on whoever is asked
//! ```
//!
//! Pure: values in, values out. No I/O, no clock, no randomness, no threads: time comes in as a [`Moment`] or a
//! timestamp, and what happens with a decision is the shell's business (docs/decisions/0001-pure-core.md).
//!
//! - [`state`], [`command`], [`outcome`]: what is replicated, how it changes, what came of it (`apply`)
//! - [`capacity`], [`schedule`], [`mod@plan`]: what nodes have, where replicas go, and what to change next
//! - [`liveness`], [`sync`], [`memory`]: the leader's side of the conversation with agents, and what only it knows
//! - [`routes`], [`views`], [`lights`]: what others are told
//! - `replacing`: a card that was flashed anew
//! - [`bootstrap`]: what a node does before it is part of a bramble, and when two brambles meet
//! - [`secrets`]: sealed, and who may have which
//! - [`totals`], [`rates`], [`permissions`]: invocations ever and lately counted; who may do what
//!
//! Not here: storing and replicating commands (the controller's `raft`), running anything (the agent).

#![cfg_attr(not(test), warn(missing_docs))]

mod apply;
pub mod autopilot;
pub mod bootstrap;
pub mod capacity;
pub mod command;
pub mod images;
pub mod lights;
pub mod liveness;
pub mod memory;
mod naming;
pub mod outcome;
pub mod permissions;
pub mod plan;
pub mod rates;
mod replacing;
pub mod routes;
pub mod schedule;
pub mod secrets;
pub mod sessions;
pub mod state;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod totals;
pub mod views;

pub use command::{Action, Actor, Command};
pub use liveness::Moment;
pub use memory::LeaderMemory;
pub use outcome::{Outcome, Refusal};
pub use plan::{Observed, Plan, plan};
pub use state::State;
