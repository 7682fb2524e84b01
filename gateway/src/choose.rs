//! Which replica gets a call: the less busy of two that chance picks.
//!
//! Two are nearly as good as looking at all, and unlike "the least busy of all" they do not send every gateway of the
//! bramble to the same replica at the same moment. How busy one is, is what this gateway knows: its own calls, and for
//! replicas on this node everybody's. Equal loads go to this node, which saves a hop.

use api::ReplicaId;

use crate::table::{Place, Target};

/// The replica for the next call; `None` if there is none besides `not`. One that took no connection lately gets a
/// call only where there is no other. `now_ms` is milliseconds since the gateway began; `chance` gives numbers below
/// its argument.
pub(crate) fn choose(
    targets: &[Target],
    not: Option<ReplicaId>,
    now_ms: u64,
    chance: impl FnMut(usize) -> usize,
) -> Option<&Target> {
    let wanted = |target: &Target| Some(target.replica) != not;
    let healthy = |target: &Target| wanted(target) && !target.load.is_avoided(now_ms);
    match targets {
        [] => None,
        [only] => wanted(only).then_some(only),
        _ if targets.iter().any(healthy) => less_busy(targets, healthy, chance),
        _ => less_busy(targets, wanted, chance),
    }
}

/// The less busy of two that are `usable`.
fn less_busy(
    targets: &[Target],
    usable: impl Fn(&Target) -> bool,
    mut chance: impl FnMut(usize) -> usize,
) -> Option<&Target> {
    let pick = |nth: usize| targets.iter().filter(|target| usable(target)).nth(nth);
    let count = targets.iter().filter(|target| usable(target)).count();
    if count < 2 {
        return pick(0);
    }
    let first = chance(count);
    let second = (first + 1 + chance(count - 1)) % count;
    let (first, second) = (pick(first)?, pick(second)?);
    let rank = |target: &Target| (target.load.known(), matches!(target.place, Place::There(_)));
    Some(if rank(second) < rank(first) { second } else { first })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::NodeId;
    use transport::Peer;

    use super::*;
    use crate::{
        counters::{Call, ReplicaLoad},
        local::Local,
    };

    fn there(replica: u64) -> Target {
        Target {
            replica: ReplicaId(replica),
            load: Arc::default(),
            place: Place::There(Peer {
                id: NodeId::from_number(2),
                address: "10.0.0.2:7443".parse().unwrap(),
            }),
        }
    }

    fn here(replica: u64) -> Target {
        Target {
            place: Place::Here(Arc::new(Local::new("10.1.0.2:8080".parse().unwrap()))),
            ..there(replica)
        }
    }

    fn busy(load: &Arc<ReplicaLoad>) -> Call {
        let mut call = Call::begin(Arc::default());
        call.go_to(load);
        call
    }

    fn chosen(targets: &[Target], not: Option<u64>, now_ms: u64) -> Option<u64> {
        let target = choose(targets, not.map(ReplicaId), now_ms, fastrand_below);
        target.map(|target| target.replica.0)
    }

    fn fastrand_below(limit: usize) -> usize {
        fastrand::usize(..limit)
    }

    #[test]
    fn of_two_the_less_busy_gets_the_call() {
        let targets = [there(1), there(2)];
        let _call = busy(&targets[0].load);
        for _ in 0..50 {
            assert_eq!(chosen(&targets, None, 0), Some(2));
        }
    }

    #[test]
    fn equally_busy_this_node_gets_the_call() {
        let targets = [there(1), here(2)];
        for _ in 0..50 {
            assert_eq!(chosen(&targets, None, 0), Some(2));
        }
    }

    #[test]
    fn the_busiest_of_many_is_never_chosen_and_all_others_are() {
        let targets: Vec<Target> = (0..5).map(there).collect();
        let _call = busy(&targets[3].load);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            seen.insert(chosen(&targets, None, 0).unwrap());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 4]);
    }

    #[test]
    fn one_that_was_tried_is_not_tried_again() {
        assert_eq!(chosen(&[there(1)], Some(1), 0), None);
        assert_eq!(chosen(&[there(1), there(2)], Some(1), 0), Some(2));
    }

    #[test]
    fn one_that_took_no_connection_is_avoided_for_a_while_where_there_is_another() {
        let targets = [there(1), there(2)];
        targets[0].load.avoid(1_000);
        for _ in 0..50 {
            assert_eq!(chosen(&targets, None, 1_001), Some(2));
        }
        assert_eq!(chosen(&targets, Some(2), 1_001), Some(1));
        let _call = busy(&targets[1].load);
        assert_eq!(chosen(&targets, None, 60_000), Some(1));
    }
}
