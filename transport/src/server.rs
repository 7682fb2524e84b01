//! The node-to-node listener.
//!
//! One task takes connections, each handshake and each connection runs in its own. A connection lives as long as its
//! peer is admitted: asked when it opens, with every request, and four times a second, so that a node that was removed
//! cannot finish a long download either, nor go on over a connection that was upgraded.

use std::{io, pin::pin, sync::Arc, time::Duration};

use api::NodeId;
use bytes::Bytes;
use futures_util::{
    TryFutureExt as _,
    future::{self, MapOk, Ready},
};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use rustls::server::Acceptor;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    BoxError, Identity,
    guarded::{Guarded, hold},
    join::{JOIN, JoinHost},
    pending::Pending,
    tls::H2,
    verify::node_of,
};

/// Time a peer has for the TLS handshake. A Pi 2 that starts 20 functions needs a good part of a second.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Time a peer has for its first words, which cost it nothing: the few that wait here must not be kept waiting by
/// those who never speak.
pub(crate) const HELLO_LIMIT: Duration = Duration::from_secs(2);

/// Handshakes under way at most; more wait for their turn. Each costs some 10 kB and, on a Pi, milliseconds of CPU, and
/// a whole bramble of nodes comes back at once when the power does.
const HANDSHAKES: usize = 128;

/// How often an open connection asks whether its peer is still admitted, so that who is removed is cut off within a
/// second of that being known. Each request asks, too.
const ADMISSION_CHECK: Duration = Duration::from_millis(250);

/// Time that requests under way have to finish once a shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Largest set of headers, in bytes: OpenFaaS' own limit, and room for what gateways add.
pub(crate) const MAX_HEADER_LIST_BYTES: u32 = (1 << 20) + (16 << 10);

/// What one stream may have on the way before it is read: enough to keep a gigabit busy at 4 ms of round trip.
pub(crate) const STREAM_WINDOW: u32 = 512 << 10;

/// What one connection may have on the way, all streams together. It bounds the memory that a peer can fill.
pub(crate) const CONNECTION_WINDOW: u32 = 2 << 20;

/// What one stream buffers before its source must wait.
pub(crate) const SEND_BUFFER: usize = 128 << 10;

/// What a node that was removed is answered, whatever it asks. Only a member of the bramble can say so: the answer comes
/// over mutual TLS.
pub const REMOVED: StatusCode = StatusCode::GONE;

/// Whether a node that holds a certificate of the bramble may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admittance {
    /// It may.
    Member,
    /// Not as far as is known here: it is refused without a reason.
    Stranger,
    /// It was removed, and is told so ([`REMOVED`]).
    Removed,
}

impl From<bool> for Admittance {
    fn from(admitted: bool) -> Self {
        match admitted {
            true => Self::Member,
            false => Self::Stranger,
        }
    }
}

/// Who sent this request: proved by the handshake. In the extensions of every request that [`serve`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerId(pub NodeId);

