//! Which nodes should be controllers: how many, which, and the next single step towards that. Pure.
//!
//! One controller while there are one or two nodes, three from three, five from nine: an odd number, since an even one
//! survives no more losses than one less. A node counts while it is up or has not been silent for long; a bramble that
//! is switched off for the night comes back with the controllers that it had.
//!
//! Nothing flaps: a controller that works stays one, however good another node is, unless somebody excluded it. One
//! that is gone for [`GONE`] is replaced. What passes (a node that is silent for a moment, a power supply that is weak
//! for a moment) changes neither how many there are nor who of them stays; it counts only where somebody new is chosen.
//! Between two fitting numbers it stays as it is: more controllers come when enough nodes are up, and they go when too
//! many are gone.
//!
//! One step at a time, each safe by itself: a new controller learns everything before it votes, a replacement is one
//! change of the voters, and a leader that is to leave hands over first. Who does not get on with learning is set aside
//! for a while ([`Patience`]), so that others have their turn.
//!
//! Not here: carrying steps out (the controller), Raft.

mod candidates;
mod patience;
#[cfg(test)]
mod stability;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use api::{Memory, NodeId};
use serde::{Deserialize, Serialize};

pub use candidates::candidates;
pub use patience::{LEARNING, Patience};

/// Silence after which a controller is replaced, where there is another node for it: longer than a restart, a change of
/// cables, a walk with the power plug; shorter than a lesson.
pub const GONE: Duration = Duration::from_secs(180);

/// Uptime beyond which longer is no better.
const STEADY: Duration = Duration::from_secs(600);

/// A card on which half of all small writes take longer than this slows every change down.
pub const SLOW_CARD: Duration = Duration::from_millis(50);

/// The same, where one in a hundred does: such a card stalls.
pub const STALLING_CARD: Duration = Duration::from_millis(200);

/// Cards that keep 99 of 100 small writes in this time are all as good as each other.
const SWIFT_CARD: Duration = Duration::from_micros(12_500);

/// What a card of which nothing was measured is taken for.
const ORDINARY_CARD: Duration = Duration::from_millis(50);

/// Memory that a controller should have to spare.
const ROOMY: Memory = Memory::from_mib(1500);

/// What somebody said of a node as a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Nothing.
    #[default]
    None,
    /// It should be one.
    Pinned,
    /// It should be none.
    Excluded,
}

impl Wish {
    /// All that can be said.
    const ALL: [Self; 3] = [Self::None, Self::Pinned, Self::Excluded];

    /// The word for it in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pinned => "pinned",
            Self::Excluded => "excluded",
        }
    }

    /// What this word of the API says.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.word() == word)
    }

    /// Whether nothing was said.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A node, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is.
    pub id: NodeId,
    /// Its memory.
    pub memory: Memory,
    /// Whether it is heard of.
    pub up: bool,
    /// For how long its machine has been running.
    pub up_for: Duration,
    /// For how long it has been silent; zero while it is up.
    pub silent_for: Duration,
    /// Whether it has a cable, where that is known.
    pub wired: Option<bool>,
    /// Whether it lacks power or is too hot, or was so lately.
    pub throttled: bool,
    /// How long its card takes to keep something: half of the times no longer; where that was measured.
    pub fsync_p50: Option<Duration>,
    /// The same: all but one time in a hundred no longer.
    pub fsync_p99: Option<Duration>,
    /// Whether it was asked to learn everything lately, and did not get on with it.
    pub set_aside: bool,
    /// What somebody said.
    pub wish: Wish,
}

impl Candidate {
    /// Whether it can be made a controller at all.
    fn is_eligible(&self) -> bool {
        self.up && self.wish != Wish::Excluded && !self.set_aside
    }

    fn is_gone(&self) -> bool {
        !self.up && self.silent_for >= GONE
    }

    fn has_slow_card(&self) -> bool {
        self.fsync_p50.is_some_and(|fsync| fsync > SLOW_CARD)
            || self.fsync_p99.is_some_and(|fsync| fsync > STALLING_CARD)
    }

    /// How long its card may take for a small write, coarsely: 0 up to 12.5 ms, and one more for each doubling. What was
    /// measured on two cards of one kind differs by less, mostly; nothing is known of a card that was not measured, which then
    /// counts as an ordinary one.
    fn card_class(&self) -> u32 {
        let fsync = self.fsync_p99.or(self.fsync_p50).unwrap_or(ORDINARY_CARD);
        let times = fsync.as_micros().div_ceil(SWIFT_CARD.as_micros());
        u128::BITS - times.saturating_sub(1).leading_zeros()
    }

    /// The better, the smaller.
    fn rank(&self) -> impl Ord + use<> {
        (
            self.wish != Wish::Pinned,
            self.throttled,
            self.wired == Some(false),
            self.has_slow_card(),
            self.card_class(),
            self.memory < ROOMY,
            Reverse(self.up_for.min(STEADY).as_secs() / 60),
            Reverse(self.memory),
            self.id,
        )
    }
}

/// Who takes part in the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Those of whom a majority must have a command.
    pub voters: BTreeSet<NodeId>,
    /// Those who are sent everything and count for nothing.
    pub learners: BTreeSet<NodeId>,
    /// Those who have (nearly) everything.
    pub caught_up: BTreeSet<NodeId>,
    /// Who leads.
    pub leader: NodeId,
}

