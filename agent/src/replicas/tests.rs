//! Plan and memory together, with an engine that pretends and a clock that the test turns.

use super::*;
use crate::engine::{Ending, fake::FakeEngine};
use api::{FunctionName, FunctionSpec, openfaas::FunctionDeployment};

const R1: ReplicaId = ReplicaId(1);
const R2: ReplicaId = ReplicaId(2);

/// An agent, its engine, and what time it is.
struct World {
    replicas: Replicas,
    engine: FakeEngine,
    now: Now,
    number: u64,
}

fn function(extra: &str) -> DesiredReplica {
    let text = format!(r#"{{"service":"env","image":"bramble/env:latest"{extra}}}"#);
    let written: FunctionDeployment = serde_json::from_str(&text).unwrap();
    DesiredReplica {
        version: 1,
        spec: FunctionSpec::check(&written, "").unwrap(),
        image: None,
        secrets: Default::default(),
        devices: Default::default(),
    }
}

fn env() -> DesiredReplica {
    function(r#","envVars":{"write_timeout":"10s","healthcheck_interval":"10s"}"#)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            replicas: Replicas::new(),
            engine: FakeEngine::new(),
            now: Duration::ZERO,
            number: 0,
        };
        world.look();
        world
    }

    /// A world in which R1 runs and is ready.
    fn with_r1_ready() -> Self {
        let mut world = Self::new();
        world.order(&[(R1, env())]);
        world.pass();
        world.answer(R1, Ok(()));
        assert_eq!(world.phase(R1), Phase::Ready);
        world
    }

    fn order(&mut self, replicas: &[(ReplicaId, DesiredReplica)]) {
        self.number += 1;
        let generation = Generation {
            epoch: 1,
            number: self.number,
        };
        self.replicas
            .order(generation, replicas.iter().cloned().collect(), self.now)
            .unwrap();
    }

    fn look(&mut self) {
        self.replicas.observe(self.engine.list(), self.now);
    }

    /// One pass of the reconciler, with steps that take no time.
    fn pass(&mut self) -> Vec<Step> {
        self.look();
        let steps = self.replicas.steps(self.now);
        for step in &steps {
            self.engine.run(step);
            self.replicas.ended(step, Ok(()), self.now);
        }
        self.look();
        steps
    }

    fn answer(&mut self, replica: ReplicaId, answer: Result<(), &str>) {
        let Some((_, run)) = self.replicas.running().remove(&replica) else {
            return;
        };
        let answer = answer.map_err(str::to_owned);
        self.replicas
            .answered(replica, &run, Question::Both, answer, self.now);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn report(&self, replica: ReplicaId) -> ReplicaReport {
        self.replicas.report(self.now).unwrap()[&replica].clone()
    }

    fn phase(&self, replica: ReplicaId) -> Phase {
        self.report(replica).phase
    }

    fn dies(&mut self, replica: ReplicaId, code: i32) {
        let last_words = "Traceback: no module named handler".to_owned();
        self.engine.kill(
            replica,
            Ending {
                code,
                last_words,
                ..Ending::default()
            },
        );
    }
}

#[test]
fn an_ordered_replica_is_started_and_is_ready_when_it_answers() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    assert_eq!(world.phase(R1), Phase::Starting);
    let steps = world.pass();
    assert!(matches!(&steps[..], [Step::Start { replica: R1, .. }]));
    assert_eq!(world.phase(R1), Phase::Starting);
    assert!(world.pass().is_empty());
    world.answer(R1, Ok(()));
    assert_eq!(world.phase(R1), Phase::Ready);
    assert!(world.report(R1).address.is_some());
}

#[test]
fn nothing_is_done_before_the_leader_was_heard_or_the_engine_was_looked_at() {
    let mut world = World::with_r1_ready();
    let mut restarted = Replicas::new();
    assert!(restarted.report(world.now).is_none());
    restarted.observe(world.engine.list(), world.now);
    assert!(restarted.steps(world.now).is_empty());
    assert_eq!(restarted.report(world.now).unwrap()[&R1].phase, Phase::Starting);

    world.replicas.lost_sight();
    world.order(&[(R2, env())]);
    assert!(world.replicas.steps(world.now).is_empty());
    assert!(world.replicas.report(world.now).is_none());
}

#[test]
fn a_restarted_agent_adopts_what_runs_and_starts_nothing_twice() {
    let mut world = World::with_r1_ready();
    world.replicas = Replicas::new();
    world.look();
    world.order(&[(R1, env())]);
    assert!(world.pass().is_empty());
    world.answer(R1, Ok(()));
    assert_eq!((world.phase(R1), world.report(R1).restarts), (Phase::Ready, 0));
}

