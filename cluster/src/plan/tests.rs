use api::sync::Phase;

use super::*;
use crate::{
    command::Relies,
    outcome::{Outcome, Refusal, Stale},
    testing::{World, bramble, facts, name, pi},
};

/// A new version of `env` that asks for `mib`.
fn env(mib: u32) -> String {
    format!(r#"env,"requests":{{"memory":"{mib}Mi"}}"#)
}

/// Reports every starting replica of the newest version as failing.
fn new_version_fails(world: World) -> World {
    let newest = world.state.function(&name("env")).unwrap().version;
    let starting = world.state.replicas().iter().filter(|(_, r)| r.version == newest);
    let all: Vec<_> = starting.map(|(id, replica)| (*id, replica.node)).collect();
    all.into_iter().fold(world, |world, (id, node)| {
        let change = crate::command::PhaseChange {
            phase: Phase::Failing,
            reason: "exits with code 1 right after its start".to_owned(),
            restarts: 1,
        };
        world.does(Action::ReplicaPhases {
            node,
            changes: [(id, change)].into(),
            gone: BTreeSet::new(),
        })
    })
}

#[test]
fn a_function_spreads_over_all_nodes() {
    let world = bramble().nodes(3).deployed("env").scaled("env", 6).settled();
    assert_eq!(world.spread("env"), [(1, 2), (2, 2), (3, 2)]);
}

#[test]
fn nothing_is_planned_where_all_is_as_wanted() {
    let world = bramble().nodes(3).deployed("env").scaled("env", 4).settled();
    assert_eq!(world.plan(), Plan::default());
}

#[test]
fn the_first_plan_of_a_leader_says_that_it_leads() {
    let world = bramble().nodes(2);
    assert_eq!(world.plan().actions, [Action::Lead { id: pi(1) }]);
}

#[test]
fn what_does_not_fit_is_refused_with_every_nodes_reason() {
    let world = bramble()
        .node(1, 200)
        .node(2, 100)
        .deployed(&env(64))
        .scaled("env", 6)
        .settled();
    assert_eq!(world.spread("env"), [(1, 3), (2, 1)]);
    let refusals = &world.plan().refusals[&name("env")];
    assert_eq!(
        refusals[&pi(2)].to_string(),
        "no memory left: 64 MiB wanted, 36 MiB of 100 MiB free"
    );
    assert_eq!(refusals.len(), 2);
}

#[test]
fn fewer_leave_the_fullest_node_first() {
    let world = bramble().nodes(2).deployed("env").scaled("env", 5).settled();
    let world = world.scaled("env", 3).settled();
    assert_eq!(world.spread("env"), [(1, 2), (2, 1)]);
}

#[test]
fn replicas_that_do_not_serve_leave_first() {
    let world = bramble()
        .nodes(3)
        .deployed("env")
        .scaled("env", 2)
        .settled()
        .scaled("env", 3)
        .planned();
    let world = world.scaled("env", 2).settled();
    assert_eq!(world.spread("env"), [(1, 1), (2, 1)]);
}

#[test]
fn scaled_to_zero_nothing_runs_until_someone_waits() {
    let world = bramble()
        .nodes(2)
        .deployed("env")
        .settled()
        .scaled("env", 0)
        .settled();
    assert_eq!(world.state.replicas().len(), 0);
    let world = world.waiting("env", 3).settled();
    assert_eq!(world.state.function(&name("env")).unwrap().wanted, 1);
    assert_eq!(world.serving_versions("env").len(), 1);
}

#[test]
fn a_woken_function_begins_with_what_its_label_says() {
    let labels = r#"env,"labels":{"com.openfaas.scale.min":"2"}"#;
    let world = bramble()
        .nodes(2)
        .deployed(labels)
        .settled()
        .scaled("env", 0)
        .settled();
    let world = world.waiting("env", 1).settled();
    assert_eq!(world.spread("env"), [(1, 1), (2, 1)]);
}

#[test]
fn replicas_of_a_lost_node_go_elsewhere() {
    let world = bramble()
        .nodes(3)
        .deployed("env")
        .scaled("env", 3)
        .settled()
        .down(3)
        .settled();
    assert_eq!(
        world.spread("env").iter().map(|(_, count)| count).sum::<usize>(),
        3
    );
    assert!(world.state.replicas_on(pi(3)).next().is_none());
    assert_eq!(world.serving_versions("env").len(), 3);
}

#[test]
fn a_lost_node_takes_up_again_what_nobody_else_had_room_for() {
    let world = bramble()
        .node(1, 100)
        .node(2, 100)
        .deployed(&env(64))
        .scaled("env", 2)
        .settled();
    let world = world.down(2).settled();
    assert_eq!(world.spread("env"), [(1, 1), (2, 1)], "nobody else has room");
    assert_eq!(world.serving_versions("env").len(), 1);
    let world = world.up(2).settled();
    assert_eq!(world.serving_versions("env").len(), 2);
    assert_eq!(world.state.next_replica, 2, "no other replica was ever placed");
}

#[test]
fn an_update_never_serves_with_less_than_is_wanted() {
    let mut world = bramble()
        .nodes(3)
        .deployed("env")
        .scaled("env", 3)
        .settled()
        .deployed("env");
    let newest = world.state.function(&name("env")).unwrap().version;
    for _ in 0..20 {
        world = world.planned();
        assert!(world.serving_versions("env").len() >= 3);
        let running = world
            .state
            .replicas()
            .values()
            .filter(|replica| !replica.is_draining())
            .count();
        assert!(running <= 4, "one more than wanted at most");
        world = world.reported(Phase::Ready);
    }
    assert_eq!(world.serving_versions("env"), [newest; 3]);
    assert!(world.state.function(&name("env")).unwrap().older.is_empty());
}

#[test]
fn a_new_version_that_fails_leaves_the_old_one_serving() {
    let world = bramble().nodes(3).deployed("env").scaled("env", 3).settled();
    let old = world.serving_versions("env");
    let mut world = world.deployed("env").planned();
    for _ in 0..5 {
        world = new_version_fails(world).planned();
    }
    assert_eq!(world.serving_versions("env"), old);
}

#[test]
fn without_room_for_one_more_an_old_replica_leaves_first() {
    let world = bramble()
        .node(1, 100)
        .node(2, 100)
        .deployed(&env(64))
        .scaled("env", 2)
        .settled();
    let world = world.deployed(&env(70)).planned();
    assert_eq!(
        world.serving_versions("env").len(),
        1,
        "exactly one old one makes room"
    );
    let world = world.settled();
    let newest = world.state.function(&name("env")).unwrap().version;
    assert_eq!(world.serving_versions("env"), [newest; 2]);
}

#[test]
fn several_old_replicas_make_room_for_a_larger_one() {
    let world = bramble()
        .node(1, 260)
        .deployed(&env(64))
        .scaled("env", 4)
        .settled();
    let world = world.deployed(&env(128)).settled();
    let newest = world.state.function(&name("env")).unwrap().version;
    assert_eq!(world.serving_versions("env"), [newest; 2]);
    assert_eq!(world.plan().refusals[&name("env")].len(), 1);
}

#[test]
fn an_update_that_fits_nowhere_leaves_the_old_version_alone() {
    let world = bramble()
        .node(1, 100)
        .deployed(&env(64))
        .settled()
        .deployed(&env(400))
        .settled();
    assert_eq!(world.serving_versions("env").len(), 1);
    assert_eq!(
        world.plan().refusals[&name("env")][&pi(1)].to_string(),
        "no memory left: 400 MiB wanted, 36 MiB of 100 MiB free"
    );
}

#[test]
fn a_node_that_shrinks_gives_up_its_newest_replicas() {
    let world = bramble()
        .node(1, 300)
        .node(2, 100)
        .deployed(&env(64))
        .scaled("env", 4)
        .settled();
    assert_eq!(world.spread("env"), [(1, 3), (2, 1)]);
    let world = world.does(Action::UpdateFacts {
        id: pi(1),
        facts: Box::new(facts(1, 230)),
    });
    let world = world.settled();
    assert_eq!(world.spread("env"), [(1, 1), (2, 1)]);
}

#[test]
fn a_replica_that_fails_where_it_can_never_run_goes_elsewhere() {
    let image = r#"figlet,"image":"figlet:arm64""#;
    let world = bramble().node_with(1, 4000, |facts| {
        facts.platforms = vec!["linux/arm/v7".parse().unwrap()]
    });
    let both = ["linux/arm64", "linux/arm/v7"];
    let world = world
        .node(2, 100)
        .deployed(image)
        .image_found("figlet", &both)
        .planned();
    assert_eq!(world.spread("figlet"), [(1, 1)]);
    // The node's platforms are not what they were: somebody moved the card.
    let world = world.reported(Phase::Failing).does(Action::UpdateFacts {
        id: pi(1),
        facts: Box::new(api::NodeFacts {
            platforms: vec!["linux/arm/v6".parse().unwrap()],
            ..facts(1, 4000)
        }),
    });
    assert_eq!(world.settled().spread("figlet"), [(2, 1)]);
}

#[test]
fn a_plan_that_comes_too_late_is_refused() {
    let late = |change: fn(World) -> World| {
        let mut world = bramble().nodes(2).deployed("env").scaled("env", 2);
        let actions = world.plan().actions;
        let assign = actions
            .into_iter()
            .find(|action| matches!(action, Action::Assign { .. }))
            .unwrap();
        world = change(world);
        let before = world.state.clone();
        let outcome = world.apply(assign);
        if matches!(outcome, Outcome::Refused(_)) {
            assert_eq!(world.state, before, "what is refused changes nothing");
        }
        outcome
    };
    let env_changed = Outcome::Refused(Refusal::Stale(Stale::Function(name("env"))));
    let node_changed = Outcome::Refused(Refusal::Stale(Stale::Node(pi(2))));
    assert_eq!(late(|world| world.deployed("env")), env_changed);
    assert_eq!(late(|world| world.scaled("env", 1)), env_changed);
    assert_eq!(
        late(|world| world
            .does(Action::RemoveFunction { name: name("env") })
            .deployed("env")),
        env_changed
    );
    assert_eq!(late(|world| world.down(2)), node_changed);
    assert_eq!(late(|world| world.down(2).up(2)), node_changed);
    assert_eq!(late(|world| world.cordoned(2)), node_changed);
    assert_eq!(late(|world| world.allowed(2, "gpio")), node_changed);
    assert_eq!(
        late(|world| world.does(Action::RemoveNode { id: pi(2) })),
        node_changed
    );
    let full = late(|world| {
        world
            .deployed(r#"a,"requests":{"memory":"700Mi"}"#)
            .scaled("a", 2)
            .planned_only("a")
    });
    assert_eq!(full, Outcome::Refused(Refusal::Stale(Stale::Room(pi(1)))));
    // What the plan did not rely on may change.
    assert!(matches!(
        late(|world| world.deployed("other").node(3, 700)),
        Outcome::Applied(_)
    ));
}

#[test]
fn a_placement_must_say_what_it_relied_on() {
    let mut world = bramble().nodes(2).deployed("env");
    let assign = world
        .plan()
        .actions
        .into_iter()
        .find(|action| matches!(action, Action::Assign { .. }))
        .unwrap();
    let Action::Assign { place, drain, .. } = assign else {
        unreachable!()
    };
    let relies_on = Relies::default();
    let outcome = world.apply(Action::Assign {
        relies_on,
        place,
        drain,
    });
    assert_eq!(outcome, Outcome::Refused(Refusal::Stale(Stale::Unfounded)));
}

#[test]
fn a_function_leaves_a_node_whose_devices_it_may_use_no_longer() {
    let gpio = |facts: &mut api::NodeFacts| facts.devices = "gpio".parse().unwrap();
    let world = bramble()
        .node_with(1, 924, gpio)
        .node_with(2, 924, gpio)
        .allowed(1, "gpio")
        .allowed(2, "gpio,i2c")
        .deployed(r#"blink,"annotations":{"bramble.devices":"gpio"}"#)
        .deployed("env")
        .scaled("blink", 2)
        .scaled("env", 2)
        .settled();
    assert_eq!(world.spread("blink"), [(1, 1), (2, 1)]);
    // What it does not use may change.
    let world = world.allowed(2, "gpio");
    assert!(world.plan().actions.is_empty());
    let world = world.allowed(1, "").settled();
    assert_eq!(world.spread("blink"), [(2, 2)]);
    assert_eq!(world.spread("env"), [(1, 1), (2, 1)], "others stay");
    let world = world.allowed(2, "i2c").settled();
    assert_eq!(world.spread("blink"), []);
    assert_eq!(world.plan().refusals[&name("blink")].len(), 2);
}

#[test]
fn a_device_that_is_pulled_out_moves_its_function_once_that_fails() {
    let gpio = |facts: &mut api::NodeFacts| facts.devices = "gpio".parse().unwrap();
    let world = bramble()
        .node_with(1, 924, gpio)
        .allowed(1, "gpio")
        .deployed(r#"blink,"annotations":{"bramble.devices":"gpio"}"#)
        .settled();
    let world = world.does(Action::UpdateFacts {
        id: pi(1),
        facts: Box::new(facts(1, 924)),
    });
    assert!(
        world.plan().actions.is_empty(),
        "it goes on: the device may come back"
    );
    let id = *world.state.replicas().keys().next().unwrap();
    let change = crate::command::PhaseChange {
        phase: Phase::Failing,
        reason: String::new(),
        restarts: 1,
    };
    let world = world.does(Action::ReplicaPhases {
        node: pi(1),
        changes: [(id, change)].into(),
        gone: BTreeSet::new(),
    });
    assert_eq!(world.settled().spread("blink"), []);
}
