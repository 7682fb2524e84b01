//! Random histories of commands, node deaths, late and stale plans: what must hold whatever happens.
//!
//! `PROPTEST_CASES=10000 cargo test -p cluster --test histories` looks further.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{
    Cpu, FunctionName, FunctionSpec, Memory, NodeFacts, NodeId, ReplicaId, Timestamp,
    node::EngineKind,
    openfaas::FunctionDeployment,
    sync::Phase,
    versioned::{decode, encode},
};
use cluster::{
    Action, Command, Observed, Outcome, Refusal, State,
    capacity::{self, Amounts},
    command::{Expect, PhaseChange},
    outcome::Stale,
    plan,
    routes::routes,
    state::NodePhase,
    sync::desired,
};
use proptest::prelude::*;

/// Something that happens. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Event {
    Admit {
        node: u8,
        mib: u32,
    },
    Shrink {
        node: u8,
        mib: u32,
    },
    Mark {
        node: u8,
        up: bool,
    },
    Cordon {
        node: u8,
        cordoned: bool,
    },
    Remove {
        node: u8,
    },
    Put {
        function: u8,
        mib: u32,
        min: Option<u32>,
    },
    Scale {
        function: u8,
        replicas: u32,
    },
    RemoveFunction {
        function: u8,
    },
    /// The leader plans; its proposals stay under way.
    Plan {
        waiting: Option<u8>,
    },
    /// A proposal that is under way arrives, not always the oldest.
    Arrive {
        which: u8,
    },
    /// A node reports: some replicas change, some draining ones are gone.
    Report {
        node: u8,
        phases: Vec<u8>,
        gone: bool,
    },
}

fn events() -> impl Strategy<Value = Event> {
    let node = 0..5_u8;
    let function = 0..4_u8;
    prop_oneof![
        2 => (node.clone(), 200..1000_u32).prop_map(|(node, mib)| Event::Admit { node, mib }),
        1 => (node.clone(), 150..1000_u32).prop_map(|(node, mib)| Event::Shrink { node, mib }),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, up)| Event::Mark { node, up }),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, cordoned)| Event::Cordon { node, cordoned }),
        1 => node.clone().prop_map(|node| Event::Remove { node }),
        3 => (function.clone(), 1..300_u32, proptest::option::of(0..4_u32))
            .prop_map(|(function, mib, min)| Event::Put { function, mib, min }),
        3 => (function.clone(), 0..9_u32).prop_map(|(function, replicas)| Event::Scale { function, replicas }),
        1 => function.clone().prop_map(|function| Event::RemoveFunction { function }),
        8 => proptest::option::of(function).prop_map(|waiting| Event::Plan { waiting }),
        12 => any::<u8>().prop_map(|which| Event::Arrive { which }),
        8 => (node, proptest::collection::vec(any::<u8>(), 0..8), any::<bool>())
            .prop_map(|(node, phases, gone)| Event::Report { node, phases, gone }),
    ]
}

fn node_id(node: u8) -> NodeId {
    NodeId::from_number(u128::from(node) + 1)
}

fn facts(node: u8, mib: u32) -> Box<NodeFacts> {
    Box::new(NodeFacts {
        name: format!("pi-3b-000{node}"),
        board: "Raspberry Pi 3 Model B".to_owned(),
        // A node that changes has often moved as well.
        address: format!("10.0.{}.{node}:7443", mib % 2).parse().unwrap(),
        memory: Memory::from_mib(mib),
        cpu: Cpu::from_cores(1),
        platforms: vec!["linux/arm64".parse().unwrap()],
        os: "Debian GNU/Linux 13 (trixie)".to_owned(),
        page_bytes: 4096,
        engine: EngineKind::Docker,
        version: "0.1.0".to_owned(),
        serial: None,
        devices: Default::default(),
        details: Default::default(),
    })
}

fn function_name(function: u8) -> FunctionName {
    FunctionName::new(&format!("f{function}"), "").unwrap()
}

