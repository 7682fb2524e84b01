use std::time::Duration;

use api::sync::{FunctionCounters, Routes};

use super::*;
use crate::{
    Outcome,
    testing::{World, bramble, counters, facts, generation, ids, moment, name, pi, report},
};

fn hears(world: &World, number: u128, request: &SyncRequest) -> Result<Vec<Action>, NotAdmitted> {
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    receive(&world.state, &mut memory, pi(number), request, moment(100))
}

fn one(actions: Result<Vec<Action>, NotAdmitted>) -> Action {
    let mut actions = actions.unwrap();
    assert_eq!(actions.len(), 1, "{actions:?}");
    actions.remove(0)
}

#[test]
fn an_idle_node_has_nothing_written() {
    let world = bramble().nodes(2).deployed("env").settled();
    assert_eq!(hears(&world, 1, &report(&world.state, 1)), Ok(vec![]));
}

#[test]
fn a_node_of_this_bramble_that_is_not_known_is_taken_in() {
    let world = bramble();
    let action = one(hears(&world, 7, &report(&world.state, 7)));
    assert_eq!(
        action,
        Action::AdmitNode {
            id: pi(7),
            facts: Box::new(facts(7, 924)),
            controller: false,
            awaited: false,
        }
    );
    assert_eq!(
        answer(&world.state, pi(7), &report(&world.state, 7)),
        None,
        "it hangs until it is in"
    );
}

#[test]
fn a_removed_node_stays_out() {
    let world = bramble().nodes(2).does(Action::RemoveNode { id: pi(2) });
    assert_eq!(hears(&world, 2, &report(&world.state, 2)), Err(NotAdmitted));
}

#[test]
fn a_node_that_is_heard_again_is_up_again() {
    let world = bramble().nodes(2).down(2);
    let action = one(hears(&world, 2, &report(&world.state, 2)));
    assert_eq!(
        action,
        Action::MarkNode {
            id: pi(2),
            phase: NodePhase::Up
        }
    );
}

#[test]
fn a_node_that_changed_is_written_once() {
    let world = bramble().nodes(1);
    let mut request = report(&world.state, 1);
    request.facts.version = "0.2.0".to_owned();
    let news = one(hears(&world, 1, &request));
    let world = world.does(news);
    assert_eq!(hears(&world, 1, &request), Ok(vec![]));
}

#[test]
fn another_phase_is_written_and_other_words_are_not() {
    let world = bramble().nodes(1).deployed("env").planned();
    let mut request = report(&world.state, 1);
    let replicas = request.replicas.as_mut().unwrap();
    replicas.get_mut(&ReplicaId(1)).unwrap().reason = "41 % of the image fetched".to_owned();
    assert_eq!(hears(&world, 1, &request), Ok(vec![]));
    let replicas = request.replicas.as_mut().unwrap();
    replicas.get_mut(&ReplicaId(1)).unwrap().phase = Phase::Ready;
    let news = one(hears(&world, 1, &request));
    let world = world.does(news);
    assert_eq!(world.serving_versions("env").len(), 1);
}

#[test]
fn a_replica_that_is_not_there_any_more_serves_no_longer() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut request = report(&world.state, 1);
    request.replicas = Some(BTreeMap::new());
    let news = one(hears(&world, 1, &request));
    let world = world.does(news);
    assert!(world.serving_versions("env").is_empty());
    assert_eq!(world.state.replicas().len(), 1, "it is still wanted there");
}

#[test]
fn nothing_is_concluded_from_an_agent_that_has_not_looked() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut request = report(&world.state, 1);
    request.replicas = None;
    assert_eq!(hears(&world, 1, &request), Ok(vec![]));
}

#[test]
fn a_draining_replica_is_gone_only_when_an_up_to_date_agent_has_it_no_more() {
    let before = bramble().nodes(1).deployed("env").settled();
    let mut late = report(&before.state, 1);
    late.replicas = Some(BTreeMap::new());
    let world = before.scaled("env", 0).planned();
    assert_eq!(
        hears(&world, 1, &late),
        Ok(vec![]),
        "it may not know yet that it should stop it"
    );
    late.generation = None;
    assert_eq!(hears(&world, 1, &late), Ok(vec![]), "nor after a restart");
    let action = one(hears(&world, 1, &report(&world.state, 1)));
    assert_eq!(
        action,
        Action::ReplicaPhases {
            node: pi(1),
            changes: [].into(),
            gone: ids([1])
        }
    );
    assert!(world.does(action).state.replicas().is_empty());
}

#[test]
fn strays_are_passed_over() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut request = report(&world.state, 1);
    let replicas = request.replicas.as_mut().unwrap();
    let stray = replicas[&ReplicaId(1)].clone();
    replicas.insert(ReplicaId(99), stray);
    assert_eq!(hears(&world, 1, &request), Ok(vec![]));
}

#[test]
fn restarts_and_late_messages_of_ended_processes_are_counted_once() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    let mut says = |incarnation: u64, ended: u64| {
        let mut request = report(&world.state, 1);
        request.incarnation = incarnation;
        request.counters = vec![counters("env", ended, 0)];
        receive(&world.state, &mut memory, pi(1), &request, moment(100)).unwrap();
        memory.totals.total(&name("env"))
    };
    assert_eq!(says(70, 10), 10);
    assert_eq!(says(31, 4), 14, "another process of the node");
    assert_eq!(says(70, 9), 14, "a late message of the first");
    assert_eq!(says(31, 5), 15);
    assert_eq!(says(99, 1), 16);
    assert_eq!(says(50, 1), 17);
    assert_eq!(says(50, 3), 19);
}

