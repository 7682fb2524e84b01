//! A small builder of brambles, so that only what matters is on a test's page.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::{
    Cpu, FunctionName, FunctionSpec, Generation, Memory, NodeFacts, NodeId, NodeVitals, ReplicaId, Timestamp,
    images::{HeldImage, Holdings, ImageFacts, ImageSource, ImageVariant},
    node::EngineKind,
    openfaas::FunctionDeployment,
    sync::{FunctionCounters, Phase, ReplicaReport, SyncRequest},
};

use crate::{
    Action, Command, Observed, Outcome, Plan, State,
    command::{Expect, PhaseChange, Relies},
    liveness::Moment,
    plan::plan,
    state::NodePhase,
};

pub(crate) fn pi(number: u128) -> NodeId {
    NodeId::from_number(number)
}

pub(crate) fn name(name: &str) -> FunctionName {
    FunctionName::new(name, "").unwrap()
}

pub(crate) fn moment(ms: u64) -> Moment {
    Moment::new(Duration::from_millis(ms))
}

/// The facts of a Pi 3 B+ whose operating system sees `mib` of memory.
pub(crate) fn facts(number: u128, mib: u32) -> NodeFacts {
    NodeFacts {
        name: format!("pi-3b-plus-{}", pi(number).tail()),
        board: "Raspberry Pi 3 Model B Plus".to_owned(),
        address: format!("10.0.0.{number}:7443").parse().unwrap(),
        memory: Memory::from_mib(mib),
        cpu: Cpu::from_cores(4),
        platforms: vec!["linux/arm64".parse().unwrap(), "linux/arm/v7".parse().unwrap()],
        os: "Debian GNU/Linux 13 (trixie)".to_owned(),
        page_bytes: 4096,
        engine: EngineKind::Docker,
        version: "0.1.0".to_owned(),
        serial: None,
        devices: Default::default(),
        details: Default::default(),
    }
}