fn spec(function: u8, mib: u32, min: Option<u32>) -> Arc<FunctionSpec> {
    let labels = min.map_or_else(String::new, |min| format!(r#""com.openfaas.scale.min":"{min}""#));
    let text = format!(
        r#"{{"service":"f{function}","image":"bramble/env","labels":{{{labels}}},"requests":{{"memory":"{mib}Mi","cpu":"100m"}}}}"#
    );
    let deployment: FunctionDeployment = serde_json::from_str(&text).unwrap();
    Arc::new(FunctionSpec::check(&deployment, "").unwrap())
}

/// What a plan was made from, compared with the state at the time it arrives, by other means than `apply`'s.
struct Planned {
    action: Action,
    state: State,
}

impl Planned {
    /// Whether anything that the plan relied on is different now.
    fn is_outdated(&self, now: &State) -> bool {
        let Action::Assign { relies_on, .. } = &self.action else {
            return false;
        };
        let function = |state: &State, name: &FunctionName| {
            state
                .function(name)
                .map(|f| (f.wanted, f.updated, Arc::clone(&f.spec)))
        };
        let node = |state: &State, id: NodeId| {
            state
                .node(id)
                .map(|n| (n.phase, n.cordoned, n.facts.memory, n.facts.cpu, n.joined))
        };
        relies_on
            .functions
            .keys()
            .any(|name| function(&self.state, name) != function(now, name))
            || relies_on
                .nodes
                .keys()
                .any(|id| node(&self.state, *id) != node(now, *id))
    }
}

#[derive(Default)]
struct History {
    state: State,
    log: Vec<Command>,
    under_way: Vec<Planned>,
    seen: BTreeSet<ReplicaId>,
}

impl History {
    fn run(&mut self, event: Event) {
        match event {
            Event::Admit { node, mib } => self.does(Action::AdmitNode {
                id: node_id(node),
                facts: facts(node, mib),
                controller: node == 0,
                awaited: node % 2 == 1,
            }),
            Event::Shrink { node, mib } => self.does(Action::UpdateFacts {
                id: node_id(node),
                facts: facts(node, mib),
            }),
            Event::Mark { node, up } => self.does(Action::MarkNode {
                id: node_id(node),
                phase: if up { NodePhase::Up } else { NodePhase::Down },
            }),
            Event::Cordon { node, cordoned } => self.does(Action::Cordon {
                id: node_id(node),
                cordoned,
            }),
            Event::Remove { node } => self.does(Action::RemoveNode { id: node_id(node) }),
            Event::Put { function, mib, min } => self.does(Action::PutFunction {
                spec: spec(function, mib, min),
                expect: Expect::Any,
            }),
            Event::Scale { function, replicas } => self.does(Action::ScaleFunction {
                name: function_name(function),
                replicas,
            }),
            Event::RemoveFunction { function } => self.does(Action::RemoveFunction {
                name: function_name(function),
            }),
            Event::Plan { waiting } => {
                for action in self.plan(waiting) {
                    let state = self.state.clone();
                    self.under_way.push(Planned { action, state });
                }
            }
            Event::Arrive { which } => {
                if !self.under_way.is_empty() {
                    let planned = self.under_way.remove(usize::from(which) % self.under_way.len());
                    self.arrives(planned);
                }
            }
            Event::Report { node, phases, gone } => self.report(node_id(node), &phases, gone),
        }
    }

    fn plan(&self, waiting: Option<u8>) -> Vec<Action> {
        let observed = Observed {
            leader: node_id(0),
            waiting: waiting
                .map(|function| (function_name(function), 1))
                .into_iter()
                .collect(),
        };
        plan(&self.state, &observed).actions
    }

    fn arrives(&mut self, planned: Planned) {
        let outdated = planned.is_outdated(&self.state);
        let was = self.state.clone();
        let outcome = self.apply(planned.action.clone());
        match outcome {
            Outcome::Applied(_) => assert!(!outdated, "a stale plan was carried out: {}", planned.action),
            Outcome::Refused(Refusal::Stale(Stale::Node(id))) => {
                // A node that went and came back is another one to a plan, though it looks the same.
                let epoch = |state: &State| state.node(id).map(|node| node.epoch);
                assert_ne!(epoch(&planned.state), epoch(&was), "refused without reason");
            }
            Outcome::Refused(Refusal::Stale(Stale::Room(id))) => {
                let asked = |state: &State| capacity::requested(state).get(&id).copied();
                assert_ne!(asked(&planned.state), asked(&was), "refused without reason");
            }
            Outcome::Refused(_) => assert!(outdated || !matches!(planned.action, Action::Assign { .. })),
        }
    }

    fn report(&mut self, node: NodeId, phases: &[u8], gone: bool) {
        let its: Vec<_> = self
            .state
            .replicas_on(node)
            .map(|(id, r)| (id, r.is_draining()))
            .collect();
        let running = its.iter().filter(|(_, draining)| !draining);
        let changes = running.zip(phases).map(|((id, _), phase)| {
            let phase = match phase % 4 {
                0 => Phase::Failing,
                1 => Phase::Starting,
                _ => Phase::Ready,
            };
            let change = PhaseChange {
                phase,
                reason: String::new(),
                restarts: 0,
            };
            (*id, change)
        });
        let draining = its.iter().filter(|(_, draining)| *draining && gone);
        let action = Action::ReplicaPhases {
            node,
            changes: changes.collect(),
            gone: draining.map(|(id, _)| *id).collect(),
        };
        self.does(action);
    }

    fn does(&mut self, action: Action) {
        self.apply(action);
    }

    /// Applies, and checks all that must hold of every single step.
    fn apply(&mut self, action: Action) -> Outcome {
        let before = self.state.clone();
        let command = Command::by_bramble(Timestamp::from_millis(self.log.len() as u64 * 1000), action);
        self.log.push(command.clone());
        let outcome = self.state.apply(command.clone());
        match &outcome {
            Outcome::Refused(_) => assert_eq!(self.state, before, "what is refused changes nothing"),
            Outcome::Applied(revision) => {
                assert_eq!(revision.0, before.revision().0 + 1);
                assert_eq!(*revision, self.state.revision());
            }
        }
        if let Action::Assign { place, .. } = &command.action {
            self.check_room(place.iter().map(|placement| placement.node).collect(), &outcome);
        }
        self.check_versions(&before);
        self.check_ids(&before);
        outcome
    }

    fn check_room(&self, nodes: BTreeSet<NodeId>, outcome: &Outcome) {
        if matches!(outcome, Outcome::Refused(_)) {
            return;
        }
        for id in nodes {
            let node = self.state.node(id).expect("placed on a node that is there");
            assert!(
                node.phase == NodePhase::Up && !node.cordoned,
                "placed on a node that takes nothing"
            );
            self.check_capacity(id);
        }
    }

    fn check_capacity(&self, id: NodeId) {
        let room = capacity::for_replicas(&self.state.node(id).unwrap().facts);
        let asked = capacity::requested(&self.state)
            .get(&id)
            .copied()
            .unwrap_or_default();
        assert!(asked.fits(room), "{id} has {room:?} and is asked for {asked:?}");
    }

    /// Generations and the route revision grow exactly when, and at least when, what they are versions of changes.
    fn check_versions(&self, before: &State) {
        for id in self.state.nodes().keys() {
            let (was, is) = (before.generation(*id), self.state.generation(*id));
            if was.is_some() && desired(before, *id) == desired(&self.state, *id) {
                assert_eq!(was, is, "the same set has the same generation");
            } else {
                assert!(is > was, "another set has a later generation");
            }
        }
        let (mut was, is) = (routes(before), routes(&self.state));
        assert!(was.revision <= is.revision);
        if was.revision != is.revision {
            was.revision = is.revision;
        } else {
            assert_eq!(was, is, "other routes have a later revision");
        }
    }

    fn check_ids(&mut self, before: &State) {
        for id in self.state.replicas().keys() {
            if before.replica(*id).is_none() {
                assert!(self.seen.insert(*id), "{id} was used before");
            }
        }
        for (id, replica) in self.state.replicas() {
            let known = self
                .state
                .function(&replica.function)
                .and_then(|f| f.spec_of(replica.version));
            assert!(
                known.is_some() || replica.is_draining(),
                "{id} is wanted and nobody knows what it runs"
            );
        }
    }

    /// Plans until there is nothing to do.
    fn converge(&mut self) {
        for _ in 0..100 {
            let actions = self.plan(None);
            if actions.is_empty() {
                return;
            }
            for action in actions {
                let outcome = self.apply(action.clone());
                assert!(matches!(outcome, Outcome::Applied(_)), "{action}: {outcome}");
            }
        }
        panic!("the plan does not come to an end: {:?}", self.plan(None));
    }

    /// Plans, and every node that is up does as it is told, until nothing changes.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.converge();
            let before = self.state.revision();
            for node in self.state.nodes().keys().copied().collect::<Vec<_>>() {
                let up = self.state.node(node).unwrap().phase == NodePhase::Up;
                let busy = |replica: &cluster::state::Replica| replica.phase != Phase::Ready;
                if up && self.state.replicas_on(node).any(|(_, replica)| busy(replica)) {
                    self.report(node, &[2; 200], true);
                }
            }
            if before == self.state.revision() {
                return;
            }
        }
        panic!("the bramble does not settle");
    }

    /// What is wanted runs, or every node says why not.
    fn check_settled(&self) {
        let ids: Vec<NodeId> = self.state.nodes().keys().copied().collect();
        for id in ids
            .iter()
            .filter(|id| self.state.node(**id).unwrap().phase == NodePhase::Up)
        {
            self.check_capacity(*id);
        }
        let observed = Observed {
            leader: node_id(0),
            waiting: BTreeMap::new(),
        };
        let refusals = plan(&self.state, &observed).refusals;
        for (name, function) in self.state.functions() {
            let serving = self
                .state
                .replicas_of(name)
                .filter(|(_, replica)| self.state.is_serving(replica));
            let versions: Vec<u64> = serving.map(|(_, replica)| replica.version).collect();
            let current = versions
                .iter()
                .filter(|version| **version == function.version)
                .count();
            if current != function.wanted as usize || versions.len() != current {
                let reasons = refusals.get(name).map_or(0, BTreeMap::len);
                assert_eq!(
                    reasons,
                    ids.len(),
                    "{name}: {versions:?} of {} and no reason",
                    function.wanted
                );
                assert!(versions.len() <= function.wanted as usize);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_step_keeps_its_promises_and_the_bramble_settles(
        events in proptest::collection::vec(events(), 1..80)
    ) {
        let mut history = History::default();
        for event in events {
            history.run(event);
        }
        history.settle();
        history.check_settled();
        prop_assert!(history.plan(None).is_empty());
    }

    #[test]
    fn the_log_gives_the_same_state_again_also_from_a_snapshot_on(
        events in proptest::collection::vec(events(), 1..60), cut in any::<prop::sample::Index>()
    ) {
        let mut history = History::default();
        for event in events {
            history.run(event);
        }
        let mut again = State::default();
        let cut = cut.index(history.log.len() + 1);
        for (at, command) in history.log.iter().enumerate() {
            if at == cut {
                again = decode(&encode(&again)).unwrap();
            }
            again.apply(decode(&encode(command)).unwrap());
        }
        prop_assert_eq!(encode(&again), encode(&history.state));
        prop_assert_eq!(again, history.state);
    }

    #[test]
    fn amounts_never_wrap(a in any::<(u64, u32)>(), b in any::<(u64, u32)>()) {
        let amounts = |(memory, cpu)| Amounts { memory: Memory::from_bytes(memory), cpu: Cpu::from_millis(cpu) };
        let (a, b) = (amounts(a), amounts(b));
        prop_assert!(a.fits(a.plus(b)) && a.minus(b).fits(a));
    }
}
