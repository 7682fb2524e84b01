//! The simulated controller: one voter, whose log is the real one on a disk that can lose power.
//!
//! Proposals wait for the disk, are written in batches, and are applied when the batch is safe; in the meantime the
//! world goes on, which is where stale plans come from. The reconciler proposes one action at a time, as the real one
//! does, and plans again when all are answered.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use api::{
    Cpu, Memory, NodeId, Timestamp,
    sync::{MAX_WAIT, SyncAnswer, SyncRequest},
};
use cluster::{
    Action, Command, LeaderMemory, Moment, Observed, Outcome, Refusal, State,
    command::{FunctionRelied, NodeRelied},
    plan, sync,
};
use controller::raft::{
    Enveloped, Types,
    log::{Disk, Record, Wal, sim::SimDisk},
};
use openraft::{
    EntryPayload, LogId,
    entry::RaftEntry,
    impls::{Entry, leader_id_adv::LeaderId},
};

use super::{Bug, checks};

type Log = Types<State>;

/// The world's clock starts here: 2026-11-21.
const START_MS: u64 = 1_795_219_200_000;

/// Where an answer goes: the node's number, its process, its request.
pub(super) type Sender = (usize, u64, u64);

/// A controller and its disk.
#[derive(Debug)]
pub(super) struct Controller {
    /// The node it runs on.
    id: NodeId,
    bug: Option<Bug>,
    disk: SimDisk,
    /// How often the process began.
    pub(super) life: u64,
    pub(super) process: Option<Process>,
    /// Everything that was acknowledged, in the order of the log.
    pub(super) acknowledged: Vec<Command>,
    /// The state when the process was last alive.
    last_state: State,
    pub(super) stale: u64,
}

/// What is lost in a crash.
#[derive(Debug)]
pub(super) struct Process {
    wal: Wal<Log>,
    pub(super) state: State,
    pub(super) memory: LeaderMemory,
    queue: VecDeque<Proposal>,
    /// What the disk is busy with; empty where it is not.
    writing: Vec<Proposal>,
    proposed: u64,
    answered: u64,
    /// What the last plan still wants to propose.
    planned: VecDeque<Action>,
    /// The proposal that the reconciler waits for.
    awaited: u64,
    hanging: BTreeMap<NodeId, Hanging>,
}

#[derive(Debug)]
struct Proposal {
    number: u64,
    command: Command,
}

/// A sync request that waits for news.
#[derive(Debug)]
struct Hanging {
    sender: Sender,
    request: Box<SyncRequest>,
    until: u64,
    /// Its own proposals come first.
    after: u64,
}

impl Controller {
    pub(super) fn new(id: NodeId, bug: Option<Bug>) -> Self {
        let controller = Self {
            id,
            bug,
            disk: SimDisk::new(),
            life: 0,
            process: None,
            acknowledged: Vec::new(),
            last_state: State::default(),
            stale: 0,
        };
        controller.plant();
        controller
    }

    fn plant(&self) {
        if self.bug == Some(Bug::SkippedSync) {
            self.disk.skip_syncs();
        }
    }

    /// Begins the process: reads the log back and checks that nothing is missing.
    pub(super) fn start(&mut self, now: u64) -> Result<(), String> {
        self.life += 1;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (wal, recovered) = Wal::<Log>::open(disk)
            .map_err(|error| format!("the log cannot be read after a crash: {error}"))?;
        let commands = recovered.entries.into_values().map(|entry| match entry.payload {
            EntryPayload::Normal(Enveloped(command)) => command,
            other => panic!("the simulation never wrote {other:?}"),
        });
        let commands: Vec<Command> = commands.collect();
        checks::nothing_lost(&self.acknowledged, &commands)?;
        let mut state = State::default();
        for command in &commands {
            apply(&mut state, command.clone(), self.bug);
        }
        if commands.len() == self.acknowledged.len() && state != self.last_state {
            return Err("replaying the log gives another state".to_owned());
        }
        // What was written and not acknowledged may be there: then it holds from now on.
        self.acknowledged = commands;
        self.process = Some(Process {
            wal,
            memory: LeaderMemory::new(&state, moment(now)),
            state,
            queue: VecDeque::new(),
            writing: Vec::new(),
            proposed: 0,
            answered: 0,
            planned: VecDeque::new(),
            awaited: 0,
            hanging: BTreeMap::new(),
        });
        Ok(())
    }