#[test]
fn older_orders_are_refused_also_after_a_restart() {
    let mut world = World::new();
    world.order(&[]);
    world.order(&[(R1, env())]);
    world.pass();
    let old = Generation { epoch: 1, number: 1 };
    assert!(world.replicas.order(old, BTreeMap::new(), world.now).is_err());

    world.replicas = Replicas::new();
    world.look();
    let refused = world.replicas.order(old, BTreeMap::new(), world.now).unwrap_err();
    assert_eq!(refused.known, Generation { epoch: 1, number: 2 });
    let restored = Generation { epoch: 2, number: 0 };
    assert!(world.replicas.order(restored, BTreeMap::new(), world.now).is_ok());
}

#[test]
fn a_replica_that_is_not_ordered_any_more_serves_on_until_the_routes_have_changed() {
    let mut world = World::with_r1_ready();
    world.order(&[]);
    assert_eq!(world.phase(R1), Phase::Draining);
    assert!(world.replicas.is_draining());
    assert!(world.pass().is_empty());
    assert_eq!(world.replicas.addresses().len(), 1);
    let due = world.replicas.due(world.now).unwrap();
    world.now = due;
    let steps = world.pass();
    assert!(matches!(&steps[..], [Step::Stop { replica: R1, grace }] if *grace == s(20)));
    assert!(world.replicas.report(world.now).unwrap().is_empty());
}

#[test]
fn invocations_under_way_are_waited_for_but_not_for_ever() {
    let mut world = World::with_r1_ready();
    world.order(&[]);
    world.replicas.in_flight(&BTreeMap::from([(R1, 3)]));
    world.wait(s(19));
    assert!(world.pass().is_empty());
    world.wait(s(1));
    assert_eq!(world.pass().len(), 1);

    let mut world = World::with_r1_ready();
    world.order(&[]);
    world.replicas.in_flight(&BTreeMap::from([(R1, 3)]));
    world.wait(s(5));
    assert!(world.pass().is_empty());
    world.replicas.in_flight(&BTreeMap::new());
    assert_eq!(world.pass().len(), 1);
}

#[test]
fn a_replica_that_was_never_ready_goes_at_once() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    world.pass();
    world.order(&[]);
    assert_eq!(world.pass().len(), 1);
}

#[test]
fn a_replica_that_is_ordered_again_while_it_drains_stays() {
    let mut world = World::with_r1_ready();
    world.order(&[]);
    world.wait(s(1));
    world.order(&[(R1, env())]);
    world.wait(s(60));
    assert!(world.pass().is_empty());
    assert_eq!(world.phase(R1), Phase::Ready);
}

#[test]
fn stops_come_before_starts() {
    let mut world = World::with_r1_ready();
    world.order(&[(R2, env())]);
    world.wait(s(2));
    let steps = world.pass();
    assert!(matches!(
        &steps[..],
        [Step::Stop { replica: R1, .. }, Step::Start { replica: R2, .. }]
    ));
}

#[test]
fn a_start_that_nobody_wants_any_more_is_given_up() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    assert_eq!(world.replicas.steps(world.now).len(), 1);
    world.replicas.progress(R1, "fetching image: 45 %".to_owned());
    assert_eq!(world.report(R1).reason, "fetching image: 45 %");
    assert!(world.replicas.steps(world.now).is_empty());
    world.order(&[]);
    let steps = world.replicas.steps(world.now);
    assert!(matches!(&steps[..], [Step::Stop { replica: R1, .. }]));
}

#[test]
fn a_replica_of_another_version_is_another_replica() {
    let mut world = World::with_r1_ready();
    let mut newer = env();
    newer.version = 2;
    world.order(&[(R1, newer)]);
    assert!(matches!(&world.pass()[..], [Step::Stop { .. }]));
    assert!(matches!(&world.pass()[..], [Step::Start { .. }]));
}

#[test]
fn a_dead_replica_is_started_again_with_growing_pauses() {
    let mut world = World::with_r1_ready();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        world.dies(R1, 1);
        world.look();
        assert_eq!(world.phase(R1), Phase::Failing);
        let died = world.now;
        world.now = world.replicas.due(world.now).unwrap();
        pauses.push((world.now - died).as_secs());
        assert_eq!(world.pass().len(), 1);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(world.report(R1).restarts, 8);
    let reason = world.report(R1).reason;
    assert_eq!(
        reason,
        "exits with code 1 right after its start (8 times); last words: Traceback: no module named handler"
    );
}

#[test]
fn a_healthy_while_makes_the_next_death_the_first() {
    let mut world = World::with_r1_ready();
    for _ in 0..4 {
        world.dies(R1, 1);
        world.look();
        world.now = world.replicas.due(world.now).unwrap();
        world.pass();
    }
    world.answer(R1, Ok(()));
    world.wait(s(61));
    world.answer(R1, Ok(()));
    world.dies(R1, 1);
    world.look();
    assert_eq!(world.replicas.due(world.now), Some(world.now + s(1)));
    assert!(
        world
            .report(R1)
            .reason
            .starts_with("exits with code 1 after 61 s")
    );
}

