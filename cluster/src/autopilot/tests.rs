use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

pub(super) fn id(number: u8) -> NodeId {
    NodeId::from_number(u128::from(number))
}

pub(super) fn ids(numbers: &[u8]) -> BTreeSet<NodeId> {
    numbers.iter().map(|number| id(*number)).collect()
}

pub(super) fn node(number: u8) -> Candidate {
    Candidate {
        id: id(number),
        memory: Memory::from_mib(1024),
        up: true,
        up_for: STEADY,
        silent_for: Duration::ZERO,
        wired: None,
        throttled: false,
        fsync_p50: None,
        fsync_p99: None,
        set_aside: false,
        wish: Wish::None,
    }
}

pub(super) fn nodes(count: u8) -> Vec<Candidate> {
    (1..=count).map(node).collect()
}

pub(super) fn alone() -> Membership {
    Membership {
        voters: ids(&[1]),
        learners: BTreeSet::new(),
        caught_up: ids(&[1]),
        leader: id(1),
    }
}

pub(super) fn three() -> Membership {
    Membership {
        voters: ids(&[1, 2, 3]),
        caught_up: ids(&[1, 2, 3]),
        ..alone()
    }
}

/// Carries a step out, as Raft does: learners catch up at once.
pub(super) fn carry_out(membership: &mut Membership, step: &Step) {
    match step {
        Step::AddLearner(id) => {
            assert!(!membership.voters.contains(id));
            membership.learners.insert(*id);
            membership.caught_up.insert(*id);
        }
        Step::SetVoters(voters) => {
            for id in voters {
                assert!(
                    membership.voters.contains(id) || membership.learners.remove(id),
                    "it learned before"
                );
            }
            membership.voters.clone_from(voters);
            assert!(
                voters.contains(&membership.leader),
                "a leader never leaves as such"
            );
        }
        Step::Remove(id) => assert!(membership.learners.remove(id)),
        Step::TransferLeadership(id) => {
            assert!(membership.voters.contains(id));
            membership.leader = *id;
        }
        Step::Nothing => {}
    }
}

pub(super) fn settle(candidates: &[Candidate], membership: &mut Membership, wanted: Option<u8>) {
    for _ in 0..40 {
        let next = step(candidates, membership, wanted);
        if next == Step::Nothing {
            return;
        }
        carry_out(membership, &next);
    }
    panic!("it never comes to rest: {membership:?}");
}

#[test]
fn there_are_one_three_or_five_controllers_as_nodes_are_added() {
    let mut membership = alone();
    for (count, controllers) in [(1, 1), (2, 1), (3, 3), (4, 3), (8, 3), (9, 5), (96, 5)] {
        settle(&nodes(count), &mut membership, None);
        assert_eq!(membership.voters.len(), controllers, "{count} nodes");
        assert_eq!(membership.leader, id(1), "who leads, goes on");
    }
}

#[test]
fn somebody_may_want_another_number() {
    let mut membership = alone();
    settle(&nodes(4), &mut membership, Some(1));
    assert_eq!(membership.voters, ids(&[1]));
    settle(&nodes(6), &mut membership, Some(5));
    assert_eq!(membership.voters.len(), 5);
    settle(&nodes(4), &mut membership, Some(5));
    assert_eq!(
        membership.voters.len(),
        3,
        "as many as there are nodes for, and odd"
    );
    settle(&nodes(4), &mut membership, Some(1));
    assert_eq!(membership.voters, ids(&[1]));
}

#[test]
fn the_best_are_chosen() {
    let mut candidates = nodes(8);
    candidates[1].throttled = true;
    candidates[2].wired = Some(false);
    candidates[3].fsync_p99 = Some(Duration::from_secs(1));
    candidates[4].up = false;
    candidates[5].memory = Memory::from_mib(4096);
    candidates[6].fsync_p50 = Some(Duration::from_millis(100));
    let mut membership = alone();
    settle(&candidates, &mut membership, None);
    assert_eq!(membership.voters, ids(&[1, 6, 8]));
}

/// Who is chosen beside node 1, which founded, by how long the cards of nodes 2 to 5 take, in milliseconds.
fn chosen_by_cards(p99_ms: [Option<u64>; 4]) -> BTreeSet<NodeId> {
    let mut candidates = nodes(5);
    for (candidate, p99_ms) in candidates[1..].iter_mut().zip(p99_ms) {
        candidate.fsync_p99 = p99_ms.map(Duration::from_millis);
    }
    let mut membership = alone();
    settle(&candidates, &mut membership, None);
    membership.voters
}

