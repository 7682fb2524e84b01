//! Nodes that join over real sockets, and those that try to without being entitled to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    Cpu, Memory, NodeFacts, NodeId,
    join::{Announcement, BrambleId, Role, Standing},
    node::EngineKind,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use transport::{
    Authority, Body, Client, Identity, NodeKey, Peer,
    join::{
        Admission, Answer, Attempt, Decision, Grant, HostSelf, Introduction, JoinError, JoinHost,
        JoinRequest, JoinSecret, Knock, Refusal, knock, look, prove, serve_candidate,
    },
    serve_with_join,
};

static KEY: LazyLock<Arc<JoinSecret>> =
    LazyLock::new(|| Arc::new(JoinSecret::stretch("correct horse battery").unwrap()));
static OTHER_KEY: LazyLock<Arc<JoinSecret>> =
    LazyLock::new(|| Arc::new(JoinSecret::stretch("another key altogether").unwrap()));

fn announcement(node: NodeId, standing: Standing) -> Announcement {
    Announcement {
        node,
        standing,
        board: "Raspberry Pi 4 Model B".to_owned(),
        memory: Memory::from_mib(1024),
        version: "0.1.0".to_owned(),
    }
}

fn introduction(node: NodeId) -> Introduction {
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
        },
        serial: None,
        formerly: None,
    }
}

/// A controller's side, with the replicated state replaced by a few fields.
struct Office {
    me: HostSelf,
    authority: Option<Authority>,
    /// Whether a person has pressed Admit.
    pressed: AtomicBool,
    removed: Mutex<Vec<NodeId>>,
    asked: Mutex<Vec<JoinRequest>>,
    attempts: Mutex<Vec<Attempt>>,
    left: AtomicUsize,
}

