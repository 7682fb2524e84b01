//! A simulated node: power, an engine whose containers outlive the agent's process, and the agent itself, whose
//! thinking is the real one (`agent::Replicas`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use agent::{
    Replicas,
    engine::{Ending, Seen, State, fake::FakeEngine},
    plan::Step,
    replicas::Question,
};
use api::{
    Cpu, FunctionName, Generation, Memory, NodeFacts, NodeId, NodeVitals, ReplicaId,
    node::EngineKind,
    sync::{FunctionCounters, Orders, Routes, SyncRequest},
};

/// The Pis of a classroom: short name, memory that the system sees, platforms.
const BOARDS: [(&str, u32, &[&str]); 5] = [
    ("pi-3b-plus", 924, &["linux/arm64", "linux/arm/v7"]),
    ("pi-3b", 924, &["linux/arm64", "linux/arm/v7"]),
    ("pi-zero-2", 426, &["linux/arm64", "linux/arm/v7"]),
    ("pi-2b", 924, &["linux/arm/v7"]),
    ("pi-4b", 1848, &["linux/arm64", "linux/arm/v7"]),
];

/// How long an invocation waits for a replica before it gives up, in milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// One Pi.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) facts: NodeFacts,
    /// How often it got power.
    pub(super) power: u64,
    pub(super) powered: bool,
    /// Whether the network reaches it.
    pub(super) connected: bool,
    /// How often the agent's process began.
    pub(super) boot: u64,
    pub(super) engine: FakeEngine,
    pub(super) agent: Option<Agent>,
    /// The newest orders that any of its agents took over.
    newest: Generation,
}

/// What is lost when the agent's process ends.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) replicas: Replicas,
    pub(super) routes: Routes,
    routed: bool,
    requests: u64,
    /// The request that is under way, and when it was sent.
    pub(super) asked: Option<(u64, u64)>,
    /// Invocations that ended, by function.
    pub(super) ended: BTreeMap<FunctionName, u64>,
    /// When each invocation that waits for a replica came.
    waiting: BTreeMap<FunctionName, Vec<u64>>,
}

impl Node {
    pub(super) fn new(number: usize) -> Self {
        let id = NodeId::from_number(number as u128 + 1);
        let (board, mib, platforms) = BOARDS[number % BOARDS.len()];
        let facts = NodeFacts {
            name: format!("{board}-{}", id.tail()),
            board: board.to_owned(),
            address: format!("10.0.{}.{}:7443", number / 250, number % 250)
                .parse()
                .expect("an address"),
            memory: Memory::from_mib(mib),
            cpu: Cpu::from_cores(4),
            platforms: platforms
                .iter()
                .map(|platform| platform.parse().expect("a platform"))
                .collect(),
            os: "Debian GNU/Linux 13 (trixie)".to_owned(),
            page_bytes: 4096,
            engine: EngineKind::Fake,
            version: "0.1.0".to_owned(),
            serial: None,
            devices: Default::default(),
            details: Default::default(),
        };
        Self {
            id,
            facts,
            power: 1,
            powered: true,
            connected: true,
            boot: 0,
            engine: FakeEngine::new(),
            agent: None,
            newest: Generation::default(),
        }
    }

    /// The agent's process begins.
    pub(super) fn start_agent(&mut self) {
        self.boot += 1;
        self.agent = Some(Agent {
            replicas: Replicas::new(),
            routes: Routes::default(),
            routed: false,
            requests: 0,
            asked: None,
            ended: BTreeMap::new(),
            waiting: BTreeMap::new(),
        });
    }

    /// The power goes: the agent is gone, and every container has ended.
    pub(super) fn lose_power(&mut self) {
        self.powered = false;
        self.agent = None;
        for replica in self.engine.list().into_keys() {
            self.engine.kill(
                replica,
                Ending {
                    code: 137,
                    ..Ending::default()
                },
            );
        }
    }

    /// One look around: what the engine shows, what answers, what is to be done.
    pub(super) fn look(&mut self, now: u64, answers: &mut dyn FnMut() -> bool) -> Vec<Step> {
        let Some(agent) = &mut self.agent else {
            return Vec::new();
        };
        let time = Duration::from_millis(now);
        agent.replicas.observe(self.engine.list(), time);
        for (replica, (_, run)) in agent.replicas.running() {
            if answers() {
                agent
                    .replicas
                    .answered(replica, &run, Question::Both, Ok(()), time);
            }
        }
        agent.replicas.steps(time)
    }

