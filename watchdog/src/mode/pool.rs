//! Connections to the forked server of http mode, kept for the next request.
//!
//! One server, one thread, HTTP/1.1: a list and no locks. A connection comes back when the answer it carried has
//! been read to its end ([`Lease::give_back`]); one whose answer was abandoned is closed by being dropped.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};

use super::hearing::Hearing;
use crate::names::Names;
use crate::server::{MOST_HEADER_BYTES, MOST_HEADERS};
use crate::upload::Upload;
use crate::upstream::Host;

/// A request's body as sent to the server: passed on as it comes, or collected first.
pub(super) type Outgoing = Either<Upload, Full<Bytes>>;

/// What drives a connection.
type Driver<S> = http1::Connection<TokioIo<S>, Outgoing>;

/// How long an idle connection is kept. Shorter than any server's own patience that we know (gunicorn: 2 s), because
/// a request sent into a connection that the server is just closing is lost.
const IDLE: Duration = Duration::from_secs(1);

/// Most idle connections kept. Many, because calls that begin together end together, and each wave of them would make the
/// connections anew; for a second only.
const MOST_IDLE: usize = 512;

/// How long a name's addresses are used again: a starting server is looked for every few milliseconds, and a burst makes
/// many connections at once.
const NAME_LIFE: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    host: Host,
    port: u16,
    names: Names,
    looked_up: RefCell<Option<(Instant, Vec<IpAddr>)>>,
    idle: RefCell<Vec<Idle>>,
    /// Whether a sweeper is about. One is enough, however often the pool runs empty meanwhile.
    swept: Cell<bool>,
}

struct Idle {
    link: Link,
    since: Instant,
}

/// A connection.
struct Link {
    sender: SendRequest<Outgoing>,
    driver: AbortHandle,
    /// Whether the server said anything since the last request.
    heard: Rc<Cell<bool>>,
}

/// A connection in use. Dropped before its answer has been read, it is closed, even while a request is being written
/// that the server does not read: that would go on for as long as the server is there.
pub(crate) struct Lease {
    pool: Rc<Pool>,
    /// `None` once it was given back.
    link: Option<Link>,
}

impl Lease {
    fn new(pool: &Rc<Pool>, link: Link) -> Self {
        Self {
            pool: pool.clone(),
            link: Some(link),
        }
    }

    /// To send the next request.
    pub(super) fn sender(&mut self) -> &mut SendRequest<Outgoing> {
        let link = self.link.as_mut().expect("giving it back consumes the lease");
        link.heard.set(false);
        &mut link.sender
    }

    /// Whether the server has said anything since then.
    pub(super) fn heard(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.heard.get())
    }

    /// The answer was read to its end: the connection can serve another request.
    pub(crate) fn give_back(mut self) {
        let Some(link) = self.link.take() else { return };
        let mut idle = self.pool.idle.borrow_mut();
        if link.sender.is_closed() {
            return;
        }
        if idle.len() >= MOST_IDLE {
            // The oldest goes: to turn this one away would keep those that are too old to be used.
            idle.remove(0);
        }
        if !self.pool.swept.replace(true) {
            spawn_local(sweep(self.pool.clone()));
        }
        idle.push(Idle {
            link,
            since: Instant::now(),
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.driver.abort();
        }
    }
}

impl Pool {
    pub(super) fn new(host: Host, port: u16) -> Self {
        Self {
            host,
            port,
            names: Names::of_system(),
            looked_up: RefCell::default(),
            idle: RefCell::default(),
            swept: Cell::default(),
        }
    }

    /// The idle connection used last, if one is ready.
    pub(super) fn take(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        // One that just came back may need its task to run once before it is ready: such ones are passed over. Behind one
        // that is too old all are.
        let (ready, _) = idle
            .iter()
            .enumerate()
            .rev()
            .take_while(|(_, one)| one.since.elapsed() < IDLE)
            .find(|(_, one)| one.link.sender.is_ready())?;
        Some(Lease::new(self, idle.remove(ready).link))
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server does not listen, or its name is not known.
    pub(super) async fn connect(self: &Rc<Self>) -> io::Result<Lease> {
        let stream = Hearing::new(self.reach().await?);
        let heard = stream.heard();
        let (sender, connection) = handshake(stream).await?;
        // Its errors reach whoever waits for the answer.
        let driver = spawn_local(async { _ = connection.await }).abort_handle();
        let link = Link {
            sender,
            driver,
            heard,
        };
        Ok(Lease::new(self, link))
    }

    /// A new connection that can turn into a tunnel.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn connect_upgradable(&self) -> io::Result<SendRequest<Outgoing>> {
        let (sender, connection) = handshake(self.reach().await?).await?;
        spawn_local(async { _ = connection.with_upgrades().await });
        Ok(sender)
    }

    /// Whether the server accepts connections, and if not, why.
    pub(super) async fn is_listening(&self) -> io::Result<()> {
        self.reach().await.map(drop)
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let stream = match &self.host {
            Host::Addresses(hosts) => TcpStream::connect(self.at(hosts).as_slice()).await,
            Host::Name(name) => {
                let hosts = self.look_up(name).await?;
                TcpStream::connect(self.at(&hosts).as_slice()).await
            }
        }?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn at(&self, hosts: &[IpAddr]) -> Vec<SocketAddr> {
        hosts
            .iter()
            .map(|host| SocketAddr::new(*host, self.port))
            .collect()
    }

    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Some((when, hosts)) = &*self.looked_up.borrow()
            && when.elapsed() < NAME_LIFE
        {
            return Ok(hosts.clone());
        }
        let hosts = self.names.addresses(name).await?;
        *self.looked_up.borrow_mut() = Some((Instant::now(), hosts.clone()));
        Ok(hosts)
    }
}

async fn handshake<S>(stream: S) -> io::Result<(SendRequest<Outgoing>, Driver<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)
}

/// Closes connections that idled too long, until none is left: at rest the pool costs nothing.
async fn sweep(pool: Rc<Pool>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let mut idle = pool.idle.borrow_mut();
        idle.retain(|one| one.since.elapsed() < IDLE && !one.link.sender.is_closed());
        if idle.is_empty() {
            // Memory of the last burst goes back as well.
            *idle = Vec::new();
            pool.swept.set(false);
            return;
        }
    }
}