/// Serves nodes of this bramble on `listener` until `shutdown`: HTTP/2 or HTTP/1.1 (with upgrades), as the peer
/// prefers.
///
/// A peer needs a certificate of the bramble's authority, and `admitted` must say that it is a member (or `true`); it
/// is asked often and should be quick. Requests carry their [`PeerId`]. After `shutdown`, requests under way get a few seconds.
pub async fn serve<S, B, A>(
    listener: TcpListener,
    identity: Arc<Identity>,
    admitted: impl Fn(NodeId) -> A + Send + Sync + 'static,
    service: S,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    A: Into<Admittance>,
{
    let admitted = move |node| admitted(node).into();
    listen(listener, identity, Arc::new(admitted), service, None, shutdown).await;
}

/// Like [`serve`], and lets nodes that are not part of the bramble knock at `join`, on the same port.
pub async fn serve_with_join<S, B, A>(
    listener: TcpListener,
    identity: Arc<Identity>,
    admitted: impl Fn(NodeId) -> A + Send + Sync + 'static,
    service: S,
    join: JoinHost,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    A: Into<Admittance>,
{
    let admitted = move |node| admitted(node).into();
    listen(
        listener,
        identity,
        Arc::new(admitted),
        service,
        Some(join),
        shutdown,
    )
    .await;
}

async fn listen<S, B>(
    listener: TcpListener,
    identity: Arc<Identity>,
    admitted: Arc<Admitted>,
    service: S,
    join: Option<JoinHost>,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (pending, handshakes) = (Pending::new(), Arc::new(Semaphore::new(HANDSHAKES)));
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let room = pending.room().await;
            (listener.accept().await, room)
        };
        let (accepted, room) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        let (socket, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely; a connection that ends gives one back.
                debug!(%error, "failed to take a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = pending.place(room, from.ip()) else {
            debug!(%from, "too many connections that say nothing");
            continue;
        };
        let handshakes = handshakes.clone();
        let (identity, admitted, service) = (identity.clone(), admitted.clone(), service.clone());
        let (join, shutdown) = (join.clone(), shutdown.clone());
        connections.spawn(async move {
            let Ok(Ok(hello)) = timeout(HELLO_LIMIT, Hello::of(socket)).await else {
                debug!(%from, "did not begin a handshake");
                return;
            };
            drop(place);
            let begun = match (hello, &join) {
                (Hello::Member(begun), _) => begun,
                (Hello::Join(begun), Some(join)) => {
                    tokio::select! {
                        () = join.converse(begun, from) => {}
                        () = shutdown.cancelled() => {}
                    }
                    return;
                }
                (Hello::Join(_), None) => return,
            };
            let permit = handshakes.acquire_owned().await.expect("never closed");
            let greeted = timeout(HANDSHAKE_LIMIT, greet(&identity, begun)).await;
            drop(permit);
            match greeted {
                Ok(Ok((stream, peer))) => {
                    if let Some(join) = join.filter(|_| admitted(peer) != Admittance::Member) {
                        join.turn_away_node(from, peer);
                    }
                    let service = PeerService {
                        service,
                        peer,
                        admitted,
                    };
                    converse(stream, service, shutdown).await;
                }
                Ok(Err(error)) => {
                    debug!(%error, "refused a connection");
                    if let Some(join) = join.filter(|_| is_of_a_stranger(&error)) {
                        join.turn_away(from, "its certificate is not of this bramble");
                    }
                }
                Err(_) => debug!("a handshake took too long"),
            }
        });
    }
    drop(listener);
    connections.close();
    _ = timeout(SHUTDOWN_GRACE, connections.wait()).await;
}

type Admitted = dyn Fn(NodeId) -> Admittance + Send + Sync;

/// The first words of a handshake, by which a connection is told from another.
pub(crate) enum Hello {
    /// For the join protocol.
    Join(StartHandshake<TcpStream>),
    /// For HTTP, as members speak it.
    Member(StartHandshake<TcpStream>),
}

impl Hello {
    pub(crate) async fn of(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let begun = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let joins = begun
            .client_hello()
            .alpn()
            .is_some_and(|mut protocols| protocols.any(|protocol| protocol == JOIN));
        Ok(if joins {
            Self::Join(begun)
        } else {
            Self::Member(begun)
        })
    }
}

/// The rest of a member's handshake, and who it proved the peer to be.
async fn greet(
    identity: &Identity,
    begun: StartHandshake<TcpStream>,
) -> io::Result<(TlsStream<TcpStream>, NodeId)> {
    let stream = begun.into_stream(identity.configs.server.clone()).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = certificates.first().ok_or(io::ErrorKind::PermissionDenied)?;
    let peer = node_of(certificate).map_err(io::Error::other)?;
    Ok((stream, peer))
}

/// Whether a handshake failed by what the other side showed, and not by the network.
fn is_of_a_stranger(error: &io::Error) -> bool {
    let of = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        of,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

/// Serves one connection until it ends, its peer is no longer admitted, or `shutdown`.
async fn converse<S, B>(stream: TlsStream<TcpStream>, service: PeerService<S>, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(MAX_HEADER_LIST_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_concurrent_streams(1024)
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5));
    let (peer, admitted) = (service.peer, service.admitted.clone());
    if stream.get_ref().1.alpn_protocol() == Some(H2) {
        let builder = builder.http2_only();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        attend(connection, peer, &*admitted, &shutdown).await;
        return;
    }
    let (stream, guard) = match hold(stream.get_ref().0) {
        Ok(socket) => Guarded::new(stream, socket),
        Err(error) => return debug!(%peer, %error, "a connection cannot be guarded"),
    };
    let builder = builder.http1_only();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    attend(connection, peer, &*admitted, &shutdown).await;
    // Where it was upgraded, somebody else has it now.
    tokio::select! {
        () = guard.gone() => {}
        () = until_not_admitted(peer, &*admitted) => guard.cut(),
        () = shutdown.cancelled() => {}
    }
}

/// Serves until the connection ends, its peer is no longer admitted, or `shutdown` and what was under way is answered.
async fn attend<C>(connection: C, peer: NodeId, admitted: &Admitted, shutdown: &CancellationToken)
where
    C: GracefulConnection<Error: std::fmt::Display>,
{
    let mut connection = pin!(connection);
    let mut not_admitted = pin!(until_not_admitted(peer, admitted));
    let mut ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%peer, %error, "a connection broke");
                }
                return;
            }
            () = not_admitted.as_mut() => return debug!(%peer, "cut off: not admitted"),
            () = shutdown.cancelled(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Returns once the peer is no longer admitted. Not at once: who is no member is to hear so, and nothing else.
async fn until_not_admitted(peer: NodeId, admitted: &Admitted) {
    let mut check = interval_at(Instant::now() + ADMISSION_CHECK, ADMISSION_CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        check.tick().await;
        if admitted(peer) != Admittance::Member {
            return;
        }
    }
}

/// Marks every request with its peer, and refuses those of a peer that is not admitted.
struct PeerService<S> {
    service: S,
    peer: NodeId,
    admitted: Arc<Admitted>,
}

impl<S, B> Service<Request<Incoming>> for PeerService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<Either<B, Empty<Bytes>>>;
    type Error = S::Error;
    type Future = future::Either<MapOk<S::Future, Taken<B>>, Ready<Result<Self::Response, S::Error>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let refused = match (self.admitted)(self.peer) {
            Admittance::Member => None,
            Admittance::Stranger => Some(StatusCode::FORBIDDEN),
            Admittance::Removed => Some(REMOVED),
        };
        if let Some(status) = refused {
            let mut refusal = Response::new(Either::Right(Empty::new()));
            *refusal.status_mut() = status;
            return future::Either::Right(future::ready(Ok(refusal)));
        }
        request.extensions_mut().insert(PeerId(self.peer));
        let taken: Taken<B> = |answer| answer.map(Either::Left);
        future::Either::Left(self.service.call(request).map_ok(taken))
    }
}

/// From the service's answer to one that a refusal could also be.
type Taken<B> = fn(Response<B>) -> Response<Either<B, Empty<Bytes>>>;
