//! One candidate, told one thing after the other.

use std::{net::SocketAddr, time::Duration};

use api::{
    Memory, NodeId,
    join::{Announcement, BrambleId, KeyTag, Role, Sighting, Standing},
};

use super::*;

const KEY: KeyTag = KeyTag::from_bytes([1; 8]);
const OTHER_KEY: KeyTag = KeyTag::from_bytes([2; 8]);

/// Seconds after the start of the program.
fn at(seconds: u64) -> Moment {
    Moment::new(Duration::from_secs(seconds))
}

fn id(number: u128) -> NodeId {
    NodeId::from_number(number)
}

fn bramble(number: u128) -> BrambleId {
    BrambleId::from_number(number)
}

fn says(node: u128, standing: Standing) -> Sighting {
    Sighting {
        announcement: Announcement {
            node: id(node),
            standing,
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory: Memory::from_mib(1024),
            version: "0.1.0".to_owned(),
        },
        addresses: vec![SocketAddr::from((
            [192, 168, 1, u8::try_from(node).unwrap()],
            7443,
        ))],
    }
}

fn candidate(node: u128, key: Option<KeyTag>) -> Sighting {
    says(node, Standing::Candidate { key })
}

fn member(node: u128, of: u128, key: Option<KeyTag>, role: Role) -> Sighting {
    says(
        node,
        Standing::Member {
            bramble: bramble(of),
            key,
            role,
            work: false,
        },
    )
}

/// Node 5 with its link up from the first second.
fn five(key: Option<KeyTag>) -> Bootstrap {
    let mut five = Bootstrap::new(id(5), key, Pace::usual());
    five.link(true, at(0));
    five
}

fn joins(step: &Step, node: u128) -> bool {
    matches!(step, Step::Join { node: at, .. } if *at == id(node))
}

#[test]
fn a_node_without_a_link_does_nothing() {
    let mut node = Bootstrap::new(id(5), Some(KEY), Pace::usual());
    assert_eq!(node.decide(at(1_000)).step, Step::Sleep);
}

#[test]
fn a_node_that_is_alone_founds_after_a_long_look_that_begins_when_its_link_is_up() {
    let mut node = Bootstrap::new(id(5), Some(KEY), Pace::usual());
    node.link(true, at(30));
    assert_eq!(node.decide(at(89)).step, Step::Sleep);
    node.link(false, at(89));
    node.link(true, at(95));
    let decision = node.decide(at(154));
    assert_eq!((decision.step, decision.until), (Step::Sleep, Some(at(155))));
    assert_eq!(node.decide(at(155)).step, Step::Found);
}

#[test]
fn a_bramble_of_the_same_key_is_joined_at_once() {
    let mut node = five(Some(KEY));
    node.sighted(&member(9, 1, Some(KEY), Role::Node), at(1));
    node.sighted(&member(7, 1, Some(KEY), Role::Leader(3)), at(1));
    assert!(joins(&node.decide(at(1)).step, 7), "the leader first");
    assert_eq!(node.decide(at(1)).step, Step::Sleep, "one door at a time");
    node.answered(id(7), &Answer::Unreachable, at(2));
    assert!(joins(&node.decide(at(2)).step, 9));
}

#[test]
fn brambles_of_other_keys_and_keyless_ones_are_none_of_a_keyed_nodes_business() {
    let mut node = five(Some(KEY));
    node.sighted(&member(1, 1, Some(OTHER_KEY), Role::Leader(1)), at(1));
    node.sighted(&member(2, 2, None, Role::Leader(1)), at(1));
    node.sighted(&candidate(3, Some(OTHER_KEY)), at(1));
    node.sighted(&candidate(4, None), at(1));
    assert_eq!(node.decide(at(59)).step, Step::Sleep);
    assert_eq!(node.decide(at(60)).step, Step::Found);
}

#[test]
fn the_lowest_founds_once_the_others_have_knocked() {
    let mut node = five(Some(KEY));
    node.knocked(&candidate(6, Some(KEY)), true, at(4));
    node.sighted(&candidate(7, Some(KEY)), at(5));
    assert_eq!(node.decide(at(9)).step, Step::Sleep);
    node.knocked(&candidate(6, Some(KEY)), true, at(9));
    node.knocked(&candidate(7, Some(KEY)), true, at(9));
    assert_eq!(node.decide(at(10)).step, Step::Found);
}

