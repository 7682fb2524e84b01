//! The body of an answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use transport::BoxError;

use crate::{
    counters::{Call, Here},
    local::LocalBody,
};

/// The body of an answer: a few words, or whatever a replica sends, as it sends it. While it exists, its invocation is
/// under way; when it is dropped the invocation is counted as finished, and what was not read yet is cancelled.
#[derive(Debug, Default)]
pub struct Body {
    kind: Kind,
    call: Option<Call>,
    here: Option<Here>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Words(Bytes),
    Local(LocalBody),
    Incoming(Incoming),
    Hop(transport::Answer),
    Other(UnsyncBoxBody<Bytes, BoxError>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Words(_) => "Words",
            Self::Local(_) => "Local",
            Self::Incoming(_) => "Incoming",
            Self::Hop(_) => "Hop",
            Self::Other(_) => "Other",
        })
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of any other type, boxed: for answers that share a listener with the gateway's.
    pub fn other<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Kind::Other(body.map_err(Into::into).boxed_unsync()))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            call: None,
            here: None,
        }
    }

    /// The call that this body is the end of.
    pub(crate) fn ends_call(mut self, call: Call) -> Self {
        self.call = Some(call);
        self
    }

    /// The call on this node that this body is the end of.
    pub(crate) fn ends_here(mut self, here: Here) -> Self {
        self.here = Some(here);
        self
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Words(bytes)
        })
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self::of(Kind::Incoming(body))
    }
}

impl From<transport::Answer> for Body {
    fn from(body: transport::Answer) -> Self {
        Self::of(Kind::Hop(body))
    }
}

impl From<LocalBody> for Body {
    fn from(body: LocalBody) -> Self {
        Self::of(Kind::Local(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Words(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Local(body) => Pin::new(body).poll_frame(context),
            Kind::Incoming(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Kind::Hop(body) => Pin::new(body).poll_frame(context),
            Kind::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Words(_) => false,
            Kind::Local(body) => body.is_end_stream(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Hop(body) => body.is_end_stream(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Words(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Local(body) => body.size_hint(),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Hop(body) => body.size_hint(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}
