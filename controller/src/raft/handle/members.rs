//! Who takes part in the replicated state: looked at, and changed one step at a time.
//!
//! A new member first *learns*: it is sent everything, and counts for nothing. Once it has caught up it can become a
//! *voter*, of which a majority must have a command before it counts. Who should be what is decided elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::NodeId;
use openraft::{
    ChangeMembers, Instant as _,
    async_runtime::WatchReceiver,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};
use tokio::time::timeout;

use super::RaftHandle;
use crate::raft::types::{Machine, Member};

/// How long a change of members is waited for: a majority of old and new ones has to have it.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// A member that lacks no more entries than this has caught up: as many as come while it gets the last ones.
const CAUGHT_UP_WITHIN: u64 = 16;

/// A leader that no majority has answered for so long does not count on them any more: three times as long as it takes
/// them to miss it and elect another.
const MAJORITY_WITHIN: Duration = Duration::from_secs(3);

/// Who takes part, as this member knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those of whom a majority must have a command.
    pub voters: BTreeSet<NodeId>,
    /// Those who are sent everything and count for nothing.
    pub learners: BTreeSet<NodeId>,
    /// Those who have (nearly) everything that this member has; known to the leader only.
    pub caught_up: BTreeSet<NodeId>,
}

/// Members that were not changed, or perhaps were.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// Only the leader changes members.
    #[error("this controller does not lead")]
    NotLeader,
    /// One change at a time: another one is under way, or this leader is new and has not confirmed anything yet.
    #[error("another change of the controllers is under way")]
    Underway,
    /// The change is not possible: nobody would be left, or a voter was no learner before.
    #[error("the controllers cannot be changed so: {reason}")]
    Refused {
        /// Raft's words.
        reason: String,
    },
    /// No majority confirmed it in time. Whether it was made or will be is not known; [`RaftHandle::members`] tells.
    #[error("too few controllers confirmed the change in time; whether it was made is not known")]
    Unconfirmed,
    /// This controller has stopped and has to be started again.
    #[error("this controller has stopped: {reason}")]
    Fatal {
        /// Why it stopped.
        reason: String,
    },
}

impl<M: Machine> RaftHandle<M> {
    /// Who takes part at this moment, as far as this member knows.
    pub fn members(&self) -> Members {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let last = metrics.last_log_index.unwrap_or_default();
        let has_all = |matched: u64| matched + CAUGHT_UP_WITHIN >= last;
        let caught_up = metrics.replication.iter().flatten();
        Members {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            caught_up: caught_up
                .filter(|(_, matched)| matched.as_ref().is_some_and(|matched| has_all(matched.index)))
                .map(|(id, _)| *id)
                .collect(),
        }
    }

    /// Whether a majority of the voters answers this member, provided that it leads. One that is cut off goes on leading
    /// in its own eyes, while the others have elected another.
    pub fn has_majority(&self) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let alone = metrics.membership_config.membership().voter_ids().count() == 1;
        let answered = metrics.last_quorum_acked.as_ref();
        alone || answered.is_some_and(|at| at.into_inner().elapsed() < MAJORITY_WITHIN)
    }

    /// Lets `node` learn. Returns when that is agreed on, not when it has learnt everything: see
    /// [`Members::caught_up`]. Does nothing where it is a member already.
    ///
    /// # Errors
    /// [`MembersError`]; its variants say whether the change may have been made all the same.
    pub async fn add_learner(&self, node: NodeId) -> Result<(), MembersError> {
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(node, Member {})])))
            .await
    }

    /// Makes `voters` the voters; each has to be a member already. Those that were voters and are no longer, leave.
    ///
    /// # Errors
    /// [`MembersError`]; its variants say whether the change may have been made all the same.
    pub async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MembersError> {
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Lets `node`, a learner, leave.
    ///
    /// # Errors
    /// [`MembersError`]; its variants say whether the change may have been made all the same.
    pub async fn remove_learner(&self, node: NodeId) -> Result<(), MembersError> {
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node])))
            .await
    }

    async fn change(&self, change: ChangeMembers<NodeId, Member>) -> Result<(), MembersError> {
        // `false`: who is no voter any more does not stay as a learner.
        let changed = self.inner.raft.change_membership(change, false);
        let Ok(changed) = timeout(CHANGE_PATIENCE, changed).await else {
            return Err(MembersError::Unconfirmed);
        };
        match changed {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(MembersError::NotLeader),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ))) => Err(MembersError::Underway),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(refused))) => {
                Err(MembersError::Refused {
                    reason: refused.to_string(),
                })
            }
            Err(RaftError::APIError(_)) => Err(MembersError::Unconfirmed),
            Err(RaftError::Fatal(fatal)) => Err(MembersError::Fatal {
                reason: fatal.to_string(),
            }),
        }
    }
}
