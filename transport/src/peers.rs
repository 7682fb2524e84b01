//! The open HTTP/2 connections to one peer.
//!
//! Each slot holds at most one connection. A request takes the least busy open one; another opens only when all open
//! ones are busy. Several requests that need the same connection wait for one attempt and share how it ends, so that
//! an unplugged peer costs each of them one time limit and not a queue of them.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response, uri::Authority};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    Answer, Body, BoxError, ClientError, ConnectError, Identity, Peer,
    client::{Alpn, dial},
    exchange::{Unanswered, exchange},
    liveness::until_silent,
    server::{CONNECTION_WINDOW, MAX_HEADER_LIST_BYTES, SEND_BUFFER, STREAM_WINDOW},
    verify::san_of,
};

/// Requests that wait for an answer on one connection before another is opened beside it.
const BUSY: u32 = 8;

/// A connection that carried nothing for this long is closed: it costs both ends some 50 kB.
const IDLE_LIMIT: Duration = Duration::from_secs(90);

/// The connections to one peer.
#[derive(Debug)]
pub(crate) struct PeerPool {
    pub(crate) peer: Peer,
    /// What its requests are addressed to.
    pub(crate) authority: Authority,
    /// Ends everything that goes to this peer, for good.
    pub(crate) cut: CancellationToken,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    open: Mutex<Option<Arc<Connection>>>,
    opening: AsyncMutex<()>,
    /// How many attempts to connect ended, and how the last one failed.
    attempts: AtomicU64,
    failure: Mutex<Option<ClientError>>,
}

