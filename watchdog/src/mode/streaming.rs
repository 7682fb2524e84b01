//! `mode=streaming`: a process per request. The body is its standard input, and what it prints goes out at once.
//!
//! The status is sent before the process has said anything, so it is 200 whatever happens later: an answer that fails
//! just ends, and the log shows 500. One that takes too long is cut instead, by its connection ([`crate::deadline`]), so
//! that the caller can see that it is not whole. Only a process that cannot be started at all is a 500 for the caller as well.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::failure;
use super::fork::{Failure, Fork, Running};
use crate::answer::Content;
use crate::children::Children;
use crate::config::{Config, Fprocess};
use crate::deadline::{Limit, Reason};
use crate::duration::AsGo;
use crate::log::log;
use crate::upload::Upload;

/// Largest piece passed on at once. A new buffer is begun when less than an eighth of it is left.
const PIECE: usize = 16 * 1024;

pub(crate) struct Streaming {
    fork: Fork,
}

impl Streaming {
    pub(crate) fn new(config: &Config, fprocess: &Fprocess, children: Rc<Children>) -> Self {
        Self {
            fork: Fork::new(config, fprocess, children),
        }
    }

    pub(crate) async fn call(&self, request: Request<Upload>, started: Instant) -> Response<Content> {
        let wants_body = request.method() != Method::HEAD;
        let mut running = match self.fork.start(request) {
            Ok(running) => running,
            Err(why) => {
                log!("Function failed: {why}");
                return failure(StatusCode::INTERNAL_SERVER_ERROR, why, started);
            }
        };
        let when_body_begins = running.when_body_begins.take();
        let limit = self.fork.exec_timeout;
        // Further away than anybody can wait is no limit.
        let most = limit.unwrap_or(Duration::MAX);
        let mut output = Box::new(Output {
            running: Some(running),
            buffer: BytesMut::new(),
            reading: true,
            limit: limit.and_then(|limit| Limit::new(started, limit, Reason::Process(AsGo(limit)))),
            failed: false,
        });
        if !wants_body {
            // Nobody would ask for the pieces, and the process still has work to do.
            let all = async { while poll_fn(|context| output.poll_piece(context)).await.is_some() {} };
            if timeout(most, all).await.is_err() {
                output.fail(&Failure::TooLong(AsGo(most)));
            }
        } else if let Some(begins) = when_body_begins {
            // Once the head is out, nobody is told to go on any more. Too late for that, the connection cuts the answer.
            let said = poll_fn(|context| output.poll_said(context));
            let either = async {
                tokio::select! { _ = begins => {}, () = said => {} }
            };
            _ = timeout(most, either).await;
        }
        let mut response = Response::new(Content::Output(output));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, self.fork.content_type.clone());
        response
    }
}

/// What a process prints, until it and its output have ended. Dropped before that, it kills the process and its
/// helpers.
pub(crate) struct Output {
    /// `None` once it is over.
    running: Option<Running>,
    buffer: BytesMut,
    /// Whether there may be more to read; after that only the end of the process itself is awaited.
    reading: bool,
    limit: Option<Limit>,
    failed: bool,
}

impl Output {
    /// The next piece; `None` at the end, also at a bad one.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(None);
        };
        match ready!(Self::poll_running(
            running,
            &mut self.buffer,
            &mut self.reading,
            context
        )) {
            Ok(Some(piece)) => return Poll::Ready(Some(piece)),
            Ok(None) => {
                if let Some(running) = self.running.take() {
                    running.group.let_be();
                }
            }
            Err(why) => self.fail(&why),
        }
        Poll::Ready(None)
    }

    /// Resolves when the process has said something, or nothing more will be.
    fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &self.running {
            Some(running) => running.stdout.poll_read_ready(context).map(drop),
            None => Poll::Ready(()),
        }
    }

    fn fail(&mut self, why: &Failure) {
        log!("Function failed: {why}");
        self.failed = true;
        self.running = None;
    }

    /// When it will be too late for the rest.
    pub(crate) fn limit(&self) -> Option<Limit> {
        self.limit.filter(|_| !self.is_over())
    }

    fn poll_running(
        running: &mut Running,
        buffer: &mut BytesMut,
        reading: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Failure>> {
        while *reading {
            ready!(running.stdout.poll_read_ready(context)).map_err(Failure::Unreadable)?;
            if buffer.capacity() < PIECE / 8 {
                *buffer = BytesMut::with_capacity(PIECE);
            }
            match running.stdout.try_read_buf(buffer) {
                Ok(0) => *reading = false,
                Ok(_) => return Poll::Ready(Ok(Some(buffer.split().freeze()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(Failure::Unreadable(error))),
            }
        }
        let ended = ready!(Pin::new(&mut running.when_ended).poll(context));
        let ended = ended.map_err(|lost| Failure::Unreadable(io::Error::other(lost)))?;
        Poll::Ready(match ended {
            _ if running.body_broke.get() => Err(Failure::NoBody),
            ended if ended.well() => Ok(None),
            ended => Err(Failure::Ended(ended)),
        })
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.running.is_none()
    }

    /// Whether it ended badly.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }
}
