//! The body of a request on its way to the function, with a limit on how long the sender may pause.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// A request's body. Ends in an error when the sender pauses longer than `read_timeout` or goes away.
pub(crate) struct Upload {
    body: Option<Incoming>,
    read_timeout: Duration,
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
    pub(crate) fn new(body: Incoming, read_timeout: Duration) -> Self {
        Self {
            body: Some(body),
            read_timeout,
            pause: None,
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            body: None,
            read_timeout: Duration::ZERO,
            pause: None,
        }
    }

    /// Reads to the end and forgets it.
    pub(crate) async fn discard(mut self) {
        while let Some(Ok(_)) = self.frame().await {}
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
        let Some(body) = this.body.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            this.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Broken)));
        }
        let pause = this
            .pause
            .get_or_insert_with(|| Box::pin(sleep(this.read_timeout)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(UploadError::Stalled)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