struct Connection {
    sender: SendRequest<Bytes>,
    /// Requests that wait for the head of their answer.
    busy: AtomicU32,
    /// Whether a request was made since the last look.
    used: AtomicBool,
    /// It takes no more requests.
    ended: AtomicBool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

/// One request that waits for the head of its answer.
struct Busy(Arc<Connection>);

impl Busy {
    fn on(connection: Arc<Connection>) -> Self {
        connection.busy.fetch_add(1, Ordering::Relaxed);
        connection.used.store(true, Ordering::Relaxed);
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PeerPool {
    pub(crate) fn new(peer: Peer, connections: usize, cut: CancellationToken) -> Self {
        Self {
            peer,
            authority: san_of(peer.id).parse().expect("a node's name is an authority"),
            cut,
            slots: std::iter::repeat_with(Slot::default).take(connections).collect(),
        }
    }

    /// Sends `request`, on a second connection if the first had ended before it took it.
    pub(crate) async fn send(
        self: &Arc<Self>,
        identity: &Identity,
        mut request: Request<Body>,
    ) -> Result<Response<Answer>, ClientError> {
        let peer = self.peer;
        let mut ended_before = false;
        loop {
            let connection = Busy::on(self.connection(identity).await?);
            let source: BoxError = match exchange(connection.0.sender.clone(), request).await {
                Ok(answer) => return Ok(answer.map(Answer::http2)),
                Err(Unanswered::Untouched(untouched, _)) if !ended_before => {
                    self.forget(&connection.0);
                    ended_before = true;
                    request = *untouched;
                    continue;
                }
                Err(Unanswered::Broken(source)) => {
                    let source = source.into();
                    return Err(ClientError::Broken { peer, source });
                }
                Err(Unanswered::Untouched(_, error) | Unanswered::NotTaken(error)) => error.into(),
            };
            let source = source.into();
            return Err(ClientError::NotTaken { peer, source });
        }
    }

    /// The least busy open connection, or a new one.
    async fn connection(self: &Arc<Self>, identity: &Identity) -> Result<Arc<Connection>, ClientError> {
        let mut best: Option<Arc<Connection>> = None;
        let mut vacant = None;
        for slot in &self.slots {
            match slot.open() {
                Some(connection) => {
                    let load = connection.busy.load(Ordering::Relaxed);
                    if load == 0 {
                        return Ok(connection);
                    }
                    if best
                        .as_ref()
                        .is_none_or(|best| load < best.busy.load(Ordering::Relaxed))
                    {
                        best = Some(connection);
                    }
                }
                None => vacant = vacant.or(Some(slot)),
            }
        }
        match (best, vacant) {
            (Some(best), None) => Ok(best),
            (Some(best), Some(_)) if best.busy.load(Ordering::Relaxed) < BUSY => Ok(best),
            // Nobody waits for the second connection while the first works.
            (Some(best), Some(slot)) if slot.opening.try_lock().is_err() => Ok(best),
            // Boxed, because it is rare and would make every request's future four times as large.
            (Some(best), Some(slot)) => Ok(Box::pin(self.open(slot, identity)).await.unwrap_or(best)),
            (None, Some(slot)) => Box::pin(self.open(slot, identity)).await,
            (None, None) => unreachable!("a slot is open or vacant"),
        }
    }

    /// Opens `slot`, or waits for whoever does so already.
    async fn open(
        self: &Arc<Self>,
        slot: &Slot,
        identity: &Identity,
    ) -> Result<Arc<Connection>, ClientError> {
        let attempts = slot.attempts.load(Ordering::Acquire);
        let _one_at_a_time = slot.opening.lock().await;
        if let Some(connection) = slot.open() {
            return Ok(connection);
        }
        if slot.attempts.load(Ordering::Acquire) != attempts
            && let Some(error) = slot.failure.lock().expect("no panic while held").clone()
        {
            return Err(error);
        }
        let opened = self
            .connect(identity)
            .await
            .map_err(|source| ClientError::Connect {
                peer: self.peer,
                source: Arc::new(source),
            });
        *slot.failure.lock().expect("no panic while held") = opened.as_ref().err().cloned();
        slot.attempts.fetch_add(1, Ordering::Release);
        let connection = opened?;
        *slot.open.lock().expect("no panic while held") = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(self: &Arc<Self>, identity: &Identity) -> Result<Arc<Connection>, ConnectError> {
        let stream = tokio::select! {
            () = self.cut.cancelled() => return Err(ConnectError::ShutOut),
            stream = dial(identity, self.peer, Alpn::H2) => stream?,
        };
        let arrived = stream.get_ref().0.arrived();
        let (sender, mut driver) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(|error| ConnectError::Http(error.into()))?;
        let pings = driver.ping_pong().expect("nobody else asked for it");
        let connection = Arc::new(Connection {
            sender,
            busy: AtomicU32::new(0),
            used: AtomicBool::new(true),
            ended: AtomicBool::new(false),
        });
        let (pool, weak, cut) = (
            Arc::downgrade(self),
            Arc::downgrade(&connection),
            self.cut.clone(),
        );
        let peer = self.peer.id;
        tokio::spawn(async move {
            let mut driver = pin!(driver);
            let mut silent = pin!(until_silent(&arrived, pings));
            let mut look = interval(IDLE_LIMIT);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            look.tick().await;
            loop {
                tokio::select! {
                    ended = driver.as_mut() => {
                        if let Err(error) = ended {
                            debug!(%peer, %error, "a connection broke");
                        }
                        break;
                    }
                    () = cut.cancelled() => {
                        debug!(%peer, "a connection was cut: it is shut out");
                        break;
                    }
                    () = silent.as_mut() => {
                        debug!(%peer, "a connection fell silent");
                        break;
                    }
                    // Once forgotten, it ends when its last request does.
                    _ = look.tick() => {
                        if weak.upgrade().is_none_or(|connection| connection.is_idle()) {
                            forget_weak(&pool, &weak);
                        }
                    }
                }
            }
            if let Some(connection) = weak.upgrade() {
                connection.ended.store(true, Ordering::Release);
            }
            forget_weak(&pool, &weak);
        });
        Ok(connection)
    }

    /// Lets go of `connection`; the next request opens another.
    fn forget(&self, connection: &Arc<Connection>) {
        for slot in &self.slots {
            let mut open = slot.open.lock().expect("no panic while held");
            if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, connection)) {
                *open = None;
            }
        }
    }
}

fn forget_weak(pool: &Weak<PeerPool>, connection: &Weak<Connection>) {
    if let (Some(pool), Some(connection)) = (pool.upgrade(), connection.upgrade()) {
        pool.forget(&connection);
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Connection>> {
        let open = self.open.lock().expect("no panic while held");
        open.as_ref()
            .filter(|connection| !connection.ended.load(Ordering::Acquire))
            .cloned()
    }
}

impl Connection {
    /// Whether nothing was asked since the last look and nothing is under way.
    fn is_idle(&self) -> bool {
        !self.used.swap(false, Ordering::Relaxed) && self.busy.load(Ordering::Relaxed) == 0
    }
}
