//! Sizes, times and counts as people say them. Pure.

use std::time::Duration;

use api::Timestamp;

/// `905 MiB`, `1.8 GiB`: three figures at most.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut unit) = (bytes, 0);
    let mut tenths = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if whole < 10 && unit > 0 && tenths > 0 {
        format!("{whole}.{tenths} {}", UNITS[unit])
    } else {
        format!("{whole} {}", UNITS[unit])
    }
}

/// `12 s`, `5 min`, `3 h 20 min`, `4 d 2 h`: the two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

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
    fn sizes_have_at_most_three_figures_and_a_unit() {
        let rows = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (948_000_000, "904 MiB"),
            (1_978_000_000, "1.8 GiB"),
            (8 << 30, "8 GiB"),
        ];
        for (number, text) in rows {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn times_are_told_in_the_two_largest_units() {
        let rows = [
            (5, "5 s"),
            (61, "1 min"),
            (12_000, "3 h 20 min"),
            (7200, "2 h"),
            (352_800, "4 d 2 h"),
        ];
        for (seconds, text) in rows {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }

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
