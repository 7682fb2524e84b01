//! Sizes, times and counts as people say them. Pure.

use std::time::Duration;

use api::Timestamp;
pub(crate) use api::words::{bytes, duration};

/// How long ago `time` (RFC 3339) was; the text itself where it is no time.
pub(crate) fn ago(time: &str, now: Timestamp) -> String {
    let Some(then) = Timestamp::from_rfc3339(time) else {
        return time.to_owned();
    };
    let since = now.since(then);
    if since < Duration::from_secs(1) {
        return "just now".to_owned();
    }
    format!("{} ago", duration(since))
}

/// `0.3 ms`, `12 ms`, `1.50 s`.
pub(crate) fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}

/// A count that is kept as a float: `1200`.
pub(crate) fn count(number: f64) -> String {
    format!("{number:.0}")
}

/// Invocations per second: `-` where there are none, `0.3`, `120`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 0.05 => "-".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// This moment by this computer's clock.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_its_distance() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let then = Timestamp::from_millis(1_800_000_000_000 - 300_000).to_rfc3339();
        assert_eq!(ago(&then, now), "5 min ago");
        assert_eq!(ago(&now.to_rfc3339(), now), "just now");
        assert_eq!(ago("yesterday", now), "yesterday");
    }

    #[test]
    fn round_trips_and_rates_are_short() {
        assert_eq!(milliseconds(Duration::from_micros(320)), "0.3 ms");
        assert_eq!(milliseconds(Duration::from_millis(1500)), "1.50 s");
        assert_eq!(
            (rate(0.0), rate(0.31), rate(120.4)),
            ("-".to_owned(), "0.3".to_owned(), "120".to_owned())
        );
    }
}
