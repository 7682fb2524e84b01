//! Sessions of the portal: opaque random tokens, of which only hashes are kept, in this controller's memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::Engine as _;
use sha2::{Digest, Sha256};

/// How long a session lasts without being used: a school day.
const IDLE: Duration = Duration::from_secs(8 * 3600);

/// Most sessions that are kept; the longest unused goes first.
const MAX_SESSIONS: usize = 1024;

type TokenHash = [u8; 32];

#[derive(Debug)]
struct Session {
    user: String,
    used: Instant,
}

/// The token of a new session: goes into the browser's cookie and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
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

/// All sessions of this controller.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<TokenHash, Session>>);

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session for `user`.
    pub(super) fn open(&self, user: &str) -> SessionToken {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel has random numbers");
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let now = Instant::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| now.duration_since(session.used) < IDLE);
        if sessions.len() >= MAX_SESSIONS
            && let Some(oldest) = sessions
                .iter()
                .min_by_key(|(_, session)| session.used)
                .map(|(token, _)| *token)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(
            hash(&token),
            Session {
                user: user.to_owned(),
                used: now,
            },
        );
        SessionToken(token)
    }

    /// Whose session `token` is.
    pub(super) fn user(&self, token: &str) -> Option<String> {
        let mut sessions = self.lock();
        let session = sessions.get_mut(&hash(token))?;
        let now = Instant::now();
        if now.duration_since(session.used) >= IDLE {
            return None;
        }
        session.used = now;
        Some(session.user.clone())
    }

    /// Ends the session `token`.
    pub(super) fn close(&self, token: &str) {
        self.lock().remove(&hash(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_its_user_until_it_is_closed() {
        let sessions = Sessions::default();
        let token = sessions.open("admin");
        assert_eq!(sessions.user(token.as_str()).as_deref(), Some("admin"));
        assert_eq!(sessions.user("made-up"), None);
        sessions.close(token.as_str());
        assert_eq!(sessions.user(token.as_str()), None);
    }

    #[test]
    fn sessions_do_not_grow_without_bound() {
        let sessions = Sessions::default();
        let first = sessions.open("admin");
        for _ in 0..MAX_SESSIONS {
            sessions.open("admin");
        }
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
        assert_eq!(
            sessions.user(first.as_str()),
            None,
            "the longest unused one made room"
        );
    }
}
