//! An engine that only pretends, for tests of plan and sync and for simulations.
//!
//! Synchronous and without a clock of its own: a started replica runs at once, and the test decides what dies.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use api::ReplicaId;

use crate::{
    engine::{Ending, Seen, State},
    plan::Step,
};

/// Replicas that are only in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeEngine {
    replicas: BTreeMap<ReplicaId, Seen>,
    starts: u64,
}

impl FakeEngine {
    /// An engine without replicas.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that is there.
    pub fn list(&self) -> BTreeMap<ReplicaId, Seen> {
        self.replicas.clone()
    }

    /// Carries out one step at once.
    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Start {
                replica,
                desired,
                generation,
            } => {
                let same = |seen: &Seen| {
                    seen.version == desired.version && matches!(seen.state, State::Running { .. })
                };
                if self.replicas.get(replica).is_some_and(same) {
                    return;
                }
                self.starts += 1;
                let port = u16::try_from(1024 + self.starts % 60_000).unwrap_or(1024);
                let seen = Seen {
                    function: desired.spec.name.clone(),
                    version: desired.version,
                    generation: *generation,
                    grace: desired.spec.stop_grace(),
                    run: self.starts.to_string(),
                    state: State::Running {
                        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                    },
                };
                self.replicas.insert(*replica, seen);
            }
            Step::Stop { replica, .. } => _ = self.replicas.remove(replica),
            Step::Freeze { replica } => self.change(*replica, |state| match state {
                State::Running { address } => State::Frozen { address },
                other => other,
            }),
            Step::Thaw { replica } => self.change(*replica, |state| match state {
                State::Frozen { address } => State::Running { address },
                other => other,
            }),
        }
    }

    /// Lets a replica die, if it is there.
    pub fn kill(&mut self, replica: ReplicaId, ending: Ending) {
        self.change(replica, |_| State::Ended(ending));
    }

    fn change(&mut self, replica: ReplicaId, how: impl FnOnce(State) -> State) {
        if let Some(seen) = self.replicas.get_mut(&replica) {
            seen.state = how(seen.state.clone());
        }
    }
}
