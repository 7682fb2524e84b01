//! What controllers say to each other, in its sent form: every body in the versioned envelope.

use api::{NodeId, versioned::Versioned};
use openraft::{
    alias::{SnapshotMetaOf, VoteOf},
    raft,
};
use serde::{Deserialize, Serialize};

use crate::raft::types::{Enveloped, Machine, Types};

/// The calls by name, as they are in a path or a log line.
pub mod call {
    /// Append entries; also the leader's heartbeat.
    pub const APPEND: &str = "append";
    /// Ask for a vote.
    pub const VOTE: &str = "vote";
    /// Ask whether a vote would be given.
    pub const PRE_VOTE: &str = "pre_vote";
    /// Send the whole state to a member that is too far behind.
    pub const SNAPSHOT: &str = "snapshot";
    /// Hand leadership over.
    pub const TRANSFER: &str = "transfer";
    /// Ask the leader to propose a command.
    pub const PROPOSE: &str = "propose";
}

/// Gives openraft's messages a name and a version. They are wrapped because neither they nor the trait are ours.
macro_rules! message {
    ($(#[$doc:meta])* $type:ident($inner:ty), $name:literal) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(transparent, bound = "")]
        pub struct $type<M: Machine>(pub $inner);

        impl<M: Machine> Versioned for $type<M> {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
        }
    };
}

message!(
    /// Body of [`call::APPEND`].
    AppendRequest(raft::AppendEntriesRequest<Types<M>>), "append request"
);
message!(
    /// Answer to [`call::APPEND`].
    AppendAnswer(raft::AppendEntriesResponse<Types<M>>), "append answer"
);
message!(
    /// Body of [`call::VOTE`] and [`call::PRE_VOTE`].
    VoteRequest(raft::VoteRequest<Types<M>>), "vote request"
);
message!(
    /// Answer to [`call::VOTE`] and [`call::PRE_VOTE`].
    VoteAnswer(raft::VoteResponse<Types<M>>), "vote answer"
);
message!(
    /// Answer to [`call::SNAPSHOT`].
    SnapshotAnswer(raft::SnapshotResponse<Types<M>>), "snapshot answer"
);
message!(
    /// Body of [`call::TRANSFER`].
    TransferRequest(raft::TransferLeaderRequest<Types<M>>), "transfer request"
);
message!(
    /// Answer to [`call::TRANSFER`].
    TransferAnswer(raft::TransferLeaderResponse<Types<M>>), "transfer answer"
);

/// Body of [`call::SNAPSHOT`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SnapshotRequest<M: Machine> {
    /// The leader's vote.
    pub vote: VoteOf<Types<M>>,
    /// The last entry that is in the state, and the members by then.
    pub meta: SnapshotMetaOf<Types<M>>,
    /// The state.
    pub state: Enveloped<M>,
}

impl<M: Machine> Versioned for SnapshotRequest<M> {
    const NAME: &'static str = "snapshot request";
    const VERSION: u32 = 1;
}

/// Body of [`call::PROPOSE`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct ProposeRequest<M: Machine>(pub Enveloped<M::Command>);

impl<M: Machine> Versioned for ProposeRequest<M> {
    const NAME: &'static str = "propose request";
    const VERSION: u32 = 1;
}

/// Answer to [`call::PROPOSE`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub enum ProposeAnswer<M: Machine> {
    /// The leader has applied the command.
    Applied {
        /// Index of its entry, for waiting until it is applied elsewhere.
        index: u64,
        /// What became of it.
        outcome: M::Outcome,
    },
    /// Not taken: the node that was asked does not lead (any more).
    NotLeader {
        /// Who does, as far as it knows.
        leader: Option<NodeId>,
    },
    /// Taken, but it is not known what became of it: no majority confirmed it in time, or leadership changed.
    Unconfirmed,
}

impl<M: Machine> Versioned for ProposeAnswer<M> {
    const NAME: &'static str = "propose answer";
    const VERSION: u32 = 1;
}
