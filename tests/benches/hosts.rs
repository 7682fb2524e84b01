//! Figures of hosts on a real network, from the program as released: how long cards take to be one bramble, memory of
//! nodes, what an idle bramble writes to its cards, and how soon changes are kept again after the leader was killed.
//!
//! `make bench` runs it; needs root. `BRAMBLE_IDLE_SECONDS=600` looks for ten minutes at what an idle bramble writes,
//! `BRAMBLE_KILLS=300` kills the leader more often, and `BRAMBLE_FAILOVERS_ONLY=1` does nothing else.

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

/// How often the leader is killed, unless somebody says so.
const KILLS: usize = 30;

/// A number that somebody may give.
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Kills the leader of four hosts with three controllers again and again; says how long it took each time until a change
/// was acknowledged that was asked for after it.
fn failovers() {
    let Some((mut lan, _)) = founded(4) else { return };
    let kills = told("BRAMBLE_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap_or(KILLS));
    let mut took = Vec::new();
    for kill in 0..kills {
        let leader = lan.wait_for_controllers(3, LIMIT);
        // Who came back a moment ago has to have everything again.
        sleep(Duration::from_secs(3));
        let other = (leader + 1) % lan.hosts.len();
        lan.hosts[leader].unplug();
        let killed = Instant::now();
        // A request that was on its way to the dead leader is not waited for.
        let changes = lan.hosts[other].client().patient(Duration::from_millis(250));
        for attempt in 0.. {
            let secret = format!(r#"{{"name": "kill-{kill}-{attempt}", "value": "x"}}"#);
            let answer = changes.try_send("POST", "/system/secrets", secret);
            if answer.is_some_and(|answer| answer.status.is_success()) {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        took.push(killed.elapsed());
        lan.hosts[leader].power_on();
        lan.wait_for_one_bramble(LIMIT);
    }
    took.sort_unstable();
    let Some(worst) = took.last() else { return };
    let part = |percent: usize| took[(took.len() * percent).div_ceil(100).saturating_sub(1)];
    println!(
        "{kills} times the leader's program was killed: the next change was kept after {:.2?} at the median, {:.2?} at 90 %, {worst:.2?} at the worst; least {:.2?}",
        part(50),
        part(90),
        took[0]
    );
}

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
    if std::env::var_os("BRAMBLE_FAILOVERS_ONLY").is_none() {
        foundings();
    }
    failovers();
}

fn foundings() {
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
                let idle = told("BRAMBLE_IDLE_SECONDS").map_or(IDLE, Duration::from_secs);
                let written = lan.written_while_idle(idle);
                println!("written to each card in {idle:?} without work: {written:?} bytes");
            }
        }
    }
}
