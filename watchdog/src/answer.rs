//! The body of an answer, and the bookkeeping that ends with it.
//!
//! A [`Content`] is what a mode produced. An [`Answer`] is the same with the [`Call`] it belongs to: when the last
//! byte went out, or the client went away, the call is logged and no longer counts as under way.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, StatusCode};

use crate::deadline::{Deadline, Limit};
use crate::duration::Seconds;
use crate::limit::Permit;
use crate::log::{HumanSize, log};
use crate::metrics::Metrics;
use crate::mode::{Held, Lease, Output};

/// What a mode answers with.
pub(crate) enum Content {
    /// All there at once.
    Whole(Bytes),
    /// As well, but large.
    Held(Held),
    /// Passed on as it comes.
    Streamed {
        body: Incoming,
        limit: Option<Limit>,
        lease: Option<Lease>,
    },
    /// What a process prints, as it prints it.
    Output(Box<Output>),
    /// The next `left` bytes of a file.
    File { file: File, left: u64 },
}

/// In which pieces a file is sent.
const FILE_PIECE: u64 = 64 * 1024;

impl Content {
    pub(crate) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    pub(crate) fn text(text: String) -> Self {
        Self::Whole(text.into())
    }

    /// When the rest of it would come too late.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::Streamed { limit, .. } => *limit,
            Self::Output(output) => output.limit(),
            Self::Whole(_) | Self::Held(_) | Self::File { .. } => None,
        }
    }
}

/// Why an answer was cut off after its head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the function broke off its answer")]
    Broken(#[source] hyper::Error),
    #[error("cannot read the answer")]
    Unreadable(#[source] io::Error),
}

/// One invocation, from its head to the end of its answer.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) started: Instant,
    /// Set when the log shall show it.
    pub(crate) id: Option<HeaderValue>,
    /// Readiness probes are not logged.
    pub(crate) logged: bool,
    pub(crate) status: StatusCode,
    /// It went wrong after the status was sent, which the log shall show.
    pub(crate) failed: bool,
    pub(crate) sent: u64,
    /// When the connection will be cut; nothing to cut once the call is over.
    pub(crate) deadline: Rc<Deadline>,
    /// Held for its count, for as long as the call lasts.
    pub(crate) permit: Permit,
    /// Where it is counted. Readiness checks are not.
    pub(crate) metrics: Option<Rc<Metrics>>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.deadline.clear();
        let took = self.started.elapsed();
        // What the caller got is no answer of that status: it can see that it is incomplete.
        let status = self.deadline.status_if_cut().unwrap_or(self.status);
        if let Some(metrics) = &self.metrics {
            metrics.record(status, &self.method, took);
        }
        if !self.logged {
            return;
        }
        let target = self.target.as_ref().map_or("/", PathAndQuery::as_str);
        let id = self
            .id
            .as_ref()
            .map(|id| format!(" [{}]", String::from_utf8_lossy(id.as_bytes())));
        let status = if self.failed {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            status
        };
        // A code of the function's own has no name; the code alone tells which it is.
        let name = status.canonical_reason();
        log!(
            "{} {target} - {}{}{} - ContentLength: {} ({}s){}",
            self.method,
            status.as_u16(),
            name.map_or("", |_| " "),
            name.unwrap_or_default(),
            HumanSize(self.sent),
            Seconds::<4>(took),
            id.unwrap_or_default(),
        );
    }
}

/// The body handed to the connection.
pub(crate) struct Answer {
    content: Content,
    /// `None` for answers of the watchdog itself, and once the call is over.
    call: Option<Call>,
}

impl Answer {
    pub(crate) fn new(content: Content, call: Option<Call>) -> Self {
        Self { content, call }
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match &mut self.content {
            Content::Whole(all) => {
                let all = std::mem::take(all);
                Poll::Ready((!all.is_empty()).then(|| Ok(Frame::data(all))))
            }
            Content::Held(held) => {
                let piece = held.next_piece().map_err(AnswerError::Unreadable);
                Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
            }
            Content::Streamed { body, .. } => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(AnswerError::Broken))),
            Content::Output(output) => output
                .poll_piece(context)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
            Content::File { file, left } => Poll::Ready(read_piece(file, left).transpose()),
        }
    }

    /// The content ended well: its connection can serve others, and the call is over.
    fn complete(&mut self) {
        if let Content::Streamed { lease, .. } = &mut self.content
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
        if let (Content::Output(output), Some(call)) = (&self.content, &mut self.call) {
            call.failed = output.failed();
        }
        self.call = None;
    }
}

/// The next piece of a file. Its length was promised, so a file that has become shorter is an error.
fn read_piece(file: &mut File, left: &mut u64) -> Result<Option<Frame<Bytes>>, AnswerError> {
    if *left == 0 {
        return Ok(None);
    }
    let most = (*left).min(FILE_PIECE);
    let mut piece = BytesMut::with_capacity(most as usize).writer();
    let read = io::copy(&mut file.take(most), &mut piece).map_err(AnswerError::Unreadable)?;
    if read == 0 {
        return Err(AnswerError::Unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    *left -= read;
    Ok(Some(Frame::data(piece.into_inner().freeze())))
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = self.get_mut();
        let polled = this.poll_content(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(call), Some(data)) = (&mut this.call, frame.data_ref())
        {
            call.sent += data.len() as u64;
        }
        let ended = matches!(polled, Poll::Ready(None)) || (polled.is_ready() && this.is_end_stream());
        if let Poll::Ready(Some(Err(_))) = &polled {
            if let Some(call) = &mut this.call {
                call.failed = true;
            }
        } else if ended {
            this.complete();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(all) => all.is_empty(),
            Content::Held(held) => held.left() == 0,
            Content::File { left, .. } => *left == 0,
            Content::Output(output) => output.is_over(),
            Content::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(all) => SizeHint::with_exact(all.len() as u64),
            Content::Held(held) => SizeHint::with_exact(held.left()),
            Content::File { left, .. } => SizeHint::with_exact(*left),
            Content::Output(output) if output.is_over() => SizeHint::with_exact(0),
            Content::Output(_) => SizeHint::new(),
            Content::Streamed { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // A body without content is never polled; its connection is as good as new all the same.
        if self.is_end_stream() {
            self.complete();
        }
    }
}
