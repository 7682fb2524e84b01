//! Who has fallen silent. Pure: the shell says what time it is.

use std::time::Duration;

/// A point of the shell's monotonic clock: the time since an arbitrary start, which never goes back. Two moments
/// compare only within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// `elapsed` after the arbitrary start.
    pub const fn new(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Silence after which a node counts as down: four missed answers of a sync request that hangs for at most a second,
/// and half a second for the network.
pub const SILENCE: Duration = Duration::from_millis(4500);
