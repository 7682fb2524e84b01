//! Durations as the OpenFaaS settings write them: whole seconds (`30`) or Go durations (`1m30s`, `250ms`).
//!
//! Pure text to [`Duration`] and back. Which setting has which default is [`crate::config`]'s business.

use std::fmt;
use std::time::Duration;

/// Units of a Go duration, longest name first where one begins with another (`ms` before `m`).
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a setting: whole seconds or a Go duration. `None` when it is neither, or negative.
pub(crate) fn setting(text: &str) -> Option<Duration> {
    match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => go(text),
    }
}

/// Reads a Go duration such as `1h2m`, `1.5s` or `0`. `None` when it is malformed or negative.
pub(crate) fn go(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        seconds += number * scale;
        rest = &rest[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Shows a duration the way Go does: `1m30s`, `250ms`, `0s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsGo(pub(crate) Duration);

impl fmt::Display for AsGo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        if whole == 0 && !self.0.is_zero() {
            return write!(out, "{}ms", self.0.as_secs_f64() * 1000.0);
        }
        let seconds = (whole % 60) as f64 + f64::from(self.0.subsec_millis()) / 1000.0;
        match (whole / 3600, whole / 60 % 60) {
            (0, 0) => write!(out, "{seconds}s"),
            (0, minutes) => write!(out, "{minutes}m{seconds}s"),
            (hours, minutes) => write!(out, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

/// Shows a duration as seconds with this many decimals (at most nine), cut and not rounded. Twice per request, so it
/// goes without floating point.
pub(crate) struct Seconds<const DECIMALS: u32>(pub(crate) Duration);

impl<const DECIMALS: u32> fmt::Display for Seconds<DECIMALS> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = self.0.subsec_nanos() / 10_u32.pow(9 - DECIMALS);
        write!(
            out,
            "{}.{fraction:0width$}",
            self.0.as_secs(),
            width = DECIMALS as usize
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_whole_seconds_or_a_go_duration() {
        for (text, expected) in [
            ("30", Some(Duration::from_secs(30))),
            ("0", Some(Duration::ZERO)),
            ("1m30s", Some(Duration::from_secs(90))),
            ("1h", Some(Duration::from_secs(3600))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("250ms", Some(Duration::from_millis(250))),
            ("10us", Some(Duration::from_micros(10))),
            ("", None),
            ("-5", None),
            ("-5s", None),
            ("5 s", None),
            ("s", None),
            ("soon", None),
        ] {
            assert_eq!(setting(text), expected, "{text:?}");
        }
    }

    #[test]
    fn seconds_have_as_many_decimals_as_asked_for() {
        let time = Duration::from_nanos(12_034_567_891);

        assert_eq!(Seconds::<4>(time).to_string(), "12.0345");
        assert_eq!(Seconds::<6>(time).to_string(), "12.034567");
        assert_eq!(Seconds::<6>(Duration::ZERO).to_string(), "0.000000");
    }

    #[test]
    fn durations_are_shown_the_way_go_shows_them() {
        for (millis, expected) in [
            (0, "0s"),
            (250, "250ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (60_000, "1m0s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(AsGo(Duration::from_millis(millis)).to_string(), expected);
        }
    }
}
