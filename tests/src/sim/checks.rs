//! What must hold: at every step, after every crash, and when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use api::{FunctionName, NodeId, sync::Phase};
use cluster::{
    Action, Command, Observed, State, capacity, plan, routes::routes, state::NodePhase, sync::desired,
};

use super::{
    controller::Process,
    node::{Agent, Node},
};

/// Everything that was acknowledged is in the log that was read back, in its place.
pub(super) fn nothing_lost(acknowledged: &[Command], recovered: &[Command]) -> Result<(), String> {
    for (place, command) in acknowledged.iter().enumerate() {
        match recovered.get(place) {
            None => {
                return Err(format!(
                    "`{command}`, which was acknowledged, is gone after a crash"
                ));
            }
            Some(other) if other != command => {
                return Err(format!(
                    "`{command}`, which was acknowledged, became `{other}` in a crash"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A command that was applied did nothing that it must not.
pub(super) fn allowed(before: &State, after: &State, command: &Command) -> Result<(), String> {
    let Action::Assign { place, .. } = &command.action else {
        return Ok(());
    };
    for placement in place {
        let function = &placement.function;
        if before
            .function(function)
            .is_none_or(|f| f.version != placement.version)
        {
            return Err(format!("a version of {function} was placed that nobody wants"));
        }
        let Some(node) = before.node(placement.node) else {
            return Err(format!("{function} was placed on a node that is not there"));
        };
        let name = &node.facts.name;
        if node.phase == NodePhase::Down || node.cordoned {
            return Err(format!(
                "{function} was placed on {name}, which takes nothing new"
            ));
        }
        within_capacity(after, placement.node)?;
    }
    Ok(())
}

fn within_capacity(state: &State, id: NodeId) -> Result<(), String> {
    let Some(node) = state.node(id) else { return Ok(()) };
    let room = capacity::for_replicas(&node.facts);
    let asked = capacity::requested(state).get(&id).copied().unwrap_or_default();
    if asked.fits(room) {
        Ok(())
    } else {
        let name = &node.facts.name;
        Err(format!(
            "{name} has {} for replicas that ask for {}",
            room.memory, asked.memory
        ))
    }
}

/// What is still not as it should be, if anything.
pub(super) fn at_rest(process: &Process, nodes: &[Node]) -> Result<(), String> {
    let state = &process.state;
    let observed = Observed {
        leader: state.leader().unwrap_or_default(),
        waiting: process.memory.waiting(state),
    };
    let plan = plan(state, &observed);
    if let Some(action) = plan.actions.first() {
        return Err(format!("there is still something to do: {action}"));
    }
    if let Some((id, replica)) = state
        .replicas()
        .iter()
        .find(|(_, replica)| replica.phase != Phase::Ready)
    {
        return Err(format!("{id} is still {}", replica.phase));
    }
    let routes = routes(state);
    for node in nodes {
        let name = &node.facts.name;
        if state
            .node(node.id)
            .is_none_or(|known| known.phase == NodePhase::Down || known.facts != node.facts)
        {
            return Err(format!("{name} is not known as it is"));
        }
        within_capacity(state, node.id)?;
        if node.agent.as_ref().is_some_and(Agent::is_waiting) {
            return Err(format!("invocations still wait at {name}"));
        }
        let wanted: BTreeSet<_> = desired(state, node.id).into_keys().collect();
        if node.running() != wanted || node.engine.list().len() != wanted.len() {
            return Err(format!(
                "{name} runs {:?} and should run {wanted:?}",
                node.running()
            ));
        }
        let known = node.agent.as_ref().map(|agent| &agent.routes);
        if known != Some(&routes) {
            return Err(format!("the gateway of {name} has other routes"));
        }
    }
    for (name, route) in &routes.functions {
        for (replica, node) in &route.ready {
            let there = nodes
                .iter()
                .any(|n| n.id == *node && n.running().contains(replica));
            if !there {
                return Err(format!("{name} is routed to {replica}, which does not run"));
            }
        }
    }
    for (name, function) in state.functions() {
        let its = state
            .replicas_of(name)
            .filter(|(_, replica)| replica.phase == Phase::Ready);
        let (fresh, old): (Vec<_>, Vec<_>) =
            its.partition(|(_, replica)| replica.version == function.version);
        let complete = fresh.len() == function.wanted as usize && old.is_empty();
        let refused = plan
            .refusals
            .get(name)
            .is_some_and(|refusals| refusals.len() == state.nodes().len());
        if !complete && !refused {
            return Err(format!(
                "{} of {} replicas of {name} are ready, and nobody says why",
                fresh.len(),
                function.wanted
            ));
        }
    }
    Ok(())
}

/// Invocations were counted once, however often processes and leaders changed: never more than there were, and at
/// least all that the processes which still run have counted.
pub(super) fn counted_once(
    process: &Process,
    nodes: &[Node],
    truth: &BTreeMap<FunctionName, u64>,
) -> Result<(), String> {
    for name in process.state.functions().keys() {
        let total = process.memory.totals.total(name);
        let most = truth.get(name).copied().unwrap_or(0);
        let agents = nodes.iter().filter_map(|node| node.agent.as_ref());
        let least: u64 = agents.filter_map(|agent| agent.ended.get(name)).sum();
        if total > most || total < least {
            return Err(format!(
                "{name} was invoked {most} times, at least {least}, and {total} are counted"
            ));
        }
    }
    Ok(())
}
