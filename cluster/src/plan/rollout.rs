//! How one function is brought from what runs to what is wanted: more or fewer replicas, another version, replicas
//! in place of those that a lost node had.
//!
//! An update takes one replica more than wanted, and an old one leaves only when a new one is ready in its place: a
//! new version that fails leaves the old one serving. Where no node has room for that one more, an old one leaves
//! first, but only where that makes the room.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use api::{FunctionName, NodeId, ReplicaId, sync::Phase};

use crate::{
    capacity,
    command::{Action, FunctionRelied, NodeRelied, Placement, Relies},
    schedule::{self, Draft, Reason, Wish},
    state::{Function, NodePhase, Replica},
};

type Replicas<'a> = Vec<(ReplicaId, &'a Replica)>;

/// One function on its way to what is wanted.
pub(super) struct Rollout<'a, 'd> {
    name: &'a FunctionName,
    function: &'a Function,
    draft: &'d mut Draft<'a>,
    /// Replicas of the present version, on nodes that are up.
    fresh: Replicas<'a>,
    /// Replicas of older versions, on nodes that are up.
    old: Replicas<'a>,
    /// Replicas on nodes that are down.
    lost: Replicas<'a>,
    /// How many are draining on nodes that are up: their room will be free soon.
    leaving: usize,
    place: Vec<Placement>,
    drain: BTreeSet<ReplicaId>,
    refusals: BTreeMap<NodeId, Reason>,
}

/// What came of it.
pub(super) struct Done {
    /// The step to propose, if any.
    pub(super) assign: Option<Action>,
    /// Why not all could be placed, of every node; empty where all could.
    pub(super) refusals: BTreeMap<NodeId, Reason>,
}

