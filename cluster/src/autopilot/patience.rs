//! Nodes that learn and do not get on: for how long they are waited for, and when they are tried again.

use std::{collections::BTreeMap, time::Duration};

use api::NodeId;

use super::Membership;
use crate::liveness::Moment;

/// How long a node may take to learn everything: a few megabytes, over the worst radio, onto the worst card.
pub const LEARNING: Duration = Duration::from_secs(120);

/// How long a node that did not get on is left alone, at first and at most; each time doubles it.
const REST: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(3600));

/// What a leader remembers of those that learn; a new leader begins anew.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// Who learns, and since when; not who has everything.
    learning: BTreeMap<NodeId, Moment>,
    set_aside: BTreeMap<NodeId, Aside>,
}

/// One that did not get on.
#[derive(Clone, Copy, Debug)]
struct Aside {
    until: Moment,
    rest: Duration,
}

impl Patience {
    /// Looks at who learns at `now`. To be asked before each step.
    pub fn look(&mut self, membership: &Membership, now: Moment) {
        // Who votes has got on after all.
        self.set_aside.retain(|id, _| !membership.voters.contains(id));
        let lacks = |id: &NodeId| membership.learners.contains(id) && !membership.caught_up.contains(id);
        self.learning.retain(|id, _| lacks(id));
        for id in membership.learners.iter().filter(|id| lacks(id)) {
            let since = *self.learning.entry(*id).or_insert(now);
            let rests = self.is_set_aside(*id, now);
            if now.since(since) >= LEARNING && !rests {
                let before = self.set_aside.get(id).map(|aside| aside.rest);
                let rest = before.map_or(REST.0, |rest| (rest * 2).min(REST.1));
                let until = now.after(rest);
                self.set_aside.insert(*id, Aside { until, rest });
                self.learning.insert(*id, now);
            }
        }
    }

    /// Whether others are to have their turn.
    pub fn is_set_aside(&self, node: NodeId, now: Moment) -> bool {
        let aside = self.set_aside.get(&node);
        aside.is_some_and(|aside| aside.until.since(now) > Duration::ZERO)
    }
}
