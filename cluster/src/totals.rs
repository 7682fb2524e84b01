//! How often functions were invoked, ever.
//!
//! Each gateway counts from zero when its process begins and reports totals; here they are added up so that neither
//! a lost message nor a restart loses or doubles anything: per node the last totals of its latest processes, and one
//! base that holds what earlier ones counted. More than the present process is kept because a message of the one
//! before may still be under way, and nobody can tell from two incarnations which is the later.
//!
//! The live part is in the leader's memory; the state holds a checkpoint of it, at most every [`CHECKPOINT_EVERY`].
//! A power cut costs at most what was counted since by processes that ended as well.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{FunctionName, NodeId, sync::FunctionCounters};
use serde::{Deserialize, Serialize};

use crate::{command::Action, liveness::Moment, state::State};

/// Time between two checkpoints while there are invocations: a commit costs an SD card some 8 KB, so that even a
/// bramble that is never idle writes about one megabyte a day for this.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// How many processes of a node are told apart. Messages live for seconds: one that arrives after two restarts has
/// been lost long before.
const PROCESSES_KEPT: usize = 3;

/// Invocations of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTotals {
    /// What processes counted that ended long ago.
    pub base: u64,
    /// What each node's latest processes counted, the newest last.
    pub nodes: BTreeMap<NodeId, Vec<Counted>>,
}

/// What one process of a node counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Which process of the node.
    pub incarnation: u64,
    /// Invocations that ended since it began.
    pub total: u64,
}

impl FunctionTotals {
    /// All invocations ever counted.
    pub fn total(&self) -> u64 {
        let counted = self.nodes.values().flatten();
        counted.fold(self.base, |sum, counted| sum.saturating_add(counted.total))
    }

    /// Takes over what the process `incarnation` of `node` counted so far. A total only grows, so an older report of
    /// the same process changes nothing.
    pub fn observe(&mut self, node: NodeId, incarnation: u64, total: u64) {
        let processes = self.nodes.entry(node).or_default();
        if let Some(counted) = processes
            .iter_mut()
            .find(|counted| counted.incarnation == incarnation)
        {
            counted.total = counted.total.max(total);
            return;
        }
        processes.push(Counted { incarnation, total });
        if processes.len() > PROCESSES_KEPT {
            self.base = self.base.saturating_add(processes.remove(0).total);
        }
    }
}

/// The leader's running totals.
#[derive(Clone, Debug, Default)]
pub struct LiveTotals {
    functions: BTreeMap<FunctionName, FunctionTotals>,
    checkpointed: Moment,
}

impl LiveTotals {
    /// Goes on from the checkpoint in `state`.
    pub fn new(state: &State, now: Moment) -> Self {
        let functions = state
            .totals()
            .iter()
            .map(|(name, totals)| (name.clone(), FunctionTotals::clone(totals)));
        Self {
            functions: functions.collect(),
            checkpointed: now,
        }
    }

    /// Takes over what the process `incarnation` of `node` counted so far.
    pub fn observe(&mut self, node: NodeId, incarnation: u64, counters: &[FunctionCounters]) {
        for counted in counters {
            let ended = counted.ended();
            if let Some(totals) = self.functions.get_mut(&counted.function) {
                totals.observe(node, incarnation, ended);
            } else if ended > 0 {
                let mut totals = FunctionTotals::default();
                totals.observe(node, incarnation, ended);
                self.functions.insert(counted.function.clone(), totals);
            }
        }
    }

    /// All invocations of `function` ever counted.
    pub fn total(&self, function: &FunctionName) -> u64 {
        self.functions.get(function).map_or(0, FunctionTotals::total)
    }

    /// The checkpoint that is due at `now`, if any: only after [`CHECKPOINT_EVERY`], and only if something changed.
    pub fn due(&mut self, state: &State, now: Moment) -> Option<Action> {
        if now.since(self.checkpointed) < CHECKPOINT_EVERY {
            return None;
        }
        self.checkpointed = now;
        self.checkpoint(state)
    }

    /// What the checkpoint in `state` lacks; for a planned stop.
    pub fn checkpoint(&mut self, state: &State) -> Option<Action> {
        self.functions.retain(|name, _| state.function(name).is_some());
        let stored = |name| state.totals().get(name).map(Arc::as_ref);
        let changed = self
            .functions
            .iter()
            .filter(|(name, totals)| stored(name) != Some(*totals));
        let totals: BTreeMap<_, _> = changed
            .map(|(name, totals)| (name.clone(), totals.clone()))
            .collect();
        (!totals.is_empty()).then_some(Action::CheckpointTotals { totals })
    }
}
