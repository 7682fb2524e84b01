//! Who can sign in, and who has signed in to the portal.

use std::{collections::BTreeSet, sync::Arc};

use api::{Revision, SessionId};

use super::Change;
use crate::{
    outcome::Refusal,
    permissions::Role,
    state::{MAX_SESSIONS, Session, User},
};

impl Change<'_> {
    /// Another password ends the sessions that were opened with the one before.
    pub(super) fn put_user(&mut self, name: String, password_hash: String, role: Role) {
        // Whoever signs in can make further users; the code has done its work.
        self.state.first_visit_code = None;
        self.state.sessions.retain(|_, session| session.user != name);
        self.state.users.insert(name, User { password_hash, role });
    }

    /// Not recorded for people: it would push out what happened to the bramble. Who proposes this has made room; the bound
    /// here holds all the same.
    pub(super) fn open_session(&mut self, id: SessionId, user: String) -> Result<(), Refusal> {
        if !self.state.users.contains_key(&user) {
            return Err(Refusal::NoSuchUser(user));
        }
        let sessions = &mut self.state.sessions;
        while sessions.len() >= MAX_SESSIONS
            && let Some(first) = sessions.iter().min_by_key(|(_, session)| session.opened)
        {
            let first = *first.0;
            sessions.remove(&first);
        }
        let opened = Revision(self.revision);
        sessions.insert(id, Arc::new(Session { user, opened }));
        Ok(())
    }

    pub(super) fn close_sessions(&mut self, closed: &BTreeSet<SessionId>) {
        self.state.sessions.retain(|id, _| !closed.contains(id));
    }
}
