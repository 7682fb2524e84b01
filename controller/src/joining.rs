//! Who is let in: the leader's answer to nodes that knock, and the list of those who wait for a person.
//!
//! A node that proved the join key is admitted on the spot; any other waits. Those who wait are in the leader's memory
//! alone: they knock again within seconds wherever there is a new leader, and a flood of strangers never reaches a
//! card. What a person decided, and who was let in, is in the replicated state.
//!
//! Not here: the conversation with a node that knocks (`transport::join`), who decides at nodes that do not lead (`cli`).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{NodeFacts, NodeId, sync::Stranger, v1};
use cluster::{Action, State};
use tracing::{info, warn};
use transport::join::{Decision, Grant, JoinRequest, Refusal};

use crate::{Controller, attempts::Told, http::ApiError};

/// How long a node that was refused for now is shown after its last knock.
const SHOWN: Duration = Duration::from_secs(60);

/// Nodes on the list at most; the connections of those who wait are limited besides.
const MAX_WAITING: usize = 256;

/// A node that wants in.
#[derive(Clone, Debug)]
struct Waiting {
    facts: NodeFacts,
    fingerprint: String,
    from: SocketAddr,
    since: Instant,
    knocked: Instant,
    removed: bool,
    /// Until then it shows which board it is.
    identify_until: Option<Instant>,
}

/// Those who wait, and what was noted last of those who were turned away. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joining(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: BTreeMap<NodeId, Waiting>,
    told: Told,
    /// Those whom a person put out or refused, and of whom it was noted that they knocked all the same.
    noted_out: BTreeSet<NodeId>,
}

impl Joining {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, request: &JoinRequest, facts: NodeFacts, removed: bool) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner
            .waiting
            .retain(|_, waiting| now.duration_since(waiting.knocked) < SHOWN);
        if inner.waiting.len() >= MAX_WAITING && !inner.waiting.contains_key(&request.node) {
            return;
        }
        let before = inner.waiting.get(&request.node);
        let since = before.map_or(now, |waiting| waiting.since);
        let identify_until = before.and_then(|waiting| waiting.identify_until);
        let waiting = Waiting {
            facts,
            fingerprint: request.fingerprint.to_string(),
            from: request.from,
            since,
            knocked: now,
            removed,
            identify_until,
        };
        inner.waiting.insert(request.node, waiting);
    }

    /// Until when a node that waits shows which board it is; `None` if it does not.
    fn identify_until(&self, node: NodeId) -> Option<Instant> {
        let inner = self.lock();
        let until = inner.waiting.get(&node)?.identify_until;
        until.filter(|until| Instant::now() < *until)
    }

    fn facts(&self, node: NodeId) -> Option<NodeFacts> {
        self.lock()
            .waiting
            .get(&node)
            .map(|waiting| waiting.facts.clone())
    }

    /// Takes `node` off the list.
    pub(crate) fn forget(&self, node: NodeId) {
        self.lock().waiting.remove(&node);
    }

    /// Everyone who waits, longest first.
    pub(crate) fn list(&self, state: &State) -> Vec<v1::WaitingNode> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.waiting.retain(|id, waiting| {
            now.duration_since(waiting.knocked) < SHOWN && state.node(*id).is_none() && !state.is_refused(*id)
        });
        let mut all: Vec<_> = inner.waiting.iter().collect();
        all.sort_by_key(|(_, waiting)| waiting.since);
        let show = |(id, waiting): (&NodeId, &Waiting)| v1::WaitingNode {
            id: *id,
            name: waiting.facts.name.clone(),
            board: waiting.facts.board.clone(),
            memory_bytes: waiting.facts.memory.bytes(),
            fingerprint: waiting.fingerprint.clone(),
            address: waiting.from.ip().to_string(),
            waiting_minutes: now.duration_since(waiting.since).as_secs() / 60,
            removed: waiting.removed,
            identifies: waiting.identify_until.is_some_and(|until| now < until),
            replaces: state
                .formerly(*id, &waiting.facts)
                .map(|(_, old)| old.facts.name.clone()),
        };
        all.into_iter().map(show).collect()
    }
}

impl Controller {
    /// What becomes of a node that knocks at this one.
    pub async fn decide(&self, request: &JoinRequest) -> Decision {
        let state = self.state();
        let leadership = *self.raft.leadership().borrow();
        if !leadership.is_me {
            let leader = leadership
                .leader
                .and_then(|id| Some((id, state.node(id)?.facts.address)));
            return leader.map_or(Decision::Refused(Refusal::Busy), |leader| {
                Decision::Elsewhere(vec![leader])
            });
        }
        // This bramble has ended; there is another one to knock at.
        if state.dissolved().is_some() {
            return Decision::Refused(Refusal::Busy);
        }
        let facts = self.facts_of(request);
        if state.node(request.node).is_some() {
            return self.grant(&state, request);
        }
        if state.is_removed(request.node) {
            self.joining.wait(request, facts, true);
            return Decision::Refused(Refusal::Removed);
        }
        if state.is_refused(request.node) {
            return Decision::Refused(Refusal::ByPerson);
        }
        if !request.proved {
            self.joining.wait(request, facts, false);
            let identify_until = self.joining.identify_until(request.node);
            return Decision::Waiting { identify_until };
        }
        drop(state);
        let admitted = self.raft.propose(self.command(admit(request.node, facts))).await;
        match admitted.map(cluster::Outcome::into_result) {
            Ok(Ok(_)) => self.grant(&self.state(), request),
            Ok(Err(refusal)) => {
                warn!(%refusal, node = %request.node, "a node with the join key was not admitted");
                Decision::Refused(Refusal::Busy)
            }
            Err(_) => Decision::Refused(Refusal::Busy),
        }
    }

