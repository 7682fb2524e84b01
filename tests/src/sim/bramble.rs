//! The whole: lets events happen to controller and nodes, makes users and faults, and watches.

use std::{collections::BTreeMap, sync::Arc};

use agent::plan::Step;
use api::{
    FunctionName, FunctionSpec, Memory, NodeId, openfaas::FunctionDeployment, sync::SyncAnswer,
    versioned::encode,
};
use cluster::{Action, command::Expect};

use super::{
    Scenario, Summary, Violation, checks,
    controller::Controller,
    node::Node,
    world::{AFTERMATH_MS, Event, NodeNumber, World},
};

/// How often an agent looks around without being woken, in milliseconds.
const AGENT_TICK_MS: u64 = 250;

/// How often the controller does; as the real one.
const CONTROLLER_TICK_MS: u64 = 250;

/// How long the bramble may take to come to rest after the last fault, in milliseconds: the longest pause after
/// repeated failures is a minute.
const PATIENCE_MS: u64 = 180_000;

/// How long it is watched once it is at rest, in milliseconds.
const REST_MS: u64 = 5_000;

/// One bramble and what happens to it.
#[derive(Debug)]
pub(super) struct Bramble {
    scenario: Scenario,
    world: World,
    controller: Controller,
    nodes: Vec<Node>,
    /// Invocations that really ended, by function.
    truth: BTreeMap<FunctionName, u64>,
    summary: Summary,
}

impl Bramble {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            world: World::new(scenario.seed),
            controller: Controller::new(NodeId::from_number(1), scenario.bug),
            nodes: (0..usize::from(scenario.nodes)).map(Node::new).collect(),
            truth: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, Violation> {
        self.live().map_err(|what| Violation {
            seed: self.scenario.seed,
            at_ms: self.world.now,
            what,
        })?;
        Ok(self.summary)
    }

    fn live(&mut self) -> Result<(), String> {
        self.controller.start(0)?;
        let found = Action::Found {
            name: "bramble".to_owned(),
        };
        self.controller.propose(0, None, found);
        self.controller_woken();
        self.world.after(
            CONTROLLER_TICK_MS,
            Event::ControllerTick {
                life: self.controller.life,
            },
        );
        for node in 0..self.nodes.len() {
            let after = self.world.within(0..1_000);
            self.world.after(after, Event::AgentStarts(node));
        }
        self.world.after(2_000, Event::UserActs);
        self.world.after(3_000, Event::Invocation);
        self.world.after(4_000, Event::Fault);
        while self.world.now < self.scenario.busy_ms {
            self.step()?;
        }
        self.calm();
        self.come_to_rest()?;
        self.stay_at_rest()
    }

    /// From now on nothing breaks any more, and nobody wants anything.
    fn calm(&mut self) {
        self.world.unreliable = false;
        for number in 0..self.nodes.len() {
            self.nodes[number].connected = true;
            if self.nodes[number].agent.is_none() {
                self.world.after(0, Event::AgentStarts(number));
            }
        }
        if self.controller.process.is_none() {
            self.world.after(0, Event::ControllerStarts);
        }
    }

    fn come_to_rest(&mut self) -> Result<(), String> {
        let began = self.world.now;
        loop {
            let until = self.world.now + 500;
            while self.world.now < until {
                self.step()?;
            }
            let rest = self.at_rest();
            self.summary.settled_after_ms = self.world.now - began;
            match rest {
                // A late message could still tell of what was, or a step whose agent is gone start a stray.
                Ok(()) if self.summary.settled_after_ms <= AFTERMATH_MS => {}
                Ok(()) => return Ok(()),
                Err(what) if self.summary.settled_after_ms > PATIENCE_MS => return Err(what),
                Err(_) => {}
            }
        }
    }

    fn stay_at_rest(&mut self) -> Result<(), String> {
        let commands = self.controller.acknowledged.len();
        let until = self.world.now + REST_MS;
        while self.world.now < until {
            self.step()?;
        }
        self.at_rest()?;
        if let Some(command) = self.controller.acknowledged.get(commands) {
            return Err(format!("a bramble at rest wrote `{command}` to its card"));
        }
        let process = self.controller.process.as_ref().ok_or("the controller is gone")?;
        checks::counted_once(process, &self.nodes, &self.truth)?;
        self.summary.commands = commands as u64;
        self.summary.stale = self.controller.stale;
        self.summary.lost_messages = self.world.lost_messages;
        self.summary.invocations = self.truth.values().sum();
        self.summary.state = encode(&process.state);
        Ok(())
    }

    fn at_rest(&self) -> Result<(), String> {
        let process = self.controller.process.as_ref().ok_or("the controller is gone")?;
        if !self.controller.is_idle() {
            return Err("the controller is still busy".to_owned());
        }
        checks::at_rest(process, &self.nodes)
    }

