//! Sessions of the portal: whose one is, and which have been left alone for too long.
//!
//! That there is a session is in the state, so that people stay signed in when another controller leads. When it was
//! used last is in the leader's memory alone: nothing is written for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::SessionId;

use crate::{
    liveness::Moment,
    state::{MAX_SESSIONS, State},
};

/// How long a session lasts without being used: a school day.
pub const IDLE: Duration = Duration::from_secs(8 * 3600);

/// When each session was used last.
#[derive(Clone, Debug)]
pub struct Uses {
    /// Nobody knows what happened before: it counts as the last use of whatever was open then.
    since: Moment,
    at: BTreeMap<SessionId, Moment>,
}

/// Whose session `id` is, however long ago it was used: all that is known to who does not lead.
pub fn signed_in(state: &State, id: SessionId) -> Option<&str> {
    let session = state.sessions().get(&id)?;
    let is_known = state.users().contains_key(&session.user);
    is_known.then_some(&session.user)
}

impl Uses {
    /// Of a leader that begins at `now`.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            since: now,
            at: BTreeMap::new(),
        }
    }

    /// Somebody signed in: the session begins at `now`.
    pub fn opened(&mut self, id: SessionId, now: Moment) {
        self.at.insert(id, now);
    }

    /// Whose session `id` is, which is used at `now`; `None` where there is no such session, or none any more.
    pub fn user<'a>(&mut self, state: &'a State, id: SessionId, now: Moment) -> Option<&'a str> {
        let user = signed_in(state, id).filter(|_| !self.is_idle(id, now))?;
        self.at.insert(id, now);
        Some(user)
    }

    /// The sessions that end before another one is opened: those that were left alone for too long, or else, where
    /// there are as many as may be, the one that was unused longest.
    pub fn make_room(&mut self, state: &State, now: Moment) -> BTreeSet<SessionId> {
        self.at.retain(|id, _| state.sessions().contains_key(id));
        let sessions = || state.sessions().keys().copied();
        let idle: BTreeSet<_> = sessions().filter(|id| self.is_idle(*id, now)).collect();
        if !idle.is_empty() || state.sessions().len() < MAX_SESSIONS {
            return idle;
        }
        let longest = sessions().min_by_key(|id| self.last_used(*id));
        longest.into_iter().collect()
    }

    fn last_used(&self, id: SessionId) -> Moment {
        *self.at.get(&id).unwrap_or(&self.since)
    }

    fn is_idle(&self, id: SessionId, now: Moment) -> bool {
        now.since(self.last_used(id)) >= IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::Action,
        permissions::Role,
        testing::{World, bramble},
    };

    fn id(token: &str) -> SessionId {
        SessionId::from_token(token)
    }

    fn hour(hours: u64) -> Moment {
        Moment::new(Duration::from_secs(hours * 3600))
    }

    fn open(world: World, token: &str) -> World {
        world.does(Action::OpenSession {
            id: id(token),
            user: "admin".to_owned(),
        })
    }

    fn world() -> World {
        let world = bramble().does(Action::PutUser {
            name: "admin".to_owned(),
            password_hash: "hash".to_owned(),
            role: Role::Admin,
        });
        open(world, "token")
    }

    #[test]
    fn a_session_belongs_to_its_user_until_it_is_closed() {
        let world = world();
        let mut uses = Uses::new(hour(0));
        assert_eq!(uses.user(&world.state, id("token"), hour(0)), Some("admin"));
        assert_eq!(uses.user(&world.state, id("made-up"), hour(0)), None);
        let world = world.does(Action::CloseSessions {
            ids: [id("token")].into(),
        });
        assert_eq!(uses.user(&world.state, id("token"), hour(0)), None);
    }

    #[test]
    fn who_uses_it_stays_signed_in_and_who_is_away_for_long_does_not() {
        let world = open(world(), "away");
        let mut uses = Uses::new(hour(0));
        for now in 0..24 {
            assert_eq!(uses.user(&world.state, id("token"), hour(now)), Some("admin"));
        }
        assert_eq!(uses.user(&world.state, id("away"), hour(24)), None);
        assert_eq!(uses.make_room(&world.state, hour(24)), [id("away")].into());
    }

    #[test]
    fn a_new_leader_knows_who_is_signed_in_and_reckons_from_when_it_began() {
        let world = world();
        let mut uses = Uses::new(hour(100));
        assert_eq!(uses.make_room(&world.state, hour(107)), BTreeSet::new());
        assert_eq!(uses.user(&world.state, id("token"), hour(107)), Some("admin"));
        let mut uses = Uses::new(hour(100));
        assert_eq!(uses.user(&world.state, id("token"), hour(108)), None);
    }

    #[test]
    fn a_session_that_began_long_after_the_leader_is_not_idle() {
        let world = world();
        let mut uses = Uses::new(hour(0));
        uses.opened(id("token"), hour(50));
        assert_eq!(uses.user(&world.state, id("token"), hour(50)), Some("admin"));
    }

    #[test]
    fn sessions_do_not_grow_without_bound() {
        let mut world = world();
        let mut uses = Uses::new(hour(0));
        for number in 1..MAX_SESSIONS {
            world = open(world, &number.to_string());
            uses.opened(id(&number.to_string()), hour(1));
            assert_eq!(
                uses.make_room(&world.state, hour(1)).is_empty(),
                number + 1 < MAX_SESSIONS
            );
        }
        // The very first is in use.
        assert_eq!(uses.user(&world.state, id("token"), hour(3)), Some("admin"));
        assert_eq!(uses.user(&world.state, id("1"), hour(2)), Some("admin"));
        let ended = uses.make_room(&world.state, hour(3));
        assert_eq!(ended.len(), 1, "the longest unused one makes room");
        assert!(!ended.contains(&id("token")) && !ended.contains(&id("1")));
    }
}
