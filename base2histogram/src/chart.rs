//! Several named histograms together. openraft names this type also where its statistics are switched off, as in
//! Bramble; here it prints one line of percentiles for each.

use std::fmt;

use crate::Histogram;

/// Named histograms that print as a table of percentiles.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    series: Vec<(String, Histogram)>,
}

impl AsciiChart {
    /// Without any histogram yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more histogram.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.series.push((name.into(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series
            .iter()
            .try_for_each(|(name, histogram)| writeln!(f, "{name}: {}", histogram.percentile_stats()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_per_histogram() {
        let mut batches = Histogram::new();
        batches.record_n(3, 2);
        let text = AsciiChart::new()
            .add("batches", batches)
            .add("waits", Histogram::new())
            .to_string();
        assert!(text.starts_with("batches: 2 values: P0.1 3,"), "{text}");
        assert!(
            text.lines().nth(1).unwrap().starts_with("waits: 0 values"),
            "{text}"
        );
    }
}
