//! An agent and a leader that the test plays, over real mutual TLS, with an engine that pretends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use agent::{
    Agent, AgentConfig, EngineConfig, Leave, Pulse,
    engine::{
        Ending,
        fake::{FakeEngine, SharedFakeEngine},
    },
};
use api::{
    FunctionSpec, Generation, NodeId, ReplicaId,
    light::Light,
    openfaas::FunctionDeployment,
    sync::{DesiredReplica, MAX_WAIT, Orders, Phase, Routes, SYNC_PATH, SyncAnswer, SyncRequest},
    versioned,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use gateway::{Gateway, GatewayConfig};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use transport::{Admittance, Authority, Client, Identity, PeerId};

const R1: ReplicaId = ReplicaId(1);

/// A controller that the test plays: answers what it is told to, as the protocol says, and remembers what it heard.
#[derive(Clone)]
struct Leader {
    id: NodeId,
    address: SocketAddr,
    answer: watch::Sender<SyncAnswer>,
    heard: Arc<Mutex<Vec<(Instant, SyncRequest)>>>,
    /// Whether it says that whoever asks was removed.
    removes: Arc<AtomicBool>,
    _stop: Arc<DropGuard>,
}

impl Leader {
    async fn start(authority: &Authority) -> Self {
        let identity = Arc::new(Identity::issued_by(authority).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let leader = Self {
            id: identity.id(),
            address: listener.local_addr().unwrap(),
            answer: watch::Sender::new(SyncAnswer::NotAdmitted),
            heard: Arc::default(),
            removes: Arc::default(),
            _stop: Arc::new(stop.clone().drop_guard()),
        };
        let (answer, heard) = (leader.answer.clone(), leader.heard.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut answer, heard) = (answer.subscribe(), heard.clone());
            async move {
                assert_eq!(request.uri().path(), SYNC_PATH);
                let peer = *request.extensions().get::<PeerId>().unwrap();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let request: SyncRequest = versioned::decode(&body).unwrap();
                assert_ne!(peer.0, NodeId::default());
                heard.lock().unwrap().push((Instant::now(), request.clone()));
                // Hangs until there is news for this node.
                let is_news = |answer: &SyncAnswer| match answer {
                    SyncAnswer::Orders(orders) => request.generation != Some(orders.generation),
                    _ => true,
                };
                _ = timeout(MAX_WAIT, answer.wait_for(is_news)).await;
                let mut answer = answer.borrow().clone();
                if let SyncAnswer::Orders(orders) = &mut answer {
                    orders
                        .desired
                        .take_if(|_| request.generation == Some(orders.generation));
                    let known = request.routes;
                    orders.routes.take_if(|routes| known == Some(routes.revision));
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(versioned::encode(&answer)))))
            }
        });
        let removes = leader.removes.clone();
        let admitted = move |_| match removes.load(Ordering::Relaxed) {
            true => Admittance::Removed,
            false => Admittance::Member,
        };
        tokio::spawn(transport::serve(listener, identity, admitted, service, stop));
        leader
    }

    /// Says from now on that it does not lead, and does not know who does.
    fn steps_down(&self) {
        self.answer.send_replace(SyncAnswer::NotLeader { leader: None });
    }

    /// Orders these replicas from now on.
    fn order(&self, number: u64, replicas: &[ReplicaId]) {
        let generation = Generation { epoch: 1, number };
        let written = FunctionDeployment {
            service: "env".to_owned(),
            image: "bramble/env:latest".to_owned(),
            ..FunctionDeployment::default()
        };
        let desired = DesiredReplica {
            version: 1,
            spec: FunctionSpec::check(&written, "").unwrap(),
            image: None,
            secrets: Default::default(),
            devices: Default::default(),
        };
        self.answer.send_replace(SyncAnswer::Orders(Orders {
            generation,
            desired: Some(
                replicas
                    .iter()
                    .map(|replica| (*replica, desired.clone()))
                    .collect(),
            ),
            routes: Some(Routes {
                revision: generation,
                nodes: [(self.id, self.address)].into(),
                controllers: [self.id].into(),
                leader: Some(self.id),
                ..Routes::default()
            }),
            light: Light::default(),
            holdings: None,
            holders: BTreeMap::new(),
            first_visit_code: None,
            work: false,
            dissolved: None,
            name: None,
        }));
    }

    fn last(&self) -> Option<SyncRequest> {
        self.heard
            .lock()
            .unwrap()
            .last()
            .map(|(_, request)| request.clone())
    }

    /// Waits until the last request says so.
    async fn hears(&self, what: &str, is_it: impl Fn(&SyncRequest) -> bool) -> SyncRequest {
        let began = Instant::now();
        loop {
            match self.last() {
                Some(request) if is_it(&request) => return request,
                last => assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "never heard that {what}; last: {last:?}"
                ),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn hears_phase(&self, replica: ReplicaId, phase: Phase) -> SyncRequest {
        let is_it = |request: &SyncRequest| {
            request
                .replicas
                .as_ref()
                .is_some_and(|all| all.get(&replica).is_some_and(|one| one.phase == phase))
        };
        self.hears(&format!("{replica} is {phase}"), is_it).await
    }
}

struct World {
    leader: Leader,
    engine: SharedFakeEngine,
    gateway: Gateway,
    authority: Authority,
    state: TempDir,
    identity: Arc<Identity>,
    /// How often the agent's pulse has beaten.
    beats: Arc<AtomicUsize>,
    stop: CancellationToken,
    /// For a node that leaves alone: how, and when nothing runs any more.
    leave: Option<(Leave, BoxFuture<'static, ()>)>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Answers every request with 200: what the fake engine's replicas are.
async fn healthy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                _ = stream.read(&mut request).await;
                _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            });
        }
    });
    address
}

