//! Nodes that speak to each other over real sockets, and strangers that try to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::NodeId;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use transport::{
    Admittance, Answer, Authority, Body, BoxError, Client, Identity, Peer, PeerId, REMOVED, serve,
};

/// A node that listens, and answers by path.
struct Listener {
    peer: Peer,
    admitted: Arc<AtomicBool>,
    shutdown: CancellationToken,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn node(authority: &Authority) -> Arc<Identity> {
    Arc::new(Identity::issued_by(authority).unwrap())
}

async fn answer(
    mut request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Incoming>>, std::convert::Infallible> {
    let peer = *request
        .extensions()
        .get::<PeerId>()
        .expect("every request carries its peer");
    let text = |text: String| Response::new(Either::Left(Full::from(text)));
    Ok(match request.uri().path() {
        "/who" => text(peer.0.to_string()),
        "/version" => text(format!("{:?}", request.version())),
        "/echo" => Response::new(Either::Right(request.into_body())),
        "/hang" => std::future::pending().await,
        "/upgrade" => {
            tokio::spawn(async move {
                let mut socket = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                let mut word = [0; 4];
                socket.read_exact(&mut word).await.unwrap();
                word.reverse();
                socket.write_all(&word).await.unwrap();
                // Stays until the other end goes, or the connection does.
                _ = socket.read(&mut word).await;
            });
            let mut answer = text(String::new());
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            answer
                .headers_mut()
                .insert("connection", "upgrade".parse().unwrap());
            answer.headers_mut().insert("upgrade", "chat".parse().unwrap());
            answer
        }
        _ => text(String::new()),
    })
}

async fn listen(identity: Arc<Identity>) -> Listener {
    listen_at("127.0.0.1:0".parse().unwrap(), identity).await
}

async fn listen_at(address: SocketAddr, identity: Arc<Identity>) -> Listener {
    let socket = TcpListener::bind(address).await.unwrap();
    let listener = Listener {
        peer: Peer {
            id: identity.id(),
            address: socket.local_addr().unwrap(),
        },
        admitted: Arc::new(AtomicBool::new(true)),
        shutdown: CancellationToken::new(),
    };
    let admitted = listener.admitted.clone();
    let admitted = move |_: NodeId| admitted.load(Ordering::Relaxed);
    tokio::spawn(serve(
        socket,
        identity,
        admitted,
        service_fn(answer),
        listener.shutdown.clone(),
    ));
    listener
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(answer: Response<Answer>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_node_reaches_another_and_both_know_who_the_other_is() {
    let authority = Authority::create().unwrap();
    let (a, b) = (node(&authority), node(&authority));
    let listener = listen(b).await;
    let client = Client::new(a.clone());

    let answer = client.request(listener.peer, get("/who")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, a.id().to_string());
}

#[tokio::test]
async fn calls_use_http_2() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let answer = Client::new(node(&authority))
        .request(listener.peer, get("/version"))
        .await
        .unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(text(answer).await, "HTTP/2.0");
}

#[tokio::test]
async fn a_node_of_another_bramble_is_refused() {
    let listener = listen(node(&Authority::create().unwrap())).await;
    let stranger = Client::new(node(&Authority::create().unwrap()));
    let error = stranger.request(listener.peer, get("/who")).await.unwrap_err();
    assert!(error.nothing_was_begun(), "{error:?}");
}

/// A handshake at our own hands, with whatever configuration a stranger might have. `Err` says how it was refused.
async fn knock(peer: Peer, config: rustls::ClientConfig) -> Result<String, String> {
    let socket = TcpStream::connect(peer.address)
        .await
        .map_err(|e| e.to_string())?;
    let name = format!("{}.bramble", peer.id).try_into().unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await;
    // In TLS 1.3 the client learns that it was refused only when it reads.
    let mut stream = stream.map_err(|e| e.to_string())?;
    let request = b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|e| e.to_string())?;
    if answer.is_empty() {
        Err("closed".to_owned())
    } else {
        Ok(answer)
    }
}

fn roots(authority: &Authority) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    roots
}

type Stranger = rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>;

fn stranger(authority: &Authority) -> Stranger {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(authority))
}

