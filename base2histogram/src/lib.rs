//! A lean stand-in for the crate `base2histogram`, under `[patch.crates-io]`.
//!
//! openraft records the sizes of its batches in a histogram. The crate that it takes for this builds lookup tables
//! of 26 MB at first use, more than all the rest of a controller. This one has the part of the interface that
//! openraft calls, computes the bucket of a value instead of looking it up, and takes 2 KB per histogram.
//!
//! Values below 8 have a bucket each; above, every power of two is split into four, so that a percentile is at
//! most a quarter off. May touch: nothing; no dependencies.
//!
//! When it goes: docs/decisions/0006-base2histogram-stand-in.md.

#![warn(missing_docs)]

mod chart;
mod stats;

use std::marker::PhantomData;

pub use chart::AsciiChart;
pub use stats::PercentileStats;

/// Sub-buckets per power of two, as a number of bits.
const SPLIT_BITS: u32 = 2;
/// Sub-buckets per power of two.
const SPLIT: usize = 1 << SPLIT_BITS;
/// Enough for every `u64`: the values below [`SPLIT`], then [`SPLIT`] for each of the 62 powers of two from 4 on.
const BUCKETS: usize = SPLIT * (u64::BITS - SPLIT_BITS + 1) as usize;

/// How often which values were recorded, to within a quarter of the value.
///
/// `T` is upstream's type of a slot's label; openraft leaves it at `()`, and nothing is kept for it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Box<[u64]>,
    total: u64,
    label: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            total: 0,
            label: PhantomData,
        }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.counts[bucket_of(value)] += count;
        self.total += count;
    }

    /// How many values were recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The value below or at which the share `p` (0 to 1) of the recorded values lies; 0 where there are none.
    /// Inside a bucket the values are taken to be spread evenly.
    pub fn percentile(&self, p: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a share of a u64 fits; `as` saturates"
        )]
        #[expect(clippy::cast_sign_loss, reason = "at least 1 by `max`")]
        let rank = (self.total as f64 * p).ceil().max(1.0) as u64;
        let mut below = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            if below + count >= rank && count > 0 {
                let (low, width) = span_of(index);
                // The middle of the slice that the wanted value has in its bucket; in u128, as width × rank may
                // exceed a u64.
                let within = u128::from(rank - below) * 2 - 1;
                let offset = u128::from(width) * within / (u128::from(count) * 2);
                return low + u64::try_from(offset).expect("an offset is smaller than the bucket's width");
            }
            below += count;
        }
        0
    }

    /// The percentiles that openraft reports.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.10),
            p50: self.percentile(0.50),
            p90: self.percentile(0.90),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// The bucket of `value`.
fn bucket_of(value: u64) -> usize {
    if value < SPLIT as u64 {
        return usize::try_from(value).expect("below SPLIT");
    }
    let power = value.ilog2();
    let within =
        usize::try_from(value >> (power - SPLIT_BITS)).expect("SPLIT_BITS + 1 bits are left") - SPLIT;
    SPLIT * (power - SPLIT_BITS + 1) as usize + within
}

/// The lowest value of a bucket, and how many values share it.
fn span_of(bucket: usize) -> (u64, u64) {
    if bucket < SPLIT {
        return (bucket as u64, 1);
    }
    let shift = u32::try_from(bucket / SPLIT - 1).expect("fewer than 63 powers");
    (((SPLIT + bucket % SPLIT) as u64) << shift, 1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_the_span_of_its_bucket() {
        let edges = (0..64).flat_map(|power| {
            let edge = 1_u64 << power;
            [edge - 1, edge, edge + 1, edge + edge / 3]
        });
        for value in edges.chain([u64::MAX]) {
            let (low, width) = span_of(bucket_of(value));
            assert!(low <= value && value - low < width, "{value}: {low} + {width}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_spans_follow_each_other_without_a_gap() {
        for bucket in 1..BUCKETS {
            let (before, width) = span_of(bucket - 1);
            assert_eq!(before + width, span_of(bucket).0);
        }
    }

    #[test]
    fn an_empty_histogram_has_zero_percentiles() {
        assert_eq!(Histogram::<()>::new().percentile(0.5), 0);
        assert_eq!(Histogram::<()>::new().percentile_stats().samples, 0);
    }

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::<()>::new();
        for value in [0, 1, 2, 3, 4, 5, 6, 7, 7, 7] {
            histogram.record(value);
        }
        assert_eq!(histogram.total(), 10);
        assert_eq!(histogram.percentile(0.1), 0);
        assert_eq!(histogram.percentile(0.5), 4);
        assert_eq!(histogram.percentile(1.0), 7);
    }

    #[test]
    fn percentiles_are_within_a_quarter_of_the_sorted_truth() {
        let mut histogram = Histogram::<()>::new();
        let mut values = Vec::new();
        let mut value: u64 = 1;
        for _ in 0..10_000 {
            // A fixed linear congruential generator; the top bits spread over many powers of two.
            value = value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let wide = (value >> 20) >> (value % 40);
            values.push(wide);
            histogram.record(wide);
        }
        values.sort_unstable();
        for per_mille in [1, 10, 100, 500, 900, 990, 999] {
            let truth = values[(values.len() * per_mille).div_ceil(1000) - 1];
            let told = histogram.percentile(per_mille as f64 / 1000.0);
            assert!(
                told.abs_diff(truth) <= truth / 4,
                "{per_mille} of 1000: {told}, truth {truth}"
            );
        }
    }

    #[test]
    fn recording_many_at_once_is_recording_each() {
        let (mut one, mut many) = (Histogram::<()>::new(), Histogram::<()>::new());
        many.record_n(900, 5);
        (0..5).for_each(|_| one.record(900));
        assert_eq!(one, many);
        assert_eq!(one.percentile_stats(), many.percentile_stats());
    }
}
