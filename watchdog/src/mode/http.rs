//! `mode=http`: the function is a server of its own, started once; requests are passed on to it.
//!
//! Bodies stream both ways. A request that asks to switch protocols (WebSocket) gets a connection of its own and,
//! once the server agrees, a tunnel. Which connection carries a request is [`super::pool`]'s business.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body::Body;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::pool::{Lease, Outgoing, Pool};
use super::{DURATION, INTERNAL, duration_value, failure};
use crate::answer::Content;
use crate::children::{Children, Ended, Group};
use crate::config::{Config, EXIT_WITH_STDIN, Fprocess, METRICS_PORT, Relaying};
use crate::deadline::{Limit, Reason};
use crate::duration::{self, AsGo};
use crate::limit::Permit;
use crate::log::{log, relay};
use crate::outlet::Stream;
use crate::upload::{Upload, UploadError};
use crate::upstream::Upstream;

/// Headers that belong to one connection and are not passed on (RFC 9110, 7.6.1), and `Expect`, which the watchdog
/// itself has already answered when it reads the body.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// The caller's own limit, if shorter than `exec_timeout`. A Go duration.
const X_TIMEOUT: HeaderName = HeaderName::from_static("x-timeout");

/// How often and how long a starting server is asked whether it listens, before the function counts as ready.
/// After that it counts as ready anyway, as upstream's does at once: it may not want to listen before it is called.
const START_POLL: Duration = Duration::from_millis(10);
const START_PATIENCE: Duration = Duration::from_secs(5);

/// The running server process.
pub(crate) struct Forked {
    pub(crate) group: Group,
    pub(crate) when_ended: oneshot::Receiver<Ended>,
}

impl Forked {
    /// Starts the server.
    ///
    /// # Errors
    /// When its program cannot be started.
    pub(crate) fn start(
        fprocess: &Fprocess,
        relaying: Relaying,
        children: &Rc<Children>,
    ) -> io::Result<Self> {
        let output = || {
            if relaying.prefix {
                Stdio::piped()
            } else {
                Stdio::inherit()
            }
        };
        log!(
            "Forking: {}, arguments: {:?}",
            fprocess.program,
            fprocess.arguments
        );
        let (mut child, group, when_ended) = children.spawn(
            Command::new(&fprocess.program)
                .args(&fprocess.arguments)
                .env_remove(EXIT_WITH_STDIN)
                .env_remove(METRICS_PORT)
                .stdin(Stdio::null())
                .stdout(output())
                .stderr(output()),
        )?;
        if let Some(stdout) = child.stdout.take() {
            spawn_local(relay(
                pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?,
                Stream::Stdout,
                relaying.longest_line,
            ));
        }
        if let Some(stderr) = child.stderr.take() {
            spawn_local(relay(
                pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?,
                Stream::Stderr,
                relaying.longest_line,
            ));
        }
        Ok(Self { group, when_ended })
    }
}

pub(crate) struct Http {
    upstream: Upstream,
    pool: Rc<Pool>,
    exec_timeout: Option<Duration>,
    buffer_requests: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the function does not listen at {0}: {1}")]
    Unreachable(String, io::Error),
    #[error("the function did not answer: {0}")]
    NoAnswer(String),
    #[error("the request body did not arrive whole: {0}")]
    NoBody(String),
    #[error("the request cannot be passed on: {0}")]
    Unsendable(hyper::http::Error),
    #[error("the function took longer than {0}")]
    TooLong(AsGo),
}

impl Failure {
    /// What went wrong with a request that was sent, at least in part.
    fn of_exchange(error: &hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        match cause {
            Some(broken) => Self::of_body(broken),
            None => Self::NoAnswer(error.to_string()),
        }
    }

    fn of_body(error: &UploadError) -> Self {
        Self::NoBody(error.to_string())
    }
}

impl Http {
    pub(crate) fn new(config: &Config, upstream: Upstream, buffer_requests: bool) -> Self {
        let pool = Rc::new(Pool::new(upstream.host.clone(), upstream.port));
        Self {
            upstream,
            pool,
            exec_timeout: config.exec_timeout,
            buffer_requests,
        }
    }

