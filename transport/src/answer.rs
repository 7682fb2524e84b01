//! The body of another node's answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{BoxError, exchange::Download};

/// The body of another node's answer, as it arrives. Dropped early, the rest is cancelled.
pub struct Answer(Kind);

enum Kind {
    Http2(Download),
    Http1(Incoming),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("size", &self.size_hint()).finish()
    }
}

impl Answer {
    pub(crate) fn http2(download: Download) -> Self {
        Self(Kind::Http2(download))
    }

    pub(crate) fn http1(incoming: Incoming) -> Self {
        Self(Kind::Http1(incoming))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Http2(download) => download.poll_frame(context),
            Kind::Http1(incoming) => Pin::new(incoming).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http2(download) => download.is_end_stream(),
            Kind::Http1(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http2(download) => download.size_hint(),
            Kind::Http1(incoming) => incoming.size_hint(),
        }
    }
}