/// The spec of `text`: a name, or the members of a deployment after `"service":`.
pub(crate) fn spec(text: &str) -> Arc<FunctionSpec> {
    let (service, rest) = text.split_once(',').unwrap_or((text, ""));
    let image = if rest.contains("\"image\"") {
        String::new()
    } else {
        format!(r#","image":"bramble/{service}:latest""#)
    };
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(",{rest}")
    };
    let json = format!(r#"{{"service":"{service}"{image}{rest}}}"#);
    let deployment: FunctionDeployment = serde_json::from_str(&json).unwrap();
    Arc::new(FunctionSpec::check(&deployment, "").unwrap())
}

/// A bramble in the making.
pub(crate) struct World {
    pub(crate) state: State,
    clock: u64,
    waiting: BTreeMap<FunctionName, u32>,
}

pub(crate) fn bramble() -> World {
    let world = World {
        state: State::default(),
        clock: 1_000,
        waiting: BTreeMap::new(),
    };
    world.does(Action::Found {
        name: "bramble".to_owned(),
    })
}

impl World {
    pub(crate) fn apply(&mut self, action: Action) -> Outcome {
        self.clock += 1_000;
        self.state
            .apply(Command::by_bramble(Timestamp::from_millis(self.clock), action))
    }

    pub(crate) fn wait_ms(&mut self, ms: u64) {
        self.clock += ms;
    }

    pub(crate) fn does(mut self, action: Action) -> Self {
        let outcome = self.apply(action);
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome}");
        self
    }

    pub(crate) fn node_with(self, number: u128, mib: u32, change: impl FnOnce(&mut NodeFacts)) -> Self {
        let mut facts = facts(number, mib);
        change(&mut facts);
        self.does(Action::AdmitNode {
            id: pi(number),
            facts: Box::new(facts),
            controller: number == 1,
            awaited: false,
        })
    }

    /// A node with `mib` for replicas, on top of what the system keeps.
    pub(crate) fn node(self, number: u128, mib: u32) -> Self {
        let reserve = if mib + 150 <= 640 { 150 } else { 200 };
        self.node_with(number, mib + reserve, |_| ())
    }

    /// Pis 1 to `count`, each with 1 GB.
    pub(crate) fn nodes(self, count: u128) -> Self {
        (1..=count).fold(self, |world, number| world.node(number, 724))
    }

    pub(crate) fn down(self, number: u128) -> Self {
        self.marked(number, NodePhase::Down)
    }

    pub(crate) fn up(self, number: u128) -> Self {
        self.marked(number, NodePhase::Up)
    }

    fn marked(self, number: u128, phase: NodePhase) -> Self {
        self.does(Action::MarkNode {
            id: pi(number),
            phase,
        })
    }

    pub(crate) fn cordoned(self, number: u128) -> Self {
        self.does(Action::Cordon {
            id: pi(number),
            cordoned: true,
        })
    }

    /// Lets functions use `devices` of Pi `number`: names with commas in between.
    pub(crate) fn allowed(self, number: u128, devices: &str) -> Self {
        self.does(Action::AllowDevices {
            id: pi(number),
            devices: devices.parse().unwrap(),
        })
    }

    pub(crate) fn deployed(self, text: &str) -> Self {
        self.does(Action::PutFunction {
            spec: spec(text),
            expect: Expect::Any,
        })
    }

    pub(crate) fn image_found(self, function: &str, platforms: &[&str]) -> Self {
        self.image_found_with(function, platforms, |_| ())
    }

    /// The image of `function` was looked up and is made for `platforms`; its digest is `sha256:` and the name.
    pub(crate) fn image_found_with(
        self,
        function: &str,
        platforms: &[&str],
        change: impl Fn(&mut ImageVariant),
    ) -> Self {
        let variant = |platform: &&str| {
            let mut variant = ImageVariant {
                ids: [format!("sha256:{function}-{platform}")].into(),
                ..ImageVariant::default()
            };
            change(&mut variant);
            (platform.parse().unwrap(), variant)
        };
        let facts = ImageFacts {
            digest: format!("sha256:{function}"),
            source: ImageSource::Registry,
            variants: platforms.iter().map(variant).collect(),
            resolved_at: Timestamp::from_millis(self.clock),
            problem: None,
        };
        self.image_pinned(function, facts)
    }

    pub(crate) fn image_missing(self, function: &str, problem: &str) -> Self {
        let at = Timestamp::from_millis(self.clock);
        self.image_pinned(function, ImageFacts::nowhere(problem.to_owned(), at))
    }

    pub(crate) fn image_pinned(self, function: &str, facts: ImageFacts) -> Self {
        let version = self.state.function(&name(function)).unwrap().version;
        self.does(Action::PinImage {
            function: name(function),
            version,
            facts: Arc::new(facts),
        })
    }

    pub(crate) fn scaled(self, function: &str, replicas: u32) -> Self {
        self.does(Action::ScaleFunction {
            name: name(function),
            replicas,
        })
    }

    pub(crate) fn waiting(mut self, function: &str, invocations: u32) -> Self {
        self.waiting.insert(name(function), invocations);
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        let observed = Observed {
            leader: pi(1),
            waiting: self.waiting.clone(),
        };
        plan(&self.state, &observed)
    }

    /// Plans and applies until there is nothing to do, without any node saying anything.
    pub(crate) fn planned(mut self) -> Self {
        for _ in 0..50 {
            let actions = self.plan().actions;
            if actions.is_empty() {
                return self;
            }
            for action in actions {
                let outcome = self.apply(action.clone());
                assert!(matches!(outcome, Outcome::Applied(_)), "{action}: {outcome}");
            }
        }
        panic!("the plan does not come to an end: {:?}", self.plan().actions);
    }

    /// Plans and applies once, for `function` alone.
    pub(crate) fn planned_only(mut self, function: &str) -> Self {
        for action in self.plan().actions {
            let its = |relies_on: &Relies| relies_on.functions.contains_key(&name(function));
            if matches!(&action, Action::Assign { relies_on, .. } if its(relies_on)) {
                self = self.does(action);
            }
        }
        self
    }

    /// One round of reports: every replica on a node that is up becomes `phase`, every draining one is gone.
    pub(crate) fn reported(mut self, phase: Phase) -> Self {
        let nodes: Vec<NodeId> = self.state.nodes().keys().copied().collect();
        for node in nodes {
            if self.state.node(node).unwrap().phase == NodePhase::Down {
                continue;
            }
            let its = || self.state.replicas_on(node);
            let change = PhaseChange {
                phase,
                reason: String::new(),
                restarts: 0,
            };
            let starting = its().filter(|(_, replica)| replica.phase == Phase::Starting);
            let changes = starting.map(|(id, _)| (id, change.clone())).collect();
            let gone = its()
                .filter(|(_, replica)| replica.is_draining())
                .map(|(id, _)| id)
                .collect();
            self.apply(Action::ReplicaPhases { node, changes, gone });
        }
        self
    }

    /// Plans, and all nodes do as they are told, until nothing changes.
    pub(crate) fn settled(mut self) -> Self {
        for _ in 0..50 {
            self = self.planned().reported(Phase::Ready);
            let draining = self
                .state
                .replicas()
                .values()
                .any(|replica| replica.is_draining());
            if self.plan().actions.is_empty() && !draining {
                return self;
            }
        }
        panic!("the bramble does not settle");
    }

    pub(crate) fn build(self) -> State {
        self.state
    }

    /// How many replicas of `function` that are not draining each Pi has, by number.
    pub(crate) fn spread(&self, function: &str) -> Vec<(u128, usize)> {
        let mut spread: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (_, replica) in self
            .state
            .replicas_of(&name(function))
            .filter(|(_, r)| !r.is_draining())
        {
            *spread.entry(replica.node).or_default() += 1;
        }
        let number = |id: NodeId| u128::from_str_radix(&id.to_string(), 16).unwrap();
        spread
            .into_iter()
            .map(|(id, count)| (number(id), count))
            .collect()
    }

    /// Versions of the replicas of `function` that serve, oldest replica first.
    pub(crate) fn serving_versions(&self, function: &str) -> Vec<u64> {
        let its = name(function);
        let serving = self
            .state
            .replicas_of(&its)
            .filter(|(_, replica)| self.state.is_serving(replica));
        serving.map(|(_, replica)| replica.version).collect()
    }
}

