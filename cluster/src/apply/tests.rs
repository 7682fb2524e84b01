use api::{SessionId, sync::Phase};

use crate::{
    Action, Actor, Command, Outcome, Refusal, State,
    command::{Expect, PhaseChange},
    permissions::Role,
    secrets::{Sealed, SecretName},
    state::{MAX_EVENTS, MAX_SESSIONS, NodePhase},
    testing::{World, bramble, facts, ids, name, pi, spec},
    totals::FunctionTotals,
};

fn put(text: &str, expect: Expect) -> Action {
    Action::PutFunction {
        spec: spec(text),
        expect,
    }
}

fn wanted(world: &World) -> u32 {
    world.state.function(&name("env")).unwrap().wanted
}

fn min_max(min: u32, max: u32) -> String {
    format!(r#"env,"labels":{{"com.openfaas.scale.min":"{min}","com.openfaas.scale.max":"{max}"}}"#)
}

fn changed(id: u64, node: u128, phase: Phase) -> Action {
    let change = PhaseChange {
        phase,
        reason: String::new(),
        restarts: 0,
    };
    Action::ReplicaPhases {
        node: pi(node),
        changes: [(api::ReplicaId(id), change)].into(),
        gone: ids([]),
    }
}

#[test]
fn a_bramble_is_founded_once() {
    let mut world = bramble();
    assert!(world.state.is_founded());
    let again = world.apply(Action::Found {
        name: "other".to_owned(),
    });
    assert_eq!(again, Outcome::Refused(Refusal::AlreadyFounded));
    assert_eq!(world.state.name(), "bramble");
}

#[test]
fn a_function_is_created_only_where_there_is_none_and_updated_only_where_there_is_one() {
    let mut world = bramble();
    let missing = Outcome::Refused(Refusal::NoSuchFunction(name("env")));
    assert_eq!(world.apply(put("env", Expect::Present)), missing);
    world = world
        .does(put("env", Expect::Absent))
        .does(put("env", Expect::Present));
    let there = Outcome::Refused(Refusal::AlreadyExists(name("env")));
    assert_eq!(world.apply(put("env", Expect::Absent)), there);
    assert_eq!(
        world.apply(Action::ScaleFunction {
            name: name("sleep"),
            replicas: 1
        }),
        Outcome::Refused(Refusal::NoSuchFunction(name("sleep")))
    );
}

#[test]
fn an_update_replaces_labels_and_environment_whole() {
    let world = bramble()
        .deployed(r#"env,"envVars":{"A":"1"},"labels":{"x":"y"}"#)
        .deployed("env");
    let function = world.state.function(&name("env")).unwrap();
    assert!(function.spec.env.is_empty() && function.spec.labels.is_empty());
}

#[test]
fn an_update_keeps_the_scale_unless_its_label_says_otherwise() {
    let world = bramble().deployed("env").scaled("env", 4).deployed("env");
    assert_eq!(wanted(&world), 4);
    let world = world.deployed(&min_max(2, 9));
    assert_eq!(wanted(&world), 2);
}

#[test]
fn scaling_stays_within_the_labels_and_zero_is_allowed() {
    let world = bramble().deployed(&min_max(2, 5)).scaled("env", 9);
    assert_eq!(wanted(&world), 5);
    let world = world.scaled("env", 1);
    assert_eq!(wanted(&world), 2);
    let world = world.scaled("env", 0);
    assert_eq!(wanted(&world), 0);
}

#[test]
fn a_function_that_is_removed_and_deployed_again_has_another_version() {
    let world = bramble().deployed("env");
    let first = world.state.function(&name("env")).unwrap().version;
    let world = world
        .does(Action::RemoveFunction { name: name("env") })
        .deployed("env");
    assert!(world.state.function(&name("env")).unwrap().version > first);
}

#[test]
fn removing_a_function_drains_its_replicas_until_their_nodes_let_go() {
    let world = bramble()
        .nodes(1)
        .deployed("env")
        .settled()
        .does(Action::RemoveFunction { name: name("env") });
    assert!(
        world
            .state
            .replicas()
            .values()
            .all(|replica| replica.is_draining())
    );
    assert_eq!(world.state.replicas().len(), 1);
    assert_eq!(world.reported(Phase::Ready).state.replicas().len(), 0);
}

#[test]
fn a_draining_replica_never_comes_back() {
    let world = bramble()
        .nodes(1)
        .deployed("env")
        .settled()
        .scaled("env", 0)
        .planned();
    let before = world.state.replicas().clone();
    let world = world.does(changed(1, 1, Phase::Ready));
    assert_eq!(*world.state.replicas(), before);
}

#[test]
fn a_node_speaks_only_for_its_own_replicas() {
    let world = bramble().nodes(2).deployed("env").planned();
    let before = world.state.replicas().clone();
    let world = world.does(changed(1, 2, Phase::Ready));
    assert_eq!(*world.state.replicas(), before);
}

#[test]
fn a_node_cannot_let_go_of_a_replica_that_is_wanted() {
    let world = bramble()
        .nodes(1)
        .deployed("env")
        .settled()
        .does(Action::ReplicaPhases {
            node: pi(1),
            changes: [].into(),
            gone: ids([1]),
        });
    assert_eq!(world.state.replicas().len(), 1);
}

#[test]
fn what_a_lost_node_said_counts_no_longer() {
    let world = bramble()
        .nodes(1)
        .deployed("env")
        .scaled("env", 2)
        .settled()
        .scaled("env", 1)
        .planned()
        .down(1);
    let phases: Vec<_> = world
        .state
        .replicas()
        .values()
        .map(|replica| replica.phase)
        .collect();
    assert_eq!(
        phases,
        [Phase::Starting],
        "the draining one is forgotten, the other is not ready"
    );
}

#[test]
fn a_removed_node_takes_its_replicas_along_and_is_remembered() {
    let world = bramble()
        .nodes(2)
        .deployed("env")
        .settled()
        .does(Action::RemoveNode { id: pi(1) });
    assert!(world.state.replicas().is_empty() && world.state.is_removed(pi(1)));
    let world = world.node(1, 700);
    assert!(!world.state.is_removed(pi(1)), "until someone admits it again");
}

#[test]
fn the_generation_of_a_node_changes_exactly_with_what_it_should_run() {
    let world = bramble().nodes(2).deployed("env").planned();
    let generation = |world: &World| world.state.generation(pi(1)).unwrap().number;
    let placed = generation(&world);
    let world = world.reported(Phase::Ready).deployed("other").down(2);
    assert_eq!(generation(&world), placed);
    let world = world.scaled("env", 0).planned();
    let drained = generation(&world);
    assert!(drained > placed);
    assert_eq!(generation(&world.reported(Phase::Ready)), drained);
}

#[test]
fn facts_that_matter_for_placing_make_plans_stale_and_others_do_not() {
    let world = bramble().nodes(1);
    let epoch = world.state.node(pi(1)).unwrap().epoch;
    let with = |change: fn(&mut api::NodeFacts)| {
        let mut facts = facts(1, 924);
        change(&mut facts);
        let world = bramble().nodes(1).does(Action::UpdateFacts {
            id: pi(1),
            facts: Box::new(facts),
        });
        world.state.node(pi(1)).unwrap().epoch
    };
    assert_eq!(with(|facts| facts.version = "0.2.0".to_owned()), epoch);
    assert_eq!(
        with(|facts| facts.address = "10.0.0.9:7443".parse().unwrap()),
        epoch
    );
    assert!(with(|facts| facts.memory = api::Memory::from_mib(400)) > epoch);
}

#[test]
fn a_crash_loop_does_not_push_everything_else_out_of_the_activity() {
    let mut world = bramble().nodes(1).deployed("env").planned();
    for _ in 0..MAX_EVENTS {
        world = world
            .does(changed(1, 1, Phase::Failing))
            .does(changed(1, 1, Phase::Starting));
    }
    assert!(
        world
            .state
            .activity()
            .any(|event| event.text.contains("was deployed"))
    );
}

#[test]
fn the_activity_says_who_did_what_and_has_an_end() {
    let mut state = State::default();
    for number in 0..MAX_EVENTS + 10 {
        let action = put(&format!("env-{number}"), Expect::Any);
        state.apply(Command::by_user("ada", api::Timestamp::from_millis(1), action));
    }
    assert_eq!(state.activity().count(), MAX_EVENTS);
    let last = state.activity().last().unwrap();
    assert_eq!(last.actor, Actor::User("ada".to_owned()));
    assert_eq!(
        last.text,
        "env-409.openfaas-fn was deployed: bramble/env-409:latest."
    );
}

#[test]
fn a_node_that_comes_and_goes_says_so_each_time() {
    let mut world = bramble().nodes(2);
    for _ in 0..3 {
        world = world.down(2);
        world.wait_ms(900_000);
        world = world.up(2);
        world.wait_ms(900_000);
    }
    let lost = world
        .state
        .activity()
        .filter(|event| event.text == "pi-3b-plus-0002 is unplugged or out of reach.");
    assert_eq!(lost.count(), 3);
    assert_eq!(world.state.node(pi(2)).unwrap().phase, NodePhase::Up);
}

#[test]
fn users_are_kept_and_totals_only_for_functions_that_exist() {
    let world = bramble().deployed("env").does(Action::PutUser {
        name: "admin".to_owned(),
        password_hash: "$argon2id$…".to_owned(),
        role: Role::Admin,
    });
    assert_eq!(world.state.users()["admin"].role, Role::Admin);
    let totals = FunctionTotals {
        base: 7,
        ..FunctionTotals::default()
    };
    let world = world.does(Action::CheckpointTotals {
        totals: [(name("env"), totals.clone()), (name("gone"), totals)].into(),
    });
    assert_eq!(world.state.totals().len(), 1);
    assert!(
        world
            .does(Action::RemoveFunction { name: name("env") })
            .state
            .totals()
            .is_empty()
    );
}

fn put_secret(name: &str, expect: Expect) -> Action {
    Action::PutSecret {
        name: SecretName::new("openfaas-fn", name),
        value: Sealed("sealed".to_owned()),
        expect,
    }
}

#[test]
fn a_function_is_deployed_only_with_secrets_that_exist_and_its_nodes_are_told_of_new_values() {
    let deployed = r#"env,"secrets":["api-key"]"#;
    let mut world = bramble().nodes(2);
    let put = |expect| Action::PutFunction {
        spec: spec(deployed),
        expect,
    };
    let missing = SecretName::new("openfaas-fn", "api-key");
    assert_eq!(
        world.apply(put(Expect::Absent)),
        Outcome::Refused(Refusal::NoSuchSecret(missing.clone()))
    );
    assert!(
        world
            .apply(put_secret("api-key", Expect::Absent))
            .into_result()
            .is_ok()
    );
    assert_eq!(
        world.apply(put_secret("api-key", Expect::Absent)),
        Outcome::Refused(Refusal::SecretExists(missing.clone()))
    );
    assert!(world.apply(put(Expect::Absent)).into_result().is_ok());
    let mut world = world.settled();
    let (id, replica) = world.state.replicas().first_key_value().unwrap();
    let (id, home, version) = (*id, replica.node, world.state.secret(&missing).unwrap().version);
    let told = |state: &State| crate::sync::desired(state, home)[&id].secrets.clone();
    assert_eq!(told(&world.state), [("api-key".to_owned(), version)].into());
    assert_eq!(
        crate::secrets::granted(&world.state, home, &name("env")),
        std::slice::from_ref(&missing)
    );
    let other = if home == pi(1) { pi(2) } else { pi(1) };
    assert_eq!(crate::secrets::granted(&world.state, other, &name("env")), []);

    let before = world.state.generation(home);
    assert!(
        world
            .apply(put_secret("api-key", Expect::Present))
            .into_result()
            .is_ok()
    );
    assert!(world.state.generation(home) > before, "the node is to be told");
    assert!(told(&world.state)["api-key"] > version);
    let before = world.state.generation(home);
    assert!(
        world
            .apply(put_secret("other", Expect::Any))
            .into_result()
            .is_ok()
    );
    assert_eq!(world.state.generation(home), before, "it is none of its business");
    let removed = world.apply(Action::RemoveSecret {
        name: missing.clone(),
    });
    assert!(removed.into_result().is_ok());
    assert_eq!(told(&world.state), [].into());
    assert_eq!(
        world.apply(Action::RemoveSecret {
            name: missing.clone()
        }),
        Outcome::Refused(Refusal::NoSuchSecret(missing))
    );
}

#[test]
fn the_brambles_key_is_given_to_several_controllers_but_never_replaced() {
    let mut world = bramble().nodes(2);
    let put = |number, id: &str| Action::PutKey {
        node: pi(number),
        id: id.to_owned(),
        key: Sealed("closed".to_owned()),
    };
    assert!(world.apply(put(1, "a")).into_result().is_ok());
    assert!(world.apply(put(2, "a")).into_result().is_ok());
    assert_eq!(world.state.keyring().keys.len(), 2);
    assert_eq!(world.apply(put(2, "b")), Outcome::Refused(Refusal::AnotherKey));
}

#[test]
fn the_last_key_is_never_forgotten_whoever_leaves() {
    let key = |node: u128| Action::PutKey {
        node: pi(node),
        id: "one".to_owned(),
        key: Sealed("c2VhbGVk".to_owned()),
    };
    let mut world = bramble()
        .node_with(1, 1024, |_| {})
        .node_with(2, 1024, |_| {})
        .does(key(1))
        .does(key(2));
    world = world.does(Action::RemoveNode { id: pi(1) });
    assert_eq!(world.state.keyring().keys.len(), 1);
    world = world.does(Action::RemoveNode { id: pi(2) });
    assert_eq!(world.state.keyring().keys.len(), 1);
    let other = Action::PutKey {
        node: pi(3),
        id: "two".to_owned(),
        key: Sealed("c2VhbGVk".to_owned()),
    };
    assert_eq!(
        world.apply(other),
        Outcome::Refused(Refusal::AnotherKey),
        "secrets are not lost to a new key"
    );
}

#[test]
fn a_given_name_stays_whatever_the_node_calls_itself_and_no_two_are_the_same() {
    let mut world = bramble().node_with(1, 1024, |_| {}).node_with(2, 1024, |_| {});
    let name_it = |node: u128, name: &str| Action::NameNode {
        id: pi(node),
        name: name.to_owned(),
    };
    assert!(world.apply(name_it(1, "window-left")).into_result().is_ok());
    let taken = Outcome::Refused(Refusal::NameTaken("window-left".to_owned()));
    assert_eq!(world.apply(name_it(2, "window-left")), taken);
    let told = Action::UpdateFacts {
        id: pi(1),
        facts: Box::new(facts(1, 1024)),
    };
    world = world.does(told);
    assert_eq!(world.state.node_name(pi(1)), "window-left");
}

#[test]
fn a_node_that_was_refused_stays_out_until_somebody_admits_it() {
    let refuse = Action::RefuseNode {
        id: pi(9),
        name: "pi-4b-0009".to_owned(),
    };
    let mut world = bramble().does(refuse.clone()).does(refuse);
    assert!(world.state.is_refused(pi(9)));
    let told = world
        .state
        .activity()
        .filter(|event| event.text.contains("was refused"));
    assert_eq!(told.count(), 1);
    world = world.does(Action::AdmitNode {
        id: pi(9),
        facts: Box::new(facts(9, 1024)),
        controller: false,
        awaited: false,
    });
    assert!(!world.state.is_refused(pi(9)) && world.state.node(pi(9)).is_some());
}

#[test]
fn the_code_for_the_first_visit_is_gone_once_somebody_can_sign_in() {
    let code = || Action::PutFirstVisitCode {
        code: "k7q2-m9fd".to_owned(),
    };
    let mut world = bramble().does(code());
    assert_eq!(world.state.first_visit_code(), Some("k7q2-m9fd"));
    world = world.does(Action::PutUser {
        name: "admin".to_owned(),
        password_hash: "hash".to_owned(),
        role: Role::Admin,
    });
    assert_eq!(world.state.first_visit_code(), None);
    world = world.does(code());
    assert_eq!(world.state.first_visit_code(), None, "and does not come back");
}

#[test]
fn sessions_do_not_grow_without_bound_and_end_with_their_password() {
    let admin = |hash: &str| Action::PutUser {
        name: "admin".to_owned(),
        password_hash: hash.to_owned(),
        role: Role::Admin,
    };
    let session = |number: usize| SessionId::from_token(&number.to_string());
    let open = |number: usize, user: &str| Action::OpenSession {
        id: session(number),
        user: user.to_owned(),
    };
    let mut world = bramble().does(admin("hash"));
    for number in 0..=MAX_SESSIONS {
        world = world.does(open(number, "admin"));
    }
    assert_eq!(world.state.sessions().len(), MAX_SESSIONS);
    assert!(
        !world.state.sessions().contains_key(&session(0)),
        "the first one made room"
    );
    assert!(world.state.sessions().contains_key(&session(MAX_SESSIONS)));
    assert_eq!(
        world.apply(open(1_000, "nobody")),
        Outcome::Refused(Refusal::NoSuchUser("nobody".to_owned()))
    );
    world = world.does(admin("another hash"));
    assert!(world.state.sessions().is_empty());
}

#[test]
fn a_node_that_is_let_in_takes_nothing_before_it_is_heard() {
    let world = bramble().node(1, 724).does(Action::AdmitNode {
        id: pi(2),
        facts: Box::new(facts(2, 924)),
        controller: false,
        awaited: true,
    });
    let world = world
        .deployed(r#"env,"labels":{"com.openfaas.scale.min":"2"}"#)
        .planned();
    assert_eq!(world.spread("env"), [(1, 2)], "none where nobody may be");
    let told = |world: &World| world.state.activity().count();
    let before = told(&world);
    let world = world.up(2);
    assert_eq!(world.state.node(pi(2)).unwrap().phase, NodePhase::Up);
    assert_eq!(told(&world), before, "that it joined was said");
    let world = world.down(2);
    assert!(
        !world.state.node(pi(2)).unwrap().awaited,
        "from then on it is like any other"
    );
}

mod when_a_bramble_ends {
    use api::join::BrambleId;

    use super::*;

    fn dissolve(give_up: bool) -> Action {
        Action::Dissolve {
            into: BrambleId::from_number(2),
            give_up,
        }
    }

    fn by_ada(world: &mut World, action: Action) -> Outcome {
        let at = api::Timestamp::from_millis(9_000_000);
        world.state.apply(Command::by_user("ada", at, action))
    }

    #[test]
    fn it_is_refused_by_itself_once_a_person_has_changed_anything() {
        let mut world = bramble().nodes(2);
        assert!(!world.state.has_work());
        by_ada(&mut world, Action::WantControllers { count: Some(1) });
        by_ada(&mut world, Action::WantControllers { count: None });
        assert!(world.state.has_work(), "and that never turns back");
        assert_eq!(world.apply(dissolve(false)), Outcome::Refused(Refusal::HasWork));
        assert_eq!(world.state.dissolved(), None);
    }

    #[test]
    fn what_a_person_was_refused_is_no_work() {
        let mut world = bramble().nodes(1);
        let refused = by_ada(&mut world, put("env", Expect::Present));
        assert!(matches!(refused, Outcome::Refused(_)));
        assert!(!world.state.has_work());
    }

    #[test]
    fn nothing_is_desired_any_more_and_every_node_is_told_anew() {
        let mut world = bramble().nodes(2).deployed("env");
        let before = world.state.generation(pi(1)).unwrap();
        assert!(matches!(by_ada(&mut world, dissolve(true)), Outcome::Applied(_)));
        assert_eq!(world.state.dissolved(), Some(BrambleId::from_number(2)));
        assert!(world.state.functions().is_empty());
        for number in [1, 2] {
            assert!(crate::sync::desired(&world.state, pi(number)).is_empty());
        }
        assert!(world.state.generation(pi(1)).unwrap() > before);
    }

    #[test]
    fn people_change_nothing_in_it_any_more() {
        let mut world = bramble().nodes(1).does(dissolve(false));
        let ended = Outcome::Refused(Refusal::Dissolved(BrambleId::from_number(2)));
        assert_eq!(by_ada(&mut world, put("env", Expect::Any)), ended);
        assert_eq!(world.apply(dissolve(false)), ended);
    }
}