#[test]
fn a_founder_with_the_votes_of_most_waits_some_time_for_the_rest() {
    let mut node = five(Some(KEY));
    node.sighted(&candidate(8, Some(KEY)), at(2));
    for second in 2..=30 {
        assert_eq!(node.decide(at(second - 1)).step, Step::Sleep);
        node.knocked(&candidate(6, Some(KEY)), true, at(second));
        node.knocked(&candidate(7, Some(KEY)), true, at(second));
    }
    assert_eq!(node.decide(at(30)).step, Step::Found);
}

#[test]
fn whoever_is_not_the_lowest_knocks_at_the_lowest_again_and_again() {
    let mut node = five(Some(KEY));
    node.sighted(&candidate(3, Some(KEY)), at(1));
    node.sighted(&candidate(2, Some(KEY)), at(1));
    for second in [1, 3, 5, 7, 30, 60] {
        assert!(joins(&node.decide(at(second)).step, 2), "second {second}");
        node.answered(id(2), &Answer::NotYet, at(second));
        assert_eq!(node.decide(at(second + 1)).step, Step::Sleep);
    }
}

#[test]
fn a_vote_is_taken_back_before_it_is_given_to_another() {
    let mut node = five(Some(KEY));
    let votes = |step| match step {
        Step::Join { node, vote, .. } => (node, vote),
        other => panic!("{other:?}"),
    };
    node.sighted(&candidate(3, Some(KEY)), at(1));
    assert_eq!(votes(node.decide(at(1)).step), (id(3), true));
    node.answered(id(3), &Answer::NotYet, at(1));
    node.sighted(&candidate(2, Some(KEY)), at(2));
    assert_eq!(votes(node.decide(at(3)).step), (id(3), false));
    node.answered(id(3), &Answer::NotYet, at(3));
    assert_eq!(votes(node.decide(at(3)).step), (id(2), true));
}

#[test]
fn a_vote_that_was_taken_back_counts_no_longer() {
    let mut node = five(Some(KEY));
    node.knocked(&candidate(6, Some(KEY)), true, at(8));
    node.knocked(&candidate(6, Some(KEY)), false, at(9));
    assert_eq!(node.decide(at(12)).step, Step::Sleep);
}

#[test]
fn a_candidate_that_stays_out_of_reach_is_passed_over() {
    let mut node = five(Some(KEY));
    node.sighted(&candidate(2, Some(KEY)), at(0));
    for second in (0..=10).step_by(2) {
        assert!(joins(&node.decide(at(second)).step, 2));
        node.answered(id(2), &Answer::Unreachable, at(second));
    }
    node.knocked(&candidate(6, Some(KEY)), true, at(11));
    assert_eq!(node.decide(at(14)).step, Step::Found);
}

#[test]
fn whoever_had_our_vote_may_have_founded_on_it_and_is_waited_for_longer() {
    let mut node = five(Some(KEY));
    node.sighted(&candidate(2, Some(KEY)), at(0));
    assert!(joins(&node.decide(at(0)).step, 2));
    node.answered(id(2), &Answer::NotYet, at(0));
    let mut passed_over = None;
    for second in 2..120 {
        node.knocked(&candidate(6, Some(KEY)), true, at(second));
        match node.decide(at(second)).step {
            Step::Join { node: door, .. } => node.answered(door, &Answer::Unreachable, at(second)),
            Step::Found => {
                passed_over = Some(second);
                break;
            }
            _ => {}
        }
    }
    // Out of reach from second 2 on, which is noticed with a knock every other second.
    assert_eq!(passed_over, Some(33));
}

#[test]
fn a_founder_that_loses_its_voters_waits_in_case_it_was_cut_off() {
    let mut node = five(Some(KEY));
    node.knocked(&candidate(6, Some(KEY)), true, at(2));
    node.knocked(&candidate(7, Some(KEY)), true, at(3));
    assert_eq!(node.decide(at(10)).step, Step::Sleep, "the votes are too old");
    assert_eq!(node.decide(at(62)).step, Step::Sleep);
    assert_eq!(
        node.decide(at(63)).step,
        Step::Found,
        "a minute after the last knock"
    );
}