impl Membership {
    /// Whether this node takes part, in one way or the other.
    fn has(&self, id: &NodeId) -> bool {
        self.voters.contains(id) || self.learners.contains(id)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Have this node run a controller, and send it everything.
    AddLearner(NodeId),
    /// Make these the voters; each is a member already.
    SetVoters(BTreeSet<NodeId>),
    /// Let this node, which does not vote, run a controller no longer.
    Remove(NodeId),
    /// Hand leadership to this voter.
    TransferLeadership(NodeId),
    /// All is as it should be, or has to wait.
    Nothing,
}

/// How many controllers fit so many nodes.
pub const fn fitting(nodes: usize) -> usize {
    match nodes {
        0..=2 => 1,
        3..=8 => 3,
        _ => 5,
    }
}

/// The next step towards as many controllers as somebody wants, or as fit.
pub fn step(candidates: &[Candidate], membership: &Membership, wanted: Option<u8>) -> Step {
    let find = |id: &NodeId| candidates.iter().find(|candidate| candidate.id == *id);
    let wanted = wanted
        .map_or_else(|| fitting_now(candidates, membership), usize::from)
        .max(1);
    let target = choose(candidates, membership, wanted);

    // Who neither votes nor is to: learners that nobody needs any more.
    let idle = membership.learners.iter().find(|id| !target.contains(id));
    if let Some(id) = idle {
        return Step::Remove(*id);
    }
    let missing = target
        .iter()
        .find(|id| !membership.voters.contains(id) && !membership.learners.contains(id));
    if let Some(id) = missing {
        return Step::AddLearner(*id);
    }
    if target == membership.voters {
        return Step::Nothing;
    }
    // Voters change in one go, once all that are new have everything: no even number in between.
    if !target
        .iter()
        .all(|id| membership.voters.contains(id) || membership.caught_up.contains(id))
    {
        return Step::Nothing;
    }
    let is_up = |id: &&NodeId| find(id).is_some_and(|candidate| candidate.up);
    let mut next = target.clone();
    if !target.contains(&membership.leader) {
        let heir = membership.voters.intersection(&target).find(is_up);
        if let Some(heir) = heir {
            return Step::TransferLeadership(*heir);
        }
        // None of the voters stays: with the leader for one more step.
        next.insert(membership.leader);
    }
    // A majority of both has to confirm it.
    let has_majority = |ids: &BTreeSet<NodeId>| ids.iter().filter(is_up).count() * 2 > ids.len();
    match next != membership.voters && has_majority(&next) && has_majority(&membership.voters) {
        true => Step::SetVoters(next),
        false => Step::Nothing,
    }
}

/// How many controllers fit the nodes as they are now. Those that are silent, but not for long, may be counted or not:
/// as long as either is right, there are as many as there have been.
fn fitting_now(candidates: &[Candidate], membership: &Membership) -> usize {
    let up = candidates.iter().filter(|candidate| candidate.up).count();
    let there = candidates.iter().filter(|candidate| !candidate.is_gone()).count();
    // An even number is on the way to the odd one below.
    let now = membership.voters.len().saturating_sub(1) | 1;
    now.clamp(fitting(up), fitting(there))
}

/// Who should vote: those who do as long as they work, then the best of the others.
fn choose(candidates: &[Candidate], membership: &Membership, wanted: usize) -> BTreeSet<NodeId> {
    let works = |candidate: &&Candidate| {
        let learns_in_vain = candidate.set_aside && !membership.voters.contains(&candidate.id);
        !candidate.is_gone() && candidate.wish != Wish::Excluded && !learns_in_vain
    };
    let mut staying: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| membership.has(&candidate.id))
        .filter(works)
        .collect();
    // Pinned nodes first, then the leader, those who vote, those who are up.
    staying.sort_by_key(|candidate| {
        (
            candidate.wish != Wish::Pinned,
            candidate.id != membership.leader,
            !membership.voters.contains(&candidate.id),
            !candidate.up,
            candidate.rank(),
        )
    });
    let mut others: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| !membership.has(&candidate.id) && candidate.is_eligible())
        .collect();
    others.sort_by_key(|candidate| candidate.rank());
    let (pinned, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| it.wish == Wish::Pinned);
    let split = staying.iter().take_while(|it| it.wish == Wish::Pinned).count();
    let (first, rest) = staying.split_at(split);
    let in_order = first
        .iter()
        .copied()
        .chain(pinned)
        .chain(rest.iter().copied())
        .chain(others);
    let mut target: BTreeSet<NodeId> = in_order.map(|candidate| candidate.id).take(wanted).collect();
    // An even number survives no more losses than one less.
    if target.len().is_multiple_of(2)
        && let Some(last) = rank_last(candidates, &target, membership)
    {
        target.remove(&last);
    }
    if target.is_empty() {
        target.clone_from(&membership.voters);
    }
    target
}

/// Of an even number, the one to leave out: never the leader, rather one that does not vote yet, rather one that does
/// not even learn, rather one that is away.
fn rank_last(candidates: &[Candidate], target: &BTreeSet<NodeId>, membership: &Membership) -> Option<NodeId> {
    let mut chosen: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| target.contains(&candidate.id) && candidate.id != membership.leader)
        .collect();
    chosen.sort_by_key(|candidate| {
        (
            candidate.wish != Wish::Pinned,
            !membership.voters.contains(&candidate.id),
            !membership.learners.contains(&candidate.id),
            !candidate.up,
            candidate.rank(),
        )
    });
    chosen.last().map(|candidate| candidate.id)
}
