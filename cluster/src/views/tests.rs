use api::{NodeVitals, ReplicaId};

use super::*;
use crate::{
    Action, sync,
    testing::{World, bramble, counters, moment, name, pi, report},
};

fn heard(world: &World) -> LeaderMemory {
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    for number in 1..=world.state.nodes().len() as u128 {
        let mut request = report(&world.state, number);
        request.counters = vec![counters("env", 21, 0)];
        request.vitals = NodeVitals {
            load: 0.5,
            ..NodeVitals::default()
        };
        for report in request.replicas.as_mut().unwrap().values_mut() {
            report.address = Some("172.18.0.2:8080".parse().unwrap());
        }
        let _ = sync::receive(&world.state, &mut memory, pi(number), &request, moment(1));
    }
    memory
}

#[test]
fn a_function_says_how_many_are_wanted_ready_and_how_often_it_was_invoked() {
    let world = bramble()
        .nodes(2)
        .deployed("env")
        .settled()
        .scaled("env", 3)
        .planned();
    let status = function_status(&world.state, &heard(&world), &name("env")).unwrap();
    assert_eq!((status.replicas, status.available_replicas), (3, 1));
    assert_eq!(status.invocation_count, 42.0);
    assert_eq!(
        function_status(&world.state, &heard(&world), &name("other")),
        None
    );
    assert_eq!(
        function_statuses(&world.state, &heard(&world), "openfaas-fn"),
        [status]
    );
    assert_eq!(function_statuses(&world.state, &heard(&world), "elsewhere"), []);
}

#[test]
fn what_cannot_be_placed_is_explained_node_by_node() {
    let world = bramble()
        .node(1, 100)
        .node(2, 700)
        .cordoned(2)
        .deployed("env")
        .scaled("env", 6)
        .settled();
    let view = function(&world.state, &heard(&world), &name("env")).unwrap();
    assert_eq!(view.placements.len(), 1);
    assert_eq!(view.refusals[0].node, "pi-3b-plus-0001");
    assert_eq!(
        view.refusals[0].reason,
        "no memory left: 64 MiB wanted, 36 MiB of 100 MiB free"
    );
    assert_eq!(
        view.sentences,
        [
            "1 of 6 replicas are ready.",
            "5 cannot be placed. pi-3b-plus-0001: no memory left: 64 MiB wanted, 36 MiB of 100 MiB free; \
             pi-3b-plus-0002: is cordoned."
        ]
    );
}

#[test]
fn nothing_is_refused_where_all_have_a_place() {
    let world = bramble().nodes(2).deployed("env").scaled("env", 2).settled();
    let view = function(&world.state, &heard(&world), &name("env")).unwrap();
    assert_eq!(view.refusals, []);
    assert_eq!(view.sentences, ["2 of 2 replicas are ready."]);
    assert_eq!(view.placements[0].address.as_deref(), Some("172.18.0.2:8080"));
    assert_eq!(view.events[0].actor, "bramble");
}

#[test]
fn a_failing_replica_says_why() {
    let world = bramble().nodes(1).deployed("env").planned();
    let change = crate::command::PhaseChange {
        phase: Phase::Failing,
        reason: "ran out of memory (limit 16 MiB)".to_owned(),
        restarts: 3,
    };
    let world = world.does(Action::ReplicaPhases {
        node: pi(1),
        changes: [(ReplicaId(1), change)].into(),
        gone: [].into(),
    });
    assert_eq!(
        sentences(&world.state, &name("env")),
        [
            "0 of 1 replica is ready.",
            "One fails on pi-3b-plus-0001: ran out of memory (limit 16 MiB)."
        ]
    );
}

#[test]
fn a_function_at_zero_says_what_wakes_it() {
    let world = bramble().nodes(1).deployed("env").scaled("env", 0).settled();
    assert_eq!(
        sentences(&world.state, &name("env")),
        ["It is scaled to zero: the next invocation starts a replica."]
    );
}

#[test]
fn a_bramble_without_nodes_says_so() {
    let world = bramble().deployed("env");
    assert_eq!(
        sentences(&world.state, &name("env"))[1],
        "None can be placed: the bramble has no node."
    );
}

#[test]
fn nodes_show_what_they_are_and_how_they_are() {
    let world = bramble()
        .nodes(3)
        .deployed("env")
        .settled()
        .cordoned(2)
        .down(3)
        .does(Action::WishController {
            id: pi(3),
            wish: crate::autopilot::Wish::Excluded,
        });
    let nodes = nodes(&world.state, &heard(&world));
    assert_eq!(nodes[0].name, "pi-3b-plus-0001");
    assert!(nodes[0].leader && nodes[0].controller);
    assert_eq!(
        (nodes[0].replicas, nodes[0].load, nodes[0].cores),
        (1, Some(0.5), 4)
    );
    assert_eq!(nodes[0].memory_requested_bytes, 64 << 20);
    assert_eq!(nodes[1].phase, v1::NodePhase::Cordoned);
    let told = |node: &v1::Node| (node.cordoned, node.wish.clone());
    assert_eq!(told(&nodes[1]), (true, "none".to_owned()));
    assert_eq!(told(&nodes[2]), (false, "excluded".to_owned()));
    assert_eq!((nodes[2].phase, nodes[2].load), (v1::NodePhase::Down, None));
}

#[test]
fn the_newest_event_comes_first() {
    let world = bramble().nodes(1).deployed("env");
    assert_eq!(
        events(&world.state)[0].text,
        "env.openfaas-fn was deployed: bramble/env:latest."
    );
}

#[test]
fn a_summary_says_in_a_word_how_a_function_stands() {
    use v1::FunctionPhase::{PartlyReady, Ready, ScaledToZero, Waiting};
    let summary = |world: &World| function_summaries(&world.state, &heard(world)).remove(0);

    let ready = summary(&bramble().nodes(2).deployed("env").scaled("env", 2).settled());
    assert_eq!((ready.status, ready.ready), (Ready, 2));
    assert_eq!(ready.sentence, "2 of 2 replicas are ready.");
    assert_eq!(ready.nodes, ["pi-3b-plus-0001", "pi-3b-plus-0002"]);

    let partly = summary(&bramble().node(1, 100).deployed("env").scaled("env", 3).settled());
    assert_eq!(partly.status, PartlyReady);
    assert!(
        partly.sentence.contains("2 cannot be placed"),
        "{}",
        partly.sentence
    );

    let asleep = summary(&bramble().nodes(1).deployed("env").scaled("env", 0).settled());
    assert_eq!(asleep.status, ScaledToZero);
    let nowhere = summary(&bramble().node(1, 10).deployed("env").settled());
    assert_eq!(nowhere.status, Waiting);
}

#[test]
fn why_names_what_is_wrong_and_what_would_help() {
    let world = bramble()
        .nodes(2)
        .deployed("env")
        .scaled("env", 2)
        .settled()
        .down(2);
    let why = function(&world.state, &heard(&world), &name("env")).unwrap().why;
    assert!(why[0].starts_with("1 of 2"), "{why:?}");
    assert!(
        why.iter()
            .any(|why| why.contains("Is the power on?") && why.contains("pi-3b-plus-0002")),
        "{why:?}"
    );
}
