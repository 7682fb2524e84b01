//! Rhythms of one light: lit and dark in turn, over and over.

use std::time::Duration;

/// Times in ms, lit first, then dark, and so on; an even number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) &'static [u16]);

impl Pattern {
    /// After this time it begins anew.
    pub(super) fn period_ms(self) -> u64 {
        self.0.iter().map(|run| u64::from(*run)).sum()
    }

    /// Whether it is lit at this time, and for how many ms it stays so.
    pub(super) fn at(self, time_ms: u64) -> (bool, u64) {
        let mut left = time_ms % self.period_ms();
        for (n, run) in self.0.iter().enumerate() {
            let run = u64::from(*run);
            if left < run {
                return (n % 2 == 0, run - left);
            }
            left -= run;
        }
        (false, 1)
    }
}

/// A time in whole ms.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_lit_and_dark_in_turn_and_begins_anew() {
        let pattern = Pattern(&[100, 200, 300, 400]);
        let seen = [0, 99, 100, 299, 300, 599, 600, 999, 1000, 1100].map(|time| pattern.at(time));
        assert_eq!(
            seen,
            [
                (true, 100),
                (true, 1),
                (false, 200),
                (false, 1),
                (true, 300),
                (true, 1),
                (false, 400),
                (false, 1),
                (true, 100),
                (false, 200)
            ]
        );
    }
}
