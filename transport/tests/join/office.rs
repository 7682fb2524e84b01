//! A controller's and a candidate's side of the door, with the replicated state replaced by a few fields.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    Cpu, Memory, NodeFacts, NodeId,
    join::{Announcement, BrambleId, Role, Standing},
    node::EngineKind,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use transport::{
    Authority, Identity, NodeKey,
    join::{
        Admission, Attempt, Decision, Grant, HostSelf, Introduction, JoinHost, JoinRequest, JoinSecret,
        Refusal, serve_candidate,
    },
    serve_with_join,
};

pub(crate) static KEY: LazyLock<Arc<JoinSecret>> =
    LazyLock::new(|| Arc::new(JoinSecret::stretch("correct horse battery").unwrap()));
pub(crate) static OTHER_KEY: LazyLock<Arc<JoinSecret>> =
    LazyLock::new(|| Arc::new(JoinSecret::stretch("another key altogether").unwrap()));

pub(crate) fn announcement(node: NodeId, standing: Standing) -> Announcement {
    Announcement {
        node,
        standing,
        board: "Raspberry Pi 4 Model B".to_owned(),
        memory: Memory::from_mib(1024),
        version: "0.1.0".to_owned(),
    }
}

pub(crate) fn introduction(node: NodeId) -> Introduction {
    Introduction {
        announcement: announcement(node, Standing::Candidate { key: None }),
        port: 7443,
        facts: NodeFacts {
            name: format!("pi-4b-{}", node.tail()),
            address: "0.0.0.0:7443".parse().unwrap(),
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory: Memory::from_mib(1024),
            cpu: Cpu::from_cores(4),
            platforms: Vec::new(),
            os: String::new(),
            page_bytes: 4096,
            engine: EngineKind::Process,
            version: "0.1.0".to_owned(),
            serial: None,
            devices: Default::default(),
            details: Default::default(),
        },
        serial: None,
        formerly: None,
    }
}

/// A controller's side, with the replicated state replaced by a few fields.
pub(crate) struct Office {
    pub(crate) me: HostSelf,
    pub(crate) authority: Option<Authority>,
    /// Whether a person has pressed Admit.
    pub(crate) pressed: AtomicBool,
    /// Until when a node that waits shows which board it is.
    pub(crate) identify_until: Mutex<Option<std::time::Instant>>,
    pub(crate) removed: Mutex<Vec<NodeId>>,
    pub(crate) asked: Mutex<Vec<JoinRequest>>,
    pub(crate) attempts: Mutex<Vec<Attempt>>,
    pub(crate) left: AtomicUsize,
}

impl Office {
    pub(crate) fn last(&self) -> JoinRequest {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.attempts
            .lock()
            .unwrap()
            .iter()
            .map(|attempt| attempt.why.clone())
            .collect()
    }

    pub(crate) async fn is_told(&self, what: &str) {
        for _ in 0..100 {
            if self.told().iter().any(|why| why.contains(what)) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody was told `{what}`, but {:?}", self.told());
    }
}

impl Admission for Office {
    fn host(&self) -> HostSelf {
        self.me.clone()
    }

    fn decide<'a>(&'a self, request: &'a JoinRequest) -> BoxFuture<'a, Decision> {
        self.asked.lock().unwrap().push(request.clone());
        let decision = if self.removed.lock().unwrap().contains(&request.node) {
            Decision::Refused(Refusal::Removed)
        } else if let Some(authority) = &self.authority {
            match request.proved || self.pressed.load(Ordering::Relaxed) {
                true => Decision::Admitted(Grant {
                    certificate: request.certify(authority).unwrap(),
                    name: "bramble".to_owned(),
                    controllers: vec![(self.me.announcement.node, "192.168.1.20:7443".parse().unwrap())],
                }),
                false => Decision::Waiting {
                    identify_until: *self.identify_until.lock().unwrap(),
                },
            }
        } else {
            Decision::NotYet
        };
        Box::pin(std::future::ready(decision))
    }

    fn refused(&self, attempt: &Attempt) {
        self.attempts.lock().unwrap().push(attempt.clone());
    }

    fn waits_no_longer(&self, _node: NodeId) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}

/// A node that is knocked at.
pub(crate) struct Door {
    pub(crate) office: Arc<Office>,
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn office(
    node: NodeId,
    authority: Option<Authority>,
    secret: Option<&Arc<JoinSecret>>,
) -> Arc<Office> {
    let key = secret.map(|secret| secret.tag());
    let standing = match &authority {
        Some(authority) => Standing::Member {
            bramble: BrambleId::from_authority(authority.certificate()),
            key,
            role: Role::Leader(1),
            work: false,
        },
        None => Standing::Candidate { key },
    };
    Arc::new(Office {
        me: HostSelf {
            announcement: announcement(node, standing),
            authority: authority
                .as_ref()
                .map(|authority| authority.certificate().clone()),
            secret: secret.cloned(),
        },
        authority,
        pressed: AtomicBool::new(false),
        identify_until: Mutex::default(),
        removed: Mutex::default(),
        asked: Mutex::default(),
        attempts: Mutex::default(),
        left: AtomicUsize::new(0),
    })
}

pub(crate) async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

/// A controller that serves its bramble and takes joiners on the same port.
pub(crate) async fn controller(secret: Option<&Arc<JoinSecret>>) -> Door {
    let authority = Authority::create().unwrap();
    let identity = Arc::new(Identity::issued_by(&authority).unwrap());
    let office = office(identity.id(), Some(authority), secret);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Door {
        id: identity.id(),
        address: listener.local_addr().unwrap(),
        shutdown: CancellationToken::new(),
        office: Arc::clone(&office),
    };
    let join = JoinHost::of_member(&identity, office.clone()).unwrap();
    let admitted = move |node| !office.removed.lock().unwrap().contains(&node);
    tokio::spawn(serve_with_join(
        listener,
        identity,
        admitted,
        service_fn(answer),
        join,
        door.shutdown.clone(),
    ));
    door
}

pub(crate) async fn candidate(secret: Option<&Arc<JoinSecret>>) -> Door {
    let key = NodeKey::generate().unwrap();
    let office = office(key.id(), None, secret);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Door {
        id: key.id(),
        address: listener.local_addr().unwrap(),
        shutdown: CancellationToken::new(),
        office: Arc::clone(&office),
    };
    let host = JoinHost::of_candidate(&key, office).unwrap();
    tokio::spawn(serve_candidate(listener, host, door.shutdown.clone()));
    door
}
