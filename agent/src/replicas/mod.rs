//! What the agent knows of its replicas: what was ordered, what the engine showed, what happened to each.
//!
//! Pure and synchronous, with the time passed in; the simulation drives it as it is, the reconciler with a real
//! engine:
//!
//! ```text
//! orders ──► order    ┐            ┌──► steps ──► engine ──► ended
//! engine ──► observe  ├─► Replicas ├──► report ──► sync
//! probes ──► answered ┘            └──► addresses ──► gateway
//! ```
//!
//! Nothing is written down: an agent that starts again looks at its engine and asks the leader.

mod history;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use api::{
    Generation, ReplicaId,
    spec::Probe,
    sync::{DesiredReplica, Phase, ReplicaReport},
};

use crate::{
    engine::{Seen, State},
    plan::{Actual, Busy, Now, Step, Wanted, drained_at, plan},
};
use history::History;

/// The orders are older than what this agent has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("orders of generation {given} are older than generation {known}, which this node has")]
pub struct OlderGeneration {
    /// That of the orders.
    pub given: Generation,
    /// That of what this agent has.
    pub known: Generation,
}

/// A question that is asked of a running replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it takes invocations.
    Ready,
    /// Whether it is healthy, or has to be started afresh.
    Alive,
    /// Both at once, where they are the same.
    Both,
}

/// Everything the agent knows of its replicas.
#[derive(Clone, Debug, Default)]
pub struct Replicas {
    wanted: Option<Wanted>,
    /// Newest generation that a replica here was made by: orders before it are old, also after a restart.
    floor: Generation,
    known: BTreeMap<ReplicaId, Known>,
    looked: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    actual: Actual,
    history: History,
}

impl Replicas {
    /// Knows nothing yet: neither orders nor what is there.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over new orders.
    ///
    /// # Errors
    /// [`OlderGeneration`] where they are older than those that this agent has, or than what it runs.
    pub fn order(
        &mut self,
        generation: Generation,
        replicas: BTreeMap<ReplicaId, DesiredReplica>,
        now: Now,
    ) -> Result<(), OlderGeneration> {
        let known = self
            .wanted
            .as_ref()
            .map_or(self.floor, |w| w.generation.max(self.floor));
        if generation < known {
            return Err(OlderGeneration {
                given: generation,
                known,
            });
        }
        self.wanted = Some(Wanted { generation, replicas });
        self.mark_unwanted(now);
        Ok(())
    }

    /// Generation of the orders that this agent follows.
    pub fn generation(&self) -> Option<Generation> {
        self.wanted.as_ref().map(|w| w.generation)
    }

    /// What was ordered of this replica.
    pub fn desired(&self, replica: ReplicaId) -> Option<&DesiredReplica> {
        self.wanted.as_ref()?.replicas.get(&replica)
    }

    /// Takes over what the engine shows: everything that is there.
    pub fn observe(&mut self, mut seen: BTreeMap<ReplicaId, Seen>, now: Now) {
        let adopting = !self.looked;
        self.looked = true;
        for replica in seen.keys() {
            self.known.entry(*replica).or_default();
        }
        for (replica, known) in &mut self.known {
            let shown = seen.remove(replica);
            if let Some(seen) = &shown {
                self.floor = self.floor.max(seen.generation);
                // Who ran before this agent did may be in anybody's routes.
                known.actual.routable |= adopting && matches!(seen.state, State::Running { .. });
            }
            if known.actual.busy == Some(Busy::Settling) {
                known.actual.busy = None;
            }
            let busy = known.actual.busy.is_some();
            known
                .history
                .observe(&mut known.actual, shown.as_ref(), busy, now);
            known.actual.seen = shown;
        }
        self.mark_unwanted(now);
    }

    /// The engine cannot be reached: what is there is not known any more.
    pub fn lost_sight(&mut self) {
        self.looked = false;
    }

    /// Whether the engine has shown what is there.
    pub fn has_looked(&self) -> bool {
        self.looked
    }

    fn mark_unwanted(&mut self, now: Now) {
        let Some(wanted) = &self.wanted else { return };
        for (replica, known) in &mut self.known {
            let version = known.actual.seen.as_ref().map(|s| s.version);
            let desired = wanted.replicas.get(replica);
            let other_version = desired.is_some_and(|d| version.is_some_and(|v| v != d.version));
            match (desired.is_none(), known.actual.unwanted_since) {
                (true, None) => {
                    known.actual.unwanted_since = Some(now);
                    known.actual.retry_at = Now::ZERO;
                }
                (false, Some(_)) => known.actual.unwanted_since = None,
                _ => {}
            }
            if other_version {
                known.actual.retry_at = Now::ZERO;
                known.history = History::default();
            }
        }
        // What is gone, idle and not ordered is forgotten.
        self.known.retain(|replica, known| {
            known.actual.seen.is_some()
                || known.actual.busy.is_some()
                || wanted.replicas.contains_key(replica)
        });
    }

    /// Takes over how many invocations of each replica are under way; a replica that is not named has none.
    pub fn in_flight(&mut self, counts: &BTreeMap<ReplicaId, u32>) {
        for (replica, known) in &mut self.known {
            known.actual.in_flight = counts.get(replica).copied().unwrap_or(0);
        }
    }

    /// Takes over an answer of the replica: `Err` says what was wrong with it. An answer of an earlier `run` is
    /// passed over.
    pub fn answered(
        &mut self,
        replica: ReplicaId,
        run: &str,
        question: Question,
        answer: Result<(), String>,
        now: Now,
    ) {
        let probes = self.probes(replica);
        let Some(known) = self.known.get_mut(&replica) else {
            return;
        };
        if known.actual.seen.as_ref().is_some_and(|seen| seen.run == run) {
            known
                .history
                .answered(&mut known.actual, question, answer, &probes, now);
        }
    }

