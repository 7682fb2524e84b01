//! Nodes that know nothing but each other's addresses and a join key become one bramble: discovery, decision and join
//! protocol as they are, over real sockets on loopback. Only what a controller replicates is replaced by a few fields.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::discovery::{Discovery, Event, Peers};
use api::{
    Cpu, NodeFacts, NodeId,
    join::{Announcement, BrambleId, Role, Sighting, Standing},
    node::EngineKind,
};
use bytes::Bytes;
use cluster::{
    Moment,
    bootstrap::{self, Bootstrap, Pace, Step},
};
use http_body_util::Full;
use tests::rogue::announcement;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use transport::{
    Authority, Identity, NodeKey,
    join::{
        Admission, Answer, Attempt, Decision, Grant, HostSelf, Introduction, JoinHost, JoinRequest,
        JoinSecret, Knock, knock, serve_candidate,
    },
    serve_with_join,
};

/// What becomes known while a node is a candidate.
enum News {
    Seen(Event),
    Knocked(Sighting, bool),
    Answered(NodeId, bootstrap::Answer),
    Admitted(BrambleId),
}

/// Whoever is knocked at: a candidate that passes on what it hears, or the founder that lets in who proved the key.
struct Door {
    me: HostSelf,
    news: Option<mpsc::UnboundedSender<News>>,
    authority: Option<Authority>,
    address: SocketAddr,
}

impl Admission for Door {
    fn host(&self) -> HostSelf {
        self.me.clone()
    }

    fn decide<'a>(&'a self, request: &'a JoinRequest) -> futures_util::future::BoxFuture<'a, Decision> {
        let decision = match (&self.authority, &self.news) {
            (Some(authority), _) if request.proved => Decision::Admitted(Grant {
                certificate: request.certify(authority).unwrap(),
                name: "bramble".to_owned(),
                controllers: vec![(self.me.announcement.node, self.address)],
            }),
            (None, Some(news)) if request.proved => {
                _ = news.send(News::Knocked(request.sighting.clone(), request.vote));
                Decision::NotYet
            }
            _ => Decision::Waiting { identify_until: None },
        };
        Box::pin(std::future::ready(decision))
    }

    fn refused(&self, attempt: &Attempt) {
        panic!("nobody is to be refused here: {attempt:?}");
    }

    fn waits_no_longer(&self, _: NodeId) {}
}

fn introduction(announcement: &Announcement, address: SocketAddr) -> Introduction {
    Introduction {
        announcement: announcement.clone(),
        port: address.port(),
        facts: NodeFacts {
            name: format!("pi-4b-{}", announcement.node.tail()),
            address,
            board: announcement.board.clone(),
            memory: announcement.memory,
            cpu: Cpu::from_cores(4),
            platforms: Vec::new(),
            os: String::new(),
            page_bytes: 4096,
            engine: EngineKind::Process,
            version: announcement.version.clone(),
            serial: None,
            devices: Default::default(),
            details: Default::default(),
        },
        serial: None,
        formerly: None,
    }
}

/// One knock, as a task that tells what came of it.
async fn try_door(
    key: Arc<NodeKey>,
    secret: Arc<JoinSecret>,
    introduction: Introduction,
    (node, addresses, vote): (NodeId, Vec<SocketAddr>, bool),
    news: mpsc::UnboundedSender<News>,
) {
    let knocked = knock(Knock {
        key: &key,
        to: addresses[0],
        meant: Some(node),
        secret: Some(secret),
        introduction: &introduction,
        vote,
    })
    .await;
    let answer = match knocked {
        Ok(Answer::Admitted(admitted)) => {
            let identity = Identity::new((*key).clone(), admitted.certificate, admitted.authority).unwrap();
            assert_eq!(identity.id(), key.id());
            _ = news.send(News::Admitted(admitted.bramble));
            return;
        }
        Ok(Answer::NotYet(_)) => bootstrap::Answer::NotYet,
        Ok(Answer::Elsewhere(controllers)) => bootstrap::Answer::Elsewhere(controllers),
        Ok(Answer::Refused(_)) => bootstrap::Answer::Refused,
        Ok(Answer::Waiting(_)) => panic!("a node with the key never waits"),
        Err(error) if error.is_distrust() => panic!("{error}"),
        Err(_) => bootstrap::Answer::Unreachable,
    };
    _ = news.send(News::Answered(node, answer));
}