#[test]
fn waiting_invocations_are_added_up_over_nodes_that_are_up() {
    let mut world = bramble().nodes(2).deployed("env");
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    for number in [1, 2] {
        let mut request = report(&world.state, number);
        request.counters = vec![counters("env", 0, 3)];
        receive(&world.state, &mut memory, pi(number), &request, moment(1)).unwrap();
    }
    assert_eq!(memory.waiting(&world.state), [(name("env"), 6)].into());
    world = world.down(2);
    assert_eq!(memory.waiting(&world.state), [(name("env"), 3)].into());
}

#[test]
fn an_invocation_that_was_served_wakes_a_function_no_more() {
    let mut world = bramble().nodes(1).deployed("env").settled();
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    let mut request = report(&world.state, 1);
    request.counters = vec![counters("env", 0, 1)];
    receive(&world.state, &mut memory, pi(1), &request, moment(1)).unwrap();
    memory.forget_served(&world.state);
    world = world.scaled("env", 0).settled();
    assert_eq!(memory.waiting(&world.state), [].into());
    // Who comes after that does wake it.
    receive(&world.state, &mut memory, pi(1), &request, moment(2)).unwrap();
    memory.forget_served(&world.state);
    assert_eq!(memory.waiting(&world.state), [(name("env"), 1)].into());
}

#[test]
fn an_agent_that_knows_all_hangs_and_is_told_little_when_its_time_is_up() {
    let world = bramble().nodes(1).deployed("env").settled();
    let request = report(&world.state, 1);
    assert_eq!(answer(&world.state, pi(1), &request), None);
    let orders = orders_now(&world.state, pi(1), &request).unwrap();
    assert_eq!((orders.desired, orders.routes), (None, None));
}

#[test]
fn an_agent_that_has_just_begun_is_told_everything() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut request = report(&world.state, 1);
    (request.generation, request.routes) = (None, None);
    let orders = answer(&world.state, pi(1), &request).unwrap();
    let desired = orders.desired.unwrap();
    assert_eq!(desired.keys().copied().collect::<BTreeSet<_>>(), ids([1]));
    assert_eq!(desired[&ReplicaId(1)].spec.name, name("env"));
    assert_eq!(orders.routes.unwrap(), routes(&world.state));
}

#[test]
fn an_agent_that_is_ahead_is_left_alone() {
    let world = bramble().nodes(1).deployed("env").settled();
    let mut request = report(&world.state, 1);
    request.generation = Some(generation(2, 1));
    request.routes = Some(generation(2, 1));
    assert_eq!(answer(&world.state, pi(1), &request), None);
}

#[test]
fn draining_replicas_are_neither_desired_nor_routed_to() {
    let world = bramble()
        .nodes(1)
        .deployed("env")
        .settled()
        .scaled("env", 0)
        .planned();
    assert!(desired(&world.state, pi(1)).is_empty());
    let Routes { functions, .. } = routes(&world.state);
    assert!(functions[&name("env")].ready.is_empty());
}

#[test]
fn during_an_update_both_versions_are_desired_each_with_its_own_spec() {
    let world = bramble()
        .nodes(2)
        .deployed(r#"env,"envVars":{"A":"1"}"#)
        .settled();
    let world = world.deployed(r#"env,"envVars":{"A":"2"}"#).planned();
    let all = [desired(&world.state, pi(1)), desired(&world.state, pi(2))];
    let values: Vec<_> = all
        .iter()
        .flat_map(|desired| desired.values())
        .map(|d| d.spec.env["A"].as_str())
        .collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn totals_survive_restarts_of_processes_and_leaders() {
    let mut world = bramble().nodes(1).deployed("env");
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    let says = |memory: &mut LeaderMemory, state: &State, incarnation: u64, ended: u64| {
        let mut request = report(state, 1);
        request.incarnation = incarnation;
        request.counters = vec![
            counters("env", ended, 0),
            FunctionCounters {
                finished: BTreeMap::new(),
                ..counters("gone", 0, 0)
            },
        ];
        receive(state, memory, pi(1), &request, moment(1)).unwrap();
    };
    says(&mut memory, &world.state, 1, 100);
    assert_eq!(
        memory.totals.due(&world.state, moment(1_000)),
        None,
        "not so soon"
    );
    let ten_minutes = Moment::new(Duration::from_secs(601));
    let checkpoint = memory.totals.due(&world.state, ten_minutes).unwrap();
    assert!(matches!(world.apply(checkpoint), Outcome::Applied(_)));
    assert_eq!(memory.totals.checkpoint(&world.state), None, "nothing new");

    let mut memory = LeaderMemory::new(&world.state, moment(0));
    assert_eq!(memory.totals.total(&name("env")), 100);
    says(&mut memory, &world.state, 1, 130);
    says(&mut memory, &world.state, 2, 5);
    assert_eq!(memory.totals.total(&name("env")), 135);
    assert_eq!(memory.ended_by_code(&name("env")), [(200, 5)].into());
}
