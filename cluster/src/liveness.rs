//! Who has fallen silent. Pure: the shell says what time it is.

use std::{collections::BTreeMap, time::Duration};

use api::NodeId;

use crate::{
    command::Action,
    state::{NodePhase, State},
};

/// A point of the shell's monotonic clock: the time since an arbitrary start, which never goes back. Two moments
/// compare only within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// `elapsed` after the arbitrary start.
    pub const fn new(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that is `wait` after this one.
    pub const fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

/// Silence after which a node counts as down: four missed answers of a sync request that hangs for at most a second,
/// and half a second for the network. Anything shorter is a blip and moves nothing.
pub const SILENCE: Duration = Duration::from_millis(4500);

/// The leader is to look for silent nodes at least this often. When it has not looked for longer, it was itself
/// asleep (a stalled card, a paused process) and cannot tell who spoke meanwhile.
pub const LOOK_EVERY: Duration = Duration::from_millis(1500);

/// When each node was last heard, in the leader's memory only.
#[derive(Clone, Debug)]
pub struct Liveness {
    heard: BTreeMap<NodeId, Moment>,
    /// Nobody is lost for silence before this.
    listening_since: Moment,
    looked: Moment,
}

impl Liveness {
    /// A new leader has heard from nobody, so everyone gets a full timeout before being lost.
    pub fn new(now: Moment) -> Self {
        Self {
            heard: BTreeMap::new(),
            listening_since: now,
            looked: now,
        }
    }

    /// `node` spoke.
    pub fn heard(&mut self, node: NodeId, now: Moment) {
        self.heard.insert(node, now);
    }

    /// For how long `node` has been silent, as far as this leader can tell.
    pub fn silence(&self, node: NodeId, now: Moment) -> Duration {
        let heard = self.heard.get(&node).copied().unwrap_or_default();
        now.since(heard.max(self.listening_since))
    }

    /// Nodes that have been silent for too long and are not marked down yet. To be asked every [`LOOK_EVERY`].
    pub fn overdue(&mut self, state: &State, now: Moment) -> Vec<NodeId> {
        if now.since(self.looked) > LOOK_EVERY {
            self.listening_since = now;
        }
        self.looked = now;
        self.heard.retain(|id, _| state.node(*id).is_some());
        let up = state
            .nodes()
            .iter()
            .filter(|(_, node)| node.phase == NodePhase::Up);
        let silent = |id: &NodeId| {
            let heard = self.heard.get(id).copied().unwrap_or_default();
            now.since(heard.max(self.listening_since)) > SILENCE
        };
        up.map(|(id, _)| *id).filter(silent).collect()
    }

    /// What to propose for the nodes that are [`overdue`](Self::overdue).
    pub fn losses(&mut self, state: &State, now: Moment) -> Vec<Action> {
        let lost = self.overdue(state, now).into_iter();
        lost.map(|id| Action::MarkNode {
            id,
            phase: NodePhase::Down,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bramble, pi};

    fn at(ms: u64) -> Moment {
        Moment::new(Duration::from_millis(ms))
    }

    /// Looks twice a second until `until`, while each of `speaking` speaks, and returns who was found overdue.
    fn look(
        liveness: &mut Liveness,
        state: &State,
        from: u64,
        until: u64,
        speaking: &[NodeId],
    ) -> Vec<NodeId> {
        let mut overdue = Vec::new();
        for ms in (from..=until).step_by(500) {
            speaking.iter().for_each(|node| liveness.heard(*node, at(ms)));
            overdue = liveness.overdue(state, at(ms));
        }
        overdue
    }

    #[test]
    fn a_new_leader_gives_everyone_a_full_timeout() {
        let state = bramble().nodes(2).build();
        let mut liveness = Liveness::new(at(60_000));
        assert_eq!(look(&mut liveness, &state, 60_000, 64_500, &[]), []);
        assert_eq!(look(&mut liveness, &state, 65_000, 65_000, &[]), [pi(1), pi(2)]);
    }

    #[test]
    fn only_the_silent_node_is_overdue() {
        let state = bramble().nodes(2).build();
        let mut liveness = Liveness::new(at(0));
        assert_eq!(look(&mut liveness, &state, 0, 9_000, &[pi(2)]), [pi(1)]);
    }

    #[test]
    fn a_short_blip_moves_nothing() {
        let state = bramble().nodes(1).build();
        let mut liveness = Liveness::new(at(0));
        look(&mut liveness, &state, 0, 10_000, &[pi(1)]);
        assert_eq!(look(&mut liveness, &state, 10_500, 14_500, &[]), []);
        assert_eq!(look(&mut liveness, &state, 15_000, 30_000, &[pi(1)]), []);
    }

    #[test]
    fn a_node_that_is_marked_down_is_not_reported_again() {
        let state = bramble().nodes(1).down(1).build();
        let mut liveness = Liveness::new(at(0));
        assert_eq!(look(&mut liveness, &state, 0, 20_000, &[]), []);
    }

    #[test]
    fn a_leader_that_was_asleep_itself_accuses_nobody() {
        let state = bramble().nodes(1).build();
        let mut liveness = Liveness::new(at(0));
        look(&mut liveness, &state, 0, 1_000, &[pi(1)]);
        assert_eq!(liveness.overdue(&state, at(60_000)), []);
        assert_eq!(look(&mut liveness, &state, 60_500, 64_500, &[]), []);
        assert_eq!(look(&mut liveness, &state, 65_000, 65_000, &[]), [pi(1)]);
    }
}