/// A card from its first moment until it is part of a bramble; answers which, and stays.
async fn card(
    listener: TcpListener,
    peers: Vec<SocketAddr>,
    secret: Arc<JoinSecret>,
    founders: Arc<Mutex<Vec<NodeId>>>,
) -> BrambleId {
    let began = Instant::now();
    let now = || Moment::new(began.elapsed());
    let address = listener.local_addr().unwrap();
    let key = Arc::new(NodeKey::generate().unwrap());
    let mut candidate = Bootstrap::new(key.id(), Some(secret.tag()), Pace::brisk());
    candidate.link(true, now());
    let me = announcement(key.id(), candidate.standing());

    let (news, mut heard) = mpsc::unbounded_channel();
    let door = Door {
        me: HostSelf {
            announcement: me.clone(),
            authority: None,
            secret: Some(secret.clone()),
        },
        news: Some(news.clone()),
        authority: None,
        address,
    };
    let host = JoinHost::of_candidate(&key, Arc::new(door)).unwrap();
    let stop = CancellationToken::new();
    let listening = tokio::spawn(serve_candidate(listener, host, stop.clone()));
    let mut peers = Peers::start(
        key.clone(),
        peers.into_iter().map(Into::into),
        Duration::from_millis(300),
    );

    loop {
        let decision = candidate.decide(now());
        match decision.step {
            Step::Join {
                node,
                addresses,
                vote,
            } => {
                let introduction = introduction(&me, address);
                let door = (node, addresses, vote);
                tokio::spawn(try_door(
                    key.clone(),
                    secret.clone(),
                    introduction,
                    door,
                    news.clone(),
                ));
                continue;
            }
            Step::Found => {
                founders.lock().unwrap().push(key.id());
                stop.cancel();
                return found(listening.await.unwrap(), (*key).clone(), secret).await;
            }
            Step::Sleep | Step::Wait { .. } => {}
        }
        let wait = decision
            .until
            .map_or(Duration::from_secs(3600), |until| until.since(now()));
        let happened = tokio::select! {
            event = peers.next() => Some(News::Seen(event)),
            news = heard.recv() => news,
            () = sleep(wait) => None,
        };
        match happened {
            Some(News::Seen(Event::Sighted(sighting))) => candidate.sighted(&sighting, now()),
            Some(News::Seen(Event::Lost(node))) => candidate.lost(node),
            Some(News::Knocked(sighting, vote)) => candidate.knocked(&sighting, vote, now()),
            Some(News::Answered(node, answer)) => candidate.answered(node, &answer, now()),
            Some(News::Admitted(bramble)) => return bramble,
            None => {}
        }
    }
}

/// Makes the bramble, and takes the others in on the very port on which they knocked before.
async fn found(listener: TcpListener, key: NodeKey, secret: Arc<JoinSecret>) -> BrambleId {
    let authority = Authority::create().unwrap();
    let bramble = BrambleId::from_authority(authority.certificate());
    let (_, certificate) = authority.issue(&key.request().unwrap()).unwrap();
    let identity = Arc::new(Identity::new(key, certificate, authority.certificate().clone()).unwrap());
    let standing = Standing::Member {
        bramble,
        key: Some(secret.tag()),
        role: Role::Leader(1),
        work: false,
    };
    let door = Door {
        me: HostSelf {
            announcement: announcement(identity.id(), standing),
            authority: Some(authority.certificate().clone()),
            secret: Some(secret),
        },
        news: None,
        authority: Some(authority),
        address: listener.local_addr().unwrap(),
    };
    let join = JoinHost::of_member(&identity, Arc::new(door)).unwrap();
    let hello = hyper::service::service_fn(|_| async {
        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    tokio::spawn(serve_with_join(
        listener,
        identity,
        |_| true,
        hello,
        join,
        CancellationToken::new(),
    ));
    bramble
}

/// Founds a bramble of `count` cards that start within a second.
async fn power_on(count: usize) -> (BTreeMap<BrambleId, usize>, usize, Duration) {
    let secret = Arc::new(JoinSecret::stretch("correct horse battery").unwrap());
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: BTreeSet<SocketAddr> = listeners.iter().map(|it| it.local_addr().unwrap()).collect();
    let founders = Arc::new(Mutex::default());
    let began = Instant::now();
    let mut cards = tokio::task::JoinSet::new();
    for (place, listener) in listeners.into_iter().enumerate() {
        let peers = addresses.iter().copied().collect();
        let (secret, founders) = (secret.clone(), Arc::clone(&founders));
        cards.spawn(async move {
            sleep(Duration::from_millis(1_000 * place as u64 / count as u64)).await;
            card(listener, peers, secret, founders).await
        });
    }
    let mut brambles = BTreeMap::new();
    while let Some(bramble) = timeout(Duration::from_secs(60), cards.join_next()).await.unwrap() {
        *brambles.entry(bramble.unwrap()).or_default() += 1;
    }
    let founders = founders.lock().unwrap().len();
    (brambles, founders, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_that_know_addresses_and_a_key_become_one_bramble() {
    for count in [1, 2, 4, 12] {
        let (brambles, founders, took) = power_on(count).await;
        println!("{count} cards are one bramble after {took:?}");
        assert_eq!(founders, 1);
        assert_eq!(brambles.into_values().collect::<Vec<_>>(), [count]);
    }
}