#[test]
fn someone_who_does_not_prove_the_key_holds_nobody_up() {
    let mut node = five(Some(KEY));
    node.sighted(&candidate(1, Some(KEY)), at(1));
    assert!(joins(&node.decide(at(1)).step, 1));
    node.answered(id(1), &Answer::Distrusted, at(1));
    node.knocked(&candidate(6, Some(KEY)), true, at(8));
    assert_eq!(node.decide(at(11)).step, Step::Found);
}

#[test]
fn a_stream_of_invented_candidates_holds_up_the_founding_only_so_long() {
    let mut node = five(Some(KEY));
    let mut founded = None;
    for second in 0..600 {
        for invented in 0..20 {
            let mut sighting = candidate(1, Some(KEY));
            sighting.announcement.node = id(1_000_000_000 * u128::from(second) + invented + 6);
            node.sighted(&sighting, at(second));
        }
        let mut lower = candidate(1, Some(KEY));
        lower.announcement.node = id(4 - u128::from(second % 4));
        node.lost(lower.announcement.node);
        node.sighted(&lower, at(second));
        match node.decide(at(second)).step {
            Step::Join { node: door, .. } => node.answered(door, &Answer::Unreachable, at(second)),
            Step::Found => {
                founded = Some(second);
                break;
            }
            _ => {}
        }
    }
    let founded = founded.unwrap();
    assert!(founded <= 180 + 60, "founded after {founded} s");
}

#[test]
fn a_bramble_that_answers_nobody_any_more_is_given_up() {
    let mut node = five(Some(KEY));
    node.sighted(&member(9, 1, Some(KEY), Role::Leader(1)), at(0));
    let mut second = 0;
    loop {
        match node.decide(at(second)).step {
            Step::Join { node: door, .. } => node.answered(door, &Answer::Unreachable, at(second)),
            Step::Found => break,
            _ => {}
        }
        second += 1;
        assert!(second < 300);
    }
    assert!(second >= 45, "{second}");
}

#[test]
fn a_member_that_runs_no_controller_says_who_does() {
    let mut node = five(Some(KEY));
    node.sighted(&member(9, 1, Some(KEY), Role::Node), at(1));
    assert!(joins(&node.decide(at(1)).step, 9));
    let address = SocketAddr::from(([192, 168, 1, 8], 7443));
    node.answered(id(9), &Answer::Elsewhere(vec![(id(8), address)]), at(1));
    let Step::Join {
        node: door,
        addresses,
        ..
    } = node.decide(at(1)).step
    else {
        panic!("nowhere to go");
    };
    assert_eq!((door, addresses), (id(8), vec![address]));
}

#[test]
fn a_node_without_a_key_waits_at_every_bramble_in_sight() {
    let mut node = five(None);
    node.sighted(&member(1, 1, Some(KEY), Role::Leader(1)), at(1));
    node.sighted(&member(2, 2, None, Role::Leader(1)), at(1));
    assert!(joins(&node.decide(at(1)).step, 1));
    assert!(joins(&node.decide(at(1)).step, 2));
    node.answered(id(1), &Answer::Waiting { bramble: bramble(1) }, at(2));
    node.answered(id(2), &Answer::Waiting { bramble: bramble(2) }, at(2));
    let at_both = Step::Wait {
        at: [bramble(1), bramble(2)].into(),
    };
    assert_eq!(node.decide(at(500)).step, at_both, "and founds nothing");
    node.answered(id(1), &Answer::Unreachable, at(501));
    assert_eq!(
        node.decide(at(501)).step,
        Step::Wait {
            at: [bramble(2)].into()
        }
    );
    assert!(
        joins(&node.decide(at(510)).step, 1),
        "it knocks again where the line broke"
    );
}

#[test]
fn keyless_nodes_found_if_all_are_keyless() {
    let mut node = five(None);
    node.knocked(&candidate(6, None), true, at(8));
    assert_eq!(node.decide(at(10)).step, Step::Sleep, "someone new is in sight");
    assert_eq!(node.decide(at(11)).step, Step::Found);
}

