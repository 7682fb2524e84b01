//! The body of a request on its way to the function, with a limit on how long the sender may pause.
//!
//! Whoever drops it before its end need not care for the rest, which is then read and forgotten: a sender that is cut off
//! while sending may never read the answer, since its end of the connection forgets what came once it is told that it
//! wrote in vain.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep};

/// A request's body. Ends in an error when the sender pauses longer than `read_timeout`, if that is set, or goes away.
pub(crate) struct Upload {
    /// `None` once nothing more comes.
    rest: Option<Rest>,
}

/// What has not been read yet.
struct Rest {
    body: Incoming,
    read_timeout: Option<Duration>,
    /// Runs only while we wait for the sender, so a body that comes in one piece sets no timer.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Why a body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the request body paused for longer than read_timeout")]
    Stalled,
    #[error("the request body broke off")]
    Broken(#[source] hyper::Error),
}

impl Upload {
    pub(crate) fn new(body: Incoming, read_timeout: Option<Duration>) -> Self {
        let rest = (!body.is_end_stream()).then_some(Rest {
            body,
            read_timeout,
            pause: None,
        });
        Self { rest }
    }

    pub(crate) fn empty() -> Self {
        Self { rest: None }
    }
}

impl Rest {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Broken)));
        }
        let Some(longest) = self.read_timeout else {
            return Poll::Pending;
        };
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(longest)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(UploadError::Stalled)))
    }

    /// Reads to the end and forgets it.
    async fn discard(mut self) {
        while let Some(Ok(_)) = poll_fn(|context| self.poll_frame(context)).await {}
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(rest.poll_frame(context));
        if !matches!(frame, Some(Ok(_))) || rest.body.is_end_stream() {
            this.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) => rest.body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            spawn_local(rest.discard());
        }
    }
}
