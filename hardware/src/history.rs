//! What happened to a machine while somebody watched: the sensors only tell of now.

use std::time::Duration;

use crate::sensors::{Power, Throttled};

/// When the power dipped and the cores were slowed. One per machine, fed with every reading of the power: dips last
/// for two seconds where the kernel tells of them, so that it takes a reading every second to miss none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The voltage was too low.
    pub low_power: Event,
    /// The cores ran slower against low voltage or heat.
    pub slowed: Event,
}

/// Something that comes and goes, and is worth telling afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When it was last seen.
    last: Option<Duration>,
    /// Whether it happened before anybody watched.
    before: bool,
    /// Whether the firmware remembered it at the last look; absent before the first look.
    remembered: Option<bool>,
}

impl History {
    /// Notes what a reading says. `now` is a time that only grows, of any origin, the same at every call.
    pub fn note(&mut self, power: Power, now: Duration) {
        let firmware = |says: fn(Throttled) -> bool| power.throttled.is_some_and(says);
        self.low_power
            .note(power.is_low(), firmware(Throttled::was_under_voltage), now);
        self.slowed
            .note(firmware(Throttled::slowed), firmware(Throttled::was_slowed), now);
    }
}

impl Event {
    fn note(&mut self, is_now: bool, is_remembered: bool, now: Duration) {
        match self.remembered.replace(is_remembered) {
            _ if is_now => self.last = Some(now),
            // It came and went between two looks.
            Some(false) if is_remembered => self.last = Some(now),
            None if is_remembered => self.before = true,
            _ => {}
        }
    }

    /// How long ago it was last seen.
    pub fn ago(&self, now: Duration) -> Option<Duration> {
        self.last.map(|last| now.saturating_sub(last))
    }

    /// Whether it happened between the machine's start and the first look, and was not seen since.
    pub fn only_before(&self) -> bool {
        self.before && self.last.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MINUTE: Duration = Duration::from_secs(60);

    fn reading(alarm: Option<bool>, bits: Option<u32>) -> Power {
        Power {
            alarm,
            throttled: bits.map(Throttled::from_bits),
        }
    }

    #[test]
    fn a_dip_is_remembered_with_its_time() {
        let mut history = History::default();
        history.note(reading(Some(false), None), MINUTE);
        assert_eq!(history.low_power.ago(MINUTE), None);
        history.note(reading(Some(true), None), 2 * MINUTE);
        history.note(reading(Some(false), None), 3 * MINUTE);
        assert_eq!(history.low_power.ago(16 * MINUTE), Some(14 * MINUTE));
    }

    #[test]
    fn a_dip_between_two_looks_is_known_by_the_firmwares_memory() {
        let mut history = History::default();
        history.note(reading(None, Some(0)), MINUTE);
        history.note(reading(None, Some(0x10000)), 2 * MINUTE);
        // The firmware remembers until the next start: the same dip is not told as a new one.
        history.note(reading(None, Some(0x10000)), 9 * MINUTE);
        assert_eq!(history.low_power.ago(9 * MINUTE), Some(7 * MINUTE));
        assert!(!history.low_power.only_before());
    }

    #[test]
    fn a_dip_before_the_first_look_has_no_time() {
        let mut history = History::default();
        history.note(reading(None, Some(0x50000)), MINUTE);
        history.note(reading(None, Some(0x50000)), 2 * MINUTE);
        assert_eq!(history.low_power.ago(2 * MINUTE), None);
        assert!(history.low_power.only_before() && history.slowed.only_before());
    }
}
