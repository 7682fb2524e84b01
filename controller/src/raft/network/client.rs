//! The asking side: openraft's calls, made through [`Peers`].
//!
//! A peer that cannot be reached, does not answer in time or answers what cannot be read is an error, in every call:
//! openraft counts a pre-vote that is answered as granted, so an unreachable peer must never look like an answer.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use api::{
    NodeId,
    versioned::{self, Versioned},
};
use bytes::Bytes;
use openraft::{
    OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    alias::{SnapshotOf, VoteOf},
    error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft,
};
use tokio::time::timeout;

use super::messages::{
    AppendAnswer, AppendRequest, SnapshotAnswer, SnapshotRequest, TransferAnswer, TransferRequest,
    VoteAnswer, VoteRequest, call,
};
use crate::raft::types::{Enveloped, Machine, Member, Types};

/// How long entries may take to be safe on a peer. A card can stall for seconds, and asking again would write the
/// same entries again; that the peer is there at all, its heartbeats tell.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// How long a whole state may take to arrive and to be safe.
pub(crate) const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(60);

/// A future that a trait object can answer with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How controllers reach each other: the transport's mutual-TLS client, or a network of a test.
pub trait Peers: Send + Sync + 'static {
    /// Asks `to` for `rpc` (one of [`call`]) and answers what
    /// [`RaftHandle::handle`](crate::raft::RaftHandle::handle) answered there. An error means that there is no
    /// answer: not reached, refused, or lost on the way; of the kind [`io::ErrorKind::NotConnected`], that `to` surely
    /// was not asked. Need not have a time limit.
    fn call<'a>(&'a self, to: NodeId, rpc: &'static str, body: Bytes) -> BoxFuture<'a, io::Result<Bytes>>;
}

/// One peer, seen from here.
pub(crate) struct Peer {
    peers: Arc<dyn Peers>,
    to: NodeId,
}

impl Peer {
    pub(crate) fn new(peers: Arc<dyn Peers>, to: NodeId) -> Self {
        Self { peers, to }
    }

    /// Asks, waits at most `patience`, and reads the answer.
    pub(crate) async fn ask<Q: Versioned, A: Versioned>(
        &self,
        rpc: &'static str,
        question: &Q,
        patience: Duration,
    ) -> Result<A, AskError> {
        let body = Bytes::from(versioned::encode(question));
        let answer = timeout(patience, self.peers.call(self.to, rpc, body)).await;
        let answer = answer.map_err(|_| AskError::Silent {
            peer: self.to,
            patience,
        })?;
        let answer = answer.map_err(|source| AskError::Unreachable {
            peer: self.to,
            source,
        })?;
        versioned::decode(&answer).map_err(|source| AskError::Unreadable {
            peer: self.to,
            source,
        })
    }
}

/// A peer that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not reached, or it refused.
    #[error("controller {peer} cannot be reached")]
    Unreachable {
        /// Who was asked.
        peer: NodeId,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("controller {peer} did not answer within {patience:?}")]
    Silent {
        /// Who was asked.
        peer: NodeId,
        /// How long we waited.
        patience: Duration,
    },
    /// An answer of another version, or damaged.
    #[error("the answer of controller {peer} cannot be read")]
    Unreadable {
        /// Who was asked.
        peer: NodeId,
        /// Why not.
        #[source]
        source: versioned::DecodeError,
    },
}

impl<M: Machine> From<AskError> for RPCError<Types<M>> {
    fn from(error: AskError) -> Self {
        match error {
            // openraft waits a while before it asks an unreachable peer again.
            AskError::Unreachable { .. } => Self::Unreachable(Unreachable::new(&error)),
            AskError::Silent { .. } | AskError::Unreadable { .. } => Self::Network(NetworkError::new(&error)),
        }
    }
}

impl AskError {
    /// Whether the peer surely was not asked, so that asking again is asking once.
    pub(crate) fn nothing_was_asked(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::NotConnected)
    }
}

/// Makes a [`Peer`] for every member that openraft wants to talk to.
pub(crate) struct Network {
    pub(crate) peers: Arc<dyn Peers>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl<M: Machine> RaftNetworkFactory<Types<M>> for Network {
    type Network = Conversation<M>;

    async fn new_client(&mut self, target: NodeId, _: &Member) -> Self::Network {
        Conversation {
            peer: Peer::new(Arc::clone(&self.peers), target),
            machine: std::marker::PhantomData,
        }
    }
}

/// openraft's calls to one peer.
pub(crate) struct Conversation<M> {
    peer: Peer,
    machine: std::marker::PhantomData<fn() -> M>,
}

impl<M: Machine> RaftNetworkV2<Types<M>> for Conversation<M> {
    type SnapshotData = Arc<M>;

    async fn append_entries(
        &mut self,
        rpc: raft::AppendEntriesRequest<Types<M>>,
        _: RPCOption,
    ) -> Result<raft::AppendEntriesResponse<Types<M>>, RPCError<Types<M>>> {
        let answer: AppendAnswer<M> = self
            .peer
            .ask(call::APPEND, &AppendRequest::<M>(rpc), APPEND_PATIENCE)
            .await?;
        Ok(answer.0)
    }

    async fn vote(
        &mut self,
        rpc: raft::VoteRequest<Types<M>>,
        option: RPCOption,
    ) -> Result<raft::VoteResponse<Types<M>>, RPCError<Types<M>>> {
        let answer: VoteAnswer<M> = self
            .peer
            .ask(call::VOTE, &VoteRequest::<M>(rpc), option.hard_ttl())
            .await?;
        Ok(answer.0)
    }

    async fn pre_vote(
        &mut self,
        rpc: raft::VoteRequest<Types<M>>,
        option: RPCOption,
    ) -> Result<raft::VoteResponse<Types<M>>, RPCError<Types<M>>> {
        let answer: VoteAnswer<M> = self
            .peer
            .ask(call::PRE_VOTE, &VoteRequest::<M>(rpc), option.hard_ttl())
            .await?;
        Ok(answer.0)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types<M>>,
        snapshot: SnapshotOf<Types<M>, Arc<M>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<raft::SnapshotResponse<Types<M>>, StreamingError<Types<M>>> {
        let state = Enveloped(Arc::unwrap_or_clone(snapshot.snapshot));
        let request = SnapshotRequest {
            vote,
            meta: snapshot.meta,
            state,
        };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = self.peer.ask::<_, SnapshotAnswer<M>>(call::SNAPSHOT, &request, SNAPSHOT_PATIENCE) => {
                Ok(answer.map_err(RPCError::from)?.0)
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: raft::TransferLeaderRequest<Types<M>>,
        option: RPCOption,
    ) -> Result<raft::TransferLeaderResponse<Types<M>>, RPCError<Types<M>>> {
        let request = TransferRequest::<M>(rpc);
        let answer: TransferAnswer<M> = self.peer.ask(call::TRANSFER, &request, option.hard_ttl()).await?;
        Ok(answer.0)
    }
}
