//! Patience with a client that is still sending when its answer is there.
//!
//! An answer may come before the client has sent all: from a function that does not read what it is sent, or as a
//! refusal of what is too long. Closing the connection then would reset it, and the client would lose the answer before
//! it has read it. So the rest is read and forgotten, within bounds.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

/// How long, and how much of, a body is read that nobody wants any more.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_BYTES: usize = 256 << 20;

/// A request's body that is read to its end even when nobody wants it.
#[derive(Debug)]
pub struct Lingering(Option<Incoming>);

impl From<Incoming> for Lingering {
    fn from(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take().filter(|rest| !rest.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(LINGER, forget(rest)));
        }
    }
}

/// Reads to the end, or until it is too much.
async fn forget(mut rest: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > LINGER_BYTES {
            return;
        }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
