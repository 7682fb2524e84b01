//! What users are told: the state and the leader's memory as answers of the APIs. A controller that does not lead
//! answers too, with a memory in which nobody was heard.

mod about;
mod summary;
mod why;

use api::{
    FunctionName, NodeId, NodeVitals,
    openfaas::{FunctionNumbers, FunctionStatus},
    sync::Phase,
    v1,
};

use crate::{
    capacity,
    memory::LeaderMemory,
    schedule::{Draft, Reason, Wish},
    state::{Event, Function, Node, NodePhase, Replica, State},
};

pub use about::about;
pub use summary::function_summaries;

/// How many events a function's answer shows.
const EVENTS_SHOWN: usize = 50;

/// All functions of `namespace`, by name.
pub fn function_statuses(state: &State, memory: &LeaderMemory, namespace: &str) -> Vec<FunctionStatus> {
    let its = state
        .functions()
        .iter()
        .filter(|(name, _)| name.namespace() == namespace);
    its.map(|(name, function)| status(state, memory, name, function))
        .collect()
}

/// The function `name`, as OpenFaaS clients see it.
pub fn function_status(state: &State, memory: &LeaderMemory, name: &FunctionName) -> Option<FunctionStatus> {
    Some(status(state, memory, name, state.function(name)?))
}

fn status(state: &State, memory: &LeaderMemory, name: &FunctionName, function: &Function) -> FunctionStatus {
    let ready = state
        .replicas_of(name)
        .filter(|(_, replica)| state.is_serving(replica))
        .count();
    let numbers = FunctionNumbers {
        wanted: function.wanted,
        ready: count(ready),
        invocations: memory.totals.total(name),
    };
    FunctionStatus::new(&function.spec, function.created, numbers)
}

/// The function `name` with all that OpenFaaS has no place for.
pub fn function(state: &State, memory: &LeaderMemory, name: &FunctionName) -> Option<v1::Function> {
    let function = state.function(name)?;
    let placements = state.replicas_of(name).map(|(id, replica)| {
        let report = memory.report(replica.node, id);
        let said = report.filter(|report| report.phase == replica.phase);
        v1::Placement {
            replica: id,
            node: state.node_name(replica.node),
            node_id: replica.node,
            phase: replica.phase,
            reason: said.map_or_else(|| reason(state, replica), |report| report.reason.clone()),
            restarts: replica.restarts,
            version: replica.version,
            address: report
                .and_then(|report| report.address)
                .map(|address| address.to_string()),
        }
    });
    let about = state
        .activity()
        .rev()
        .filter(|event| event.function.as_ref() == Some(name));
    Some(v1::Function {
        status: status(state, memory, name, function),
        placements: placements.collect(),
        refusals: refusals(state, name, function),
        sentences: sentences(state, name),
        why: why::why(state, memory, name, function),
        events: about.take(EVENTS_SHOWN).map(event).collect(),
        invocations_by_code: memory.ended_by_code(name),
    })
}

fn reason(state: &State, replica: &Replica) -> String {
    match state.node(replica.node) {
        Some(Node {
            phase: NodePhase::Down,
            ..
        }) => "its node is unplugged or out of reach".to_owned(),
        _ => replica.reason.clone(),
    }
}

/// Replicas of the present version that have a place.
fn placed(state: &State, name: &FunctionName, function: &Function) -> u32 {
    let up = |node: NodeId| state.node(node).is_some_and(|node| node.phase == NodePhase::Up);
    let placed = state.replicas_of(name).filter(|(_, replica)| {
        replica.version == function.version && !replica.is_draining() && up(replica.node)
    });
    count(placed.count())
}

/// Why one more replica cannot be placed, if one is missing: of every node.
fn refusals(state: &State, name: &FunctionName, function: &Function) -> Vec<v1::Refusal> {
    if placed(state, name, function) >= function.wanted {
        return Vec::new();
    }
    let refusals = Draft::new(state).refusals(Wish::of(function));
    if refusals.len() < state.nodes().len() {
        // Some node takes it: the next plan places it there.
        return Vec::new();
    }
    let refusal = |(node, reason): (&NodeId, &Reason)| v1::Refusal {
        node: state.node_name(*node),
        reason: reason.to_string(),
    };
    refusals.iter().map(refusal).collect()
}

