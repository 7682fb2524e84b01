use api::{
    NodeVitals,
    light::LightSettings,
    sensors::{Severity, Warning},
};

use super::*;
use crate::{
    Action, sync,
    testing::{World, bramble, counters, moment, pi, report},
};

const NOON: Now = Now {
    wall: Timestamp::from_millis(1_000_000),
    minute_of_day: 12 * 60,
};

/// A leader that heard every node twice: at one second and at two, with `calls` of env in between.
fn heard(world: &World, calls: u64, problems: &[Warning]) -> LeaderMemory {
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    for (second, ended) in [(1, 5), (2, 5 + calls)] {
        for number in 1..=world.state.nodes().len() as u128 {
            let mut request = report(&world.state, number);
            if number == 1 {
                request.counters = vec![counters("env", ended, 0)];
            }
            request.vitals = NodeVitals {
                problems: problems.to_vec(),
                ..NodeVitals::default()
            };
            let _ = sync::receive(
                &world.state,
                &mut memory,
                pi(number),
                &request,
                moment(second * 1000 + u64::try_from(number).unwrap() * 950),
            );
        }
    }
    memory
}

fn problem(says: Says) -> Warning {
    Warning {
        code: "x".to_owned(),
        severity: Severity::Serious,
        sentence: String::new(),
        cure: String::new(),
        light: Some(says),
    }
}

fn said(world: &World, problems: &[Warning], number: u128) -> Says {
    light(&world.state, &heard(world, 0, problems), pi(number), NOON).says
}

#[test]
fn the_master_and_the_others_at_rest_say_who_they_are() {
    let world = bramble().nodes(2).does(Action::Lead { id: pi(1) });
    assert_eq!(
        (said(&world, &[], 1), said(&world, &[], 2)),
        (Says::Master, Says::Joined)
    );
}

#[test]
fn a_replica_on_its_way_is_shown_on_its_node_alone() {
    let world = bramble().nodes(2).deployed("env").planned();
    let saying: Vec<Says> = [1, 2].map(|number| said(&world, &[], number)).into();
    assert_eq!(
        saying.iter().filter(|says| **says == Says::Starting).count(),
        1,
        "{saying:?}"
    );
}

#[test]
fn power_matters_more_than_heat_and_heat_more_than_the_card() {
    let world = bramble().nodes(1);
    let (card, heat, power) = (
        problem(Says::WarningCard),
        problem(Says::WarningHeat),
        problem(Says::WarningPower),
    );
    assert_eq!(said(&world, &[heat.clone(), card.clone()], 1), Says::WarningHeat);
    assert_eq!(said(&world, &[card, power, heat], 1), Says::WarningPower);
}

#[test]
fn who_answers_calls_works_and_the_calls_are_shared_out() {
    let world = bramble()
        .nodes(2)
        .deployed("env")
        .settled()
        .scaled("env", 2)
        .settled();
    let memory = heard(&world, 10, &[]);
    let lights = [1, 2].map(|number| light(&world.state, &memory, pi(number), NOON));
    assert_eq!(
        lights.each_ref().map(|light| light.says),
        [Says::MasterWorking, Says::Working]
    );
    assert!(lights[0].calls_per_second > 0.0);
    assert_eq!(lights[0].calls_per_second, lights[1].calls_per_second);
    assert_eq!(lights[0].replicas.len(), 1);
    assert_eq!(lights[0].replicas[0].glow, Glow::Ready);
}

#[test]
fn identify_lasts_until_its_time_and_wins_over_everything() {
    let until = NOON.wall.after(Duration::from_secs(60));
    let world = bramble().nodes(2).does(Action::Identify {
        id: pi(2),
        until: Some(until),
    });
    let memory = heard(&world, 0, &[problem(Says::WarningPower)]);
    let at = |wall| light(&world.state, &memory, pi(2), Now { wall, ..NOON }).says;
    assert_eq!(at(NOON.wall), Says::Identify);
    assert_eq!(at(until), Says::WarningPower);
    assert_eq!(said(&world, &[], 1), Says::Joined);
    // The clock was a day behind when it was set.
    assert_eq!(at(Timestamp::from_millis(0)), Says::Identify);
    let world = world.does(Action::Identify {
        id: pi(2),
        until: None,
    });
    assert_eq!(said(&world, &[], 2), Says::Joined);
}

#[test]
fn a_clock_that_was_far_behind_makes_no_identify_endless() {
    let world = bramble().nodes(1).does(Action::Identify {
        id: pi(1),
        until: Some(NOON.wall.after(LONGEST_IDENTIFY * 2)),
    });
    assert_eq!(said(&world, &[], 1), Says::Joined);
}

#[test]
fn lights_are_as_bright_as_somebody_wants_and_dark_in_quiet_hours() {
    let world = bramble().nodes(1).does(Action::SetLights {
        settings: LightSettings {
            brightness: 80,
            quiet: Some("22:00-07:00".parse().unwrap()),
        },
    });
    let memory = heard(&world, 0, &[]);
    let at = |minute_of_day| {
        light(
            &world.state,
            &memory,
            pi(1),
            Now {
                minute_of_day,
                ..NOON
            },
        )
        .brightness
    };
    assert_eq!((at(12 * 60), at(23 * 60), at(7 * 60)), (80, 0, 80));
}
