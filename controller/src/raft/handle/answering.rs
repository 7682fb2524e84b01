//! The answering side of the conversation between controllers.
//!
//! The transport says who calls (`from`, by its certificate); a call in another's name is refused here, so that one
//! member can neither vote nor lead for another.

use std::sync::Arc;

use api::{
    NodeId,
    versioned::{self, Versioned},
};
use bytes::Bytes;
use openraft::{
    alias::{SnapshotOf, VoteOf},
    async_runtime::WatchReceiver,
};

use super::{CallError, ProposeError, RaftHandle, proposing::Attempt};
use crate::raft::{
    network::{
        AppendAnswer, AppendRequest, ProposeAnswer, ProposeRequest, SnapshotAnswer, SnapshotRequest,
        TransferAnswer, TransferRequest, VoteAnswer, VoteRequest, call,
    },
    types::{Machine, Types},
};

fn read<T: Versioned>(rpc: &'static str, body: &[u8]) -> Result<T, CallError> {
    versioned::decode(body).map_err(|source| CallError::Unreadable { rpc, source })
}

fn answer<T: Versioned>(value: &T) -> Bytes {
    Bytes::from(versioned::encode(value))
}

fn stopped(error: impl std::fmt::Display) -> CallError {
    CallError::Fatal {
        reason: error.to_string(),
    }
}

/// Refuses a call that is not by the one whose vote it carries.
fn by_its_owner<M: Machine>(
    from: NodeId,
    rpc: &'static str,
    vote: &VoteOf<Types<M>>,
) -> Result<(), CallError> {
    if vote.leader_id.node_id == from {
        Ok(())
    } else {
        Err(CallError::NotYours { from, rpc })
    }
}

impl<M: Machine> RaftHandle<M> {
    /// Answers the call `rpc` (one of [`call`]) of the node `from`, as another controller's
    /// [`Peers::call`](crate::raft::Peers::call) made it.
    ///
    /// # Errors
    /// [`CallError`]; the caller takes each as no answer.
    pub async fn handle(&self, from: NodeId, rpc: &str, body: Bytes) -> Result<Bytes, CallError> {
        let raft = &self.inner.raft;
        match rpc {
            call::APPEND => {
                let AppendRequest::<M>(request) = read(call::APPEND, &body)?;
                by_its_owner::<M>(from, call::APPEND, &request.vote)?;
                Ok(answer(&AppendAnswer::<M>(
                    raft.append_entries(request).await.map_err(stopped)?,
                )))
            }
            call::VOTE => {
                let VoteRequest::<M>(request) = read(call::VOTE, &body)?;
                by_its_owner::<M>(from, call::VOTE, &request.vote)?;
                Ok(answer(&VoteAnswer::<M>(
                    raft.vote(request).await.map_err(stopped)?,
                )))
            }
            call::PRE_VOTE => {
                let VoteRequest::<M>(request) = read(call::PRE_VOTE, &body)?;
                by_its_owner::<M>(from, call::PRE_VOTE, &request.vote)?;
                Ok(answer(&VoteAnswer::<M>(
                    raft.pre_vote(request).await.map_err(stopped)?,
                )))
            }
            call::SNAPSHOT => {
                let SnapshotRequest::<M> { vote, meta, state } = read(call::SNAPSHOT, &body)?;
                by_its_owner::<M>(from, call::SNAPSHOT, &vote)?;
                let snapshot = SnapshotOf::<Types<M>, _> {
                    meta,
                    snapshot: Arc::new(state.0),
                };
                let installed = raft
                    .install_full_snapshot(vote, snapshot)
                    .await
                    .map_err(stopped)?;
                Ok(answer(&SnapshotAnswer::<M>(installed)))
            }
            call::TRANSFER => {
                let TransferRequest::<M>(request) = read(call::TRANSFER, &body)?;
                by_its_owner::<M>(from, call::TRANSFER, request.from_leader())?;
                Ok(answer(&TransferAnswer::<M>(
                    raft.handle_transfer_leader(request).await.map_err(stopped)?,
                )))
            }
            call::PROPOSE => {
                let ProposeRequest::<M>(command) = read(call::PROPOSE, &body)?;
                if !self.is_member(from) {
                    return Err(CallError::NotYours {
                        from,
                        rpc: call::PROPOSE,
                    });
                }
                let answered = match self.write(command.0).await {
                    Ok(Attempt::Applied { index, outcome }) => ProposeAnswer::<M>::Applied { index, outcome },
                    Ok(Attempt::NotTaken { leader }) => ProposeAnswer::NotLeader { leader },
                    Err(ProposeError::Fatal { reason }) => return Err(CallError::Fatal { reason }),
                    Err(_) => ProposeAnswer::Unconfirmed,
                };
                Ok(answer(&answered))
            }
            other => Err(CallError::Unknown(other.to_owned())),
        }
    }

    fn is_member(&self, id: NodeId) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.nodes().any(|(member, _)| *member == id)
    }
}
