//! What the watchdog answers to each request: health, readiness, "too many", or the function.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Method, Request, Response, StatusCode};

use crate::answer::{Answer, Call, Content};
use crate::config::Config;
use crate::deadline::{Deadline, Limit, Reason};
use crate::limit::{Limiter, Permit};
use crate::lock::Lock;
use crate::metrics::{self, Metrics};
use crate::mode::{INTERNAL, Runner};
use crate::upload::Upload;

const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");

/// Through which listener a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Function,
    Metrics,
}

/// One watchdog, shared by its connections.
pub(crate) struct Service {
    pub(crate) runner: Runner,
    pub(crate) lock: Lock,
    pub(crate) limiter: Limiter,
    metrics: Rc<Metrics>,
    read_timeout: Option<Duration>,
    write_timeout: Duration,
    ready_path: Option<PathAndQuery>,
    log_call_id: bool,
}

impl Service {
    pub(crate) fn new(config: &Config, runner: Runner) -> Self {
        Self {
            runner,
            lock: Lock::new(config.lock_path.clone()),
            limiter: Limiter::new(config.max_inflight),
            metrics: Rc::default(),
            read_timeout: config.read_timeout,
            write_timeout: config.write_timeout,
            ready_path: config.ready_path.clone(),
            log_call_id: config.log_call_id,
        }
    }

    /// Answers one request. `deadline` is where the connection looks up when to give up on it.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        door: Door,
        deadline: Rc<Deadline>,
    ) -> Response<Answer> {
        if door == Door::Metrics {
            return own(self.figures(request.method(), request.uri().path()));
        }
        match request.uri().path() {
            "/_/health" => own(self.health(request.method())),
            "/_/ready" => self.ready(request, deadline).await,
            _ => match self.limiter.admit() {
                Some(permit) => {
                    let request = request.map(|body| Upload::new(body, self.read_timeout));
                    self.invoke(request, permit, Some(self.metrics.clone()), deadline)
                        .await
                }
                None => {
                    let status = StatusCode::TOO_MANY_REQUESTS;
                    self.metrics.record(status, request.method(), Duration::ZERO);
                    drop(Upload::new(request.into_body(), self.read_timeout));
                    own(self.too_many())
                }
            },
        }
    }

    fn health(&self, method: &Method) -> Response<Content> {
        match (method, self.lock.is_healthy()) {
            (&Method::GET, true) => Response::new(Content::text("OK".to_owned())),
            (&Method::GET, false) => status(StatusCode::SERVICE_UNAVAILABLE),
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn ready(&self, request: Request<Incoming>, deadline: Rc<Deadline>) -> Response<Answer> {
        if request.method() != Method::GET {
            return own(status(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !self.lock.is_healthy() {
            return own(status(StatusCode::SERVICE_UNAVAILABLE));
        }
        if self.limiter.is_met() {
            return own(status(StatusCode::TOO_MANY_REQUESTS));
        }
        let Some(path) = &self.ready_path else {
            return own(status(StatusCode::OK));
        };
        let mut request = request.map(|_| Upload::empty());
        *request.uri_mut() = Uri::from(path.clone());
        self.invoke(request, self.limiter.count(), None, deadline).await
    }

    async fn invoke(
        &self,
        request: Request<Upload>,
        permit: Permit,
        metrics: Option<Rc<Metrics>>,
        deadline: Rc<Deadline>,
    ) -> Response<Answer> {
        let started = Instant::now();
        deadline.add(Limit::new(started, self.write_timeout, Reason::Answer));
        let is_probe = request
            .headers()
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"kube-probe"));
        let mut call = Call {
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            started,
            id: self
                .log_call_id
                .then(|| request.headers().get(CALL_ID).cloned())
                .flatten(),
            logged: !is_probe,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            failed: false,
            sent: 0,
            deadline,
            permit,
            metrics,
        };
        let response = self.runner.call(request, started, &call.permit).await;
        call.status = response.status();
        call.deadline.add(response.body().limit());
        response.map(|content| Answer::new(content, Some(call)))
    }

    fn figures(&self, method: &Method, path: &str) -> Response<Content> {
        match (path, method) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                let text = self.metrics.text(self.limiter.under_way());
                let mut response = Response::new(Content::text(text));
                let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            ("/metrics", _) => {
                let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn too_many(&self) -> Response<Content> {
        let most = self.limiter.most();
        let text = format!("Concurrent request limit exceeded. Max concurrent requests: {most}\n");
        let mut response = Response::new(Content::text(text));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(INTERNAL, HeaderValue::from_static("faas-middleware"));
        response
    }
}

/// An answer of the watchdog itself, which is no invocation.
fn own(response: Response<Content>) -> Response<Answer> {
    response.map(|content| Answer::new(content, None))
}

fn status(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::empty());
    *response.status_mut() = status;
    response
}
