//! Other brambles of the same join key in sight: ours dissolves into one of them, or people decide.
//!
//! What is in sight is looked at by the node (`cli`), which also makes sure that it is what it claims to be; what
//! follows from it is `cluster::bootstrap::meet`. What waits for people is in the leader's memory: it is seen anew
//! wherever there is a new leader.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{join::BrambleId, v1};
use cluster::Action;

use crate::{Controller, http::ApiError};

/// The brambles about which people are asked. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meetings(Arc<Mutex<Vec<v1::Meeting>>>);

impl Meetings {
    fn lock(&self) -> MutexGuard<'_, Vec<v1::Meeting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<v1::Meeting> {
        self.lock().clone()
    }
}

impl Controller {
    /// These brambles are in sight, have proved the join key, and hold what people made, as ours does: from now on
    /// people are asked about them and about no others.
    pub fn meets(&self, others: Vec<v1::Meeting>) {
        *self.meetings.lock() = others;
    }

    /// Ends this bramble in favour of `into`, if nobody has used it.
    ///
    /// # Errors
    /// In words, where somebody has, or no majority of controllers agrees at the moment.
    pub async fn dissolve(&self, into: BrambleId) -> Result<(), String> {
        let command = self.command(Action::Dissolve { into, give_up: false });
        let outcome = self
            .raft
            .propose(command)
            .await
            .map_err(|error| error.to_string())?;
        outcome.into_result().map_err(|refusal| refusal.to_string())?;
        Ok(())
    }

    /// Ends this bramble in favour of `into`, with all that it holds, because `user` says so.
    pub(crate) async fn give_up(&self, user: &str, into: BrambleId) -> Result<(), ApiError> {
        if !self.meetings.list().iter().any(|meeting| meeting.bramble == into) {
            return Err(ApiError::conflict(
                "no such bramble is in sight: it has to be powered on, in the same network, and hold the same join key",
            ));
        }
        self.change(user, Action::Dissolve { into, give_up: true })
            .await?;
        Ok(())
    }
}
