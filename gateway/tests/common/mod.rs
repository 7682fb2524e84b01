//! A bramble of gateways on loopback, a function that answers anything, and a client that shows all it gets.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{
    FunctionName, Generation, NodeId, ReplicaId,
    sync::{FunctionCounters, FunctionRoute, Routes},
};
use bytes::Bytes;
use gateway::{Gateway, GatewayConfig};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use transport::{Authority, BoxError, Client, Identity, PeerId};

/// One node: a gateway with a public and a node-to-node listener.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) gateway: Gateway,
    pub(crate) public: SocketAddr,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The nodes of one test.
pub(crate) struct Bramble {
    pub(crate) nodes: Vec<Node>,
    routes: Routes,
    local: Vec<BTreeMap<ReplicaId, SocketAddr>>,
}

impl Bramble {
    pub(crate) async fn of(count: usize) -> Self {
        Self::with(count, GatewayConfig::default()).await
    }

    pub(crate) async fn with(count: usize, config: GatewayConfig) -> Self {
        let authority = Authority::create().unwrap();
        let mut bramble = Self {
            nodes: Vec::new(),
            routes: Routes::default(),
            local: vec![BTreeMap::new(); count],
        };
        for number in 0..count {
            let identity = Arc::new(Identity::issued_by(&authority).unwrap());
            let config = GatewayConfig {
                node: identity.id(),
                name: format!("pi-{number}"),
                version: "test".to_owned(),
                ..config.clone()
            };
            let gateway = Gateway::new(config, Client::new(identity.clone()));
            let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let node = Node {
                id: identity.id(),
                gateway: gateway.clone(),
                public: public.local_addr().unwrap(),
                address: listener.local_addr().unwrap(),
                stop: CancellationToken::new(),
            };
            bramble.routes.nodes.insert(node.id, node.address);
            tokio::spawn(serve_public(public, gateway.clone(), node.stop.clone()));
            let hops = service_fn(move |request: Request<Incoming>| {
                let gateway = gateway.clone();
                async move {
                    let PeerId(peer) = *request.extensions().get().unwrap();
                    Ok::<_, Infallible>(gateway.invoke_hop(peer, request).await)
                }
            });
            tokio::spawn(transport::serve(
                listener,
                identity,
                |_| true,
                hops,
                node.stop.clone(),
            ));
            bramble.nodes.push(node);
        }
        bramble.tell_all();
        bramble
    }

    /// Makes `function` known, without replicas.
    pub(crate) fn deploy(&mut self, function: &str) {
        self.routes.functions.entry(name(function)).or_default();
        self.tell_all();
    }

    /// Replica `id` of `function` is ready on node `node` at `address`.
    pub(crate) fn place(&mut self, function: &str, id: u64, node: usize, address: SocketAddr) {
        self.route(function, id, node);
        self.local[node].insert(ReplicaId(id), address);
        self.tell_all();
    }

    /// The routes say that replica `id` is on node `node`.
    pub(crate) fn route(&mut self, function: &str, id: u64, node: usize) {
        let route: &mut FunctionRoute = self.routes.functions.entry(name(function)).or_default();
        route.ready.insert(ReplicaId(id), self.nodes[node].id);
        self.tell_all();
    }

    /// Replica `id` of `function` is ready no more.
    pub(crate) fn unroute(&mut self, function: &str, id: u64) {
        let route = self.routes.functions.get_mut(&name(function)).unwrap();
        route.ready.remove(&ReplicaId(id));
        self.tell_all();
    }

    pub(crate) fn remove(&mut self, function: &str) {
        self.routes.functions.remove(&name(function));
        self.tell_all();
    }

    fn tell_all(&mut self) {
        let number = self.routes.revision.number + 1;
        self.routes.revision = Generation { epoch: 1, number };
        for (node, local) in self.nodes.iter().zip(&self.local) {
            node.gateway.set_local(local);
            node.gateway.set_routes(self.routes.clone());
        }
    }

    /// What node `node` counted of `function`.
    pub(crate) fn counters(&self, node: usize, function: &str) -> Option<FunctionCounters> {
        let all = self.nodes[node].gateway.counters();
        all.into_iter()
            .find(|counters| counters.function == name(function))
    }

    pub(crate) async fn ask(&self, node: usize, request: Request<Bytes>) -> Answer {
        ask(self.nodes[node].public, request).await
    }

    pub(crate) async fn get(&self, node: usize, path: &str) -> Answer {
        self.ask(node, Request::get(path).body(Bytes::new()).unwrap())
            .await
    }
}

pub(crate) fn name(function: &str) -> FunctionName {
    function.parse().unwrap()
}

async fn serve_public(listener: TcpListener, gateway: Gateway, stop: CancellationToken) {
    loop {
        let (socket, client) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            () = stop.cancelled() => return,
        };
        socket.set_nodelay(true).unwrap();
        let gateway = gateway.clone();
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, Infallible>(gateway.invoke(request, client).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Makes one request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: Request<Bytes>) -> Answer {
    let answer = send(address, request.map(Full::new)).await;
    let (parts, body) = answer.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// Makes one request on a connection of its own; the answer's body is still to come.
pub(crate) async fn send<B>(address: SocketAddr, mut request: Request<B>) -> Response<Incoming>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    if !request.headers().contains_key("host") {
        request
            .headers_mut()
            .insert("host", "bramble.local:8080".parse().unwrap());
    }
    sender.send_request(request).await.unwrap()
}

/// A running copy of a function that does what its path says.
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) calls: Arc<AtomicU32>,
    pub(crate) connections: Arc<AtomicU32>,
    /// Connections that have not ended.
    pub(crate) open: Arc<AtomicU32>,
    /// Calls under way.
    pub(crate) busy: Arc<AtomicU32>,
    /// Bytes of answers that were cut off before their end.
    pub(crate) sent: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Counts one less when it goes.
