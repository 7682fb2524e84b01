//! A client's request body on its way, which can be sent again as long as little of it was sent.
//!
//! A replica that refuses a call, or a controller that does not take a request, may have been sent the first pieces of
//! its body already. These are remembered (they are counted references, not copies) until the answer begins or they grow
//! too many; until then another can be given the same body from its beginning.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use transport::BoxError;

use crate::linger::Lingering;

/// Remembered of one body at most, in bytes. What a client sends at once fits, and 64 calls at a time cost 4 MiB at worst.
const REMEMBERED: usize = 64 << 10;

/// A client's request body; gives out one reader per attempt to send it.
#[derive(Debug)]
pub enum Source {
    /// There is none.
    Empty,
    /// It comes from the client bit by bit.
    Streamed(Arc<Mutex<State>>),
}

/// Where a streamed body is.
pub struct State {
    incoming: Lingering,
    remembered: VecDeque<Bytes>,
    remembered_bytes: usize,
    /// Pieces are no longer remembered: there will be no other attempt.
    settled: bool,
    /// Which reader may read: the last one that was given out.
    reader: u32,
    /// Something was read since this was last asked.
    moved: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("remembered_bytes", &self.remembered_bytes)
            .field("settled", &self.settled)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Of what a client sends.
    pub fn new(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streamed(Arc::new(Mutex::new(State {
            incoming: incoming.into(),
            remembered: VecDeque::new(),
            remembered_bytes: 0,
            settled: false,
            reader: 0,
            moved: false,
        })))
    }

    /// The body from its beginning, for one attempt; earlier readers end. `None` where the beginning is gone.
    pub fn reader(&self) -> Option<RequestBody> {
        match self {
            Self::Empty => Some(RequestBody(None)),
            Self::Streamed(state) => {
                let mut locked = state.lock().expect("no panic while held");
                if locked.settled {
                    return None;
                }
                locked.reader += 1;
                Some(RequestBody(Some(Reader {
                    state: state.clone(),
                    number: locked.reader,
                    position: 0,
                })))
            }
        }
    }

    /// The answer began: there will be no other attempt.
    pub fn settle(&self) {
        if let Self::Streamed(state) = self {
            state.lock().expect("no panic while held").settled = true;
        }
    }

    /// Whether a piece of the body went its way since this was last asked.
    pub(crate) fn moved(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Streamed(state) => std::mem::take(&mut state.lock().expect("no panic while held").moved),
        }
    }
}

/// One attempt at sending a client's body.
#[derive(Debug)]
pub struct RequestBody(Option<Reader>);

#[derive(Debug)]
struct Reader {
    state: Arc<Mutex<State>>,
    number: u32,
    /// How many of the remembered pieces this attempt has sent.
    position: usize,
}

impl From<RequestBody> for transport::Body {
    fn from(body: RequestBody) -> Self {
        match body.0 {
            None => Self::empty(),
            Some(_) => Self::other(body),
        }
    }
}

impl State {
    /// The next piece for a reader that has sent `position` of the remembered ones.
    fn next(
        &mut self,
        position: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.settled {
            // Nobody will ask for what this reader has sent.
            for _ in 0..std::mem::take(position) {
                self.remembered.pop_front();
            }
            if let Some(piece) = self.remembered.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        } else if let Some(piece) = self.remembered.get(*position) {
            *position += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let next = Pin::new(&mut self.incoming)
            .poll_frame(context)
            .map_err(BoxError::from);
        if let Poll::Ready(Some(Ok(frame))) = &next {
            self.moved = true;
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.remembered_bytes += length;
            match frame.data_ref() {
                Some(piece) if !self.settled && self.remembered_bytes <= REMEMBERED => {
                    self.remembered.push_back(piece.clone());
                    *position += 1;
                }
                _ => {
                    self.settled = true;
                    *position = 0;
                    self.remembered = VecDeque::new();
                }
            }
        }
        next
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(reader) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let mut state = reader.state.lock().expect("no panic while held");
        if state.reader != reader.number {
            return Poll::Ready(Some(Err("the request was made again elsewhere".into())));
        }
        state.next(&mut reader.position, context)
    }

    fn is_end_stream(&self) -> bool {
        let Some(reader) = &self.0 else { return true };
        let state = reader.state.lock().expect("no panic while held");
        reader.position >= state.remembered.len() && state.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let Some(reader) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let state = reader.state.lock().expect("no panic while held");
        let ahead: usize = state
            .remembered
            .iter()
            .skip(reader.position)
            .map(Bytes::len)
            .sum();
        let rest = state.incoming.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead as u64);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead as u64);
        }
        hint
    }
}
