//! Why a function is as it is, for somebody who wonders: every sentence with its reason, and what to do about it.

use api::{FunctionName, sync::Phase};

use super::{reason, sentences};
use crate::{
    memory::LeaderMemory,
    secrets::SecretName,
    state::{Function, NodePhase, State},
};

/// The sentences of a function, what each of its replicas does, and what would help.
pub(super) fn why(
    state: &State,
    memory: &LeaderMemory,
    name: &FunctionName,
    function: &Function,
) -> Vec<String> {
    let mut why = sentences(state, name);
    for (id, replica) in state.replicas_of(name) {
        let node = state.node_name(replica.node);
        let report = memory.report(replica.node, id);
        let said = report.filter(|report| report.phase == replica.phase);
        let because = said.map_or_else(|| reason(state, replica), |report| report.reason.clone());
        match replica.phase {
            Phase::Starting if because.is_empty() => why.push(format!("Replica {id} is starting on {node}.")),
            Phase::Starting => why.push(format!("Replica {id} is starting on {node}: {because}.")),
            Phase::Draining => why.push(format!(
                "Replica {id} on {node} finishes what it has and then goes."
            )),
            Phase::Frozen => why.push(format!("Replica {id} sleeps on {node}: an invocation wakes it.")),
            Phase::Stopped => why.push(format!("Replica {id} is stopped on {node}.")),
            // Failing ones are among the sentences.
            Phase::Ready | Phase::Failing => {}
        }
        if replica.restarts > 0 {
            why.push(format!(
                "Replica {id} on {node} was started again {}.",
                times(replica.restarts)
            ));
        }
    }
    let removed = function.spec.secrets.iter().filter(|secret| {
        let secret = SecretName::new(name.namespace(), secret);
        state.secret(&secret).is_none()
    });
    let removed: Vec<_> = removed.map(String::as_str).collect();
    if !removed.is_empty() {
        why.push(format!(
            "Removed since it was deployed, so no new replica can start: {} {}. Create it again, or deploy the function without it.",
            if removed.len() == 1 { "the secret" } else { "the secrets" },
            removed.join(", ")
        ));
    }
    let down = state
        .nodes()
        .values()
        .filter(|node| node.phase == NodePhase::Down && !node.awaited);
    let down: Vec<_> = down.map(|node| node.facts.name.as_str()).collect();
    let short = state
        .replicas_of(name)
        .filter(|(_, replica)| state.is_serving(replica))
        .count()
        < usize::try_from(function.wanted).unwrap_or(usize::MAX);
    if short && !down.is_empty() {
        why.push(format!(
            "Not in reach, so without replicas: {}. Is the power on?",
            down.join(", ")
        ));
    }
    let ended = memory.ended_by_code(name);
    let failed: u64 = ended
        .iter()
        .filter(|(code, _)| **code >= 500)
        .map(|(_, ended)| ended)
        .sum();
    if failed > 0 {
        let all: u64 = ended.values().sum();
        why.push(format!(
            "{failed} of the last {all} invocations ended with an error of the function or the bramble; the logs may tell more."
        ));
    }
    why
}

fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
