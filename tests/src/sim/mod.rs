//! One bramble, simulated: a controller on a disk that loses power, agents on nodes that come and go, a network that
//! delays, loses, repeats and reorders, users who change their minds, and a clock that jumps from event to event.
//!
//! ```text
//!            users ─┐              ┌─ SimDisk: forgets what was not synced
//!   agents ⇄ network ⇄ controller ─┤
//!     │      (lossy)               └─ cluster: State, plan, liveness, sync
//!     └─ FakeEngine: containers outlive their agent, not the power
//! ```
//!
//! What is simulated is the world; what decides is the real thing: `cluster`, `agent::Replicas` and the log of
//! `controller::raft`. Everything follows from a seed, so that a run which finds something can be run again.
//!
//! First comes a busy time with faults, then a quiet one in which everything has to come right:
//!
//! - what was acknowledged is there after every crash of the controller, and replaying the log gives the same state
//! - no replica is placed where it must not go, and no node ever takes orders older than those it has
//! - in the end every function that fits has its replicas ready and every other one says why not; nothing else runs;
//!   no node has more than fits; all routes point to what answers; invocations were counted once
//! - a bramble at rest writes nothing
//!
//! How a bramble comes about is simulated by itself, in [`founding`].
//!
//! Not here yet: more than one controller, snapshots.

mod bramble;
mod checks;
mod controller;
pub mod founding;
mod node;
mod world;

use std::fmt;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Everything follows from it.
    pub seed: u64,
    /// How many Pis there are.
    pub nodes: u16,
    /// How many functions users play with.
    pub functions: u16,
    /// How long users and faults are at work, in milliseconds.
    pub busy_ms: u64,
    /// A mistake that the simulation has to find.
    pub bug: Option<Bug>,
}

impl Scenario {
    /// A classroom's bramble for a busy minute.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: 5,
            functions: 6,
            busy_ms: 60_000,
            bug: None,
        }
    }

    /// The same with a planted bug.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..self
        }
    }
}

/// A mistake that is made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The disk says that it synced and did not.
    SkippedSync,
    /// Plans are carried out though what they relied on has changed.
    StaleAssign,
}

/// What must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The scenario's seed.
    pub seed: u64,
    /// When, in milliseconds after the start.
    pub at_ms: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at_ms, what } = self;
        write!(f, "seed {seed}, after {at_ms} ms: {what}")
    }
}

/// What happened in a run in which nothing was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Commands that were applied.
    pub commands: u64,
    /// Plans that came too late and were refused.
    pub stale: u64,
    /// Crashes of the controller.
    pub controller_crashes: u64,
    /// Crashes of agents, and nodes that lost power.
    pub node_crashes: u64,
    /// Messages that were lost.
    pub lost_messages: u64,
    /// Invocations that were answered.
    pub invocations: u64,
    /// How long the bramble took to come to rest once the faults were over, in milliseconds.
    pub settled_after_ms: u64,
    /// The last state, in its stored form.
    pub state: Vec<u8>,
}

/// Simulates one bramble.
///
/// # Errors
/// The first [`Violation`].
pub fn run(scenario: &Scenario) -> Result<Summary, Violation> {
    bramble::Bramble::new(*scenario).run()
}
