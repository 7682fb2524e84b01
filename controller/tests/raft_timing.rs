//! How quickly a lost leader is replaced, and that slow cards replace none: three controllers in one process, by a
//! clock that is paused where time has to fly. `cargo bench -p controller --bench failover` has the distributions.

mod raft_support;

use std::time::Duration;

use controller::raft::{ProposeError, Timings, log::sim::Pace};
use raft_support::{
    lan::{Bramble, Loss},
    tell,
};
use tokio::time::Instant;

/// A card as slow as they come: 100 ms per sync, and one sync in twenty takes 800 ms.
const SLOW: Pace = Pace {
    usual: Duration::from_millis(100),
    stall: Duration::from_millis(800),
    stall_one_in: 20,
};

/// By the paused clock; the bench looks at a whole hour.
const WHILE: Duration = Duration::from_secs(5 * 60);

#[tokio::test(start_paused = true)]
async fn slow_cards_make_nobody_stand_for_election() {
    let bramble = Bramble::of(3, Timings::default(), Some(SLOW), 1).await;
    let leader = bramble.settled().await;
    let (before, calls) = (bramble.leaderships(), bramble.elections());
    let commands = bramble.write_for(leader, WHILE).await;
    assert!(commands > 200, "{commands} commands");
    assert_eq!(bramble.elections(), calls);
    assert_eq!(bramble.leaderships(), before);
}

#[tokio::test(start_paused = true)]
async fn cards_that_take_five_seconds_hold_up_commands_and_no_heartbeats() {
    for seed in 0..10 {
        let bramble = Bramble::of(3, Timings::default(), Some(SLOW), seed).await;
        let leader = bramble.settled().await;
        let (before, calls) = (bramble.leaderships(), bramble.elections());
        let stuck = Pace {
            usual: Duration::from_secs(5),
            stall_one_in: 0,
            ..SLOW
        };
        for disk in bramble.disks.values() {
            disk.slow(stuck, seed);
        }
        let asked = Instant::now();
        bramble.at(leader).propose(tell(1)).await.unwrap();
        assert!(asked.elapsed() > Duration::from_secs(4), "the cards were slow");
        assert_eq!(bramble.elections(), calls, "seed {seed}");
        assert_eq!(bramble.leaderships(), before, "seed {seed}");
    }
}

/// Loses the leader so often; answers how long it took at the median and at the worst.
async fn median_and_worst(bramble: &mut Bramble, loss: Loss, times: usize) -> [Duration; 2] {
    let mut took = Vec::new();
    for _ in 0..times {
        took.push(bramble.failover(loss).await);
    }
    took.sort();
    [took[times / 2], took[times - 1]]
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_or_cut_off_is_replaced_within_a_second() {
    for loss in [Loss::Killed, Loss::Silent] {
        let mut bramble = Bramble::of(3, Timings::default(), None, 7).await;
        let [median, worst] = median_and_worst(&mut bramble, loss, 30).await;
        assert!(median <= Duration::from_secs(1), "{loss:?}: {median:?}");
        assert!(worst <= Duration::from_secs(3), "{loss:?}: {worst:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_slow_cards_it_takes_a_few_syncs_longer() {
    let mut bramble = Bramble::of(3, Timings::default(), Some(SLOW), 7).await;
    let [median, _] = median_and_worst(&mut bramble, Loss::Killed, 30).await;
    assert!(median <= Duration::from_millis(1500), "{median:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_real_clock_too() {
    let mut bramble = Bramble::of(3, Timings::default(), None, 7).await;
    let [median, worst] = median_and_worst(&mut bramble, Loss::Killed, 5).await;
    assert!(worst <= Duration::from_secs(5), "{worst:?}, median {median:?}");
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_before_anybody_could_have_missed_the_old_leader() {
    let bramble = Bramble::of(3, Timings::default(), None, 7).await;
    let leader = bramble.settled().await;
    let heir = *bramble.ids().iter().find(|id| **id != leader).unwrap();
    let asked = Instant::now();
    bramble.at(leader).transfer_leadership(heir).await.unwrap();
    let mut leadership = bramble.at(heir).leadership();
    leadership.wait_for(|now| now.is_me).await.unwrap();
    assert!(
        asked.elapsed() < Timings::default().election_max,
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_change_when_the_leader_has_just_died_waits_for_the_next_one() {
    let mut bramble = Bramble::of(3, Timings::default(), None, 7).await;
    for change in 0..5 {
        let leader = bramble.settled().await;
        let other = *bramble.ids().iter().find(|id| **id != leader).unwrap();
        bramble.kill(leader);
        let told = bramble.at(other).propose(tell(change)).await;
        assert!(told.is_ok(), "{told:?}");
        bramble.start(leader).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asked_a_leader_that_fell_silent_hears_soon_that_the_outcome_is_not_known() {
    let bramble = Bramble::of(3, Timings::default(), None, 7).await;
    let leader = bramble.settled().await;
    let other = bramble.ids().iter().find(|id| **id != leader).unwrap();
    bramble.cut(leader);
    let asked = Instant::now();
    let answer = bramble.at(*other).propose(tell(1)).await;
    assert!(
        matches!(answer, Err(ProposeError::Unreachable { .. })),
        "{answer:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    bramble.at(*other).propose(tell(2)).await.unwrap();
}