#[tokio::test]
async fn who_has_no_certificate_is_refused() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let config = stranger(&authority).with_no_client_auth();
    let refusal = knock(listener.peer, config).await.unwrap_err();
    assert!(refusal.contains("CertificateRequired"), "{refusal}");
}

/// A certificate of `authority` for `name` and a new key, which a real authority would never issue.
fn forged(
    authority: &Authority,
    name: String,
) -> (
    rustls_pki_types::CertificateDer<'static>,
    rustls_pki_types::PrivateKeyDer<'static>,
) {
    let key = rcgen::KeyPair::generate().unwrap();
    let authority_key = rcgen::KeyPair::from_pem(&authority.key_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(authority.certificate(), authority_key).unwrap();
    let certificate = rcgen::CertificateParams::new([name])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    (certificate.der().clone(), key.into())
}

#[tokio::test]
async fn a_certificate_that_names_another_nodes_id_is_refused() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let victim = node(&authority).id();
    let (certificate, key) = forged(&authority, format!("{victim}.bramble"));
    let config = stranger(&authority)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let refusal = knock(listener.peer, config).await.unwrap_err();
    assert!(
        refusal.contains("AccessDenied") || refusal.contains("certificate"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_listener_whose_certificate_names_another_nodes_id_is_refused() {
    let authority = Authority::create().unwrap();
    let victim = node(&authority).id();
    let (certificate, key) = forged(&authority, format!("{victim}.bramble"));
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        id: victim,
        address: socket.local_addr().unwrap(),
    };
    let impostor = tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .is_ok()
    });
    let error = Client::new(node(&authority))
        .request(peer, get("/who"))
        .await
        .unwrap_err();
    assert!(error.nothing_was_begun());
    assert!(!impostor.await.unwrap());
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    // A ClientHello of TLS 1.2: version, random, no session, one cipher suite, no compression,
    // and the signatures it knows.
    let mut hello = vec![0x16, 3, 3, 0, 55, 1, 0, 0, 51, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut socket = TcpStream::connect(listener.peer.address).await.unwrap();
    socket.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    // A fatal alert: protocol version.
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70]);
}

#[tokio::test]
async fn the_wrong_node_at_the_right_address_is_refused() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let meant = Peer {
        id: node(&authority).id(),
        ..listener.peer
    };
    let error = Client::new(node(&authority))
        .request(meant, get("/who"))
        .await
        .unwrap_err();
    assert!(error.nothing_was_begun());
}

#[tokio::test]
async fn nothing_was_begun_where_nobody_listens() {
    let authority = Authority::create().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let peer = Peer {
        id: node(&authority).id(),
        address: gone,
    };
    let client = Client::new(node(&authority));
    assert!(
        client
            .request(peer, get("/who"))
            .await
            .unwrap_err()
            .nothing_was_begun()
    );
    assert!(
        client
            .upgrade(peer, get("/who"))
            .await
            .unwrap_err()
            .nothing_was_begun()
    );
}