impl Office {
    fn last(&self) -> JoinRequest {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    fn told(&self) -> Vec<String> {
        self.attempts
            .lock()
            .unwrap()
            .iter()
            .map(|attempt| attempt.why.clone())
            .collect()
    }

    async fn is_told(&self, what: &str) {
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
                false => Decision::Waiting,
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
struct Door {
    office: Arc<Office>,
    id: NodeId,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn office(node: NodeId, authority: Option<Authority>, secret: Option<&Arc<JoinSecret>>) -> Arc<Office> {
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
        removed: Mutex::default(),
        asked: Mutex::default(),
        attempts: Mutex::default(),
        left: AtomicUsize::new(0),
    })
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

/// A controller that serves its bramble and takes joiners on the same port.
async fn controller(secret: Option<&Arc<JoinSecret>>) -> Door {
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

async fn candidate(secret: Option<&Arc<JoinSecret>>) -> Door {
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

async fn knocks(
    key: &NodeKey,
    to: SocketAddr,
    meant: Option<NodeId>,
    secret: Option<&Arc<JoinSecret>>,
) -> Result<Answer, JoinError> {
    let introduction = introduction(key.id());
    knock(Knock {
        key,
        to,
        meant,
        secret: secret.cloned(),
        introduction: &introduction,
        vote: true,
    })
    .await
}

/// Lets the node in, and answers its identity.
async fn joins(key: NodeKey, door: &Door, secret: &Arc<JoinSecret>) -> Identity {
    match knocks(&key, door.address, Some(door.id), Some(secret))
        .await
        .unwrap()
    {
        Answer::Admitted(admitted) => {
            assert_eq!(admitted.bramble, BrambleId::from_authority(&admitted.authority));
            Identity::new(key, admitted.certificate, admitted.authority).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

async fn calls(identity: Arc<Identity>, door: &Door) -> Result<StatusCode, transport::ClientError> {
    let peer = Peer {
        id: door.id,
        address: door.address,
    };
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = Client::new(identity).request(peer, request).await?;
    let status = answer.status();
    _ = answer.into_body().collect().await;
    Ok(status)
}

#[tokio::test]
async fn a_node_with_the_join_key_is_let_in_and_then_speaks_as_a_member_on_the_same_port() {
    let door = controller(Some(&KEY)).await;
    let identity = joins(NodeKey::generate().unwrap(), &door, &KEY).await;
    assert!(door.office.last().proved);
    assert_eq!(calls(Arc::new(identity), &door).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_node_without_a_key_waits_until_a_person_admits_it_and_both_show_one_fingerprint() {
    for secret in [None, Some(&*KEY)] {
        let door = controller(secret).await;
        let key = NodeKey::generate().unwrap();
        let Ok(Answer::Waiting(line)) = knocks(&key, door.address, None, None).await else {
            panic!("not told to wait");
        };
        assert_eq!(line.fingerprint(), door.office.last().fingerprint);
        assert!(!door.office.last().proved);
        let decided = tokio::spawn(line.decided());
        sleep(Duration::from_millis(100)).await;
        door.office.pressed.store(true, Ordering::Relaxed);
        let Answer::Admitted(admitted) = decided.await.unwrap().unwrap() else {
            panic!("not admitted");
        };
        let identity = Identity::new(key, admitted.certificate, admitted.authority).unwrap();
        assert_eq!(calls(Arc::new(identity), &door).await.unwrap(), StatusCode::OK);
        assert_eq!(door.office.left.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_waiting_node_that_hangs_up_is_taken_from_the_list() {
    let door = controller(None).await;
    let key = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(line)) = knocks(&key, door.address, None, None).await else {
        panic!("not told to wait");
    };
    drop(line);
    for _ in 0..100 {
        if door.office.left.load(Ordering::Relaxed) == 1 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("still on the list");
}

#[tokio::test]
async fn candidates_tell_each_other_that_there_is_no_bramble_yet() {
    let door = candidate(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let answer = knocks(&key, door.address, Some(door.id), Some(&KEY))
        .await
        .unwrap();
    assert!(matches!(answer, Answer::NotYet(announcement) if announcement.node == door.id));
    let request = door.office.last();
    assert!(request.proved && request.vote);
    assert_eq!(request.sighting.addresses, ["127.0.0.1:7443".parse().unwrap()]);
}

#[tokio::test]
async fn a_look_says_what_mdns_would_say() {
    let door = controller(Some(&KEY)).await;
    let sighting = look(&NodeKey::generate().unwrap(), door.address).await.unwrap();
    assert_eq!(sighting.announcement, door.office.me.announcement);
    assert_eq!(sighting.addresses, [door.address]);
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bramble_proves_itself_to_another_without_learning_anything() {
    let door = controller(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let found = prove(&key, door.address, Some(door.id), Arc::clone(&KEY))
        .await
        .unwrap();
    assert_eq!(found.node, door.id);
    sleep(Duration::from_millis(100)).await;
    assert!(door.office.told().is_empty(), "{:?}", door.office.told());
    let error = prove(&key, door.address, None, Arc::clone(&OTHER_KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey));
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_with_another_key_goes_away_and_the_bramble_is_told() {
    let door = controller(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let error = knocks(&key, door.address, None, Some(&OTHER_KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    assert!(error.to_string().contains("bramble.toml"), "{error}");
    door.office.is_told("it may have another join key").await;
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_removed_node_stays_out_though_it_still_holds_the_join_key() {
    let door = controller(Some(&KEY)).await;
    let folder = tempfile::tempdir().unwrap();
    let identity = Arc::new(joins(NodeKey::generate().unwrap(), &door, &KEY).await);
    identity.save(folder.path()).unwrap();
    assert_eq!(calls(identity.clone(), &door).await.unwrap(), StatusCode::OK);

    door.office.removed.lock().unwrap().push(identity.id());
    // Cut off at once, or told so first.
    assert!(
        calls(identity.clone(), &door)
            .await
            .map_or(true, |status| status == StatusCode::FORBIDDEN)
    );
    let key = NodeKey::load(folder.path()).unwrap();
    let answer = knocks(&key, door.address, None, Some(&KEY)).await.unwrap();
    assert!(matches!(answer, Answer::Refused(Refusal::Removed)));
    door.office
        .is_told("this node was removed from the bramble")
        .await;
}

#[tokio::test]
async fn a_rogue_controller_without_the_key_gets_nothing_out_of_a_node_that_has_it() {
    for rogue in [controller(None).await, controller(Some(&OTHER_KEY)).await] {
        let error = knocks(&NodeKey::generate().unwrap(), rogue.address, None, Some(&KEY))
            .await
            .unwrap_err();
        assert!(
            matches!(error, JoinError::HoldsNoKey | JoinError::WrongKey),
            "{error}"
        );
        assert!(rogue.office.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn somebody_else_at_the_address_of_a_node_is_hung_up_on() {
    let door = controller(Some(&KEY)).await;
    let meant = NodeKey::generate().unwrap().id();
    let error = knocks(
        &NodeKey::generate().unwrap(),
        door.address,
        Some(meant),
        Some(&KEY),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, JoinError::Tls(..)), "{error}");
}

#[tokio::test]
async fn a_node_of_another_bramble_is_only_a_stranger_here() {
    let (door, foreign) = (controller(Some(&KEY)).await, controller(Some(&OTHER_KEY)).await);
    let member = Arc::new(joins(NodeKey::generate().unwrap(), &foreign, &OTHER_KEY).await);
    assert!(calls(member, &door).await.is_err());
}

// Those who do not use our program.

/// A key and certificate of an attacker's own make, and TLS that believes anything.
struct Forger {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    id: NodeId,
}

#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for Gullible {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

const ALPN: &[u8] = b"bramble-join/1";

impl Forger {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let id = NodeId::from_public_key(rcgen::PublicKeyData::subject_public_key_info(&key).as_ref());
        let params = rcgen::CertificateParams::new([format!("{id}.bramble")]).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().der().clone(),
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            id,
        }
    }

    async fn dial(&self, to: SocketAddr) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let name = ServerName::try_from("anyone.bramble").unwrap();
        let socket = TcpStream::connect(to).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await
    }

    /// A relay that ends TLS on both sides and passes on what is said. Answers where to knock.
    async fn relay(self, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Gullible))
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.clone()));
                if let (Ok(mut inner), Ok(mut outer)) = (acceptor.accept(socket).await, self.dial(to).await) {
                    _ = copy_bidirectional(&mut inner, &mut outer).await;
                }
            }
        });
        address
    }
}

async fn say(stream: &mut (impl tokio::io::AsyncWrite + Unpin), message: &str) {
    let length = u32::try_from(message.len()).unwrap();
    _ = stream.write_u32(length).await;
    _ = stream.write_all(message.as_bytes()).await;
    _ = stream.flush().await;
}

async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let attempt = async {
        let length = stream.read_u32().await?;
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await?;
        std::io::Result::Ok(String::from_utf8(message).unwrap())
    };
    timeout(Duration::from_secs(15), attempt).await.ok()?.ok()
}

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[tokio::test]
async fn someone_between_a_node_and_its_bramble_cannot_pass_the_proof_on() {
    let door = controller(Some(&KEY)).await;
    let between = Forger::new().relay(door.address).await;
    let error = knocks(&NodeKey::generate().unwrap(), between, None, Some(&KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    assert!(
        door.office.asked.lock().unwrap().is_empty(),
        "the node said nothing"
    );
}

#[tokio::test]
async fn someone_between_a_keyless_node_and_its_bramble_is_not_of_the_bramble() {
    let door = controller(None).await;
    let between = Forger::new().relay(door.address).await;
    let error = knocks(&NodeKey::generate().unwrap(), between, None, None)
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::NotOfItsBramble), "{error}");
}

/// Between a keyless node and its bramble someone can stand who plays a bramble to the one and a node to the other;
/// then the two fingerprints differ.
#[tokio::test]
async fn someone_who_plays_both_parts_shows_two_fingerprints() {
    let (real, fake) = (controller(None).await, controller(None).await);
    let victim = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(shown)) = knocks(&victim, fake.address, None, None).await else {
        panic!("not told to wait");
    };
    let attacker = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(_line)) = knocks(&attacker, real.address, None, None).await else {
        panic!("not told to wait");
    };
    assert_ne!(shown.fingerprint(), real.office.last().fingerprint);
}

#[tokio::test]
async fn a_made_up_proof_is_refused_and_told() {
    let door = controller(Some(&KEY)).await;
    let mut stream = Forger::new().dial(door.address).await.unwrap();
    say(
        &mut stream,
        &format!(r#"{{"v":1,"body":{{"hello":{{"keyed":true,"commitment":"{ZEROS}"}}}}}}"#),
    )
    .await;
    assert!(hear(&mut stream).await.unwrap().contains("greeting"));
    say(
        &mut stream,
        &format!(r#"{{"v":1,"body":{{"request":{{"said":"{{}}","proof":"{ZEROS}"}}}}}}"#),
    )
    .await;
    assert_eq!(
        hear(&mut stream).await.unwrap(),
        r#"{"v":1,"body":{"refused":"wrong_key"}}"#
    );
    door.office.is_told("the join key is not this bramble's").await;
    let forger = door.office.attempts.lock().unwrap()[0].clone();
    assert!(forger.node.is_some() && forger.from.ip().is_loopback());
}

#[tokio::test]
async fn a_certificate_that_names_another_node_is_refused_by_tls() {
    let door = controller(Some(&KEY)).await;
    let mut forger = Forger::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([format!("{}.bramble", forger.id)]).unwrap();
    forger.certificate = params.self_signed(&key).unwrap().der().clone();
    forger.key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut stream = forger.dial(door.address).await.unwrap();
    say(&mut stream, r#"{"v":1,"body":"look"}"#).await;
    assert_eq!(hear(&mut stream).await, None);
}

#[tokio::test]
async fn messages_that_are_too_long_or_no_messages_end_the_conversation() {
    let door = controller(Some(&KEY)).await;
    let mut stream = Forger::new().dial(door.address).await.unwrap();
    _ = stream.write_u32(u32::MAX).await;
    assert_eq!(hear(&mut stream).await, None);

    let mut stream = Forger::new().dial(door.address).await.unwrap();
    say(&mut stream, &"[".repeat(1000)).await;
    assert_eq!(
        hear(&mut stream).await.unwrap(),
        r#"{"v":1,"body":{"refused":"damaged"}}"#
    );
    assert_eq!(hear(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_holds_up_neither_members_nor_for_long_those_who_may_join() {
    let door = Arc::new(controller(Some(&KEY)).await);
    let member = Arc::new(joins(NodeKey::generate().unwrap(), &door, &KEY).await);
    // Some only open connections, some greet and then say nothing, some knock as fast as they can.
    let mut flood = tokio::task::JoinSet::new();
    let until = Instant::now() + Duration::from_secs(8);
    for _ in 0..40 {
        let to = door.address;
        flood.spawn(async move {
            let mut idle = Vec::new();
            while Instant::now() < until {
                idle.extend(TcpStream::connect(to).await);
                sleep(Duration::from_millis(200)).await;
            }
        });
        flood.spawn(async move {
            let forger = Forger::new();
            while Instant::now() < until {
                if let Ok(mut stream) = forger.dial(to).await {
                    say(
                        &mut stream,
                        &format!(r#"{{"v":1,"body":{{"hello":{{"keyed":true,"commitment":"{ZEROS}"}}}}}}"#),
                    )
                    .await;
                    _ = hear(&mut stream).await;
                }
            }
        });
    }
    sleep(Duration::from_millis(1500)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(calls(member.clone(), &door).await.unwrap(), StatusCode::OK);
        slowest = slowest.max(began.elapsed());
    }
    println!("during the flood, the slowest of 20 new connections of a member took {slowest:?}");
    while flood.join_next().await.is_some() {}
    let key = NodeKey::generate().unwrap();
    for _ in 0..20 {
        if let Ok(Answer::Admitted(_)) = knocks(&key, door.address, None, Some(&KEY)).await {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("nobody can join after a flood");
}
