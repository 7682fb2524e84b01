//! HTTP/1.1 to one replica on this node: a small pool of connections that are driven by the calls themselves.
//!
//! A connection has no task of its own. Whoever has a call on it drives it: first the future that waits for the
//! answer, then the answer's body. That saves two switches between tasks per call, and an answer that nobody reads
//! stops its replica (back-pressure), and one that is dropped cuts it off, without further ado.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use transport::BoxError;

use crate::{headers, request_body::RequestBody};

/// A connection that was unused for so long is closed: well below the 30 s after which watchdogs close it.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// After so long unused, a connection is not trusted with a call that must not be made twice: some servers close
/// after 2 s (gunicorn) or 5 s (Node.js), and one that closes just now may or may not have taken the call.
const TRUSTED: Duration = Duration::from_secs(1);

/// Unused connections kept per replica in any case; each costs this node some 12 kB and its replica as much.
const IDLE_FEW: usize = 64;

/// More are kept for so long. Calls that begin together tend to end together: were connections closed as soon as there
/// are many, each wave of calls would make them anew.
const IDLE_MANY: Duration = Duration::from_secs(2);

/// Never more than this.
const IDLE_MOST: usize = 1024;

/// Time to connect to a replica on this very node.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Why a replica did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    /// It did not take the connection: the call was not begun.
    #[error("the replica at {address} takes no connection")]
    Refused {
        /// Where it should be.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A connection that had been used before ended without a byte of an answer.
    #[error("the replica closed a connection that it had kept open")]
    Stale(#[source] hyper::Error),
    /// The replica did not answer properly.
    #[error("the replica broke off")]
    Broken(#[source] hyper::Error),
}

/// One replica on this node, and the unused connections to it.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) address: SocketAddr,
    /// What the replica sees as its Host.
    pub(crate) host: HeaderValue,
    /// The one that was used last is the last.
    idle: Mutex<VecDeque<Link>>,
    sweeping: AtomicBool,
}

/// One connection. The driver is gone once the connection has ended; it is large, and boxed because a link moves often.
struct Link {
    sender: http1::SendRequest<RequestBody>,
    driver: Option<Box<http1::Connection<TokioIo<TcpStream>, RequestBody>>>,
    last_used: Instant,
    reused: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("last_used", &self.last_used)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Moves the connection on: writes what is to be written, reads what is there.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            // Whoever still waits on it learns of the end by this.
            self.driver = None;
        }
    }

    /// Whether the connection can take a call right now.
    fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

