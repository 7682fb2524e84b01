//! What each node's light should say, as far as the leader knows; the agent adds what only it knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{
    FunctionName, NodeId, Timestamp,
    light::{Glow, Light, ReplicaLight, Says},
    sync::{Orders, Phase},
};

use crate::{
    memory::LeaderMemory,
    state::{Replica, State},
};

/// Longest that a board identifies itself on one request.
pub const LONGEST_IDENTIFY: Duration = Duration::from_secs(3600);

/// Fewer calls than this in a second are rest: the last one is some seconds ago.
const CALLS: f64 = 0.1;

/// As many replicas are told of as the longest strip has pixels for them.
const PIXELS: usize = 7;

/// What time it is where the leader is.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the leader's clock.
    pub wall: Timestamp,
    /// Minute of the day, local time.
    pub minute_of_day: u16,
}

/// Adds to `orders` for `node` what its light should say, and remembers it.
pub fn furnish(orders: &mut Orders, state: &State, memory: &mut LeaderMemory, node: NodeId, now: Now) {
    orders.light = light(state, memory, node, now);
    memory.told_light(node, orders.light.clone());
}

/// The light of `node`.
pub fn light(state: &State, memory: &LeaderMemory, node: NodeId, now: Now) -> Light {
    let mut its: Vec<&Replica> = state
        .replicas_on(node)
        .map(|(_, replica)| replica)
        .filter(|replica| !replica.is_draining())
        .collect();
    // By function, so that the strip of one node looks like that of the next.
    its.sort_by(|a, b| a.function.cmp(&b.function));
    let calls_per_second = calls_per_second(state, memory, &its);
    Light {
        says: says(state, memory, node, &its, calls_per_second, now.wall),
        calls_per_second,
        brightness: state.lights().brightness_at(now.minute_of_day),
        replicas: its
            .iter()
            .filter_map(|replica| {
                Some(ReplicaLight {
                    function: replica.function.clone(),
                    glow: glow(replica.phase)?,
                })
            })
            .take(PIXELS)
            .collect(),
    }
}

fn glow(phase: Phase) -> Option<Glow> {
    match phase {
        Phase::Ready => Some(Glow::Ready),
        Phase::Starting => Some(Glow::Starting),
        Phase::Frozen | Phase::Stopped => Some(Glow::Asleep),
        Phase::Failing | Phase::Draining => None,
    }
}

/// The one thing that matters most.
fn says(
    state: &State,
    memory: &LeaderMemory,
    node: NodeId,
    its: &[&Replica],
    calls_per_second: f64,
    wall: Timestamp,
) -> Says {
    if identifies(state, node, wall) {
        return Says::Identify;
    }
    let problems = memory
        .vitals(node)
        .map_or(&[][..], |vitals| vitals.problems.as_slice());
    if let Some(warning) = problems.iter().filter_map(|problem| problem.light).max() {
        return warning;
    }
    if its.iter().any(|replica| replica.phase == Phase::Starting) {
        return Says::Starting;
    }
    match (state.leader() == Some(node), calls_per_second >= CALLS) {
        (true, true) => Says::MasterWorking,
        (true, false) => Says::Master,
        (false, true) => Says::Working,
        (false, false) => Says::Joined,
    }
}

/// Whether somebody asked which board `node` is. A clock that was set in between never makes it endless.
fn identifies(state: &State, node: NodeId, wall: Timestamp) -> bool {
    let until = state.identify_until(node);
    until.is_some_and(|until| wall < until && until.since(wall) <= LONGEST_IDENTIFY)
}

/// How many invocations these replicas answer in a second: each ready replica of a function answers about as many.
fn calls_per_second(state: &State, memory: &LeaderMemory, its: &[&Replica]) -> f64 {
    let functions: BTreeSet<&FunctionName> = its.iter().map(|replica| &replica.function).collect();
    let busy: BTreeMap<&FunctionName, f64> = functions
        .into_iter()
        .map(|function| (function, memory.rates.rate(function)))
        .filter(|(_, rate)| *rate > 0.0)
        .collect();
    if busy.is_empty() {
        return 0.0;
    }
    let mut serving: BTreeMap<&FunctionName, u32> = BTreeMap::new();
    for replica in state
        .replicas()
        .values()
        .filter(|replica| state.is_serving(replica))
    {
        if busy.contains_key(&replica.function) {
            *serving.entry(&replica.function).or_default() += 1;
        }
    }
    its.iter()
        .filter(|replica| state.is_serving(replica))
        .filter_map(|replica| {
            let all = serving.get(&replica.function)?;
            Some(busy.get(&replica.function)? / f64::from(*all))
        })
        .sum()
}

#[cfg(test)]
mod tests;