/// What the agent of Pi `number` says when all is well.
pub(crate) fn report(state: &State, number: u128) -> SyncRequest {
    let its = state
        .replicas_on(pi(number))
        .filter(|(_, replica)| !replica.is_draining());
    let replicas = its.map(|(id, replica)| {
        let report = ReplicaReport {
            function: replica.function.clone(),
            phase: replica.phase,
            reason: replica.reason.clone(),
            restarts: replica.restarts,
            address: None,
        };
        (id, report)
    });
    SyncRequest {
        incarnation: 1,
        facts: state
            .node(pi(number))
            .map_or_else(|| facts(number, 924), |node| node.facts.clone()),
        vitals: NodeVitals::default(),
        generation: state.generation(pi(number)),
        routes: Some(state.routes_revision()),
        replicas: Some(replicas.collect::<BTreeMap<ReplicaId, _>>()),
        counters: Vec::new(),
        holdings: Holdings::default(),
        strangers: Vec::new(),
    }
}

pub(crate) fn counters(function: &str, ended: u64, waiting: u32) -> FunctionCounters {
    FunctionCounters {
        function: name(function),
        started: ended,
        finished: BTreeMap::from([(200, ended)]),
        in_flight: 0,
        waiting,
        replicas: BTreeMap::new(),
    }
}

pub(crate) fn generation(epoch: u64, number: u64) -> Generation {
    Generation { epoch, number }
}

pub(crate) fn ids<T: IntoIterator<Item = u64>>(numbers: T) -> BTreeSet<ReplicaId> {
    numbers.into_iter().map(ReplicaId).collect()
}

/// An image for the platform of all Pis here, built at `created`; its id, content and digest tell its number.
pub(crate) fn held(number: u32, created: i64, names: &[&str]) -> HeldImage {
    HeldImage {
        id: format!("sha256:{number}"),
        content: format!("sha256:content-{number}"),
        platform: "linux/arm64".parse().unwrap(),
        size_bytes: 1000,
        created,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        digests: BTreeSet::new(),
        brought: None,
        page_bytes: None,
    }
}