impl Local {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            host: headers::text(address),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Makes `request` of the replica. `again` makes the same request once more, where the first was lost with a
    /// connection that the replica closed just then; `None` if it cannot or must not be repeated.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        again: impl FnOnce() -> Option<Request<RequestBody>>,
    ) -> Result<Response<LocalBody>, LocalError> {
        let idempotent = request.method().is_idempotent();
        let link = match self.take_idle(idempotent) {
            Some(link) => link,
            None => Box::pin(self.connect()).await?,
        };
        let request = match self.exchange(link, request).await {
            Ok(answer) => return Ok(answer),
            Err(Failed {
                untouched: Some(request),
                ..
            }) => *request,
            Err(Failed {
                stale: true, error, ..
            }) => {
                let repeated = if idempotent { again() } else { None };
                repeated.ok_or(LocalError::Stale(error))?
            }
            Err(Failed { error, .. }) => return Err(LocalError::Broken(error)),
        };
        let link = Box::pin(self.connect()).await?;
        Box::pin(self.exchange(link, request))
            .await
            .map_err(|failed| LocalError::Broken(failed.error))
    }

    /// The unused connection that was used last: so the rest grows old and goes.
    fn take_idle(&self, idempotent: bool) -> Option<Link> {
        let limit = if idempotent { IDLE_LIMIT } else { TRUSTED };
        let mut idle = self.idle.lock().expect("no panic while held");
        while let Some(mut link) = idle.pop_back() {
            if link.last_used.elapsed() > limit {
                // The others are older still, but may do for another call.
                idle.push_back(link);
                return None;
            }
            if link.is_free() {
                return Some(link);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Link, LocalError> {
        let refused = |source| LocalError::Refused {
            address: self.address,
            source,
        };
        let stream = connect(self.address).await.map_err(refused)?;
        let (sender, driver) = protocol()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(LocalError::Broken)?;
        Ok(Link {
            sender,
            driver: Some(Box::new(driver)),
            last_used: Instant::now(),
            reused: false,
        })
    }

    async fn exchange(
        self: &Arc<Self>,
        mut link: Link,
        request: Request<RequestBody>,
    ) -> Result<Response<LocalBody>, Failed> {
        let answer = {
            let mut answer = pin!(link.sender.try_send_request(request));
            let driver = &mut link.driver;
            poll_fn(|context| {
                if let Some(running) = driver
                    && Pin::new(running).poll(context).is_ready()
                {
                    *driver = None;
                }
                answer.as_mut().poll(context)
            })
            .await
        };
        match answer {
            Ok(answer) => Ok(answer.map(|incoming| LocalBody {
                incoming,
                link: Some(link),
                home: self.clone(),
            })),
            Err(mut refused) => {
                let untouched = refused.take_message().map(Box::new);
                let error = refused.into_error();
                Err(Failed {
                    untouched,
                    stale: link.reused && !error.is_parse() && !error.is_user(),
                    error,
                })
            }
        }
    }

    /// Keeps a connection for the next call.
    fn put_idle(self: &Arc<Self>, mut link: Link) {
        link.last_used = Instant::now();
        link.reused = true;
        {
            let mut idle = self.idle.lock().expect("no panic while held");
            if idle.len() >= IDLE_MOST {
                // The oldest goes. To turn this one away would keep those that nobody trusts any more, and have each
                // call make a connection of its own.
                idle.pop_front();
            }
            idle.push_back(link);
        }
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// How many headers an answer may have. hyper takes 100 unless it is told.
const MAX_HEADERS: usize = 1024;

/// What is spoken to replicas.
pub(crate) fn protocol() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS);
    builder
}

/// A TCP connection to a replica.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Closes connections that grew old, until there are none.
async fn sweep(local: Weak<Local>) {
    loop {
        sleep(IDLE_MANY).await;
        let Some(local) = local.upgrade() else { return };
        let mut idle = local.idle.lock().expect("no panic while held");
        let many = idle.len().saturating_sub(IDLE_FEW);
        let mut number = 0;
        idle.retain_mut(|link| {
            number += 1;
            let limit = if number <= many { IDLE_MANY } else { IDLE_LIMIT };
            link.last_used.elapsed() < limit && link.is_free()
        });
        if idle.is_empty() {
            // The memory of the last rush goes back as well.
            *idle = VecDeque::new();
            local.sweeping.store(false, Ordering::Release);
            return;
        }
    }
}

/// A request that got no answer.
struct Failed {
    error: hyper::Error,
    /// The request, if not a byte of it was sent.
    untouched: Option<Box<Request<RequestBody>>>,
    /// The connection had been kept open, and ended before any answer.
    stale: bool,
}

/// The body of a replica's answer; drives the connection it comes from.
#[derive(Debug)]
pub(crate) struct LocalBody {
    incoming: Incoming,
    link: Option<Link>,
    home: Arc<Local>,
}

impl Body for LocalBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // What has arrived comes first; only then is more read.
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if let Some(link) = &mut this.link {
            link.drive(context);
        }
        Pin::new(&mut this.incoming)
            .poll_frame(context)
            .map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for LocalBody {
    /// A connection whose answer was read to its end is kept, any other is cut.
    fn drop(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_free()
        {
            self.home.put_idle(link);
        }
    }
}
