//! The `sleep` function: waits, then says how long, in the words of the store function of that name.
//!
//! How long: between the headers `X-Min-Sleep` and `X-Max-Sleep` if both are there, else `X-Sleep`, else the variable
//! `sleep_duration`, else two seconds. Headers arrive as variables, because the watchdog runs this once per request.

use std::env;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::tools::Failure;

const DEFAULT: Duration = Duration::from_secs(2);

/// Waits and answers.
///
/// # Errors
/// When a duration cannot be read; the message names the header or variable. To the caller of a watchdog that is an
/// answer instead: of a process that fails he would learn no more than its exit status.
pub(crate) fn run() -> Result<u8, Failure> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = match wanted(&variable, fraction_of_now()) {
        Err(why) if variable("Http_Method").is_some() => {
            writeln!(io::stdout(), "Did not sleep: {why}.")?;
            return Ok(0);
        }
        wanted => wanted?,
    };
    std::thread::sleep(wanted);
    write!(io::stdout(), "Slept for: {:.6}s", wanted.as_secs_f64())?;
    Ok(0)
}

/// How long to sleep. `position` from 0 to 1 chooses between the least and the most.
fn wanted(variable: &dyn Fn(&str) -> Option<String>, position: f64) -> Result<Duration, Failure> {
    let header = |header: &str| {
        variable(&format!("Http_{}", header.replace('-', "_")))
            .map(|text| read(&text, header))
            .transpose()
    };
    if let (Some(least), Some(most)) = (header("X-Min-Sleep")?, header("X-Max-Sleep")?) {
        return Ok(least + most.saturating_sub(least).mul_f64(position));
    }
    if let Some(wanted) = header("X-Sleep")? {
        return Ok(wanted);
    }
    Ok(variable("sleep_duration")
        .map(|text| read(&text, "sleep_duration"))
        .transpose()?
        .unwrap_or(DEFAULT))
}

/// Seconds, or a Go duration.
fn read(text: &str, from: &str) -> Result<Duration, Failure> {
    let bad = || {
        Failure::Usage(format!(
            "{from} is `{text}`, which is no duration such as 2s, 1m30s or 250ms"
        ))
    };
    let mut rest = text;
    let mut seconds = 0.0;
    if let Ok(plain) = text.parse::<u32>() {
        return Ok(Duration::from_secs(plain.into()));
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let unit_length = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        seconds += number
            * match &after[..unit_length] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(bad()),
            };
        rest = &after[unit_length..];
    }
    if text.is_empty() {
        return Err(bad());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// Chance enough to spread sleepers.
fn fraction_of_now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() % 1_000_000) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_with(variables: &[(&str, &str)]) -> Result<Duration, Failure> {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).into())
        };
        wanted(&find, 0.5)
    }

    #[test]
    fn headers_win_over_the_variable_which_wins_over_two_seconds() {
        assert_eq!(wanted_with(&[]).unwrap(), Duration::from_secs(2));
        assert_eq!(
            wanted_with(&[("sleep_duration", "3")]).unwrap(),
            Duration::from_secs(3)
        );
        assert_eq!(
            wanted_with(&[("sleep_duration", "3s"), ("Http_X_Sleep", "1m0.5s")]).unwrap(),
            Duration::from_millis(60_500)
        );
        assert_eq!(
            wanted_with(&[
                ("Http_X_Sleep", "1s"),
                ("Http_X_Min_Sleep", "100ms"),
                ("Http_X_Max_Sleep", "300ms")
            ])
            .unwrap(),
            Duration::from_millis(200)
        );
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in ["soon", "5x", "s", "-1s", "1.2.3s"] {
            let message = wanted_with(&[("Http_X_Sleep", text)]).unwrap_err().to_string();
            assert!(message.contains("X-Sleep") && message.contains(text), "{message}");
        }
    }
}