    /// Lets the next event happen.
    fn step(&mut self) -> Result<(), String> {
        let event = self.world.next().ok_or("nothing happens any more")?;
        let busy = self.world.now < self.scenario.busy_ms;
        match event {
            Event::AgentStarts(number) => self.agent_starts(number),
            Event::AgentTick { node, boot } => self.agent_tick(node, boot),
            Event::StepEnds {
                node,
                boot,
                power,
                step,
                fails,
            } => self.step_ends(node, boot, power, &step, fails),
            Event::Asked {
                node,
                boot,
                number,
                request,
            } => {
                if self.nodes[node].connected {
                    let (id, now) = (self.nodes[node].id, self.world.now);
                    let sender = (node, boot, number);
                    if let Some(answer) = self.controller.sync(now, id, sender, request) {
                        self.reply(sender, answer);
                    }
                    self.controller_woken();
                }
            }
            Event::Answered {
                node,
                boot,
                number,
                answer,
            } => self.answered(node, boot, number, *answer)?,
            Event::ControllerStarts => {
                if self.controller.process.is_none() {
                    self.controller.start(self.world.now)?;
                    self.world.after(
                        CONTROLLER_TICK_MS,
                        Event::ControllerTick {
                            life: self.controller.life,
                        },
                    );
                    self.controller_woken();
                }
            }
            Event::ControllerTick { life } => {
                if life == self.controller.life && self.controller.process.is_some() {
                    self.world
                        .after(CONTROLLER_TICK_MS, Event::ControllerTick { life });
                    self.controller_woken();
                }
            }
            Event::DiskDone { life } => {
                if life == self.controller.life && self.controller.process.is_some() {
                    self.controller.written()?;
                    self.controller_woken();
                }
            }
            Event::UserActs if busy => self.user_acts(),
            Event::Invocation if busy => self.invocation(),
            Event::Fault if busy => self.fault(),
            Event::UserActs | Event::Invocation | Event::Fault => {}
            Event::Reconnects(number) => self.nodes[number].connected = true,
        }
        Ok(())
    }

    /// Something changed for the controller: it goes on planning, answering and writing.
    fn controller_woken(&mut self) {
        let now = self.world.now;
        self.controller.reconcile(now);
        for (sender, answer) in self.controller.answers(now) {
            self.reply(sender, answer);
        }
        if self.controller.begin_write() {
            // An SD card that has to make room for itself stalls.
            let stalls = self.world.unreliable && self.world.happens(0.05);
            let took = if stalls {
                self.world.within(200..2_000)
            } else {
                self.world.within(2..20)
            };
            self.world.after(
                took,
                Event::DiskDone {
                    life: self.controller.life,
                },
            );
        }
    }

    fn reply(&mut self, (node, boot, number): (NodeNumber, u64, u64), answer: SyncAnswer) {
        let answer = Box::new(answer);
        self.world.send(Event::Answered {
            node,
            boot,
            number,
            answer,
        });
    }

    fn agent_starts(&mut self, number: NodeNumber) {
        let node = &mut self.nodes[number];
        if node.agent.is_some() {
            return;
        }
        if !node.powered {
            node.powered = true;
            node.power += 1;
        }
        node.start_agent();
        self.world.after(
            0,
            Event::AgentTick {
                node: number,
                boot: node.boot,
            },
        );
    }

    fn agent_tick(&mut self, number: NodeNumber, boot: u64) {
        if self.nodes[number].boot == boot && self.nodes[number].agent.is_some() {
            self.world
                .after(AGENT_TICK_MS, Event::AgentTick { node: number, boot });
            self.agent_looks(number);
        }
    }

    fn agent_looks(&mut self, number: NodeNumber) {
        let world = &mut self.world;
        let node = &mut self.nodes[number];
        let steps = node.look(world.now, &mut || world.luck.f64() < 0.4);
        for step in steps {
            let slow = world.happens(0.1);
            let took = match &step {
                Step::Start { .. } if slow => world.within(1_000..AFTERMATH_MS),
                Step::Start { .. } => world.within(50..1_500),
                _ => world.within(20..500),
            };
            let fails = world.unreliable && world.happens(0.03);
            let (boot, power) = (node.boot, node.power);
            let step = Box::new(step);
            world.after(
                took,
                Event::StepEnds {
                    node: number,
                    boot,
                    power,
                    step,
                    fails,
                },
            );
        }
        for (name, ended) in node.serve_waiting(world.now) {
            *self.truth.entry(name).or_default() += ended;
        }
        if let Some((request_number, request)) = node.request(world.now) {
            let boot = node.boot;
            if node.connected {
                world.send(Event::Asked {
                    node: number,
                    boot,
                    number: request_number,
                    request,
                });
            }
        }
    }

    fn step_ends(&mut self, number: NodeNumber, boot: u64, power: u64, step: &Step, fails: bool) {
        let orphaned = self.nodes[number].boot != boot || self.nodes[number].agent.is_none();
        let happens = !orphaned || self.world.happens(0.5);
        let node = &mut self.nodes[number];
        if node.powered && node.power == power && happens {
            node.step_ends(self.world.now, boot, step, fails);
            if !orphaned {
                self.agent_looks(number);
            }
        }
    }

