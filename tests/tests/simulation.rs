//! Whole brambles in simulation: many seeds, planted bugs, large brambles.
//!
//! `BRAMBLE_SIM_SEEDS=1000 cargo test -p tests --test simulation` looks at more of them (`make soak`);
//! `BRAMBLE_SIM_SEED=17` runs a single one again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tests::sim::{Bug, Scenario, Summary, Violation, run};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    match number("BRAMBLE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BRAMBLE_SIM_SEEDS").unwrap_or(usual),
    }
}

/// The first violation that one of the first `seeds` seeds shows with `bug`.
fn found(bug: Bug, seeds: u64) -> Option<Violation> {
    (0..seeds).find_map(|seed| run(&Scenario::new(seed).with(bug)).err())
}

#[test]
fn whatever_happens_the_bramble_keeps_its_promises_and_comes_to_rest() {
    let mut all = Summary::default();
    for seed in seeds(100) {
        let summary = run(&Scenario::new(seed)).unwrap_or_else(|violation| panic!("{violation}"));
        all.controller_crashes += summary.controller_crashes;
        all.node_crashes += summary.node_crashes;
        all.lost_messages += summary.lost_messages;
        all.invocations += summary.invocations;
        all.commands += summary.commands;
        all.stale += summary.stale;
        all.settled_after_ms = all.settled_after_ms.max(summary.settled_after_ms);
    }
    println!("{all:?}");
    if number("BRAMBLE_SIM_SEED").is_none() {
        assert!(all.controller_crashes > 0 && all.node_crashes > 0 && all.lost_messages > 0);
        assert!(
            all.invocations > 0 && all.stale > 0,
            "the interesting things did happen"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    assert_eq!(run(&Scenario::new(7)), run(&Scenario::new(7)));
}

#[test]
fn a_sync_that_is_skipped_is_found() {
    let violation = found(Bug::SkippedSync, 10).expect("a crash shows what was never written");
    println!("{violation}");
    assert!(
        violation.what.contains("after a crash") || violation.what.contains("in a crash"),
        "{violation}"
    );
}

#[test]
fn a_stale_plan_that_is_carried_out_is_found() {
    let violation = found(Bug::StaleAssign, 30).expect("some plan comes too late");
    println!("{violation}");
    assert!(
        violation.what.contains("was placed") || violation.what.contains("for replicas"),
        "{violation}"
    );
}

#[test]
fn ninety_six_nodes_come_to_rest_too() {
    let scenario = Scenario {
        nodes: 96,
        functions: 20,
        busy_ms: 30_000,
        ..Scenario::new(1)
    };
    let summary = run(&scenario).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(summary.node_crashes > 50, "{summary:?}");
}