impl World {
    /// A node without its agent.
    async fn without_agent() -> Self {
        let authority = Authority::create().unwrap();
        let identity = Arc::new(Identity::issued_by(&authority).unwrap());
        let config = GatewayConfig {
            node: identity.id(),
            name: "pi".to_owned(),
            version: "test".to_owned(),
            ..GatewayConfig::default()
        };
        Self {
            leader: Leader::start(&authority).await,
            engine: SharedFakeEngine::new(FakeEngine::answering_at(healthy().await)),
            gateway: Gateway::new(config, Client::new(identity.clone())),
            authority,
            state: tempfile::tempdir().unwrap(),
            identity,
            beats: Arc::default(),
            stop: CancellationToken::new(),
            leave: None,
        }
    }

    fn start_agent(&mut self, controllers: Vec<(NodeId, SocketAddr)>) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        let config = AgentConfig {
            node: self.identity.id(),
            name: "pi-3b-7f2a".to_owned(),
            bramble: "test".to_owned(),
            version: "0.1.0".to_owned(),
            address: agent::OwnAddress::Fixed("127.0.0.1:7443".parse().unwrap()),
            state_dir: self.state.path().to_owned(),
            root: "/".into(),
            builtin_dir: "/nonexistent".into(),
            engine: EngineConfig::Docker { place: None },
            contacts: agent::Contacts::new(controllers),
            strangers: agent::Strangers::default(),
            virtual_board: None,
        };
        let agent = Agent::new(
            config,
            self.gateway.clone(),
            Client::new(self.identity.clone()),
            Client::bulk(self.identity.clone()),
        )
        .unwrap();
        let beats = self.beats.clone();
        let agent = agent.with_pulse(Pulse::new(move || _ = beats.fetch_add(1, Ordering::Relaxed)));
        self.leave = Some((agent.leave(), Box::pin(agent.is_empty())));
        tokio::spawn(agent.run_with(self.engine.clone(), self.stop.clone()));
    }

    async fn new() -> Self {
        let mut world = Self::without_agent().await;
        world.leader.order(1, &[]);
        world.start_agent(vec![(world.leader.id, world.leader.address)]);
        world
    }

    /// A world whose replica R1 is ready.
    async fn with_r1() -> Self {
        let world = Self::new().await;
        world.leader.order(2, &[R1]);
        world.leader.hears_phase(R1, Phase::Ready).await;
        world
    }

    /// The same, where the agent knows of another controller.
    async fn with_r1_and_another_controller() -> (Self, Leader) {
        let mut world = Self::without_agent().await;
        let other = Leader::start(&world.authority).await;
        world.leader.order(1, &[R1]);
        world.start_agent(vec![
            (world.leader.id, world.leader.address),
            (other.id, other.address),
        ]);
        world.leader.hears_phase(R1, Phase::Ready).await;
        (world, other)
    }
}

