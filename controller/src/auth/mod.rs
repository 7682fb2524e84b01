//! Who is asking, and may they?
//!
//! Here: reading credentials from a request (`credentials`), passwords (`remembered`: argon2id once, then a keyed
//! MAC in memory), the portal's sessions (`sessions`), and [`Auth`], which puts them together.
//!
//! Not here: which user may do what (`cluster::permissions`), and which route needs what (`http`).

mod credentials;
mod remembered;
mod sessions;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};

pub use credentials::{SESSION_COOKIE, is_browser};
pub use remembered::PasswordError;
pub use sessions::SessionToken;

use credentials::{Credentials, is_same_origin};
use remembered::PasswordCheck;
use sessions::Sessions;

use crate::{clock::Clock, desk::Desk, raft::Raft};

/// How soon an answer that goes on for ever ends after its session did.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Checks who is asking. Clones share everything.
#[derive(Clone, Debug)]
pub struct Auth {
    desk: Desk,
    passwords: Arc<PasswordCheck>,
    sessions: Sessions,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credentials, or wrong ones.
    #[error("invalid credentials")]
    Invalid,
    /// The session is good, but the request was made by a page of another origin.
    #[error("this request was made by a page of another origin and is not done in your name")]
    CrossOrigin,
    /// Too many passwords are being checked at this moment.
    #[error("too many sign-ins at once: try again in some seconds")]
    Busy,
    /// No controller leads at this moment.
    #[error("the bramble is choosing a new master: try again in some seconds")]
    NoLeader,
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's name.
    pub user: String,
}

impl Auth {
    /// Checks against the users in the state.
    pub(crate) fn new(desk: Desk, raft: Raft, clock: Clock) -> Self {
        Self {
            desk: desk.clone(),
            passwords: Arc::default(),
            sessions: Sessions { desk, raft, clock },
        }
    }

    fn password_hash(&self, user: &str) -> Option<String> {
        let state = self.desk.state();
        let state = state.borrow();
        state.users().get(user).map(|user| user.password_hash.clone())
    }

    /// Who sent a request with these headers. A session counts for a changing request only when the request comes
    /// from the portal's own pages.
    ///
    /// # Errors
    /// [`AuthError`] where nobody is known by it.
    pub async fn identify(&self, method: &Method, headers: &HeaderMap) -> Result<SignedIn, AuthError> {
        match Credentials::read(headers) {
            Some(Credentials::Basic { user, password }) => self.check_password(user, password).await,
            Some(Credentials::Session(token)) => {
                let user = self.sessions.user(&token)?;
                if !method.is_safe() && !is_same_origin(headers) {
                    return Err(AuthError::CrossOrigin);
                }
                Ok(SignedIn { user })
            }
            None => Err(AuthError::Invalid),
        }
    }

    /// Returns when a request with these headers would no longer be let in, as answers that go on for ever have to end
    /// then.
    pub async fn until_signed_out(&self, headers: &HeaderMap) {
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            match self.identify(&Method::GET, headers).await {
                Err(AuthError::Invalid | AuthError::CrossOrigin) => return,
                // Nothing is known against them.
                Err(AuthError::Busy | AuthError::NoLeader) | Ok(_) => {}
            }
        }
    }

    async fn check_password(&self, user: String, password: String) -> Result<SignedIn, AuthError> {
        let hash = self.password_hash(&user);
        match self.passwords.check(&user, password, hash).await {
            Ok(true) => Ok(SignedIn { user }),
            Ok(false) => Err(AuthError::Invalid),
            Err(PasswordError::Busy | PasswordError::Hash(_)) => Err(AuthError::Busy),
        }
    }

    /// Opens a session for a user who gives the right password. It lasts, whoever leads, until it ends or nobody uses
    /// it for a school day.
    ///
    /// # Errors
    /// [`AuthError`] where the password is wrong, or nobody leads at the moment.
    pub async fn sign_in(&self, user: String, password: String) -> Result<SessionToken, AuthError> {
        let signed_in = self.check_password(user, password).await?;
        let opened = self.sessions.open(&signed_in.user).await;
        opened.map_err(|_| AuthError::NoLeader)
    }

    /// Ends the session that these headers carry, if any.
    ///
    /// # Errors
    /// [`AuthError::NoLeader`] where it goes on, because nobody leads at the moment.
    pub async fn sign_out(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        match Credentials::read(headers) {
            Some(Credentials::Session(token)) => {
                let ended = self.sessions.end(&token).await;
                ended.map_err(|_| AuthError::NoLeader)
            }
            _ => Ok(()),
        }
    }
}
