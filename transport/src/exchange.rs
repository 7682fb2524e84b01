//! One request and its answer on an HTTP/2 connection.
//!
//! Speaks to the `h2` crate without a layer between: an exchange then needs no task of its own (the caller's future
//! sends the request's body and receives the answer), which halves what a small call costs.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};

use crate::{Body, BoxError};

/// Why an exchange has no answer.
pub(crate) enum Unanswered {
    /// The connection had ended; here is the request back.
    Untouched(Box<Request<Body>>, h2::Error),
    /// The peer did not begin with it.
    NotTaken(h2::Error),
    /// It may have been carried out.
    Broken(BoxError),
}

/// Makes one exchange, up to the head of the answer. Dropped, it is cancelled at the peer too.
pub(crate) async fn exchange(
    mut sender: SendRequest<Bytes>,
    mut request: Request<Body>,
) -> Result<Response<Download>, Unanswered> {
    if let Err(error) = poll_fn(|context| sender.poll_ready(context)).await {
        return Err(Unanswered::Untouched(Box::new(request), error));
    }
    let body = std::mem::take(request.body_mut());
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        let headers = request.headers_mut();
        headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    let is_end = body.is_end_stream();
    let (mut answer, send) = sender
        .send_request(request.map(drop), is_end)
        .map_err(Unanswered::NotTaken)?;
    let mut upload = (!is_end).then(|| Upload {
        send,
        body,
        piece: None,
    });
    let answer = poll_fn(|context| {
        if let Some(Poll::Ready(done)) = upload.as_mut().map(|upload| upload.poll(context)) {
            upload = None;
            if let Err(error) = done {
                return Poll::Ready(Err(Unanswered::Broken(error)));
            }
        }
        Pin::new(&mut answer).poll(context).map_err(|error| {
            if was_refused(&error) {
                Unanswered::NotTaken(error)
            } else {
                Unanswered::Broken(error.into())
            }
        })
    });
    let answer = answer.await?;
    let length = answer.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(answer.map(|receive| Download {
        receive,
        data_ended: false,
        remaining: length,
        upload,
    }))
}

/// Whether the peer said that it did not begin with the request: it refused the stream, or is closing down.
fn was_refused(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (reason == Some(Reason::REFUSED_STREAM)
            || (error.is_go_away() && reason == Some(Reason::NO_ERROR)))
}

/// A request's body on its way.
struct Upload {
    send: SendStream<Bytes>,
    body: Body,
    /// A piece that waits for the peer to have room for it, and whether it is the last.
    piece: Option<(Bytes, bool)>,
}

impl Upload {
    /// Sends what there is to send. Ends when all is sent or the peer wants no more; fails if the body does.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            // A peer that answered early resets the stream: what it says counts, not what it did not read.
            if self.send.poll_reset(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if let Some((piece, is_last)) = self.piece.take() {
                while self.send.capacity() == 0 {
                    match self.send.poll_capacity(context) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(Ok(())),
                        Poll::Pending => {
                            self.piece = Some((piece, is_last));
                            return Poll::Pending;
                        }
                    }
                }
                if self.send.send_data(piece, is_last).is_err() || is_last {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => {
                    // The stream may be gone already, which is an end too.
                    _ = self.send.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => {
                    self.send.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(error));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => {
                        // Some room is enough: the rest of the piece waits in h2, which also asks for it.
                        self.send.reserve_capacity(1);
                        self.piece = Some((piece, self.body.is_end_stream()));
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            // As above: a stream that is gone has ended.
                            _ = self.send.send_trailers(trailers);
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
            }
        }
    }
}

/// An answer's body on its way, and what is left of the request's.
pub(crate) struct Download {
    receive: RecvStream,
    data_ended: bool,
    /// Bytes to come, where the peer said how many there are.
    remaining: Option<u64>,
    upload: Option<Upload>,
}

impl Download {
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(Poll::Ready(done)) = self.upload.as_mut().map(|upload| upload.poll(context)) {
            self.upload = None;
            if let Err(error) = done {
                return Poll::Ready(Some(Err(error)));
            }
        }
        if !self.data_ended {
            match ready!(self.receive.poll_data(context)) {
                Some(Ok(data)) => {
                    let length = data.len();
                    // Fails only if more is released than came.
                    _ = self.receive.flow_control().release_capacity(length);
                    self.remaining = self.remaining.map(|bytes| bytes.saturating_sub(length as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // It is done with us, and not with an error: it just did not want the rest of the request.
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.data_ended = true,
            }
        }
        match ready!(self.receive.poll_trailers(context)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.receive.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
