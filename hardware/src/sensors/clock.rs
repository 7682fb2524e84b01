//! Whether the time of day is known. Most Pis have no clock that runs without power.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use crate::files;

/// What the time of day is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Set by a time server or by a clock that runs without power, as far as can be known.
    Set,
    /// Continued from when the machine was last on: the order of things is right, the time is not.
    Restored,
    /// Plainly wrong.
    #[default]
    NotSet,
}

/// Midnight of 1 January 2026, UTC: earlier than that this program did not exist.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

impl Clock {
    pub(super) fn read(root: &Path, wall: SystemTime) -> Self {
        let is_plausible = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .is_ok_and(|since| since >= EARLIEST);
        let service = root.join("run/systemd/timesync");
        // One that lost its power as well counts from 1970.
        let has_clock = files::number::<u64>(&root.join("sys/class/rtc/rtc0/since_epoch"))
            .is_some_and(|seconds| seconds >= EARLIEST.as_secs());
        if !is_plausible {
            Self::NotSet
        } else if !service.exists() || service.join("synchronized").exists() || has_clock {
            Self::Set
        } else {
            Self::Restored
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn a_clock_is_believed_once_a_time_server_answered() {
        let today = SystemTime::UNIX_EPOCH + EARLIEST * 2;
        let waiting = tree(&[("run/systemd/timesync/x", "")]);
        let answered = tree(&[("run/systemd/timesync/synchronized", "")]);
        let with_clock = |seconds: &str| {
            tree(&[
                ("run/systemd/timesync/x", ""),
                ("sys/class/rtc/rtc0/since_epoch", seconds),
            ])
        };
        assert_eq!(Clock::read(waiting.path(), today), Clock::Restored);
        assert_eq!(Clock::read(answered.path(), today), Clock::Set);
        assert_eq!(Clock::read(with_clock("1800000000\n").path(), today), Clock::Set);
        assert_eq!(Clock::read(with_clock("4711\n").path(), today), Clock::Restored);
        assert_eq!(Clock::read(tree(&[]).path(), today), Clock::Set);
    }

    #[test]
    fn the_year_1970_is_not_believed_whoever_says_it() {
        let answered = tree(&[("run/systemd/timesync/synchronized", "")]);
        assert_eq!(
            Clock::read(answered.path(), SystemTime::UNIX_EPOCH),
            Clock::NotSet
        );
    }
}