struct Busy(Arc<AtomicU32>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Replica {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_at(name, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let replica = Self {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            busy: Arc::default(),
            sent: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (calls, busy, sent) = (replica.calls.clone(), replica.busy.clone(), replica.sent.clone());
        let (stop, connections) = (replica.stop.clone(), replica.connections.clone());
        let open = replica.open.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = stop.cancelled() => return,
                };
                connections.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let ends = Busy(open.clone());
                let (calls, busy, sent, stop) = (calls.clone(), busy.clone(), sent.clone(), stop.clone());
                let service = service_fn(move |request| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    busy.fetch_add(1, Ordering::SeqCst);
                    let (guard, sent, calls) = (Busy(busy.clone()), sent.clone(), calls.clone());
                    async move {
                        let answer = function(name, request, sent, calls).await;
                        Ok::<_, Infallible>(answer.map(|body| Guarded(body, guard)))
                    }
                });
                tokio::spawn(async move {
                    let _ends = ends;
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .with_upgrades();
                    tokio::select! {
                        _ = connection => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        });
        replica
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until this many calls are under way.
    pub(crate) async fn until_busy(&self, calls: u32) {
        until(|| self.busy.load(Ordering::SeqCst) == calls).await;
    }
}

/// Waits for something that must happen soon.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within 5 s");
}

struct Guarded(UnsyncBoxBody<Bytes, BoxError>, Busy);

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

pub(crate) fn full(text: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that is fed by a channel.
pub(crate) struct Fed(pub(crate) std::sync::Mutex<tokio::sync::mpsc::Receiver<Bytes>>);

impl Fed {
    pub(crate) fn new() -> (tokio::sync::mpsc::Sender<Bytes>, Self) {
        let (feed, fed) = tokio::sync::mpsc::channel(1);
        (feed, Self(std::sync::Mutex::new(fed)))
    }
}

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

async fn function(
    name: &'static str,
    mut request: Request<Incoming>,
    sent: Arc<AtomicU64>,
    calls: Arc<AtomicU32>,
) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let path = request.uri().path().to_owned();
    let mut answer = Response::new(full(""));
    // `h=NAME:VALUE` in the query: headers of the answer, with `~` for a space.
    for pair in request.uri().query().unwrap_or_default().split('&') {
        if let Some((header, value)) = pair.strip_prefix("h=").and_then(|pair| pair.split_once(':')) {
            let header: http::HeaderName = header.parse().unwrap();
            answer
                .headers_mut()
                .append(header, value.replace('~', " ").parse().unwrap());
        }
    }
    match path.as_str() {
        "/echo" => *answer.body_mut() = request.into_body().map_err(Into::into).boxed_unsync(),
        "/hang" => std::future::pending().await,
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            *answer.body_mut() = full(name);
        }
        "/redirect" => {
            *answer.status_mut() = StatusCode::FOUND;
            answer
                .headers_mut()
                .insert("location", "http://elsewhere.example/".parse().unwrap());
        }
        "/drip" => {
            let (feed, fed) = Fed::new();
            tokio::spawn(async move {
                for piece in ["one", "two", "three"] {
                    if feed.send(Bytes::from(piece)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            });
            *answer.body_mut() = fed.boxed_unsync();
        }
        "/endless" => {
            let (feed, fed) = Fed::new();
            tokio::spawn(async move {
                let piece = Bytes::from(vec![7; 64 << 10]);
                while feed.send(piece.clone()).await.is_ok() {
                    sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
                }
            });
            *answer.body_mut() = fed.boxed_unsync();
        }
        "/socket" => {
            tokio::spawn(async move {
                let mut socket = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                let mut word = [0; 4];
                while socket.read_exact(&mut word).await.is_ok() {
                    word.reverse();
                    socket.write_all(&word).await.unwrap();
                }
            });
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            answer
                .headers_mut()
                .insert("connection", "Upgrade".parse().unwrap());
            answer
                .headers_mut()
                .insert("upgrade", "websocket".parse().unwrap());
        }
        // Answers nobody before so many have asked.
        path if path.starts_with("/together/") => {
            let all = path["/together/".len()..].parse().unwrap();
            while calls.load(Ordering::SeqCst) < all {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        path if path.starts_with("/status/") => {
            *answer.status_mut() = path["/status/".len()..].parse().unwrap();
            *answer.body_mut() = full("as you wish");
        }
        "/name" => *answer.body_mut() = full(name),
        // Everything else: what it was asked, as text.
        _ => {
            let mut text = format!("{} {}\n", request.method(), request.uri());
            for (header, value) in request.headers() {
                text += &format!("{header}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text += &format!("body: {}\n", String::from_utf8_lossy(&body));
            *answer.body_mut() = full(text);
        }
    }
    answer
}
