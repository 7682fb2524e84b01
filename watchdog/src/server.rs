//! Connections: accepting them, cutting late ones, and closing the door at the end.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep, timeout};

use crate::config::Config;
use crate::deadline::{Deadline, Reason};
use crate::log::log;
use crate::service::{Door, Service};

/// Rest after a failed accept: out of file descriptors is not cured by asking again at once.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Most headers of one message, and most bytes of them: 1 MB and a little, as upstream. It does not count headers; here
/// they are parsed into a list of this length, of 64 bytes each, which is there for a moment of every request.
pub(crate) const MOST_HEADERS: usize = 1024;
pub(crate) const MOST_HEADER_BYTES: usize = (1 << 20) + 4096;

/// Between closing the door and telling connections to end. Until then each connection's next answer says that it is the
/// last: a connection that is just told to end may meet a request on its way, which nobody would answer. Those that
/// nobody uses take this long to end.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// An open door and everyone who came through it.
pub(crate) struct Server {
    listener: TcpListener,
    door: Door,
    /// Becomes true when connections shall end; every connection holds a receiver.
    closing: watch::Sender<bool>,
    /// Whether answers say that they are their connection's last.
    leaving: Rc<Cell<bool>>,
    read_timeout: Option<Duration>,
    write_timeout: Duration,
}

impl Server {
    /// Opens a door at this port.
    ///
    /// # Errors
    /// When the address or port cannot be had.
    pub(crate) async fn bind(config: &Config, door: Door, port: u16) -> io::Result<Self> {
        let listener = match config.listen_address {
            Some(address) => TcpListener::bind((address, port)).await?,
            // One IPv6 socket takes IPv4 as well, unless this system has no IPv6.
            None => match TcpListener::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)).await {
                Ok(listener) => listener,
                Err(_) => TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await?,
            },
        };
        Ok(Self {
            listener,
            door,
            closing: watch::Sender::new(false),
            leaving: Rc::default(),
            read_timeout: config.read_timeout,
            write_timeout: config.write_timeout,
        })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves for as long as it is polled. Connections live on when it no longer is.
    pub(crate) async fn serve(&self, service: &Rc<Service>) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => self.admit(stream, service),
                Err(error) => {
                    log!("Cannot accept a connection: {error}");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, service: &Rc<Service>) {
        let connection = Connection {
            service: service.clone(),
            door: self.door,
            closing: self.closing.subscribe(),
            leaving: self.leaving.clone(),
            read_timeout: self.read_timeout,
            write_timeout: self.write_timeout,
        };
        spawn_local(connection.run(stream));
    }

    /// Closes the door and waits, at most `write_timeout`, until everyone has had their answer.
    pub(crate) async fn drain(self, service: &Rc<Service>) {
        // Who already stands before the door, accepted by the system but not by us, would find it slammed.
        tokio::task::yield_now().await;
        while let Ok(Ok((stream, _))) = timeout(Duration::ZERO, self.listener.accept()).await {
            self.admit(stream, service);
        }
        drop(self.listener);
        self.leaving.set(true);
        // Sooner where everyone has left by then.
        _ = timeout(LAST_WORDS.min(self.write_timeout), self.closing.closed()).await;
        self.closing.send_replace(true);
        _ = timeout(self.write_timeout, self.closing.closed()).await;
    }
}

struct Connection {
    service: Rc<Service>,
    door: Door,
    closing: watch::Receiver<bool>,
    leaving: Rc<Cell<bool>>,
    read_timeout: Option<Duration>,
    write_timeout: Duration,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        // Answers are small and written whole: waiting to fill a packet only delays them.
        _ = stream.set_nodelay(true);
        let deadline = Rc::new(Deadline::default());
        let answering = service_fn(|request| {
            let answer = self.service.answer(request, self.door, deadline.clone());
            let leaving = self.leaving.clone();
            async move {
                let mut answer = answer.await;
                if leaving.get() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.read_timeout)
                .max_headers(MOST_HEADERS)
                .max_header_size(MOST_HEADER_BYTES)
                .max_buf_size(MOST_HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), answering)
                .with_upgrades()
        );
        // One timer per connection, not per request. Leaving drops the connection, and with it the call and what it
        // started.
        let mut check = pin!(sleep(self.write_timeout));
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                // Whatever went wrong, the other side is gone or spoke no HTTP.
                _ = connection.as_mut() => return,
                why = too_late(&deadline, check.as_mut(), self.write_timeout) => {
                    log!("Connection cut: {why}");
                    return;
                }
                // Fails only when the server is gone, and then the process is ending.
                _ = self.closing.wait_for(|closing| *closing), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Resolves when the call under way has taken too long. `check` sleeps for `at_most`, however many calls come and go
/// meanwhile, and then looks; for a call that has less time it is woken sooner.
async fn too_late(deadline: &Deadline, mut check: Pin<&mut Sleep>, at_most: Duration) -> Reason {
    poll_fn(|context| {
        loop {
            // A call begins within this very task, so this is looked at before it sleeps again.
            if let Some(next) = deadline.next().map(tokio::time::Instant::from_std)
                && next < check.deadline()
            {
                check.as_mut().reset(next);
            }
            ready!(check.as_mut().poll(context));
            if let Some(why) = deadline.cut(Instant::now()) {
                return Poll::Ready(why);
            }
            match deadline.next() {
                Some(later) => check.as_mut().reset(later.into()),
                None => check.set(sleep(at_most)),
            }
        }
    })
    .await
}
