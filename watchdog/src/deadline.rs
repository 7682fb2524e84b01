//! How long a call may take, told to the connection that carries it.
//!
//! A mode that waits for its function notices by itself when that takes too long, and says so in its answer. Once an
//! answer's head is out it can only be cut, and only the connection can be relied on to do so: while the caller does not
//! read, nobody asks for the rest of the answer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::duration::AsGo;

/// When something will have taken too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    at: Instant,
    reason: Reason,
}

/// What takes too long.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Reason {
    #[error("no complete answer within write_timeout")]
    Answer,
    #[error("the function took longer than exec_timeout ({0}) and was killed")]
    Process(AsGo),
    #[error("the function took longer than {0}")]
    Server(AsGo),
}

impl Reason {
    /// What the log and the figures show instead of the status that was sent.
    fn status(self) -> StatusCode {
        match self {
            Self::Answer | Self::Process(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Server(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl Limit {
    /// `None` when that is too far away to be told.
    pub(crate) fn new(started: Instant, most: Duration, reason: Reason) -> Option<Self> {
        let at = started.checked_add(most)?;
        Some(Self { at, reason })
    }
}

/// The limit of the call that a connection carries now.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    limit: Cell<Option<Limit>>,
    cut: Cell<Option<Reason>>,
}

impl Deadline {
    /// One more limit for the call under way; the nearest counts.
    pub(crate) fn add(&self, limit: Option<Limit>) {
        let nearest = match (self.limit.get(), limit) {
            (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
            (one, other) => one.or(other),
        };
        self.limit.set(nearest);
    }

    /// The call is over.
    pub(crate) fn clear(&self) {
        self.limit.set(None);
    }

    /// When the call under way will have taken too long.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.limit.get().map(|limit| limit.at)
    }

    /// The call is to be cut if it has taken too long by now; why.
    pub(crate) fn cut(&self, now: Instant) -> Option<Reason> {
        let limit = self.limit.get().filter(|limit| limit.at <= now)?;
        self.cut.set(Some(limit.reason));
        Some(limit.reason)
    }

    /// What a call that was cut counts as.
    pub(crate) fn status_if_cut(&self) -> Option<StatusCode> {
        self.cut.get().map(Reason::status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_counts_until_the_call_is_over() {
        let (deadline, now) = (Deadline::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        deadline.add(Limit::new(now, Duration::from_secs(9), Reason::Answer));
        deadline.add(Limit::new(
            now,
            Duration::from_secs(2),
            Reason::Server(AsGo(Duration::from_secs(2))),
        ));
        deadline.add(Limit::new(now, Duration::from_secs(3), Reason::Answer));
        deadline.add(None);

        assert_eq!(deadline.next(), Some(after(2)));
        assert!(deadline.cut(after(1)).is_none());
        assert!(deadline.status_if_cut().is_none());
        assert!(matches!(deadline.cut(after(2)), Some(Reason::Server(_))));
        assert_eq!(deadline.status_if_cut(), Some(StatusCode::GATEWAY_TIMEOUT));

        deadline.clear();

        assert!(deadline.next().is_none());
    }
}