    /// How to ask this replica whether it is ready, and whether it is healthy.
    pub fn probes(&self, replica: ReplicaId) -> (Probe, Probe) {
        self.desired(replica).map_or_else(Default::default, |desired| {
            (desired.spec.readiness(), desired.spec.liveness())
        })
    }

    /// The steps that are due, which from now on count as begun: each has to come back in [`Self::ended`].
    /// None before the engine was looked at and the leader heard: a node that is cut off keeps what it runs.
    pub fn steps(&mut self, now: Now) -> Vec<Step> {
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.looked) else {
            return Vec::new();
        };
        let actual = self
            .known
            .iter()
            .map(|(replica, known)| (*replica, known.actual.clone()))
            .collect();
        let steps = plan(wanted, &actual, now);
        for step in &steps {
            let known = self.known.entry(step.replica()).or_default();
            known.actual.busy = Some(match step {
                Step::Start { .. } => Busy::Starting(String::new()),
                _ => Busy::Changing,
            });
            if matches!(step, Step::Start { .. }) {
                known.history.starts(&known.actual);
            }
        }
        steps
    }

    /// Says how far a start is, in words such as `fetching image: 45 %`.
    pub fn progress(&mut self, replica: ReplicaId, text: String) {
        if let Some(known) = self.known.get_mut(&replica)
            && matches!(known.actual.busy, Some(Busy::Starting(_)))
        {
            known.actual.busy = Some(Busy::Starting(text));
        }
    }

    /// A step came to its end, well or not.
    pub fn ended(&mut self, step: &Step, result: Result<(), String>, now: Now) {
        let Some(known) = self.known.get_mut(&step.replica()) else {
            return;
        };
        known.actual.busy = Some(Busy::Settling);
        known.history.step_ended(&mut known.actual, step, result, now);
    }

    /// When something is due again without anything happening; `None` where nothing is.
    pub fn due(&self, now: Now) -> Option<Now> {
        let wanted = self.wanted.as_ref()?;
        self.known
            .iter()
            .filter(|(_, known)| known.actual.busy.is_none())
            .filter_map(|(replica, Known { actual, history })| {
                let retry = (actual.retry_at > now).then_some(actual.retry_at);
                let drained = match &actual.seen {
                    Some(seen) if !wanted.replicas.contains_key(replica) => {
                        Some(drained_at(actual, seen.grace, now))
                    }
                    _ => None,
                };
                [retry, drained, history.patience_ends()]
                    .into_iter()
                    .flatten()
                    .filter(|at| *at > now)
                    .min()
            })
            .min()
    }

    /// Whether some replica waits for its last invocations.
    pub fn is_draining(&self) -> bool {
        self.known.values().any(|known| {
            known.actual.unwanted_since.is_some()
                && matches!(
                    known.actual.seen,
                    Some(Seen {
                        state: State::Running { .. },
                        ..
                    })
                )
        })
    }

    /// Every replica that is here or should be; `None` while nobody has looked.
    pub fn report(&self, now: Now) -> Option<BTreeMap<ReplicaId, ReplicaReport>> {
        if !self.looked {
            return None;
        }
        let mut report = BTreeMap::new();
        for (replica, known) in &self.known {
            let desired = self.desired(*replica);
            let function = match (&known.actual.seen, desired) {
                (Some(seen), _) => seen.function.clone(),
                (None, Some(desired)) => desired.spec.name.clone(),
                // Begun, given up and not there: nothing to tell.
                (None, None) => continue,
            };
            let wanted = desired.is_some() || self.wanted.is_none();
            let (phase, reason) = if wanted {
                known.history.phase(&known.actual, now)
            } else {
                (Phase::Draining, String::new())
            };
            report.insert(
                *replica,
                ReplicaReport {
                    function,
                    phase,
                    reason,
                    restarts: known.history.restarts(),
                    address: address(&known.actual),
                },
            );
        }
        // Ordered, and not begun: another step of the same pass comes first.
        for (replica, desired) in self.wanted.iter().flat_map(|w| &w.replicas) {
            report.entry(*replica).or_insert_with(|| ReplicaReport {
                function: desired.spec.name.clone(),
                phase: Phase::Starting,
                reason: String::new(),
                restarts: 0,
                address: None,
            });
        }
        Some(report)
    }

    /// Where each replica that is there takes HTTP, for this node's gateway.
    pub fn addresses(&self) -> BTreeMap<ReplicaId, SocketAddr> {
        self.known
            .iter()
            .filter_map(|(replica, known)| Some((*replica, address(&known.actual)?)))
            .collect()
    }

    /// The replicas that run, with their address and run: those that have to be asked.
    pub fn running(&self) -> BTreeMap<ReplicaId, (SocketAddr, String)> {
        self.known
            .iter()
            .filter_map(|(replica, known)| match &known.actual.seen {
                Some(Seen {
                    state: State::Running { address },
                    run,
                    ..
                }) => Some((*replica, (*address, run.clone()))),
                _ => None,
            })
            .collect()
    }
}

fn address(actual: &Actual) -> Option<SocketAddr> {
    match actual.seen.as_ref()?.state {
        State::Running { address } | State::Frozen { address } => Some(address),
        State::Made | State::Ended(_) => None,
    }
}

/// Shortest wait after a death, and the longest: a replica that always dies costs one start a minute.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
