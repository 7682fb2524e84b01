//! Between controllers: openraft's calls as versioned bodies over any [`Peers`].
//!
//! `messages` has the bodies, `client` the asking side. The answering side is
//! [`RaftHandle::handle`](super::RaftHandle::handle). Not here: connections, keys and certificates (`transport`).

mod client;
mod messages;

pub use client::{AskError, BoxFuture, Peers};
pub(crate) use client::{Network, Peer, SNAPSHOT_PATIENCE};
pub use messages::{
    AppendAnswer, AppendRequest, ProposeAnswer, ProposeRequest, SnapshotAnswer, SnapshotRequest,
    TransferAnswer, TransferRequest, VoteAnswer, VoteRequest, call,
};