#[test]
fn a_failed_start_is_told_and_tried_again_later() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    let steps = world.replicas.steps(world.now);
    world
        .replicas
        .ended(&steps[0], Err("there is no image `nope`".to_owned()), world.now);
    world.look();
    assert_eq!(
        (world.phase(R1), world.report(R1).reason.as_str()),
        (Phase::Failing, "there is no image `nope`")
    );
    assert!(world.replicas.steps(world.now).is_empty());
    world.wait(s(1));
    assert_eq!(world.replicas.steps(world.now).len(), 1);
}

#[test]
fn what_a_failed_start_cleared_away_was_removed_by_nobody_else() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    world.look();
    let steps = world.replicas.steps(world.now);
    // It is made, somebody looks, it cannot start, and the start removes it again.
    world.engine.run(&steps[0]);
    world.look();
    world.engine.run(&Step::Stop {
        replica: R1,
        grace: s(0),
    });
    world
        .replicas
        .ended(&steps[0], Err("no such program".to_owned()), world.now);
    world.look();
    let report = world.report(R1);
    assert_eq!(
        (report.phase, report.reason.as_str()),
        (Phase::Failing, "no such program")
    );
}

#[test]
fn a_replica_that_stops_answering_is_started_afresh() {
    let mut world = World::with_r1_ready();
    for _ in 0..2 {
        world.answer(R1, Err("no answer within 1 s"));
        assert_eq!(world.phase(R1), Phase::Ready);
    }
    world.answer(R1, Err("no answer within 1 s"));
    assert_eq!(world.phase(R1), Phase::Failing);
    assert!(
        world
            .report(R1)
            .reason
            .contains("stopped answering (3 times in a row)")
    );
    assert!(matches!(&world.pass()[..], [Step::Stop { grace, .. }] if *grace == s(10)));
    assert!(world.pass().is_empty());
    world.wait(s(1));
    assert!(matches!(&world.pass()[..], [Step::Start { .. }]));
    world.answer(R1, Ok(()));
    assert_eq!((world.phase(R1), world.report(R1).restarts), (Phase::Ready, 1));
}

#[test]
fn a_slow_start_is_no_illness_but_is_told() {
    let mut world = World::new();
    world.order(&[(R1, env())]);
    world.pass();
    for _ in 0..31 {
        world.answer(R1, Err("nothing listens on port 8080"));
        world.wait(s(2));
    }
    assert!(world.pass().is_empty());
    let report = world.report(R1);
    assert_eq!(report.phase, Phase::Failing);
    assert_eq!(
        report.reason,
        "has not answered for 60 s: nothing listens on port 8080"
    );
    world.answer(R1, Ok(()));
    assert_eq!(world.phase(R1), Phase::Ready);
}

#[test]
fn an_answer_of_an_earlier_run_is_passed_over() {
    let mut world = World::with_r1_ready();
    let (_, run) = world.replicas.running().remove(&R1).unwrap();
    world.dies(R1, 1);
    world.look();
    world.wait(s(1));
    world.pass();
    world
        .replicas
        .answered(R1, &run, Question::Both, Ok(()), world.now);
    assert_eq!(world.phase(R1), Phase::Failing);
}

#[test]
fn a_replica_removed_by_hand_is_made_again() {
    let mut world = World::with_r1_ready();
    world.engine.run(&Step::Stop {
        replica: R1,
        grace: s(0),
    });
    world.look();
    assert!(world.report(R1).reason.contains("removed by somebody"));
    world.wait(s(1));
    assert!(matches!(&world.pass()[..], [Step::Start { .. }]));
}

#[test]
fn a_replica_paused_by_hand_goes_on() {
    let mut world = World::with_r1_ready();
    world.engine.run(&Step::Freeze { replica: R1 });
    world.look();
    assert_eq!(world.phase(R1), Phase::Frozen);
    assert!(matches!(&world.pass()[..], [Step::Thaw { .. }]));
    assert_eq!(world.phase(R1), Phase::Ready);
}

#[test]
fn a_stray_is_stopped_after_its_drain() {
    let mut world = World::with_r1_ready();
    world.replicas = Replicas::new();
    world.look();
    world.order(&[]);
    assert!(world.pass().is_empty());
    world.wait(s(2));
    assert!(matches!(&world.pass()[..], [Step::Stop { .. }]));
}

#[test]
fn the_function_of_a_replica_is_told_even_when_only_its_remains_are_known() {
    let mut world = World::with_r1_ready();
    world.order(&[]);
    let name: FunctionName = "env".parse().unwrap();
    assert_eq!(world.report(R1).function, name);
}