    /// Cuts the power, perhaps in the middle of a write.
    pub(super) fn crash(&mut self, luck: &mut fastrand::Rng) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        if !process.writing.is_empty() {
            self.disk.fail_after(luck.u64(0..2));
            let records = records(self.acknowledged.len(), self.id, &process.writing);
            _ = process.wal.write(records);
        }
        self.last_state = process.state;
        self.disk = self.disk.crash(luck.u64(..));
        self.plant();
    }

    /// Proposes what somebody wants; nobody is told where the controller is down.
    pub(super) fn propose(&mut self, now: u64, user: Option<&str>, action: Action) {
        if let Some(process) = &mut self.process {
            process.propose(now, user, action);
        }
    }

    /// Takes a sync request; the answer comes out of [`Self::answers`].
    pub(super) fn sync(
        &mut self,
        now: u64,
        from: NodeId,
        sender: Sender,
        request: Box<SyncRequest>,
    ) -> Option<SyncAnswer> {
        let process = self.process.as_mut()?;
        let Ok(actions) = sync::receive(&process.state, &mut process.memory, from, &request, moment(now))
        else {
            return Some(SyncAnswer::NotAdmitted);
        };
        for mut action in actions {
            if let Action::AdmitNode { id, controller, .. } = &mut action {
                *controller = *id == self.id;
            }
            process.propose(now, None, action);
        }
        let hanging = Hanging {
            sender,
            request,
            until: now + u64::try_from(MAX_WAIT.as_millis()).expect("a second"),
            after: process.proposed,
        };
        process.hanging.insert(from, hanging);
        None
    }

    /// The answers that are due.
    pub(super) fn answers(&mut self, now: u64) -> Vec<(Sender, SyncAnswer)> {
        let Some(process) = &mut self.process else {
            return Vec::new();
        };
        let Process {
            hanging,
            state,
            answered,
            ..
        } = process;
        let mut answers = Vec::new();
        hanging.retain(|from, hanging| {
            if hanging.after > *answered {
                return true;
            }
            let answer = match sync::answer(state, *from, &hanging.request) {
                None if now < hanging.until => return true,
                None => sync::orders_now(state, *from, &hanging.request),
                news => news,
            };
            let answer = answer.map_or(SyncAnswer::NotAdmitted, SyncAnswer::Orders);
            answers.push((hanging.sender, answer));
            false
        });
        answers
    }

    /// What the reconciler does when it is woken: goes on with its plan, or makes the next one.
    pub(super) fn reconcile(&mut self, now: u64) {
        let Some(process) = &mut self.process else { return };
        if !process.state.is_founded() || process.answered < process.awaited {
            return;
        }
        if process.planned.is_empty() {
            let Process {
                state,
                memory,
                planned,
                ..
            } = process;
            planned.extend(memory.liveness.losses(state, moment(now)));
            planned.extend(memory.totals.due(state, moment(now)));
            memory.forget_served(state);
            let observed = Observed {
                leader: self.id,
                waiting: memory.waiting(state),
            };
            planned.extend(plan(state, &observed).actions);
        }
        if let Some(action) = process.planned.pop_front() {
            process.awaited = process.propose(now, None, action);
        }
    }

    /// Lets the disk begin with what waits; `true` where it did.
    pub(super) fn begin_write(&mut self) -> bool {
        let Some(process) = &mut self.process else {
            return false;
        };
        if !process.writing.is_empty() || process.queue.is_empty() {
            return false;
        }
        process.writing = process.queue.drain(..).collect();
        true
    }

    /// The disk has done it: what it wrote is applied and acknowledged.
    pub(super) fn written(&mut self) -> Result<(), String> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let batch = std::mem::take(&mut process.writing);
        let records = records(self.acknowledged.len(), self.id, &batch);
        process
            .wal
            .write(records)
            .map_err(|error| format!("the log refuses: {error}"))?;
        for Proposal { number, command } in batch {
            let before = process.state.clone();
            let outcome = apply(&mut process.state, command.clone(), self.bug);
            process.answered = number;
            match &outcome {
                Outcome::Applied(_) => checks::allowed(&before, &process.state, &command)?,
                Outcome::Refused(Refusal::Stale(_)) => self.stale += 1,
                Outcome::Refused(_) => {}
            }
            self.acknowledged.push(command);
        }
        Ok(())
    }

    /// Whether nothing waits: neither for the disk nor for an answer to a proposal.
    pub(super) fn is_idle(&self) -> bool {
        let idle = |process: &Process| {
            process.queue.is_empty() && process.writing.is_empty() && process.planned.is_empty()
        };
        self.process.as_ref().is_some_and(idle)
    }
}

impl Process {
    fn propose(&mut self, now: u64, user: Option<&str>, action: Action) -> u64 {
        self.proposed += 1;
        let at = Timestamp::from_millis(START_MS + now);
        let command = match user {
            Some(user) => Command::by_user(user, at, action),
            None => Command::by_bramble(at, action),
        };
        self.queue.push_back(Proposal {
            number: self.proposed,
            command,
        });
        self.proposed
    }
}

/// The world's time as the brain knows it.
pub(super) fn moment(now: u64) -> Moment {
    Moment::new(Duration::from_millis(now))
}

fn records(known: usize, leader: NodeId, batch: &[Proposal]) -> Vec<Record<Log>> {
    let entry = |(place, proposal): (usize, &Proposal)| {
        let leader = LeaderId {
            term: 1,
            node_id: leader,
        };
        let log_id = LogId::new(leader, (known + place) as u64);
        Record::Entry(Entry::new(
            log_id,
            EntryPayload::Normal(Enveloped(proposal.command.clone())),
        ))
    };
    batch.iter().enumerate().map(entry).collect()
}

fn apply(state: &mut State, mut command: Command, bug: Option<Bug>) -> Outcome {
    if bug == Some(Bug::StaleAssign) {
        forget_what_it_relied_on(state, &mut command.action);
    }
    state.apply(command)
}

/// The planted bug: makes every plan say that it relied on what is there now.
fn forget_what_it_relied_on(state: &State, action: &mut Action) {
    let Action::Assign { relies_on, place, .. } = action else {
        return;
    };
    for (name, relied) in &mut relies_on.functions {
        if let Some(function) = state.function(name) {
            *relied = FunctionRelied {
                version: function.version,
                wanted: function.wanted,
            };
            let its = place.iter_mut().filter(|placement| placement.function == *name);
            its.for_each(|placement| placement.version = function.version);
        }
    }
    for (id, relied) in &mut relies_on.nodes {
        if let Some(node) = state.node(*id) {
            *relied = NodeRelied {
                epoch: node.epoch,
                memory: Memory::from_bytes(u64::MAX),
                cpu: Cpu::from_millis(u32::MAX),
            };
        }
    }
}