impl<'a, 'd> Rollout<'a, 'd> {
    /// Sorts the function's `replicas`. The `evicted` ones, those that fail where they could never run, and those
    /// whose node's devices they may use no longer leave at once and are replaced like any that is missing.
    pub(super) fn new(
        name: &'a FunctionName,
        function: &'a Function,
        replicas: &[(ReplicaId, &'a Replica)],
        evicted: &BTreeSet<ReplicaId>,
        draft: &'d mut Draft<'a>,
    ) -> Self {
        let state = draft.state;
        let mut rollout = Self {
            name,
            function,
            draft,
            fresh: Vec::new(),
            old: Vec::new(),
            lost: Vec::new(),
            leaving: 0,
            place: Vec::new(),
            drain: BTreeSet::new(),
            refusals: BTreeMap::new(),
        };
        for &(id, replica) in replicas {
            let Some(node) = state.node(replica.node) else {
                continue;
            };
            let misplaced = || {
                let wish = Wish::of_version(function, replica.version);
                let unfit = wish.is_none_or(|wish| schedule::unfit(node, wish).is_some());
                let forbidden = wish.is_some_and(|wish| schedule::forbidden(node, wish).is_some());
                forbidden || (replica.phase == Phase::Failing && unfit)
            };
            if node.phase == NodePhase::Down {
                rollout.lost.push((id, replica));
            } else if replica.is_draining() {
                rollout.leaving += 1;
            } else if evicted.contains(&id) || misplaced() {
                rollout.leaving += 1;
                rollout.drain.insert(id);
            } else if replica.version == function.version {
                rollout.fresh.push((id, replica));
            } else {
                rollout.old.push((id, replica));
            }
        }
        rollout
    }

    /// Takes the next step.
    pub(super) fn carry_on(mut self) -> Done {
        self.place_missing();
        if !self.refusals.is_empty() && self.place.is_empty() {
            self.make_room();
        }
        self.drain_surplus();
        self.drop_lost();
        let refusals = std::mem::take(&mut self.refusals);
        Done {
            assign: self.into_assign(),
            refusals,
        }
    }

    fn wanted(&self) -> usize {
        usize::try_from(self.function.wanted).unwrap_or(usize::MAX)
    }

    fn place_missing(&mut self) {
        let surge = usize::from(!self.old.is_empty());
        let missing = self.wanted().saturating_sub(self.fresh.len());
        let allowed = (self.wanted() + surge).saturating_sub(self.fresh.len() + self.old.len());
        let spec = &self.function.spec;
        let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for (_, replica) in self.fresh.iter().chain(&self.old) {
            *counts.entry(replica.node).or_default() += 1;
        }
        for _ in 0..missing.min(allowed) {
            match self.draft.schedule(Wish::of(self.function), &counts) {
                Ok(node) => {
                    *counts.entry(node).or_default() += 1;
                    self.draft.add(node, capacity::request(spec));
                    self.place.push(Placement {
                        function: self.name.clone(),
                        version: self.function.version,
                        node,
                        memory: spec.memory_request(),
                        cpu: spec.cpu_request(),
                    });
                }
                Err(refusals) => {
                    self.refusals = refusals;
                    break;
                }
            }
        }
    }

    /// Lets old replicas leave so that a new one finds room. Not while others are leaving or a new one is still
    /// coming up; and below the wanted number only once the new version has shown that it works.
    fn make_room(&mut self) {
        let proven = self
            .fresh
            .iter()
            .all(|(_, replica)| replica.phase == Phase::Ready);
        let complete = self.fresh.len() + self.old.len() >= self.wanted();
        if self.old.is_empty() || self.leaving > 0 || !proven || (self.fresh.is_empty() && !complete) {
            return;
        }
        let nodes: BTreeSet<NodeId> = self.old.iter().map(|(_, replica)| replica.node).collect();
        let leaving = nodes.into_iter().filter_map(|node| self.room_on(node));
        if let Some(leaving) = leaving.min_by_key(Vec::len) {
            self.old.retain(|(id, _)| !leaving.contains(id));
            self.drain.extend(leaving);
            self.refusals.clear();
        }
    }

    /// The fewest old replicas on `node` whose leaving makes room for a new one there.
    fn room_on(&self, node_id: NodeId) -> Option<Vec<ReplicaId>> {
        let state = self.draft.state;
        let node = state.node(node_id)?;
        let spec = &self.function.spec;
        let wish = Wish::of(self.function);
        if schedule::closed(node)
            .or_else(|| schedule::unfit(node, wish))
            .or_else(|| schedule::not_found(wish))
            .is_some()
        {
            return None;
        }
        let mut requested = self.draft.requested(node_id);
        let mut its: Replicas<'a> = self
            .old
            .iter()
            .filter(|(_, r)| r.node == node_id)
            .copied()
            .collect();
        its.sort_by_key(|(id, replica)| (replica.phase == Phase::Ready, Reverse(*id)));
        let mut leaving = Vec::new();
        for (id, replica) in its {
            requested = requested.minus(capacity::request_of(replica));
            leaving.push(id);
            if schedule::no_room(node, requested, capacity::request(spec)).is_none() {
                return Some(leaving);
            }
        }
        None
    }

    /// Old replicas that are not ready serve nobody, so they leave as soon as new ones are placed; ready ones only
    /// as far as enough others are ready.
    fn drain_surplus(&mut self) {
        let wanted = self.wanted();
        let ready =
            |replicas: &Replicas<'_>| replicas.iter().filter(|(_, r)| r.phase == Phase::Ready).count();
        let too_many = self.fresh.len().saturating_sub(wanted);
        let mut victims = choose(&self.fresh, too_many);

        let (old_ready, old_rest): (Replicas<'a>, Replicas<'a>) = self
            .old
            .iter()
            .partition(|(_, replica)| replica.phase == Phase::Ready);
        let all = self.fresh.len() + self.place.len() + self.old.len();
        victims.extend(choose(&old_rest, all.saturating_sub(wanted)));
        let serving = ready(&self.fresh) + old_ready.len();
        victims.extend(choose(&old_ready, serving.saturating_sub(wanted)));
        self.fresh.retain(|(id, _)| !victims.contains(id));
        self.old.retain(|(id, _)| !victims.contains(id));
        self.drain.extend(victims);
    }

    /// What a lost node had is wanted there no longer, as far as it runs elsewhere. Where it cannot, the node takes
    /// up again what it had when it comes back.
    fn drop_lost(&mut self) {
        let running = self.fresh.len() + self.old.len() + self.place.len();
        let keep = self.wanted().saturating_sub(running);
        let version = self.function.version;
        self.lost
            .sort_by_key(|(id, replica)| (replica.version != version, *id));
        self.drain.extend(self.lost.iter().skip(keep).map(|(id, _)| *id));
    }

    fn into_assign(self) -> Option<Action> {
        if self.place.is_empty() && self.drain.is_empty() {
            return None;
        }
        let relied = FunctionRelied {
            version: self.function.version,
            wanted: self.function.wanted,
        };
        let state = self.draft.state;
        let nodes = self.place.iter().filter_map(|placement| {
            let node = state.node(placement.node)?;
            let room = capacity::for_replicas(&node.facts);
            let relied = NodeRelied {
                epoch: node.epoch,
                memory: room.memory,
                cpu: room.cpu,
            };
            Some((placement.node, relied))
        });
        Some(Action::Assign {
            relies_on: Relies {
                functions: BTreeMap::from([(self.name.clone(), relied)]),
                nodes: nodes.collect(),
            },
            place: self.place,
            drain: self.drain,
        })
    }
}

/// The `number` replicas that are missed least: those that do not serve, then from the node that has the most of
/// them, the newest first.
fn choose(replicas: &Replicas<'_>, number: usize) -> Vec<ReplicaId> {
    let mut left = replicas.clone();
    let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
    for (_, replica) in &left {
        *counts.entry(replica.node).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for _ in 0..number.min(left.len()) {
        let least = left.iter().enumerate().min_by_key(|(_, (id, replica))| {
            let of_node = counts.get(&replica.node).copied().unwrap_or(0);
            (serving_rank(replica.phase), Reverse(of_node), Reverse(*id))
        });
        let Some((at, _)) = least else { break };
        let (id, replica) = left.swap_remove(at);
        if let Some(of_node) = counts.get_mut(&replica.node) {
            *of_node -= 1;
        }
        chosen.push(id);
    }
    chosen
}

fn serving_rank(phase: Phase) -> u8 {
    match phase {
        Phase::Failing | Phase::Draining => 0,
        Phase::Stopped => 1,
        Phase::Starting => 2,
        Phase::Frozen => 3,
        Phase::Ready => 4,
    }
}
