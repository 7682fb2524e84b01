//! All functions at a glance: what lists and live pages show.

use std::collections::BTreeMap;

use api::{FunctionName, sync::Phase, v1};

use super::{count, refusals, sentences, status};
use crate::{
    memory::LeaderMemory,
    state::{Function, Replica, State},
};

/// All functions of all namespaces, by name.
pub fn function_summaries(state: &State, memory: &LeaderMemory) -> Vec<v1::FunctionSummary> {
    let mut replicas: BTreeMap<&FunctionName, Vec<&Replica>> = BTreeMap::new();
    for replica in state.replicas().values() {
        replicas.entry(&replica.function).or_default().push(replica);
    }
    let summary = |(name, function): (&FunctionName, &std::sync::Arc<Function>)| {
        let its = replicas.get(name).map(Vec::as_slice).unwrap_or_default();
        let ready = its.iter().filter(|replica| state.is_serving(replica)).count();
        v1::FunctionSummary {
            function: status(state, memory, name, function),
            status: phase(state, name, function, its, count(ready)),
            sentence: sentence(state, name),
            ready: count(ready),
            nodes: its.iter().map(|replica| state.node_name(replica.node)).collect(),
            placements: its
                .iter()
                .map(|replica| v1::ReplicaAt {
                    node: state.node_name(replica.node),
                    phase: replica.phase,
                })
                .collect(),
            rate: (memory.rates.rate(name) * 10.0).round() / 10.0,
        }
    };
    state.functions().iter().map(summary).collect()
}

/// What is wrong, if anything is; else how many are ready.
fn sentence(state: &State, name: &FunctionName) -> String {
    let sentences = sentences(state, name);
    let worst = sentences.get(1).or(sentences.first());
    worst.cloned().unwrap_or_default()
}

fn phase(
    state: &State,
    name: &FunctionName,
    function: &Function,
    replicas: &[&Replica],
    ready: u32,
) -> v1::FunctionPhase {
    let has = |phase: Phase| replicas.iter().any(|replica| replica.phase == phase);
    if function.wanted == 0 {
        v1::FunctionPhase::ScaledToZero
    } else if ready >= function.wanted {
        v1::FunctionPhase::Ready
    } else if ready > 0 {
        v1::FunctionPhase::PartlyReady
    } else if has(Phase::Failing) {
        v1::FunctionPhase::Failing
    } else if function.lacks_image() || !refusals(state, name, function).is_empty() {
        v1::FunctionPhase::Waiting
    } else {
        v1::FunctionPhase::Starting
    }
}