    fn answered(
        &mut self,
        number: NodeNumber,
        boot: u64,
        request: u64,
        answer: SyncAnswer,
    ) -> Result<(), String> {
        let node = &mut self.nodes[number];
        if node.boot != boot || !node.connected {
            return Ok(());
        }
        match answer {
            SyncAnswer::Orders(orders) => node.take(self.world.now, request, orders)?,
            other => return Err(format!("{} was told {other:?}", node.facts.name)),
        }
        self.agent_looks(number);
        Ok(())
    }

    fn some_node(&mut self) -> NodeNumber {
        self.world.luck.usize(0..self.nodes.len())
    }

    fn some_function(&mut self) -> String {
        format!("f{}", self.world.luck.u16(0..self.scenario.functions))
    }

    fn user_acts(&mut self) {
        let function = self.some_function();
        let name = FunctionName::new(&function, "").expect("a name");
        let action = match self.world.luck.u8(0..20) {
            0..7 => self.some_deployment(&function),
            7..14 => Action::ScaleFunction {
                name,
                replicas: self.world.luck.u32(0..2 + u32::from(self.scenario.nodes) * 2),
            },
            14..16 => Action::RemoveFunction { name },
            _ => {
                let node = self.some_node();
                Action::Cordon {
                    id: self.nodes[node].id,
                    cordoned: self.world.happens(0.4),
                }
            }
        };
        self.controller.propose(self.world.now, Some("ada"), action);
        self.controller_woken();
        let pause = self.world.within(50..1_500);
        self.world.after(pause, Event::UserActs);
    }

    fn some_deployment(&mut self, function: &str) -> Action {
        let luck = &mut self.world.luck;
        let mib = luck.choice([16, 40, 64, 64, 128, 300]).expect("one of them");
        let label = match luck.u8(0..4) {
            0 => r#""com.openfaas.scale.min":"2""#,
            _ => "",
        };
        let constraint = match luck.u8(0..6) {
            0 => r#""board=pi-3b-plus""#,
            1 => r#""kubernetes.io/arch=arm64""#,
            _ => "",
        };
        let text = format!(
            r#"{{"service":"{function}","image":"bramble/env:latest","labels":{{{label}}},
                "constraints":[{constraint}],"requests":{{"memory":"{mib}Mi","cpu":"50m"}},
                "envVars":{{"write_timeout":"2s","healthcheck_interval":"1s"}}}}"#
        );
        let deployment: FunctionDeployment = serde_json::from_str(&text).expect("a deployment");
        Action::PutFunction {
            spec: Arc::new(FunctionSpec::check(&deployment, "").expect("a spec that makes sense")),
            expect: luck
                .choice([Expect::Any, Expect::Absent, Expect::Present])
                .expect("one of them"),
        }
    }

    fn invocation(&mut self) {
        let number = self.some_node();
        let name = FunctionName::new(&self.some_function(), "").expect("a name");
        let now = self.world.now;
        if let Some(agent) = &mut self.nodes[number].agent
            && agent.invoke(now, &name)
        {
            *self.truth.entry(name).or_default() += 1;
        }
        let pause = self.world.within(20..200);
        self.world.after(pause, Event::Invocation);
    }

    fn fault(&mut self) {
        let number = self.some_node();
        match self.world.luck.u8(0..10) {
            0..2 => self.controller_crashes(),
            2..4 => self.agent_crashes(number),
            4..6 => self.power_fails(number),
            6..8 => {
                self.nodes[number].connected = false;
                let pause = self.world.within(500..15_000);
                self.world.after(pause, Event::Reconnects(number));
            }
            _ => self.replica_dies(number),
        }
        // Larger brambles break more often.
        let most = 15_000 / u64::from(self.scenario.nodes).max(1);
        let pause = self.world.within(100..most.max(200));
        self.world.after(pause, Event::Fault);
    }

    fn controller_crashes(&mut self) {
        if self.controller.process.is_some() {
            self.controller.crash(&mut self.world.luck);
            self.summary.controller_crashes += 1;
            let pause = self.world.within(100..3_000);
            self.world.after(pause, Event::ControllerStarts);
        }
    }

    fn agent_crashes(&mut self, number: NodeNumber) {
        if self.nodes[number].agent.take().is_some() {
            self.summary.node_crashes += 1;
            let pause = self.world.within(100..3_000);
            self.world.after(pause, Event::AgentStarts(number));
        }
    }

    /// Sometimes the card comes back in another Pi.
    fn power_fails(&mut self, number: NodeNumber) {
        if !self.nodes[number].powered {
            return;
        }
        self.nodes[number].lose_power();
        self.summary.node_crashes += 1;
        if self.world.happens(0.2) {
            let mib = self.world.luck.choice([426, 924, 1848]).expect("one of them");
            self.nodes[number].facts.memory = Memory::from_mib(mib);
        }
        let pause = self.world.within(500..15_000);
        self.world.after(pause, Event::AgentStarts(number));
    }

    fn replica_dies(&mut self, number: NodeNumber) {
        let running: Vec<_> = self.nodes[number].running().into_iter().collect();
        if let Some(replica) = self.world.luck.choice(running) {
            let ending = agent::engine::Ending {
                code: 1,
                ..agent::engine::Ending::default()
            };
            self.nodes[number].engine.kill(replica, ending);
        }
    }
}
