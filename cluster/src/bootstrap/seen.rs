//! What a candidate remembers of one other node.

use std::net::SocketAddr;

use api::join::Standing;

use crate::Moment;

/// One node in sight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seen {
    /// What it says it is.
    pub(super) standing: Standing,
    pub(super) addresses: Vec<SocketAddr>,
    /// Since when it says so.
    pub(super) first: Moment,
    /// Not to be asked before.
    pub(super) next_try: Moment,
    /// Whether it is being asked.
    pub(super) asking: bool,
    /// Since when every attempt to reach it failed.
    pub(super) failing_since: Option<Moment>,
    /// Whether it ever proved what it says, by an answer or by knocking.
    pub(super) verified: bool,
    /// Whether it is, or was last, asked with a vote.
    pub(super) asked_for: bool,
    /// When it last gave this node its vote.
    pub(super) voted: Option<Moment>,
    shunned_until: Option<Moment>,
}

impl Seen {
    pub(super) fn new(standing: Standing, addresses: Vec<SocketAddr>, now: Moment) -> Self {
        Self {
            standing,
            addresses,
            first: now,
            next_try: now,
            asking: false,
            failing_since: None,
            verified: false,
            asked_for: false,
            voted: None,
            shunned_until: None,
        }
    }

    /// It says something, perhaps the same as before. A candidate that has founded or joined is as good as new.
    pub(super) fn says(&mut self, standing: Standing, addresses: &[SocketAddr], now: Moment) {
        if !addresses.is_empty() && self.addresses != addresses {
            self.addresses = addresses.to_vec();
            self.next_try = self.next_try.min(now);
        }
        let was_candidate = matches!(self.standing, Standing::Candidate { .. });
        let is_candidate = matches!(standing, Standing::Candidate { .. });
        if was_candidate != is_candidate {
            let (asking, addresses) = (self.asking, std::mem::take(&mut self.addresses));
            *self = Self {
                asking,
                ..Self::new(standing, addresses, now)
            };
        }
        self.standing = standing;
    }

    /// It gave a sign of life that cannot be invented.
    pub(super) fn lives(&mut self) {
        self.failing_since = None;
        self.verified = true;
        self.shunned_until = None;
    }

    pub(super) fn shun_until(&mut self, until: Moment) {
        self.shunned_until = Some(until);
        self.next_try = self.next_try.max(until);
    }

    pub(super) fn is_shunned(&self) -> bool {
        self.shunned_until.is_some()
    }

    /// After its time, it gets another chance, and the full patience.
    pub(super) fn forgive(&mut self, now: Moment) {
        if self.shunned_until.is_some_and(|until| until <= now) {
            self.shunned_until = None;
            self.failing_since = None;
            self.verified = false;
        }
    }
}