    /// What a node says of itself, with the address at which it can be reached from here.
    fn facts_of(&self, request: &JoinRequest) -> NodeFacts {
        let mut facts = request.facts.clone();
        facts.name = self.state().name_for(request.node, &facts.name);
        if let Some(address) = request.sighting.addresses.first() {
            facts.address = told_to_others(*address);
        }
        facts.serial.clone_from(&request.serial);
        facts
    }

    fn grant(&self, state: &State, request: &JoinRequest) -> Decision {
        self.joining.forget(request.node);
        let certificate = match self.vault.authority(state) {
            Ok(authority) => request.certify(&authority),
            Err(error) => {
                info!(%error, "cannot certify a node yet");
                return Decision::Refused(Refusal::Busy);
            }
        };
        let Ok(certificate) = certificate else {
            return Decision::Refused(Refusal::Damaged);
        };
        let controllers = state.nodes().iter().filter(|(_, node)| node.controller);
        let mut controllers: Vec<_> = controllers.map(|(id, node)| (*id, node.facts.address)).collect();
        controllers.sort_by_key(|(id, _)| *id != self.id);
        Decision::Admitted(Grant {
            certificate,
            name: state.name().to_owned(),
            controllers,
        })
    }

    /// A node that waited hung up.
    pub fn waits_no_longer(&self, node: NodeId) {
        self.joining.forget(node);
    }

    /// Somebody was turned away, here or at another node: worth a line for people, now and then, where this controller
    /// leads.
    pub fn note_stranger(&self, stranger: &Stranger) {
        if !self.raft.leadership().borrow().is_me {
            return;
        }
        let out = stranger.node.filter(|node| {
            let state = self.state();
            state.is_removed(*node) || state.is_refused(*node)
        });
        let text = {
            let mut inner = self.joining.lock();
            // Who was put out goes on knocking, day and night.
            if let Some(node) = out
                && (inner.noted_out.len() >= MAX_WAITING || !inner.noted_out.insert(node))
            {
                return;
            }
            inner.told.tell(stranger, Instant::now())
        };
        let Some(text) = text else { return };
        info!(from = %stranger.from, why = stranger.why, "turned away");
        let (desk, action) = (self.desk.clone(), Action::NoteAttempt { text });
        tokio::spawn(async move { desk.propose(action).await });
    }

    /// Lets in a node that waits.
    pub(crate) async fn admit(&self, user: &str, node: NodeId) -> Result<(), ApiError> {
        let Some(facts) = self.joining.facts(node) else {
            return Err(ApiError::not_found(
                "no such node waits: it may have been switched off, or be in already; look at the list again",
            ));
        };
        self.change(user, admit(node, facts)).await?;
        Ok(())
    }

    /// Has a node, whose card was flashed anew, go on as the one that it was: what it was before never comes back.
    pub(crate) async fn replace(&self, user: &str, id: NodeId) -> Result<(), ApiError> {
        let old = {
            let state = self.state();
            let node = state
                .node(id)
                .ok_or_else(|| ApiError::not_found("no such node in this bramble"))?;
            state.formerly(id, &node.facts).map(|(old, _)| old)
        };
        let Some(old) = old else {
            return Err(ApiError::conflict(
                "no silent node of this bramble has the same board: there is nothing to replace",
            ));
        };
        self.let_leave(old).await?;
        self.change(user, Action::ReplaceNode { id, old }).await?;
        Ok(())
    }

    /// Has the light of a node that waits show which board it is, for so long from now.
    pub(crate) fn identify_waiting(&self, node: NodeId, long: Duration) -> Result<(), ApiError> {
        let mut inner = self.joining.lock();
        match inner.waiting.get_mut(&node) {
            None => Err(ApiError::not_found("no such node waits; look at the list again")),
            // It knocks now and then, and is sent away each time.
            Some(waiting) if waiting.removed => Err(ApiError::conflict(
                "it was removed before and hears nothing but that: only nodes that wait for the first time show which board they are",
            )),
            Some(waiting) => {
                waiting.identify_until = (!long.is_zero()).then(|| Instant::now() + long);
                Ok(())
            }
        }
    }

    /// Refuses a node that waits, for good.
    pub(crate) async fn refuse(&self, user: &str, node: NodeId) -> Result<(), ApiError> {
        let Some(facts) = self.joining.facts(node) else {
            return Err(ApiError::not_found("no such node waits; look at the list again"));
        };
        let action = Action::RefuseNode {
            id: node,
            name: facts.name,
        };
        self.change(user, action).await?;
        self.joining.forget(node);
        Ok(())
    }
}

/// An address as other nodes may be told it: the number of an interface means something on this machine only.
fn told_to_others(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_scope_id(0);
    }
    address
}

fn admit(id: NodeId, facts: NodeFacts) -> Action {
    Action::AdmitNode {
        id,
        facts: Box::new(facts),
        controller: false,
        awaited: true,
    }
}

/// The node that is called so.
pub(crate) fn node_named(state: &State, name: &str) -> Option<NodeId> {
    let named = |(_, node): &(&NodeId, &Arc<cluster::state::Node>)| node.facts.name == name;
    state.nodes().iter().find(named).map(|(id, _)| *id)
}
