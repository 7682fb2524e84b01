//! Figures of hosts on a real network, from the program as released: how long cards take to be one bramble, memory of
//! nodes, and what an idle bramble writes to its cards.
//!
//! `make bench` runs it; needs root. `BRAMBLE_IDLE_SECONDS=600` looks for ten minutes at what an idle bramble writes.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use tests::hosts::Lan;

const CARD: &str = "engine = \"process\"\njoin_key = \"otter paper violet engine\"\n";
const LIMIT: Duration = Duration::from_secs(300);
const ROUNDS: usize = 3;

/// How long an idle bramble is looked at, unless somebody says so.
const IDLE: Duration = Duration::from_secs(60);

/// So many cards, powered on at once.
fn founded(count: usize) -> Option<(Lan, Duration)> {
    let mut lan = Lan::lay()?;
    lan.add(count, CARD);
    let began = Instant::now();
    lan.power_on();
    lan.wait_for_one_bramble(LIMIT);
    Some((lan, began.elapsed()))
}

fn main() {
    for (count, controllers) in [(4, 3), (12, 5)] {
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            let Some((lan, time)) = founded(count) else { return };
            took.push(time);
            if round + 1 < ROUNDS {
                continue;
            }
            took.sort_unstable();
            println!("{count} cards: one bramble after {took:.1?}");
            lan.wait_for_controllers(controllers, LIMIT);
            sleep(Duration::from_secs(10));
            print!("{}", lan.memory());
            if count == 4 {
                let seconds = std::env::var("BRAMBLE_IDLE_SECONDS")
                    .ok()
                    .and_then(|text| text.parse().ok());
                let idle = seconds.map_or(IDLE, Duration::from_secs);
                let written = lan.written_while_idle(idle);
                println!("written to each card in {idle:?} without work: {written:?} bytes");
            }
        }
    }
}