#[test]
fn the_slower_of_two_cards_is_left_out_though_neither_is_called_slow_and_noise_does_not_count() {
    assert_eq!(
        chosen_by_cards([Some(120), Some(30), Some(5), Some(9)]),
        ids(&[1, 4, 5])
    );
    assert_eq!(
        chosen_by_cards([Some(150), Some(60), Some(40), Some(110)]),
        ids(&[1, 3, 4])
    );
    for noise in [
        [Some(11), Some(12), Some(5), Some(9)],
        [Some(9), Some(5), Some(12), Some(7)],
    ] {
        assert_eq!(chosen_by_cards(noise), ids(&[1, 2, 3]), "all are swift");
    }
    assert_eq!(
        chosen_by_cards([Some(190), None, Some(60), Some(10)]),
        ids(&[1, 3, 5]),
        "one that was not measured is an ordinary one"
    );
}

#[test]
fn a_controller_that_works_stays_one_however_good_another_node_is() {
    let mut candidates = nodes(5);
    candidates[4].memory = Memory::from_mib(8192);
    assert_eq!(step(&candidates, &three(), None), Step::Nothing);
    candidates[1].throttled = true;
    assert_eq!(step(&candidates, &three(), None), Step::Nothing);
}

#[test]
fn one_that_is_away_for_a_moment_stays_and_one_that_is_gone_is_replaced() {
    let mut candidates = nodes(5);
    candidates[1].up = false;
    candidates[1].silent_for = GONE / 2;
    assert_eq!(step(&candidates, &three(), None), Step::Nothing);
    candidates[1].silent_for = GONE;
    let mut membership = three();
    settle(&candidates, &mut membership, None);
    assert_eq!(membership.voters.len(), 3);
    assert!(!membership.voters.contains(&id(2)));
}

#[test]
fn without_another_node_one_that_is_gone_is_not_waited_for() {
    let mut candidates = nodes(3);
    candidates[2].up = false;
    candidates[2].silent_for = GONE;
    let mut membership = three();
    settle(&candidates, &mut membership, None);
    assert_eq!(membership.voters, ids(&[1]), "of two nodes one decides");
}

#[test]
fn somebody_may_pin_or_exclude_nodes_even_the_one_that_leads() {
    let mut candidates = nodes(6);
    candidates[5].wish = Wish::Pinned;
    candidates[0].wish = Wish::Excluded;
    let mut membership = three();
    settle(&candidates, &mut membership, None);
    assert!(membership.voters.contains(&id(6)) && !membership.voters.contains(&id(1)));
    assert_eq!(membership.voters.len(), 3);
    let mut membership = alone();
    settle(&candidates, &mut membership, None);
    assert!(
        !membership.voters.contains(&id(1)),
        "the only one hands over, too"
    );
}

#[test]
fn voters_are_not_changed_before_the_new_ones_have_everything() {
    let mut membership = alone();
    let candidates = nodes(3);
    for _ in 0..2 {
        let next = step(&candidates, &membership, None);
        carry_out(&mut membership, &next);
    }
    membership.caught_up.remove(&id(3));
    assert_eq!(step(&candidates, &membership, None), Step::Nothing);
    membership.caught_up.insert(id(3));
    assert_eq!(
        step(&candidates, &membership, None),
        Step::SetVoters(ids(&[1, 2, 3]))
    );
}

proptest! {
    /// Whatever nodes do, every step keeps the bramble able to decide, and the steps come to rest.
    #[test]
    fn every_history_ends_with_an_odd_number_and_never_loses_its_majority(
        changes in prop::collection::vec((1_u8..12, 0_u8..6), 1..60),
    ) {
        let mut all: BTreeMap<u8, Candidate> = (1..=4).map(|number| (number, node(number))).collect();
        let mut membership = alone();
        for (number, change) in changes {
            let leads = id(number) == membership.leader;
            let known = all.entry(number).or_insert_with(|| node(number));
            match change {
                0 => *known = node(number),
                1 if !leads => (known.up, known.silent_for) = (false, GONE / 2),
                2 if !leads && !known.up => known.silent_for = GONE,
                3 => known.wish = Wish::Excluded,
                4 => known.wish = Wish::Pinned,
                5 => known.throttled = !known.throttled,
                _ => {}
            }
            let candidates: Vec<_> = all.values().cloned().collect();
            let up = |id: &NodeId| candidates.iter().any(|candidate| candidate.id == *id && candidate.up);
            let has_majority = |voters: &BTreeSet<NodeId>| voters.iter().filter(|id| up(id)).count() * 2 > voters.len();
            if !has_majority(&membership.voters) {
                // Nobody leads then, and nobody asks.
                *all.get_mut(&number).unwrap() = node(number);
                continue;
            }
            for round in 0..40 {
                prop_assert!(round < 39, "it never comes to rest");
                let next = step(&candidates, &membership, None);
                if next == Step::Nothing {
                    break;
                }
                carry_out(&mut membership, &next);
                prop_assert!(has_majority(&membership.voters), "{next:?} loses the majority");
            }
            let gone = |it: &Candidate| it.is_gone();
            if candidates.iter().all(|it| it.up || gone(it)) && candidates.iter().any(|it| it.is_eligible()) {
                prop_assert_eq!(membership.voters.len() % 2, 1, "{:?}", membership);
            }
        }
    }
}
