//! Sessions of the portal: opaque random tokens, of which the state keeps hashes.

use std::collections::BTreeSet;

use api::SessionId;
use base64::Engine as _;
use cluster::{Action, Command, sessions};

use super::AuthError;
use crate::{
    clock::Clock,
    desk::Desk,
    raft::{ProposeError, Raft},
};

/// The token of a new session: goes into the browser's cookie and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel has random numbers");
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text for the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SessionToken {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// All sessions of the bramble.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    pub(super) desk: Desk,
    pub(super) raft: Raft,
    pub(super) clock: Clock,
}

impl Sessions {
    /// Opens a session for `user`, and ends some that nobody has used for long.
    pub(super) async fn open(&self, user: &str) -> Result<SessionToken, ProposeError> {
        let state = self.desk.state().borrow().clone();
        let unused = self.desk.memory().sessions.make_room(&state, self.clock.now());
        drop(state);
        if !unused.is_empty() {
            self.close(unused).await?;
        }
        let token = SessionToken::random();
        let id = SessionId::from_token(token.as_str());
        let user = user.to_owned();
        self.propose(Action::OpenSession { id, user }).await?;
        self.desk.memory().sessions.opened(id, self.clock.now());
        Ok(token)
    }

    /// Whose session has this token. Only a leader is sure that there is none.
    pub(super) fn user(&self, token: &str) -> Result<String, AuthError> {
        // Not borrowed while the memory is locked: who waits to write the state would keep others from both.
        let state = self.desk.state().borrow().clone();
        let id = SessionId::from_token(token);
        if !self.raft.leadership().borrow().is_me {
            let user = sessions::signed_in(&state, id);
            return user.map(str::to_owned).ok_or(AuthError::NoLeader);
        }
        let mut memory = self.desk.memory();
        let user = memory.sessions.user(&state, id, self.clock.now());
        user.map(str::to_owned).ok_or(AuthError::Invalid)
    }

    /// Ends the session with this token.
    pub(super) async fn end(&self, token: &str) -> Result<(), ProposeError> {
        let id = SessionId::from_token(token);
        if !self.desk.state().borrow().sessions().contains_key(&id) {
            return Ok(());
        }
        self.close([id].into()).await
    }

    async fn close(&self, ids: BTreeSet<SessionId>) -> Result<(), ProposeError> {
        self.propose(Action::CloseSessions { ids }).await
    }

    /// A refusal is no fault here: whose session it was cannot sign in any more.
    async fn propose(&self, action: Action) -> Result<(), ProposeError> {
        let command = Command::by_bramble(self.clock.wall(), action);
        self.raft.propose(command).await.map(|_| ())
    }
}
