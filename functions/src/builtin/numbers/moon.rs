//! `moon`: how the moon looks on a day.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// Days from new moon to new moon, on average.
const MONTH: f64 = 29.530_588_853;

/// A new moon (6 January 2000, 18:14 UTC), in days since the beginning of 1970.
const NEW_MOON: f64 = 10_962.76;

/// How far from its moment new, half and full moon are still called that, in days.
const OWN_DAY: f64 = 1.2;

const PHASES: [(&str, &str); 8] = [
    ("new moon", "🌑"),
    ("waxing crescent", "🌒"),
    ("first quarter", "🌓"),
    ("waxing gibbous", "🌔"),
    ("full moon", "🌕"),
    ("waning gibbous", "🌖"),
    ("last quarter", "🌗"),
    ("waning crescent", "🌘"),
];

pub(crate) fn answer(call: &Call) -> Reply {
    let sent = std::str::from_utf8(&call.body).map(str::trim).ok();
    let date = match call.option("date").or(sent.filter(|text| !text.is_empty())) {
        None => Timestamp::now().to_zoned(TimeZone::UTC).date(),
        Some(text) => text.parse().map_err(|_| {
            Refusal::new(format!(
                "date is `{text}`; write it as year, month and day: 1969-07-20."
            ))
        })?,
    };
    Ok(Answer::text(told(date)))
}

/// As it looks at noon, UTC.
fn told(date: Date) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = f64::from(date.since(epoch).map_or(0, |span| span.get_days())) + 0.5;
    let age = (days - NEW_MOON).rem_euclid(MONTH);
    let lit = (1.0 - (age / MONTH * std::f64::consts::TAU).cos()) / 2.0 * 100.0;
    let quarter = age / MONTH * 4.0;
    // The four that have a day of their own, and what is between them.
    let nearest = quarter.round();
    let position = if (quarter - nearest).abs() < OWN_DAY / MONTH * 4.0 {
        nearest * 2.0
    } else {
        quarter.floor() * 2.0 + 1.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 8"
    )]
    let phase = position as usize % PHASES.len();
    let (name, sign) = PHASES[phase];
    format!("{date}: {name} {sign}, {lit:.0}% lit, {age:.1} days after new moon\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moons_are_found() {
        // An eclipse of the sun takes a new moon, one of the moon a full moon.
        for (date, expected) in [
            ((1999, 8, 11), "new moon"),
            ((2017, 8, 21), "new moon"),
            ((2018, 7, 27), "full moon"),
            ((2022, 5, 16), "full moon"),
            ((1969, 7, 20), "waxing crescent"),
        ] {
            let told = told(jiff::civil::date(date.0, date.1, date.2));
            assert!(told.contains(expected), "{told}");
        }
    }
}