    /// A step came to its end. One whose agent has ended meanwhile may have happened all the same.
    pub(super) fn step_ends(&mut self, now: u64, boot: u64, step: &Step, fails: bool) {
        if !fails {
            self.engine.run(step);
        }
        if self.boot == boot
            && let Some(agent) = &mut self.agent
        {
            let result = if fails {
                Err("the card is slow today".to_owned())
            } else {
                Ok(())
            };
            agent.replicas.ended(step, result, Duration::from_millis(now));
        }
    }

    /// The next sync request, where none is under way.
    pub(super) fn request(&mut self, now: u64) -> Option<(u64, Box<SyncRequest>)> {
        let agent = self.agent.as_mut()?;
        // A request that hangs for a second and is not answered after three has been lost.
        if agent.asked.is_some_and(|(_, since)| now < since + 3_000) {
            return None;
        }
        agent.requests += 1;
        agent.asked = Some((agent.requests, now));
        let request = SyncRequest {
            incarnation: self.boot,
            facts: self.facts.clone(),
            vitals: NodeVitals::default(),
            generation: agent.replicas.generation(),
            routes: agent.routed.then_some(agent.routes.revision),
            replicas: agent.replicas.report(Duration::from_millis(now)),
            counters: agent.counters(),
            holdings: api::images::Holdings::default(),
            strangers: Vec::new(),
        };
        Some((agent.requests, Box::new(request)))
    }

    /// Follows the orders; an answer that is not that of the present request is passed over.
    pub(super) fn take(&mut self, now: u64, number: u64, orders: Orders) -> Result<(), String> {
        let Some(agent) = &mut self.agent else {
            return Ok(());
        };
        if agent.asked.map(|(asked, _)| asked) != Some(number) {
            return Ok(());
        }
        agent.asked = None;
        let name = &self.facts.name;
        if let Some(routes) = orders.routes {
            if agent.routed && routes.revision < agent.routes.revision {
                return Err(format!("{name} was sent routes older than those it has"));
            }
            agent.routes = routes;
            agent.routed = true;
        }
        if let Some(desired) = orders.desired {
            let time = Duration::from_millis(now);
            let taken = agent.replicas.order(orders.generation, desired, time);
            taken.map_err(|error| format!("{name} was sent old orders: {error}"))?;
            if orders.generation < self.newest {
                return Err(format!(
                    "{name} took orders {} after {}",
                    orders.generation, self.newest
                ));
            }
            self.newest = orders.generation;
        }
        Ok(())
    }

    /// The replicas that run here.
    pub(super) fn running(&self) -> BTreeSet<ReplicaId> {
        let running = |seen: &Seen| matches!(seen.state, State::Running { .. });
        self.engine
            .list()
            .into_iter()
            .filter(|(_, seen)| running(seen))
            .map(|(id, _)| id)
            .collect()
    }

    /// Invocations that wait find a replica, or give up; returns how many of each function ended.
    pub(super) fn serve_waiting(&mut self, now: u64) -> Vec<(FunctionName, u64)> {
        let Some(agent) = &mut self.agent else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        for (name, since) in &mut agent.waiting {
            let ready = agent
                .routes
                .functions
                .get(name)
                .is_some_and(|route| !route.ready.is_empty());
            let before = since.len();
            since.retain(|since| !ready && now < since + PATIENCE_MS);
            ended.push((name.clone(), (before - since.len()) as u64));
        }
        agent.waiting.retain(|_, since| !since.is_empty());
        for (name, count) in &ended {
            *agent.ended.entry(name.clone()).or_default() += count;
        }
        ended
    }
}

impl Agent {
    /// Takes an invocation at this node's gateway; `true` where it ended at once, else it waits.
    pub(super) fn invoke(&mut self, now: u64, name: &FunctionName) -> bool {
        let Some(route) = self.routes.functions.get(name) else {
            return false;
        };
        if route.ready.is_empty() {
            self.waiting.entry(name.clone()).or_default().push(now);
            return false;
        }
        *self.ended.entry(name.clone()).or_default() += 1;
        true
    }

    /// Whether invocations wait for a replica.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn counters(&self) -> Vec<FunctionCounters> {
        let names: BTreeSet<&FunctionName> = self.ended.keys().chain(self.waiting.keys()).collect();
        let counters = names.into_iter().map(|name| {
            let ended = self.ended.get(name).copied().unwrap_or(0);
            FunctionCounters {
                function: name.clone(),
                started: ended,
                finished: BTreeMap::from([(200, ended)]),
                in_flight: 0,
                waiting: self
                    .waiting
                    .get(name)
                    .map_or(0, |since| u32::try_from(since.len()).unwrap_or(u32::MAX)),
                replicas: BTreeMap::new(),
            }
        });
        counters.collect()
    }
}
