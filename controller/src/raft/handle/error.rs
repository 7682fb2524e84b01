//! What can go wrong for those who use the replicated state, in words for people.

use api::{NodeId, versioned::DecodeError};

use crate::raft::{log::StoreError, network::AskError};

/// A controller that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be opened.
    #[error("failed to open the replicated state in `{dir}`")]
    Store {
        /// The store's directory, or "a disk" where it has none.
        dir: String,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// Timings that make no sense: the heartbeat must be shorter than the election timeouts, the shorter of them
    /// first.
    #[error("heartbeat and election timeouts do not fit together")]
    Timings(#[source] openraft::ConfigError),
    /// Raft does not start from what the store holds.
    #[error("failed to start from the stored state: {reason}")]
    Start {
        /// Raft's words.
        reason: String,
    },
}

/// A command without an outcome.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Nobody leads; the command was not taken.
    #[error("no controller leads at the moment: they are electing one, or too few of them are reachable")]
    NoLeader,
    /// The leader was asked and did not answer. Whether the command was applied is not known.
    #[error("the leading controller does not answer; whether the change was made is not known")]
    Unreachable {
        /// The leader.
        leader: NodeId,
        /// Why there is no answer.
        #[source]
        source: AskError,
    },
    /// Taken, but no majority confirmed it in time, or leadership changed meanwhile. Whether it was or will be
    /// applied is not known.
    #[error("too few controllers confirmed the change in time; whether it was made is not known")]
    Unconfirmed,
    /// This controller has stopped and has to be started again; mostly because its disk failed.
    #[error("this controller has stopped: {reason}")]
    Fatal {
        /// Why it stopped.
        reason: String,
    },
}

/// Members that cannot be made the first ones.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// A controller can only begin something that it is part of.
    #[error("this controller is not among the first members")]
    NotAMember,
    /// This controller has stopped; see [`ProposeError::Fatal`].
    #[error("this controller has stopped: {reason}")]
    Fatal {
        /// Why it stopped.
        reason: String,
    },
}

/// A call of another controller that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No such call; the caller is newer.
    #[error("this controller knows no call `{0}`: update it")]
    Unknown(String),
    /// The body is damaged or of another version.
    #[error("the body of call `{rpc}` cannot be read")]
    Unreadable {
        /// Which call.
        rpc: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// The caller speaks for another controller, or is none.
    #[error("node {from} may not make the call `{rpc}`")]
    NotYours {
        /// Who called.
        from: NodeId,
        /// Which call.
        rpc: &'static str,
    },
    /// This controller has stopped; see [`ProposeError::Fatal`].
    #[error("this controller has stopped: {reason}")]
    Fatal {
        /// Why it stopped.
        reason: String,
    },
}
