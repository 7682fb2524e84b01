//! What only the leader knows: lost with it, never replicated, rebuilt from the next reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::{
    FunctionName, NodeId, NodeVitals, ReplicaId,
    images::HeldImage,
    light::Light,
    sensors::Sensors,
    sync::{FunctionCounters, ReplicaReport, SyncRequest},
};

use crate::{
    liveness::{Liveness, Moment},
    rates::Rates,
    sessions::Uses,
    state::{NodePhase, State},
    totals::LiveTotals,
};

/// A node that lacked power or was too hot may be so again for this long.
const STRAINED: Duration = Duration::from_secs(600);

/// The leader's memory.
#[derive(Clone, Debug)]
pub struct LeaderMemory {
    /// When each node was last heard.
    pub liveness: Liveness,
    /// Running invocation totals.
    pub totals: LiveTotals,
    /// How often functions are invoked at present.
    pub rates: Rates,
    /// When sessions of the portal were used last.
    pub sessions: Uses,
    heard: BTreeMap<NodeId, Heard>,
    lights: BTreeMap<NodeId, Light>,
    holdings_heard: u64,
    /// When a node last lacked power or was too hot.
    strained: BTreeMap<NodeId, Moment>,
}

/// The last that one node said.
#[derive(Clone, Debug)]
struct Heard {
    vitals: NodeVitals,
    counters: Vec<FunctionCounters>,
    replicas: BTreeMap<ReplicaId, ReplicaReport>,
    /// Version of what it holds, and what that is.
    holdings: Option<(u64, Arc<[HeldImage]>)>,
}

impl LeaderMemory {
    /// The memory of a leader that begins at `now`.
    pub fn new(state: &State, now: Moment) -> Self {
        Self {
            liveness: Liveness::new(now),
            totals: LiveTotals::new(state, now),
            rates: Rates::default(),
            sessions: Uses::new(now),
            heard: BTreeMap::new(),
            lights: BTreeMap::new(),
            holdings_heard: 0,
            strained: BTreeMap::new(),
        }
    }

    /// Keeps what `from` says.
    pub(crate) fn hear(&mut self, from: NodeId, request: &SyncRequest, now: Moment) {
        let known = self.heard.get(&from).and_then(|heard| heard.holdings.clone());
        let holdings = match &request.holdings.images {
            Some(images) => {
                self.holdings_heard += 1;
                Some((request.holdings.version, images.as_slice().into()))
            }
            None => known,
        };
        let heard = Heard {
            holdings,
            vitals: request.vitals.clone(),
            counters: request.counters.clone(),
            replicas: request.replicas.clone().unwrap_or_default(),
        };
        self.heard.insert(from, heard);
        if is_strained(&request.vitals.sensors) {
            self.strained.insert(from, now);
        }
        self.liveness.heard(from, now);
        self.totals.observe(from, request.incarnation, &request.counters);
        self.rates.hear(from, request.incarnation, &request.counters, now);
    }

    /// Forgets nodes that are in the bramble no more.
    pub(crate) fn forget_strangers(&mut self, state: &State) {
        self.heard.retain(|id, _| state.node(*id).is_some());
        self.lights.retain(|id, _| state.node(*id).is_some());
        self.strained.retain(|id, _| state.node(*id).is_some());
        self.rates.forget_strangers(state);
    }

    /// Keeps what the light of `node` was told.
    pub(crate) fn told_light(&mut self, node: NodeId, light: Light) {
        self.lights.insert(node, light);
    }

    /// What the light of `node` was told last.
    pub fn light(&self, node: NodeId) -> Option<&Light> {
        self.lights.get(&node)
    }

    /// How `node` was when it was last heard.
    pub fn vitals(&self, node: NodeId) -> Option<&NodeVitals> {
        self.heard.get(&node).map(|heard| &heard.vitals)
    }

    /// Whether `node` lacks power or is too hot, or was so not long before `now`.
    pub fn was_strained(&self, node: NodeId, now: Moment) -> bool {
        let strained = self.strained.get(&node);
        strained.is_some_and(|strained| now.since(*strained) < STRAINED)
    }

    /// Version of the images that `node` holds, as far as this leader knows.
    pub fn holdings_version(&self, node: NodeId) -> Option<u64> {
        Some(self.heard.get(&node)?.holdings.as_ref()?.0)
    }

    /// How often nodes said that they hold something else than before.
    pub fn holdings_heard(&self) -> u64 {
        self.holdings_heard
    }

    /// The images that `node` holds; `None` while it has not said so.
    pub fn held(&self, node: NodeId) -> Option<&[HeldImage]> {
        Some(&self.heard.get(&node)?.holdings.as_ref()?.1)
    }

    /// What `node` last said of `replica`.
    pub fn report(&self, node: NodeId, replica: ReplicaId) -> Option<&ReplicaReport> {
        self.heard.get(&node)?.replicas.get(&replica)
    }

    /// Counts invocations as waiting no longer whose function has a replica that serves: they go there, and the node
    /// that said so will say it. Counted on, they would wake a function that was put to sleep in between.
    pub fn forget_served(&mut self, state: &State) {
        let serving: BTreeSet<&FunctionName> = state
            .replicas()
            .values()
            .filter(|replica| state.is_serving(replica))
            .map(|replica| &replica.function)
            .collect();
        for counters in self.heard.values_mut().flat_map(|heard| &mut heard.counters) {
            if counters.waiting > 0 && serving.contains(&counters.function) {
                counters.waiting = 0;
            }
        }
    }

    /// Invocations that wait for a replica at this moment, by function, on nodes that are up.
    pub fn waiting(&self, state: &State) -> BTreeMap<FunctionName, u32> {
        let mut waiting: BTreeMap<FunctionName, u32> = BTreeMap::new();
        for (id, heard) in &self.heard {
            if state.node(*id).is_none_or(|node| node.phase == NodePhase::Down) {
                continue;
            }
            for counters in heard.counters.iter().filter(|counters| counters.waiting > 0) {
                let sum = waiting.entry(counters.function.clone()).or_default();
                *sum = sum.saturating_add(counters.waiting);
            }
        }
        waiting
    }

    /// Invocations of `function` that ended, by HTTP status, as the present processes of all nodes count them.
    pub fn ended_by_code(&self, function: &FunctionName) -> BTreeMap<u16, u64> {
        let mut by_code: BTreeMap<u16, u64> = BTreeMap::new();
        let counters = self.heard.values().flat_map(|heard| &heard.counters);
        for counters in counters.filter(|counters| counters.function == *function) {
            for (code, ended) in &counters.finished {
                let sum = by_code.entry(*code).or_default();
                *sum = sum.saturating_add(*ended);
            }
        }
        by_code
    }
}

/// Whether a machine lacks power or is too hot at this moment.
fn is_strained(sensors: &Sensors) -> bool {
    sensors.throttled == Some(true) || sensors.under_voltage == Some(true)
}
