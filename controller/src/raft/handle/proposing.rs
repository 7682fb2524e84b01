//! A command's way to its outcome.

use std::{sync::Arc, time::Duration};

use api::NodeId;
use openraft::error::{ClientWriteError, RaftError};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Leadership, ProposeError, RaftHandle};
use crate::raft::{
    network::{AskError, Peer, ProposeAnswer, ProposeRequest, call},
    types::{Enveloped, Machine},
};

/// How long a proposer waits for a leader: several elections, and short enough for someone at a keyboard.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);

/// How long a proposer waits until a majority has the command. A card may stall for seconds.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(10);

/// How long the leader's answer may take: its own patience, and the way.
const FORWARD_PATIENCE: Duration = Duration::from_secs(11);

/// How long an answer of a leader that has been replaced may still be on its way. Who is cut off without a word never
/// answers, and nobody should wait [`FORWARD_PATIENCE`] for that.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What one attempt came to.
pub(super) enum Attempt<M: Machine> {
    /// Applied by whoever leads, as entry `index`.
    Applied { index: u64, outcome: M::Outcome },
    /// Certainly not taken; somebody else leads, or nobody.
    NotTaken { leader: Option<NodeId> },
}

impl<M: Machine> RaftHandle<M> {
    /// Proposes `command` and waits until this controller has applied it. Where nobody leads, waits a moment for
    /// someone to; a command is sent again only where it was certainly not taken.
    ///
    /// # Errors
    /// [`ProposeError`]; its variants say whether the command may have been applied all the same.
    pub async fn propose(&self, command: M::Command) -> Result<M::Outcome, ProposeError> {
        let deadline = Instant::now() + LEADER_PATIENCE;
        loop {
            let mut leadership = self.leadership();
            let seen = timeout_at(deadline, leadership.wait_for(|now| now.leader.is_some())).await;
            // Taken out at once: what `wait_for` lends must not be held while waiting.
            let leader = seen.ok().and_then(|now| now.ok()?.leader);
            let Some(leader) = leader else {
                return Err(self.fatal().unwrap_or(ProposeError::NoLeader));
            };
            let here = leader == self.inner.id;
            let attempt = if here {
                self.write(command.clone()).await
            } else {
                self.forward(leader, &command).await
            };
            match attempt? {
                Attempt::Applied { outcome, .. } if here => return Ok(outcome),
                Attempt::Applied { index, outcome } => {
                    self.wait_until_applied(index).await?;
                    return Ok(outcome);
                }
                Attempt::NotTaken { .. } if Instant::now() >= deadline => return Err(ProposeError::NoLeader),
                // Leadership is moving; the news of it comes with the next heartbeat.
                Attempt::NotTaken { .. } => sleep(self.inner.timings.heartbeat / 2).await,
            }
        }
    }

    /// Writes `command` as the leader.
    pub(super) async fn write(&self, command: M::Command) -> Result<Attempt<M>, ProposeError> {
        let write = self.inner.raft.client_write(Enveloped(command));
        let Ok(written) = timeout(CONFIRM_PATIENCE, write).await else {
            return Err(ProposeError::Unconfirmed);
        };
        match written {
            Ok(written) => {
                let outcome = written.data.0.expect("a command has an outcome");
                Ok(Attempt::Applied {
                    index: written.log_id.index,
                    outcome,
                })
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Ok(Attempt::NotTaken { leader: to.leader_id })
            }
            // The other refusals are about changes of membership and conditions, which commands do not have.
            Err(RaftError::APIError(_)) => Err(ProposeError::Unconfirmed),
            Err(RaftError::Fatal(fatal)) => Err(ProposeError::Fatal {
                reason: fatal.to_string(),
            }),
        }
    }

    /// Sends `command` to `leader`.
    async fn forward(&self, leader: NodeId, command: &M::Command) -> Result<Attempt<M>, ProposeError> {
        let peer = Peer::new(Arc::clone(&self.inner.peers), leader);
        let request = ProposeRequest::<M>(Enveloped(command.clone()));
        let asked = Instant::now();
        let answer: Result<ProposeAnswer<M>, AskError> = tokio::select! {
            answer = peer.ask(call::PROPOSE, &request, FORWARD_PATIENCE) => answer,
            () = self.replaced(leader) => Err(AskError::Silent { peer: leader, patience: asked.elapsed() }),
        };
        let answer = match answer {
            // It has just died: somebody else will lead.
            Err(error) if error.nothing_was_asked() => return Ok(Attempt::NotTaken { leader: None }),
            answer => answer.map_err(|source| ProposeError::Unreachable { leader, source })?,
        };
        match answer {
            ProposeAnswer::Applied { index, outcome } => Ok(Attempt::Applied { index, outcome }),
            ProposeAnswer::NotLeader { leader } => Ok(Attempt::NotTaken { leader }),
            ProposeAnswer::Unconfirmed => Err(ProposeError::Unconfirmed),
        }
    }

    /// Returns some time after another than `leader` leads.
    async fn replaced(&self, leader: NodeId) {
        let mut leadership = self.leadership();
        let other = |now: &Leadership| now.leader.is_some_and(|now| now != leader);
        // An error is a controller that is being shut down, and will not hear of a new leader.
        _ = leadership.wait_for(other).await;
        sleep(LAST_WORDS).await;
    }

    /// Waits until entry `index` is applied here.
    async fn wait_until_applied(&self, index: u64) -> Result<(), ProposeError> {
        let wait = self.inner.raft.wait(Some(CONFIRM_PATIENCE));
        let applied = wait
            .applied_index_at_least(Some(index), "a forwarded command")
            .await;
        applied.map_err(|_| self.fatal().unwrap_or(ProposeError::Unconfirmed))?;
        Ok(())
    }

    /// The error of a controller that has stopped; `None` while it runs.
    fn fatal(&self) -> Option<ProposeError> {
        let reason = self.inner.news.stopped.borrow().clone()?;
        Some(ProposeError::Fatal { reason })
    }
}