#[tokio::test]
async fn orders_are_carried_out_and_their_end_is_told_at_once() {
    let world = World::new().await;
    let hello = world
        .leader
        .hears("orders were taken over", |r| r.generation.is_some())
        .await;
    assert_eq!(
        (hello.facts.name.as_str(), hello.facts.version.as_str()),
        ("pi-3b-7f2a", "0.1.0")
    );
    assert_eq!(hello.replicas, Some(BTreeMap::new()));
    assert!(hello.vitals.memory_available.bytes() > 0 && hello.vitals.disk_total_bytes > 0);

    let began = Instant::now();
    world.leader.order(2, &[R1]);
    let request = world.leader.hears_phase(R1, Phase::Ready).await;
    assert!(
        began.elapsed() < MAX_WAIT,
        "a phase should not wait for the hanging request: {:?}",
        began.elapsed()
    );
    let generation = Generation { epoch: 1, number: 2 };
    assert_eq!(
        (request.generation, request.routes),
        (Some(generation), Some(generation))
    );
    assert_eq!(world.gateway.routes().revision, generation);
}

#[tokio::test]
async fn the_pulse_beats_whether_a_leader_answers_or_not() {
    let mut world = World::with_r1().await;
    assert!(world.beats.load(Ordering::Relaxed) > 0);
    for controllers in [vec![], vec![(world.leader.id, "127.0.0.1:9".parse().unwrap())]] {
        world.start_agent(controllers);
        let before = world.beats.load(Ordering::Relaxed);
        sleep(Duration::from_secs(3)).await;
        assert!(world.beats.load(Ordering::Relaxed) >= before + 2);
    }
}

#[tokio::test]
async fn an_idle_node_asks_about_once_a_second() {
    let world = World::with_r1().await;
    let before = world.leader.heard.lock().unwrap().len();
    sleep(Duration::from_millis(2500)).await;
    let asked = world.leader.heard.lock().unwrap().len() - before;
    assert!((2..=4).contains(&asked), "{asked} requests in 2.5 s");
}

#[tokio::test]
async fn a_replica_that_is_not_ordered_any_more_goes_after_its_drain() {
    let world = World::with_r1().await;
    world.leader.order(3, &[]);
    world.leader.hears_phase(R1, Phase::Draining).await;
    assert_eq!(world.engine.lock().list().len(), 1);
    world
        .leader
        .hears("it is gone", |r| r.replicas == Some(BTreeMap::new()))
        .await;
    assert!(world.engine.lock().list().is_empty());
}

#[tokio::test]
async fn a_node_that_leaves_alone_lets_its_replicas_end_in_good_order_whatever_its_leader_says_then() {
    let mut world = World::without_agent().await;
    world.leader.order(1, &[R1]);
    world.start_agent(vec![(world.leader.id, world.leader.address)]);
    let (leave, empty) = world.leave.take().unwrap();
    world.leader.hears_phase(R1, Phase::Ready).await;
    leave.leave();
    world.leader.hears_phase(R1, Phase::Draining).await;
    world.leader.order(2, &[R1]);
    timeout(Duration::from_secs(10), empty)
        .await
        .expect("it is empty");
    assert!(world.engine.lock().list().is_empty());
    sleep(Duration::from_millis(300)).await;
    assert!(world.engine.lock().list().is_empty(), "it stays so");
}

#[tokio::test]
async fn a_death_is_told_in_words_and_mended() {
    let world = World::with_r1().await;
    world.engine.lock().kill(
        R1,
        Ending {
            code: 3,
            ..Ending::default()
        },
    );
    world.engine.notify();
    let request = world.leader.hears_phase(R1, Phase::Failing).await;
    let reason = &request.replicas.unwrap()[&R1].reason;
    assert!(reason.contains("exits with code 3"), "{reason}");
    let request = world.leader.hears_phase(R1, Phase::Ready).await;
    assert_eq!(request.replicas.unwrap()[&R1].restarts, 1);
}