#[tokio::test]
async fn a_peer_that_is_no_longer_admitted_is_refused_and_cut_off() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let client = Client::new(node(&authority));
    let hanging = tokio::spawn({
        let (client, peer) = (client.clone(), listener.peer);
        async move { client.request(peer, get("/hang")).await }
    });
    client.request(listener.peer, get("/who")).await.unwrap();

    listener.admitted.store(false, Ordering::Relaxed);
    let refused = client.request(listener.peer, get("/who")).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::FORBIDDEN);
    let cut = tokio::time::timeout(Duration::from_secs(1), hanging).await;
    let error = cut.expect("a call under way is cut too").unwrap().unwrap_err();
    assert!(!error.nothing_was_begun());
    let answer = client.request(listener.peer, get("/who")).await;
    assert!(answer.is_err() || answer.unwrap().status() == StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_peer_that_was_removed_is_told_so_and_served_nothing() {
    let authority = Authority::create().unwrap();
    let identity = node(&authority);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        id: identity.id(),
        address: socket.local_addr().unwrap(),
    };
    let removed = |_: NodeId| Admittance::Removed;
    tokio::spawn(serve(
        socket,
        identity,
        removed,
        service_fn(answer),
        CancellationToken::new(),
    ));
    let client = Client::new(node(&authority));
    // The connection ends after a second, and the next one hears the same.
    for _ in 0..2 {
        let answer = client.request(peer, get("/who")).await.unwrap();
        assert_eq!(answer.status(), REMOVED);
        let said = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(said.is_empty(), "and nothing else");
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
    // Whoever is of another bramble is told nothing at all.
    let stranger = Client::new(node(&Authority::create().unwrap()));
    assert!(stranger.request(peer, get("/who")).await.is_err());
}

#[tokio::test]
async fn a_peer_that_moved_is_found_at_its_new_address() {
    let authority = Authority::create().unwrap();
    let identity = node(&authority);
    let client = Client::new(node(&authority));
    let before = listen(identity.clone()).await;
    client.request(before.peer, get("/who")).await.unwrap();
    let after = listen(identity).await;
    before.shutdown.cancel();
    client.request(after.peer, get("/who")).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_came_back_is_connected_to_again() {
    let authority = Authority::create().unwrap();
    let identity = node(&authority);
    let client = Client::new(node(&authority));
    let first = listen(identity.clone()).await;
    let address = first.peer.address;
    client.request(first.peer, get("/who")).await.unwrap();
    drop(first);
    let again = loop {
        match TcpListener::bind(address).await {
            Ok(free) => {
                drop(free);
                break listen_at(address, identity).await;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    client.request(again.peer, get("/who")).await.unwrap();
}

/// A connection whose protocol was changed.
async fn upgrade(client: &Client, listener: &Listener) -> TokioIo<hyper::upgrade::Upgraded> {
    let request = Request::get("/upgrade")
        .header("connection", "upgrade")
        .header("upgrade", "chat")
        .body(Body::empty())
        .unwrap();
    let answer = client.upgrade(listener.peer, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    TokioIo::new(hyper::upgrade::on(answer).await.unwrap())
}

#[tokio::test]
async fn an_upgrade_gets_a_connection_of_its_own() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let mut socket = upgrade(&Client::new(node(&authority)), &listener).await;
    socket.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    socket.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"gnip");
}

#[tokio::test]
async fn an_upgraded_connection_is_cut_too_when_its_peer_is_no_longer_admitted() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let mut socket = upgrade(&Client::new(node(&authority)), &listener).await;
    socket.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    socket.read_exact(&mut word).await.unwrap();

    listener.admitted.store(false, Ordering::Relaxed);
    let ended = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut word)).await;
    assert!(matches!(ended.expect("it is cut"), Ok(0) | Err(_)));
}

#[tokio::test]
async fn who_is_shut_out_is_cut_off_at_once_and_not_spoken_with_until_it_is_pardoned() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let peer = listener.peer;
    let client = Client::new(node(&authority));
    let hangs = tokio::spawn({
        let client = client.clone();
        async move { client.request(peer, get("/hang")).await }
    });
    let (_feed, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let streams = Request::post("/echo")
        .body(Body::other(Fed(Mutex::new(body))))
        .unwrap();
    let answer = client.request(peer, streams).await.unwrap();
    let mut upgraded = upgrade(&client, &listener).await;
    upgraded.write_all(b"ping").await.unwrap();
    upgraded.read_exact(&mut [0; 4]).await.unwrap();

    client.shut_out(&[peer.id].into());
    let soon = Duration::from_secs(1);
    let hung = tokio::time::timeout(soon, hangs).await.expect("it is cut");
    assert!(!hung.unwrap().unwrap_err().nothing_was_begun());
    let streamed = tokio::time::timeout(soon, answer.into_body().collect()).await;
    assert!(streamed.expect("it is cut").is_err());
    let read = tokio::time::timeout(soon, upgraded.read(&mut [0; 4])).await;
    assert!(matches!(read.expect("it is cut"), Ok(0) | Err(_)));

    let refused = client.request(peer, get("/who")).await.unwrap_err();
    assert!(refused.nothing_was_begun(), "{refused}");
    let elsewhere = listen(node(&authority)).await;
    assert!(client.request(elsewhere.peer, get("/who")).await.is_ok());
    client.pardon(peer.id);
    assert!(client.request(peer, get("/who")).await.is_ok());
}

#[tokio::test]
async fn who_moved_and_is_shut_out_then_is_cut_off_where_it_was_too() {
    let authority = Authority::create().unwrap();
    let identity = node(&authority);
    let (before, now) = (listen(identity.clone()).await, listen(identity).await);
    let client = Client::new(node(&authority));
    let hangs = tokio::spawn({
        let (client, peer) = (client.clone(), before.peer);
        async move { client.request(peer, get("/hang")).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.request(now.peer, get("/who")).await.unwrap();
    client.shut_out(&[now.peer.id].into());
    let hung = tokio::time::timeout(Duration::from_secs(1), hangs).await;
    assert!(hung.expect("it is cut").unwrap().is_err());
}

#[tokio::test]
async fn requests_that_wait_for_the_same_dead_peer_fail_together() {
    let authority = Authority::create().unwrap();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        id: node(&authority).id(),
        address: silent.local_addr().unwrap(),
    };
    let client = Client::new(node(&authority));
    let began = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.request(peer, get("/who")).await.is_err() })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_shutdown_lets_a_request_under_way_finish() {
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let client = Client::new(node(&authority));
    let (feed, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let request = Request::post("/echo")
        .body(Body::other(Fed(Mutex::new(body))))
        .unwrap();
    feed.send(Bytes::from_static(b"half ")).await.unwrap();
    let answer = client.request(listener.peer, request).await.unwrap();
    listener.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    feed.send(Bytes::from_static(b"and half")).await.unwrap();
    drop(feed);
    assert_eq!(text(answer).await, "half and half");
}

/// A body that is fed by a channel.
struct Fed(Mutex<tokio::sync::mpsc::Receiver<Bytes>>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let next = self.0.lock().unwrap().poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_stream_there_and_back_in_little_memory() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = (100 << 20) / PIECE;
    let authority = Authority::create().unwrap();
    let listener = listen(node(&authority)).await;
    let client = Client::new(node(&authority));
    client.request(listener.peer, get("/who")).await.unwrap();

    let before = resident();
    let (feed, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let source = tokio::spawn(async move {
        for piece in 0..PIECES {
            let byte = u8::try_from(piece % 251).unwrap();
            feed.send(Bytes::from(vec![byte; PIECE])).await.unwrap();
        }
    });
    let request = Request::post("/echo")
        .body(Body::other(Fed(Mutex::new(body))))
        .unwrap();
    let mut back = client.request(listener.peer, request).await.unwrap().into_body();
    let (mut total, mut most) = (0, 0);
    while let Some(frame) = back.frame().await {
        for byte in frame.unwrap().into_data().unwrap() {
            assert_eq!(usize::from(byte), (total / PIECE) % 251);
            total += 1;
        }
        if total % (8 << 20) < PIECE {
            most = most.max(resident().saturating_sub(before));
        }
    }
    source.await.unwrap();
    assert_eq!(total, PIECE * PIECES);
    assert!(most < 8 << 20, "grew by {most} bytes");
}
