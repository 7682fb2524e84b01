//! What time it is: the only place of this room that asks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use api::Timestamp;
use cluster::{Moment, lights};

/// The clocks of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins to count.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// For deciding: never goes back.
    pub(crate) fn now(&self) -> Moment {
        Moment::new(self.start.elapsed())
    }

    /// For lights: with the minute of the day where this controller is.
    pub(crate) fn lights(&self) -> lights::Now {
        let local = jiff::Zoned::now();
        lights::Now {
            wall: self.wall(),
            minute_of_day: u16::from(local.hour().unsigned_abs()) * 60
                + u16::from(local.minute().unsigned_abs()),
        }
    }

    /// For showing: what the calendar says, which on a Pi without network may be nonsense.
    pub(crate) fn wall(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }
}
