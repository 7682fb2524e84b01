//! How long a bramble is without a leader: `cargo bench -p controller --bench failover`.
//!
//! From the loss of the leader to the next command that a majority has, asked for at any of the others every 10 ms, over
//! 300 losses each; the simulated network takes 0.2 to 2 ms each way. By a paused clock: what is counted is waiting,
//! not this computer's work. Last, whether slow cards make anybody stand for election within an hour.
//! `FAILOVERS` names another number of losses, `TIMINGS` others than the bramble's: heartbeat and the shortest and longest
//! election timeout in ms, as `100,200,300`.

#![expect(clippy::print_stdout, reason = "figures for people are what a bench is for")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/raft_support/mod.rs"]
mod raft_support;

use std::time::Duration;

use controller::raft::{Timings, log::sim::Pace};
use raft_support::lan::{Bramble, Loss};

const SLOW: Pace = Pace {
    usual: Duration::from_millis(100),
    stall: Duration::from_millis(800),
    stall_one_in: 20,
};

fn timings() -> Timings {
    let Ok(text) = std::env::var("TIMINGS") else {
        return Timings::default();
    };
    let ms: Vec<_> = text
        .split(',')
        .map(|ms| Duration::from_millis(ms.parse().unwrap()))
        .collect();
    Timings {
        heartbeat: ms[0],
        election_min: ms[1],
        election_max: ms[2],
    }
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

fn main() {
    let losses: usize = std::env::var("FAILOVERS").map_or(300, |losses| losses.parse().unwrap());
    for (members, loss, pace, cards) in [
        (3, Loss::Killed, None, "fast"),
        (3, Loss::Killed, Some(SLOW), "slow"),
        (3, Loss::Silent, None, "fast"),
        (3, Loss::Silent, Some(SLOW), "slow"),
        (5, Loss::Killed, None, "fast"),
        (5, Loss::Killed, Some(SLOW), "slow"),
    ] {
        let mut took = paused().block_on(async {
            let mut bramble = Bramble::of(members, timings(), pace, 1).await;
            let mut took = Vec::new();
            for _ in 0..losses {
                took.push(bramble.failover(loss).await);
            }
            took
        });
        took.sort();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_millis();
        println!(
            "{members} controllers, {cards} cards, leader {loss:?}: least {} ms, half within {} ms, 90 % {} ms, \
             99 % {} ms, worst {} ms",
            at(0),
            at(50),
            at(90),
            at(99),
            at(100),
        );
    }
    paused().block_on(async {
        let bramble = Bramble::of(3, timings(), Some(SLOW), 1).await;
        let leader = bramble.settled().await;
        let before = (bramble.leaderships(), bramble.elections());
        let commands = bramble.write_for(leader, Duration::from_secs(3600)).await;
        println!(
            "an hour of slow cards: {commands} commands, {} calls for a vote, the leader {}",
            bramble.elections() - before.1,
            if bramble.leaderships() == before.0 {
                "stayed"
            } else {
                "changed"
            },
        );
    });
}
