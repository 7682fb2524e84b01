//! The leader's desk: where agents' sync requests are taken, answered, and turned into commands.
//!
//! The deciding is `cluster::sync`; here is the waiting. A request hangs until there is news for its node, at most
//! [`MAX_WAIT`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{
    NodeId,
    sync::{MAX_WAIT, Orders, SyncAnswer, SyncRequest},
};
use cluster::{Action, Command, LeaderMemory, State, images, lights, sync};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    raft::{Leadership, ProposeError, Raft},
};

/// The leader's memory and the doors to it. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    raft: Raft,
    clock: Clock,
    state: watch::Receiver<Arc<State>>,
    leadership: watch::Receiver<Leadership>,
    memory: Arc<Mutex<LeaderMemory>>,
    /// Rings when the memory changed in a way that a plan may depend on: somebody waits for a replica.
    pub(crate) bell: Arc<Notify>,
}

impl Desk {
    pub(crate) fn new(raft: Raft, clock: Clock) -> Self {
        let state = raft.watch();
        let memory = LeaderMemory::new(&state.borrow(), clock.now());
        Self {
            clock,
            state,
            leadership: raft.leadership(),
            raft,
            memory: Arc::new(Mutex::new(memory)),
            bell: Arc::default(),
        }
    }

    /// The state as this controller has applied it, now and whenever it changes.
    pub(crate) fn state(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    /// The leader's memory, for a few lines without waiting.
    pub(crate) fn memory(&self) -> MutexGuard<'_, LeaderMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew: a leader that has just been elected has heard from nobody.
    pub(crate) fn clear(&self) {
        *self.memory() = LeaderMemory::new(&self.state.borrow(), self.clock.now());
    }

    /// Takes what an agent says and answers when there is something to say.
    pub(crate) async fn sync(&self, from: NodeId, request: SyncRequest) -> SyncAnswer {
        let deadline = Instant::now() + MAX_WAIT;
        let mut state = self.state.clone();
        if !self.leadership.borrow().is_me {
            return self.not_leader();
        }
        let seen = state.borrow_and_update().clone();
        // Nodes are admitted when they join, and then get a certificate; only who founded never joined.
        if seen.node(from).is_none() && from != self.raft.id() {
            return SyncAnswer::NotAdmitted;
        }
        let received = sync::receive(&seen, &mut self.memory(), from, &request, self.clock.now());
        let Ok(actions) = received else {
            return SyncAnswer::NotAdmitted;
        };
        if request.counters.iter().any(|counters| counters.waiting > 0) {
            self.bell.notify_one();
        }
        // What is held as `Arc` while a command is applied costs a copy of the state.
        drop(seen);
        for mut action in actions {
            if let Action::AdmitNode { id, controller, .. } = &mut action {
                *controller = *id == self.raft.id();
            }
            self.propose(action).await;
        }
        loop {
            let seen = state.borrow_and_update().clone();
            if seen.is_removed(from) {
                return SyncAnswer::NotAdmitted;
            }
            if let Some(mut orders) = sync::answer(&seen, from, &request) {
                self.furnish(&mut orders, &seen, from);
                return SyncAnswer::Orders(orders);
            }
            match timeout_at(deadline, state.changed()).await {
                Ok(Ok(())) => {}
                // No news, or this controller ends: say what there is.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        if !self.leadership.borrow().is_me {
            return self.not_leader();
        }
        let seen = state.borrow().clone();
        let Some(mut orders) = sync::orders_now(&seen, from, &request) else {
            return SyncAnswer::NotAdmitted;
        };
        self.furnish(&mut orders, &seen, from);
        SyncAnswer::Orders(orders)
    }

    /// Adds what only the leader knows.
    fn furnish(&self, orders: &mut Orders, state: &State, to: NodeId) {
        let mut memory = self.memory();
        images::furnish(orders, state, &memory, to);
        lights::furnish(orders, state, &mut memory, to, self.clock.lights());
    }

    fn not_leader(&self) -> SyncAnswer {
        let state = self.state.borrow();
        let leader = self.leadership.borrow().leader;
        let leader = leader.and_then(|id| Some((id, state.node(id)?.facts.address)));
        SyncAnswer::NotLeader { leader }
    }

    /// Proposes what the bramble itself decided. A refusal is no fault: the state moved on, and the next look at it
    /// decides anew.
    pub(crate) async fn propose(&self, action: Action) {
        let command = Command::by_bramble(self.clock.wall(), action);
        let what = command.to_string();
        match self.raft.propose(command).await {
            Ok(outcome) => match outcome.into_result() {
                Ok(_) => info!(%what, "applied"),
                Err(refusal) => info!(%what, %refusal, "refused"),
            },
            Err(ProposeError::NoLeader) => {}
            Err(error) => warn!(%what, error = &error as &dyn std::error::Error, "failed to propose"),
        }
    }
}
