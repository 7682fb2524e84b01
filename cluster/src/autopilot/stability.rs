//! Hours of a bramble, second by second: controllers change when something lasts, and not for what passes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    tests::{alone, carry_out, id, ids, node, nodes},
    *,
};
use crate::liveness::Moment;

/// A leader that looks once a second.
struct Hours {
    nodes: BTreeMap<u8, Candidate>,
    membership: Membership,
    patience: Patience,
    second: u64,
    /// Who is asked to learn and never gets on with it.
    broken: Vec<u8>,
    steps: Vec<(u64, Step)>,
}

impl Hours {
    fn of(count: u8) -> Self {
        Self {
            nodes: nodes(count)
                .into_iter()
                .zip(1..)
                .map(|(it, number)| (number, it))
                .collect(),
            membership: alone(),
            patience: Patience::default(),
            second: 0,
            broken: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// With the controllers that fit, after a minute.
    fn settled(count: u8) -> Self {
        let mut hours = Self::of(count);
        hours.pass(60);
        assert_eq!(hours.membership.voters.len(), fitting(usize::from(count)));
        hours.steps.clear();
        hours
    }

    fn without_broken(mut self, broken: &[u8]) -> Self {
        self.broken = broken.to_vec();
        self
    }

    fn at(&mut self, number: u8) -> &mut Candidate {
        self.nodes.get_mut(&number).unwrap()
    }

    fn unplug(&mut self, number: u8) {
        self.at(number).up = false;
    }

    fn plug_in(&mut self, number: u8) {
        let node = self.at(number);
        (node.up, node.silent_for, node.up_for) = (true, Duration::ZERO, Duration::ZERO);
    }

    /// A leader that was asleep itself, or is new, has heard from nobody.
    fn forget_silence(&mut self) {
        self.nodes
            .values_mut()
            .for_each(|node| node.silent_for = Duration::ZERO);
    }

    fn second(&mut self) {
        self.second += 1;
        let now = Moment::new(Duration::from_secs(self.second));
        for node in self.nodes.values_mut() {
            let second = Duration::from_secs(1);
            match node.up {
                true => node.up_for += second,
                false => node.silent_for += second,
            }
        }
        for number in &self.broken {
            self.membership.caught_up.remove(&id(*number));
        }
        self.patience.look(&self.membership, now);
        for node in self.nodes.values_mut() {
            node.set_aside = self.patience.is_set_aside(node.id, now);
        }
        let candidates: Vec<Candidate> = self.nodes.values().cloned().collect();
        let next = step(&candidates, &self.membership, None);
        if next != Step::Nothing {
            carry_out(&mut self.membership, &next);
            self.steps.push((self.second, next));
        }
    }

    fn pass(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    fn is_asked(&self, number: u8) -> usize {
        let asked = |(_, step): &&(u64, Step)| *step == Step::AddLearner(id(number));
        self.steps.iter().filter(asked).count()
    }
}

#[test]
fn of_three_nodes_of_which_one_went_one_is_left_to_decide_and_nothing_more_happens_for_hours() {
    let mut hours = Hours::settled(3);
    hours.unplug(3);
    hours.pass(GONE.as_secs() - 1);
    assert_eq!(hours.steps, [], "it may come back");
    // Now and then the leader is asleep itself, and gives everyone another three minutes.
    for _ in 0..30 {
        hours.pass(240);
        hours.forget_silence();
    }
    assert_eq!(hours.membership.voters, ids(&[1]));
    assert_eq!(hours.steps.len(), 1, "{:?}", hours.steps);
    hours.steps.clear();
    hours.plug_in(3);
    hours.pass(600);
    assert_eq!(hours.membership.voters, ids(&[1, 2, 3]));
    assert_eq!(hours.steps.len(), 3, "two learn, and all vote: {:?}", hours.steps);
}

#[test]
fn a_node_more_or_less_at_the_border_does_not_make_controllers_come_and_go() {
    let mut hours = Hours::settled(9);
    for _ in 0..60 {
        hours.unplug(9);
        hours.pass(100);
        hours.plug_in(9);
        hours.pass(20);
    }
    assert_eq!(hours.steps, [], "it never was away for long");
    hours.unplug(9);
    hours.pass(600);
    assert_eq!(hours.membership.voters.len(), 3);
    hours.steps.clear();
    for _ in 0..30 {
        hours.forget_silence();
        hours.pass(240);
    }
    assert_eq!(hours.steps, [], "nobody came");
}

#[test]
fn one_that_never_learns_everything_makes_way_for_another_and_is_tried_again_more_and_more_seldom() {
    let mut hours = Hours::of(4).without_broken(&[2]);
    hours.pass(LEARNING.as_secs() + 10);
    assert_eq!(hours.membership.voters, ids(&[1, 3, 4]));
    hours.steps.clear();
    hours.pass(3600);
    assert_eq!(hours.steps, [], "who is not needed is not tried again");

    // Without anybody to take its place.
    let mut hours = Hours::of(3).without_broken(&[2]);
    hours.pass(24 * 3600);
    assert_eq!(hours.membership.voters, ids(&[1]));
    let tries = hours.is_asked(2);
    assert!((6..=32).contains(&tries), "{tries} times in a day");
    hours.broken.clear();
    hours.pass(2 * 3600);
    assert_eq!(hours.membership.voters, ids(&[1, 2, 3]), "in the end it works");
}

#[test]
fn one_that_never_learns_does_not_keep_others_from_being_replaced() {
    let mut hours = Hours::settled(5).without_broken(&[4]);
    hours.unplug(2);
    hours.pass(GONE.as_secs() + LEARNING.as_secs() + 10);
    assert_eq!(hours.membership.voters, ids(&[1, 3, 5]));
    assert!(hours.membership.learners.is_empty());
}

#[test]
fn an_even_number_that_may_vote_is_told_apart_by_who_learns_already_and_not_by_the_weather() {
    let mut all: Vec<Candidate> = (1..=4).map(node).collect();
    let mut membership = alone();
    for _ in 0..40 {
        // Each second another one is too hot.
        all.rotate_left(1);
        all[0].throttled = !all[0].throttled;
        let next = step(&all, &membership, Some(5));
        assert!(!matches!(next, Step::Remove(_)), "{next:?}");
        carry_out(&mut membership, &next);
    }
    assert_eq!(membership.voters.len(), 3);
}

/// What passes: a supply that is weak for a moment, a cable that is out, a card that stalls, a node that is silent
/// for a while, a leader that was asleep.
#[derive(Clone, Copy, Debug)]
enum Passing {
    Throttled,
    Wired,
    Card,
    Restarted,
    Silent,
    LeaderAsleep,
}

fn passing() -> impl Strategy<Value = Passing> {
    use Passing::*;
    prop::sample::select(vec![Throttled, Wired, Card, Restarted, Silent, LeaderAsleep])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Where no node comes or goes for good, nothing is proposed.
    #[test]
    fn what_passes_moves_no_controller(
        count in 1_u8..12,
        gone in prop::collection::vec(2_u8..12, 0..3),
        weather in prop::collection::vec((1_u8..12, passing(), 1_u64..170), 1..40),
    ) {
        let mut hours = Hours::settled(count);
        let gone: Vec<u8> = gone.into_iter().filter(|number| *number <= count).collect();
        // Not so many that nobody could decide any more.
        let voting = gone.iter().filter(|number| hours.membership.voters.contains(&id(**number))).count();
        prop_assume!(voting <= 1);
        gone.iter().for_each(|number| hours.unplug(*number));
        hours.pass(GONE.as_secs() + 600);
        hours.steps.clear();
        let leader = hours.membership.leader;
        for (number, passing, seconds) in weather {
            if number > count || gone.contains(&number) {
                continue;
            }
            let leads = id(number) == leader;
            match passing {
                Passing::Throttled => hours.at(number).throttled ^= true,
                Passing::Wired => hours.at(number).wired = Some(hours.nodes[&number].wired == Some(false)),
                Passing::Card => hours.at(number).fsync_p99 = Some(Duration::from_millis(seconds * 10)),
                Passing::Restarted => hours.at(number).up_for = Duration::ZERO,
                Passing::Silent if !leads => hours.unplug(number),
                Passing::LeaderAsleep => hours.forget_silence(),
                Passing::Silent => {}
            }
            hours.pass(seconds);
            if !hours.nodes[&number].up {
                hours.plug_in(number);
            }
            hours.pass(5);
            prop_assert_eq!(&hours.steps, &[], "{:?} of {}", passing, number);
        }
    }
}