    /// Returns when the server accepts connections, or after [`START_PATIENCE`].
    pub(crate) async fn started(&self) {
        let patience = Instant::now() + START_PATIENCE;
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            let why = match timeout(left, self.pool.is_listening()).await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if Instant::now() >= patience {
                log!("The function does not listen at {} yet: {why}", self.authority());
                return;
            }
            sleep(START_POLL).await;
        }
    }

    fn authority(&self) -> String {
        String::from_utf8_lossy(self.upstream.authority.as_bytes()).into_owned()
    }

    pub(crate) async fn call(
        &self,
        request: Request<Upload>,
        started: Instant,
        permit: &Permit,
    ) -> Response<Content> {
        let limit = self.limit(request.headers());
        match self.answer(request, started, limit, permit).await {
            Ok(mut response) => {
                response.headers_mut().insert(DURATION, duration_value(started));
                response
            }
            Err(why) => {
                log!("Upstream HTTP request error: {why}");
                let status = match why {
                    Failure::TooLong(_) => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                let mut response = failure(status, why, started);
                response
                    .headers_mut()
                    .insert(INTERNAL, HeaderValue::from_static("of-watchdog"));
                response
            }
        }
    }

    /// `exec_timeout`, or the caller's own limit where that is shorter and can be kept.
    fn limit(&self, headers: &HeaderMap) -> Option<Duration> {
        let asked = headers
            .get(X_TIMEOUT)
            .and_then(|value| duration::go(value.to_str().ok()?))
            .filter(|limit| !limit.is_zero());
        match (asked, self.exec_timeout) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        }
    }

    async fn answer(
        &self,
        request: Request<Upload>,
        started: Instant,
        limit: Option<Duration>,
        permit: &Permit,
    ) -> Result<Response<Content>, Failure> {
        // A stream of events may go on as long as the connection may; only its beginning has to come in time.
        let is_stream = wants_stream(request.headers());
        let answered = self.head(request, permit);
        let (mut response, lease) = match limit {
            Some(limit) => timeout(limit, answered)
                .await
                .map_err(|_| Failure::TooLong(AsGo(limit)))??,
            None => answered.await?,
        };
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        remove_hop_by_hop(response.headers_mut(), is_switch);
        let limit = limit
            .filter(|_| !is_stream)
            .and_then(|limit| Limit::new(started, limit, Reason::Server(AsGo(limit))));
        Ok(response.map(|body| Content::Streamed { body, limit, lease }))
    }

    /// Sends the request and waits for the head of the answer.
    async fn head(
        &self,
        mut request: Request<Upload>,
        permit: &Permit,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failure> {
        let upgrade = asks_for_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let request = self.outgoing(request, upgrade.is_some()).await?;
        let Some(client) = upgrade else {
            return self.send(request).await;
        };

        let mut sender = self.reached(self.pool.connect_upgradable().await)?;
        let mut response = sender
            .send_request(request)
            .await
            .map_err(|error| Failure::of_exchange(&error))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            spawn_local(tunnel(client, hyper::upgrade::on(&mut response), permit.share()));
        }
        Ok((response, None))
    }

    /// Sends over an idle connection, or a new one when none is left.
    ///
    /// A server may close an idle connection at the very moment it is used again. Whether it did anything then cannot be
    /// known, so only what may be done twice is sent again, and only once.
    async fn send(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failure> {
        while let Some(mut lease) = self.pool.take() {
            let copy = copy_of_harmless(&request);
            match lease.sender().try_send_request(request).await {
                Ok(response) => return Ok((response, Some(lease))),
                Err(mut error) => match (error.take_message(), copy) {
                    // Closed before anything of the request was written: nothing happened yet.
                    (Some(unsent), _) => request = unsent,
                    (None, Some(copy)) if !lease.heard() => {
                        request = copy;
                        break;
                    }
                    (None, _) => return Err(Failure::of_exchange(error.error())),
                },
            }
        }
        let mut lease = self.reached(self.pool.connect().await)?;
        let answered = lease.sender().send_request(request).await;
        Ok((
            answered.map_err(|error| Failure::of_exchange(&error))?,
            Some(lease),
        ))
    }

    fn reached<T>(&self, connected: io::Result<T>) -> Result<T, Failure> {
        connected.map_err(|error| Failure::Unreachable(self.authority(), error))
    }

    /// The request as the server shall see it: its own path and Host, without what concerned our connection only.
    async fn outgoing(
        &self,
        request: Request<Upload>,
        keep_upgrade: bool,
    ) -> Result<Request<Outgoing>, Failure> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query();
        head.uri = if self.upstream.base_path.is_empty() {
            target.cloned().map_or_else(Uri::default, Uri::from)
        } else {
            let target = target.map_or("/", PathAndQuery::as_str);
            let uri = Uri::try_from(format!("{}{target}", self.upstream.base_path));
            uri.map_err(|error| Failure::Unsendable(error.into()))?
        };
        head.version = Version::HTTP_11;
        remove_hop_by_hop(&mut head.headers, keep_upgrade);
        head.headers
            .entry(header::HOST)
            .or_insert_with(|| self.upstream.authority.clone());
        let body = if self.buffer_requests && !body.is_end_stream() {
            let whole = body.collect().await.map_err(|error| Failure::of_body(&error))?;
            Either::Right(Full::new(whole.to_bytes()))
        } else {
            Either::Left(body)
        };
        Ok(Request::from_parts(head, body))
    }
}

