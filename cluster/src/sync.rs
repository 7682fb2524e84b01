//! The leader's side of the one conversation with agents (`api::sync`), as functions from values to values.
//!
//! The shell takes a request, proposes what [`receive`] returns, then hangs until [`answer`] has news or
//! `api::sync::MAX_WAIT` is over, when [`orders_now`] answers all the same: that is the heartbeat back.
//!
//! Transitions reach the log, heartbeats never do: an idle bramble proposes nothing here.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    NodeId, ReplicaId,
    light::Light,
    sync::{DesiredReplica, Orders, Phase, ReplicaReport, SyncRequest},
};

use crate::{
    command::{Action, PhaseChange},
    liveness::Moment,
    memory::LeaderMemory,
    routes::routes,
    secrets::versions,
    state::{Node, NodePhase, Replica, State},
};

/// The sender was removed from the bramble: it is to be told so, and nothing of what it says counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAdmitted;

/// Takes in what the agent of `from` says and returns what to propose. Whoever sends has shown a certificate of this
/// bramble, so a node that is not known yet is taken in.
///
/// # Errors
/// [`NotAdmitted`] where the node was removed.
pub fn receive(
    state: &State,
    memory: &mut LeaderMemory,
    from: NodeId,
    request: &SyncRequest,
    now: Moment,
) -> Result<Vec<Action>, NotAdmitted> {
    if state.is_removed(from) {
        return Err(NotAdmitted);
    }
    memory.forget_strangers(state);
    memory.hear(from, request, now);
    let mut facts = Box::new(request.facts.clone());
    let Some(node) = state.node(from) else {
        facts.name = state.name_for(from, &facts.name);
        return Ok(vec![Action::AdmitNode {
            id: from,
            facts,
            controller: false,
            awaited: false,
        }]);
    };
    // Whatever it calls itself: somebody may have given it another name.
    facts.name = match &node.given_name {
        Some(name) => name.clone(),
        None => state.name_for(from, &facts.name),
    };
    let mut actions = Vec::new();
    if *facts != node.facts {
        actions.push(Action::UpdateFacts { id: from, facts });
    }
    if node.phase == NodePhase::Down {
        actions.push(Action::MarkNode {
            id: from,
            phase: NodePhase::Up,
        });
    }
    actions.extend(phases(state, from, node, request));
    Ok(actions)
}

/// How the replicas of `from` differ from what the state says. Replicas that the state does not know are passed
/// over: they are not desired, so their agent stops them as strays.
fn phases(state: &State, from: NodeId, node: &Node, request: &SyncRequest) -> Option<Action> {
    let reports = request.replicas.as_ref()?;
    let number = |generation: api::Generation| (generation.epoch, generation.number);
    let up_to_date = request
        .generation
        .is_some_and(|seen| number(seen) >= (state.epoch(), node.generation));
    let mut changes = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for (id, replica) in state.replicas_on(from) {
        if !replica.is_draining() {
            changes.extend(change(replica, reports.get(&id)).map(|change| (id, change)));
        } else if up_to_date && !reports.contains_key(&id) {
            gone.insert(id);
        }
    }
    (!changes.is_empty() || !gone.is_empty()).then_some(Action::ReplicaPhases {
        node: from,
        changes,
        gone,
    })
}

/// What of a report is worth a line in the log: another phase, another start. Words alone change all the time ("41 %
/// of the image fetched") and stay in the leader's memory. A replica that is not there yet, or not there any more
/// (its node has just booted), is on its way.
fn change(replica: &Replica, report: Option<&ReplicaReport>) -> Option<PhaseChange> {
    let (phase, reason, restarts) = match report {
        Some(report) if report.phase == Phase::Draining => return None,
        Some(report) => (report.phase, report.reason.clone(), report.restarts),
        None => (Phase::Starting, String::new(), replica.restarts),
    };
    ((phase, restarts) != (replica.phase, replica.restarts)).then_some(PhaseChange {
        phase,
        reason,
        restarts,
    })
}

/// All that `node` should run.
pub fn desired(state: &State, node: NodeId) -> BTreeMap<ReplicaId, DesiredReplica> {
    let allowed = state.node(node).map(|node| &node.devices_allowed);
    let its = state
        .replicas_on(node)
        .filter(|(_, replica)| !replica.is_draining());
    its.filter_map(|(id, replica)| {
        let function = state.function(&replica.function)?;
        let spec = function.spec_of(replica.version)?;
        let desired = DesiredReplica {
            version: replica.version,
            spec: spec.as_ref().clone(),
            image: function.image_of(replica.version).cloned(),
            secrets: versions(state, function, replica.version),
            devices: allowed
                .map(|allowed| spec.devices().both(allowed))
                .unwrap_or_default(),
        };
        Some((id, desired))
    })
    .collect()
}

/// The answer to `request` if there is news for `from`; `None` while there is none, or while the node is not taken
/// in yet: then the request hangs.
pub fn answer(state: &State, from: NodeId, request: &SyncRequest) -> Option<Orders> {
    let orders = orders_now(state, from, request)?;
    let news = orders.desired.is_some() || orders.routes.is_some() || orders.dissolved.is_some();
    news.then_some(orders)
}

/// The answer to `request` whether there is news or not; `None` while the node is not taken in yet. What the agent
/// has already, or has newer, is left out. What only the leader knows,
/// [`crate::images::furnish`] and [`crate::lights::furnish`] add.
pub fn orders_now(state: &State, from: NodeId, request: &SyncRequest) -> Option<Orders> {
    let generation = state.generation(from)?;
    let news = request.generation.is_none_or(|seen| seen < generation);
    let rerouted = request.routes.is_none_or(|seen| seen < state.routes_revision());
    Some(Orders {
        generation,
        desired: news.then(|| desired(state, from)),
        routes: rerouted.then(|| routes(state)),
        light: Light::default(),
        holdings: None,
        holders: BTreeMap::new(),
        first_visit_code: state.first_visit_code().map(str::to_owned),
        work: state.has_work(),
        dissolved: state.dissolved(),
        name: state.node(from).map(|node| node.facts.name.clone()),
    })
}

#[cfg(test)]
mod tests;
