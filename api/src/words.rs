//! Sizes and times as people say them. Pure.
//!
//! Not here: how programs write them ([`crate::units`]).

use std::time::Duration;

/// `905 MiB`, `1.8 GiB`: three figures at most.
pub fn bytes(bytes: u64) -> String {
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
pub fn duration(duration: Duration) -> String {
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
}