/// A second copy of a request that may be done twice: without body, and of a method that changes nothing.
fn copy_of_harmless(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Either::Left(Upload::empty()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accepted.contains("text/event-stream") || accepted.contains("application/x-ndjson")
}

/// `Connection: Upgrade` together with `Upgrade: …`.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        && named_by_connection(headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

/// Removes what concerns one connection only. `keep_upgrade` leaves (only) the wish to switch protocols.
fn remove_hop_by_hop(headers: &mut HeaderMap, keep_upgrade: bool) {
    if let Some(connection) = headers.get(header::CONNECTION)
        && !connection.as_bytes().eq_ignore_ascii_case(b"keep-alive")
        && !connection.as_bytes().eq_ignore_ascii_case(b"close")
    {
        let named: Vec<HeaderName> = named_by_connection(headers)
            .filter_map(|name| name.parse().ok())
            .collect();
        for name in named
            .into_iter()
            .filter(|name| !(keep_upgrade && *name == header::UPGRADE))
        {
            headers.remove(name);
        }
    }
    // Looking through the few headers there are is cheaper than looking each of these up.
    while let Some(name) = headers
        .keys()
        .find(|name| HOP_BY_HOP.contains(name) && !(keep_upgrade && **name == header::UPGRADE))
    {
        let name = name.clone();
        headers.remove(name);
    }
    if keep_upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Copies bytes both ways until either side is done. It counts as an invocation under way for that long.
async fn tunnel(client: OnUpgrade, server: OnUpgrade, permit: Permit) {
    if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        // Either side may break off at any time; there is nobody left to tell.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Host;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn headers_of_one_connection_are_not_passed_on() {
        let mut headers = headers(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("authorization", "Bearer x"),
            ("host", "pi"),
        ]);

        remove_hop_by_hop(&mut headers, false);

        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "host"]);
    }

    #[test]
    fn a_wish_to_switch_protocols_is_passed_on_when_asked() {
        let mut headers = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert!(asks_for_upgrade(&headers));

        remove_hop_by_hop(&mut headers, true);

        assert_eq!(headers.get("upgrade").unwrap(), "websocket");
        assert_eq!(headers.get("connection").unwrap(), "upgrade");
    }

    #[test]
    fn an_upgrade_header_alone_is_no_wish_to_switch() {
        assert!(!asks_for_upgrade(&headers(&[("upgrade", "h2c")])));
    }

    #[test]
    fn a_caller_can_shorten_the_limit_but_not_lengthen_it() {
        let http = |exec_timeout| Http {
            upstream: Upstream {
                host: Host::Addresses(Vec::new()),
                port: 0,
                authority: HeaderValue::from_static("x"),
                base_path: String::new(),
            },
            pool: Rc::new(Pool::new(Host::Addresses(Vec::new()), 0)),
            exec_timeout,
            buffer_requests: false,
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));

        assert_eq!(
            http(seconds(10)).limit(&headers(&[("x-timeout", "2s")])),
            seconds(2)
        );
        assert_eq!(
            http(seconds(10)).limit(&headers(&[("x-timeout", "20s")])),
            seconds(10)
        );
        for unusable in ["soon", "0", "0s", "-1s", ""] {
            let asked = headers(&[("x-timeout", unusable)]);
            assert_eq!(http(seconds(10)).limit(&asked), seconds(10), "{unusable}");
        }
        assert_eq!(http(None).limit(&headers(&[("x-timeout", "2s")])), seconds(2));
        assert_eq!(http(None).limit(&headers(&[])), None);
    }
}