#[tokio::test]
async fn older_orders_are_refused_without_a_storm() {
    let world = World::with_r1().await;
    world.leader.order(1, &[]);
    let before = world.leader.heard.lock().unwrap().len();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.engine.lock().list().len(), 1);
    let request = world.leader.last().unwrap();
    assert_eq!(request.generation, Some(Generation { epoch: 1, number: 2 }));
    let asked = world.leader.heard.lock().unwrap().len() - before;
    assert!(asked < 10, "{asked} requests");
}

#[tokio::test]
async fn the_hint_of_a_controller_that_does_not_lead_is_followed() {
    let mut world = World::without_agent().await;
    let follower = Leader::start(&world.authority).await;
    let leader = Some((world.leader.id, world.leader.address));
    follower.answer.send_replace(SyncAnswer::NotLeader { leader });
    world.leader.order(1, &[R1]);
    world.start_agent(vec![(follower.id, follower.address)]);
    world.leader.hears_phase(R1, Phase::Ready).await;
    assert_eq!(follower.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_node_that_is_cut_off_keeps_what_it_runs_and_asks_the_next_controller() {
    let (world, other) = World::with_r1_and_another_controller().await;
    // Neither leads for a while.
    world.leader.steps_down();
    other.steps_down();
    other.hears("it is asked, too", |_| true).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(world.engine.lock().list().len(), 1);

    other.order(2, &[R1, ReplicaId(2)]);
    other.hears_phase(ReplicaId(2), Phase::Ready).await;
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_and_nothing_is_concluded() {
    let world = World::with_r1().await;
    world.engine.set_reachable(false);
    let request = world
        .leader
        .hears("replicas are not known", |r| r.replicas.is_none())
        .await;
    let warnings: Vec<_> = request.vitals.warnings.iter().map(String::as_str).collect();
    assert_eq!(
        warnings,
        ["the fake engine does not answer: as the test wants it"]
    );
    world.engine.set_reachable(true);
    let request = world.leader.hears_phase(R1, Phase::Ready).await;
    assert!(request.vitals.warnings.is_empty());
    assert_eq!(request.replicas.unwrap()[&R1].restarts, 0);
}

#[tokio::test]
async fn an_agent_that_starts_again_adopts_what_runs() {
    let mut world = World::with_r1().await;
    let first = world.leader.last().unwrap().incarnation;
    let before = world.engine.lock().list();
    world.leader.answer.send_replace(SyncAnswer::NotAdmitted);
    world.start_agent(vec![(world.leader.id, world.leader.address)]);
    let request = world
        .leader
        .hears("another run speaks", |r| {
            r.incarnation != first && r.replicas.is_some()
        })
        .await;
    assert_eq!(request.generation, None);
    assert!(request.replicas.unwrap().contains_key(&R1));
    world.leader.order(2, &[R1]);
    world
        .leader
        .hears("orders were taken over", |r| {
            r.incarnation != first && r.generation.is_some()
        })
        .await;
    world.leader.hears_phase(R1, Phase::Ready).await;
    assert_eq!(world.engine.lock().list(), before);
}

#[tokio::test]
async fn a_node_that_is_told_that_it_was_removed_stops_what_it_runs_and_asks_no_more() {
    let world = World::with_r1().await;
    world.leader.removes.store(true, Ordering::Relaxed);
    let began = Instant::now();
    while !world.engine.lock().list().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "it runs what it ran");
        sleep(Duration::from_millis(20)).await;
    }
    world.leader.removes.store(false, Ordering::Relaxed);
    let before = world.leader.heard.lock().unwrap().len();
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.leader.heard.lock().unwrap().len(), before, "it has left");
}

#[tokio::test]
async fn somebody_who_is_no_member_as_far_as_is_known_cannot_make_a_node_leave() {
    let (world, liar) = World::with_r1_and_another_controller().await;
    // It was removed itself, and still has its certificate.
    liar.removes.store(true, Ordering::Relaxed);
    // Others are asked.
    world.leader.steps_down();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.engine.lock().list().len(), 1);
    world.leader.order(3, &[R1]);
    world
        .leader
        .hears("it still takes orders", |request| {
            request.generation == Some(Generation { epoch: 1, number: 3 })
        })
        .await;
}
