//! What to change next, so that what runs comes to be what is wanted.
//!
//! Level, not edge: compares the whole with the whole, whoever woke it and whatever happened before. The leader
//! proposes the actions; once they are applied the next plan goes on from there, until there is nothing to do. What
//! it relied on rides along, so that a plan which comes too late is refused (docs/decisions/0007-decisions-in-the-log.md).
//!
//! Not here: where a replica goes ([`crate::schedule`]), how one function is brought to what is wanted
//! (`rollout`), who is down ([`crate::liveness`]).

mod rollout;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use api::{FunctionName, NodeId, ReplicaId};

use crate::{
    capacity,
    command::Action,
    schedule::{Draft, Reason},
    state::{NodePhase, Replica, State},
};

/// What only the leader knows and a plan needs.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The node that plans.
    pub leader: NodeId,
    /// Invocations that wait for a replica, by function; those without any are left out.
    pub waiting: BTreeMap<FunctionName, u32>,
}

/// What to do, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be proposed, in this order. Each stands for itself: one may be refused and the others not.
    pub actions: Vec<Action>,
    /// Functions of which a replica could not be placed, and why not, of every node.
    pub refusals: BTreeMap<FunctionName, BTreeMap<NodeId, Reason>>,
}

/// The next steps from what is there to what is wanted.
pub fn plan(state: &State, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    if state.leader() != Some(observed.leader) && state.node(observed.leader).is_some() {
        plan.actions.push(Action::Lead { id: observed.leader });
    }
    let evicted = evicted(state);
    let mut draft = Draft::new(state);
    let mut replicas: BTreeMap<&FunctionName, Vec<(ReplicaId, &Replica)>> = BTreeMap::new();
    for (id, replica) in state.replicas() {
        replicas
            .entry(&replica.function)
            .or_default()
            .push((*id, replica));
    }
    for (name, function) in state.functions() {
        let waiting = observed.waiting.get(name).copied().unwrap_or(0);
        if function.wanted == 0 && waiting > 0 {
            let replicas = function.spec.scale_min().unwrap_or(1).max(1);
            plan.actions.push(Action::ScaleFunction {
                name: name.clone(),
                replicas,
            });
            continue;
        }
        let its = replicas.remove(name).unwrap_or_default();
        let done = rollout::Rollout::new(name, function, &its, &evicted, &mut draft).carry_on();
        plan.actions.extend(done.assign);
        if !done.refusals.is_empty() {
            plan.refusals.insert(name.clone(), done.refusals);
        }
    }
    plan
}

/// Replicas that have to leave because their node has become smaller than what it was given: the newest first.
/// (A card that moves from a large Pi to a small one does that.)
fn evicted(state: &State) -> BTreeSet<ReplicaId> {
    let mut evicted = BTreeSet::new();
    let requested = capacity::requested(state);
    for (node_id, node) in state.nodes() {
        let room = capacity::for_replicas(&node.facts);
        let requested = requested.get(node_id).copied().unwrap_or_default();
        if node.phase == NodePhase::Down || requested.fits(room) {
            continue;
        }
        let its: Vec<_> = state
            .replicas_on(*node_id)
            .filter(|(_, replica)| !replica.is_draining())
            .collect();
        let mut kept = its
            .iter()
            .fold(capacity::Amounts::default(), |sum, (_, replica)| {
                sum.plus(capacity::request_of(replica))
            });
        for (id, replica) in its.iter().rev() {
            if kept.fits(room) {
                break;
            }
            kept = kept.minus(capacity::request_of(replica));
            evicted.insert(*id);
        }
    }
    evicted
}
