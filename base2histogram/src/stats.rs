//! The percentiles of one histogram, as openraft reports them.

use std::fmt;

/// The usual percentiles of one histogram, in the unit of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were recorded.
    pub samples: u64,
    /// 0.1 % of the values are at or below this.
    pub p0_1: u64,
    /// 1 % are.
    pub p1: u64,
    /// 5 % are.
    pub p5: u64,
    /// 10 % are.
    pub p10: u64,
    /// Half of them are.
    pub p50: u64,
    /// 90 % are.
    pub p90: u64,
    /// 99 % are.
    pub p99: u64,
    /// 99.9 % are.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            samples,
            p0_1,
            p1,
            p5,
            p10,
            p50,
            p90,
            p99,
            p99_9,
        } = self;
        write!(
            f,
            "{samples} values: P0.1 {p0_1}, P1 {p1}, P5 {p5}, P10 {p10}, P50 {p50}, P90 {p90}, P99 {p99}, P99.9 {p99_9}"
        )
    }
}