#[test]
fn a_keyless_node_leaves_founding_to_those_with_a_key() {
    let mut node = five(None);
    node.knocked(&candidate(6, None), true, at(8));
    node.sighted(&candidate(7, Some(KEY)), at(9));
    assert_eq!(node.decide(at(11)).step, Step::Sleep);
    assert_eq!(node.decide(at(100)).step, Step::Sleep);
    node.sighted(&member(7, 1, Some(KEY), Role::Leader(1)), at(101));
    assert!(joins(&node.decide(at(101)).step, 7));
}

#[test]
fn what_strangers_invent_is_remembered_only_so_far() {
    let mut node = five(Some(KEY));
    node.knocked(&candidate(6, Some(KEY)), true, at(1));
    for invented in 0..10_000 {
        let mut sighting = candidate(9, Some(KEY));
        sighting.announcement.node = id(1_000 + invented);
        node.sighted(&sighting, at(2));
    }
    assert!(node.seen.len() <= MAX_IN_SIGHT);
    assert!(node.seen.contains_key(&id(6)), "whoever proved something stays");
}

mod when_brambles_meet {
    use super::*;

    fn in_sight(number: u128, key: Option<KeyTag>, work: bool) -> InSight {
        InSight {
            bramble: bramble(number),
            key,
            work,
        }
    }

    /// Every bramble there can be, of a few.
    fn all() -> Vec<InSight> {
        let mut all = Vec::new();
        for number in 1..=3 {
            for key in [None, Some(KEY), Some(OTHER_KEY)] {
                for work in [false, true] {
                    all.push(in_sight(number, key, work));
                }
            }
        }
        all
    }

    #[test]
    fn the_one_without_work_dissolves_into_the_other() {
        let (used, unused) = (in_sight(2, Some(KEY), true), in_sight(1, Some(KEY), false));
        assert_eq!(meet(unused, used), Meeting::Dissolve);
        assert_eq!(meet(used, unused), Meeting::TheyDissolve);
    }

    #[test]
    fn two_with_work_ask_and_two_with_different_keys_never_meet() {
        let one = in_sight(1, Some(KEY), true);
        assert_eq!(meet(one, in_sight(2, Some(KEY), true)), Meeting::Ask);
        assert_eq!(meet(one, in_sight(2, Some(OTHER_KEY), false)), Meeting::Strangers);
        assert_eq!(meet(one, one), Meeting::Strangers);
    }

    #[test]
    fn work_is_never_dissolved_and_both_sides_agree() {
        for ours in all() {
            for theirs in all().into_iter().filter(|theirs| theirs.bramble != ours.bramble) {
                let (here, there) = (meet(ours, theirs), meet(theirs, ours));
                assert!(!(ours.work && here == Meeting::Dissolve), "{ours:?} {theirs:?}");
                let mirrored = match here {
                    Meeting::Dissolve => Meeting::TheyDissolve,
                    Meeting::TheyDissolve => Meeting::Dissolve,
                    same => same,
                };
                assert_eq!(there, mirrored, "{ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn a_node_that_was_not_told_goes_over_after_a_long_silence_and_never_from_work() {
        let pace = Pace::usual();
        let silence = pace.stray;
        let theirs = in_sight(2, Some(KEY), true);
        assert!(goes_over(in_sight(1, Some(KEY), false), silence, theirs, &pace));
        let soon = silence.checked_sub(Duration::from_secs(1)).unwrap();
        assert!(!goes_over(in_sight(1, Some(KEY), false), soon, theirs, &pace));
        for stays in [
            in_sight(1, Some(KEY), true),
            in_sight(1, Some(OTHER_KEY), false),
            in_sight(1, None, false),
            in_sight(2, Some(KEY), false),
        ] {
            assert!(!goes_over(stays, silence * 100, theirs, &pace), "{stays:?}");
        }
    }

    #[test]
    fn no_circle_of_brambles_dissolves_into_each_other() {
        let into = |one, other| meet(one, other) == Meeting::Dissolve;
        for a in all() {
            for b in all() {
                for c in all() {
                    assert!(!(into(a, b) && into(b, c) && into(c, a)), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}
