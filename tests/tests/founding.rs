//! Cards that are switched on together become exactly one bramble.

use tests::sim::founding::{Founded, Founding, FoundingBug, found};

/// Runs many seeds of one scene, and says what came of them.
fn all(seeds: std::ops::Range<u64>, scene: impl Fn(u64) -> Founding) -> Result<Vec<Founded>, String> {
    seeds
        .map(|seed| found(&scene(seed)).map_err(|violation| violation.to_string()))
        .collect()
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn cards_that_boot_within_two_minutes_become_one_bramble_though_links_are_late_and_packets_lost() {
    for (cards, seeds) in [(1, 20), (2, 200), (4, 200), (12, 60), (96, 6)] {
        for keyed in [true, false] {
            let scene = |seed| Founding {
                keyed,
                ..Founding::new(seed, cards)
            };
            let founded = all(0..seeds, scene).unwrap();
            println!(
                "{cards} cards, {}: founded {} ms after the first link, complete {} ms after the last (medians of {seeds})",
                if keyed { "with a key" } else { "without" },
                median(founded.iter().map(|it| it.first_founded_ms).collect()),
                median(founded.iter().map(|it| it.complete_after_ms).collect()),
            );
        }
    }
}

#[test]
fn cards_that_are_switched_on_at_once_found_within_half_a_minute() {
    for cards in [4, 12, 96] {
        let scene = |seed| Founding {
            booted_within_ms: 3_000,
            link_within_ms: 3_000,
            loss: 0.02,
            ..Founding::new(seed, cards)
        };
        let founded = all(0..10, scene).unwrap();
        let slowest = founded
            .iter()
            .map(|it| it.first_founded_ms)
            .max()
            .unwrap_or_default();
        let complete = founded
            .iter()
            .map(|it| it.complete_after_ms)
            .max()
            .unwrap_or_default();
        println!(
            "{cards} cards at once: founded after {slowest} ms, complete after {complete} ms at the latest"
        );
        assert!(slowest <= 35_000, "{cards} cards: {slowest} ms");
    }
}

#[test]
fn networks_that_fall_apart_and_heal_end_up_with_one_bramble() {
    for (cards, seeds) in [(2, 100), (4, 200), (12, 60), (96, 4)] {
        let scene = |seed| Founding {
            splits: 3,
            ..Founding::new(seed, cards)
        };
        let founded = all(0..seeds, scene).unwrap();
        let most = founded.iter().map(|it| it.brambles).max().unwrap_or_default();
        println!("{cards} cards on a network that splits: at most {most} founded, one remains");
    }
}

#[test]
fn the_bramble_that_a_person_has_used_is_the_one_that_remains() {
    let scene = |seed| Founding {
        splits: 4,
        used: true,
        booted_within_ms: 20_000,
        link_within_ms: 5_000,
        ..Founding::new(seed, 4)
    };
    all(0..200, scene).unwrap();
}

#[test]
fn somebody_who_makes_up_candidates_does_not_keep_a_bramble_from_being_founded() {
    let scene = |seed| Founding {
        rogue: true,
        ..Founding::new(seed, 4)
    };
    all(0..50, scene).unwrap();
}

#[test]
fn the_simulation_finds_planted_mistakes() {
    let with = |bug| {
        move |seed| Founding {
            bug: Some(bug),
            ..Founding::new(seed, 4)
        }
    };
    assert!(all(0..200, with(FoundingBug::LinkIsNotAsked)).is_err());
    let impatient = |seed| Founding {
        loss: 0.3,
        ..with(FoundingBug::NoPatience)(seed)
    };
    assert!(all(0..200, impatient).is_err());
    let heedless = |seed| Founding {
        splits: 4,
        used: true,
        booted_within_ms: 20_000,
        link_within_ms: 5_000,
        ..with(FoundingBug::WorkIsNotAsked)(seed)
    };
    assert!(all(0..200, heedless).is_err());
}