/// How the function `name` stands, for people.
pub fn sentences(state: &State, name: &FunctionName) -> Vec<String> {
    let Some(function) = state.function(name) else {
        return Vec::new();
    };
    let mut sentences = Vec::new();
    if function.wanted == 0 {
        sentences.push("It is scaled to zero: the next invocation starts a replica.".to_owned());
    } else {
        let ready = state
            .replicas_of(name)
            .filter(|(_, replica)| state.is_serving(replica))
            .count();
        let verb = if function.wanted == 1 {
            "replica is"
        } else {
            "replicas are"
        };
        sentences.push(format!(
            "{} of {} {verb} ready.",
            count(ready).min(function.wanted),
            function.wanted
        ));
    }
    for (_, replica) in state
        .replicas_of(name)
        .filter(|(_, replica)| replica.phase == Phase::Failing)
    {
        let because = if replica.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", replica.reason)
        };
        sentences.push(format!(
            "One fails on {}{because}.",
            state.node_name(replica.node)
        ));
    }
    let old = state
        .replicas_of(name)
        .filter(|(_, r)| r.version != function.version && !r.is_draining())
        .count();
    if old > 0 {
        sentences.push(format!("{old} still run an older version."));
    }
    if function.lacks_image() && !state.nodes().is_empty() {
        sentences.push(
            match function.image.as_ref().and_then(|facts| facts.problem.as_ref()) {
                Some(problem) => format!("It waits for its image: {problem}."),
                None => "Its image is being looked up.".to_owned(),
            },
        );
        return sentences;
    }
    let refusals = refusals(state, name, function);
    if !refusals.is_empty() {
        let missing = function.wanted - placed(state, name, function);
        let why: Vec<_> = refusals
            .iter()
            .map(|refusal| format!("{}: {}", refusal.node, refusal.reason))
            .collect();
        sentences.push(format!("{missing} cannot be placed. {}.", why.join("; ")));
    } else if function.wanted > 0 && state.nodes().is_empty() {
        sentences.push("None can be placed: the bramble has no node.".to_owned());
    }
    sentences
}

/// All nodes, by name.
pub fn nodes(state: &State, memory: &LeaderMemory) -> Vec<v1::Node> {
    let requested = capacity::requested(state);
    let view = |(id, node): (&NodeId, &std::sync::Arc<Node>)| {
        let facts = &node.facts;
        let vitals = memory.vitals(*id).filter(|_| node.phase == NodePhase::Up);
        v1::Node {
            name: facts.name.clone(),
            id: *id,
            board: facts.board.clone(),
            phase: match node.phase {
                NodePhase::Down if node.awaited => v1::NodePhase::Joining,
                NodePhase::Down => v1::NodePhase::Down,
                NodePhase::Up if node.cordoned => v1::NodePhase::Cordoned,
                NodePhase::Up => v1::NodePhase::Up,
            },
            leader: state.leader() == Some(*id),
            controller: node.controller,
            wish: node.wish.word().to_owned(),
            cordoned: node.cordoned,
            memory_bytes: facts.memory.bytes(),
            memory_requested_bytes: requested.get(id).map_or(0, |sum| sum.memory.bytes()),
            memory_for_replicas_bytes: capacity::for_replicas(facts).memory.bytes(),
            memory_available_bytes: vitals.map(|vitals| vitals.memory_available.bytes()),
            cores: facts.cpu.millis() / 1000,
            load: vitals.map(|vitals| vitals.load),
            temperature_c: vitals.and_then(|vitals| vitals.temperature_c),
            disk_free_bytes: vitals.map(|vitals| vitals.disk_free_bytes),
            uptime_seconds: vitals.map(|vitals| vitals.uptime_s),
            platform: facts
                .platforms
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            platforms: facts.platforms.iter().map(ToString::to_string).collect(),
            os: facts.os.clone(),
            engine: facts.engine.to_string(),
            address: facts.address.to_string(),
            version: facts.version.clone(),
            replicas: count(state.replicas_on(*id).count()),
            warnings: vitals.map(warnings).unwrap_or_default(),
            problems: vitals.map(|vitals| vitals.problems.clone()).unwrap_or_default(),
            sensors: vitals.map(|vitals| vitals.sensors.clone()),
            replaces: state
                .formerly(*id, facts)
                .filter(|_| node.phase == NodePhase::Up)
                .map(|(_, old)| old.facts.name.clone()),
            light: memory.light(*id).filter(|_| node.phase == NodePhase::Up).cloned(),
            serial: facts.serial.clone(),
            details: facts.details.clone(),
            page_bytes: facts.page_bytes,
            devices: facts.devices.clone(),
            devices_allowed: node.devices_allowed.clone(),
        }
    };
    let mut nodes: Vec<_> = state.nodes().iter().map(view).collect();
    nodes.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    nodes
}

/// All that is wrong with a node, in sentences.
fn warnings(vitals: &NodeVitals) -> Vec<String> {
    let machine = vitals.problems.iter().map(ToString::to_string);
    machine.chain(vitals.warnings.iter().cloned()).collect()
}

/// What happened lately, the newest first.
pub fn events(state: &State) -> Vec<v1::Event> {
    state.activity().rev().map(event).collect()
}

fn event(event: &Event) -> v1::Event {
    v1::Event {
        time: event.time.to_rfc3339(),
        actor: event.actor.to_string(),
        text: event.text.clone(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
