//! Hours in which lights stay dark.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hours of every day in which lights stay dark, such as `22:00-07:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minute of the day at which they begin.
    from: u16,
    /// Minute of the day at which they end.
    to: u16,
}

/// The text names no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no quiet hours: write when they begin and when they end, like `22:00-07:00`")]
pub struct ParseQuietHoursError(String);

impl QuietHours {
    /// Whether lights stay dark at this minute of the day, local time.
    pub fn contain(self, minute_of_day: u16) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&minute_of_day)
        } else {
            minute_of_day >= self.from || minute_of_day < self.to
        }
    }
}

impl FromStr for QuietHours {
    type Err = ParseQuietHoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minute = |text: &str| -> Option<u16> {
            let (hours, minutes) = text.trim().split_once(':')?;
            let hours = hours.parse::<u16>().ok().filter(|h| *h < 24)?;
            let minutes = minutes.parse::<u16>().ok().filter(|m| *m < 60)?;
            Some(hours * 60 + minutes)
        };
        text.split_once('-')
            .and_then(|(from, to)| {
                Some(Self {
                    from: minute(from)?,
                    to: minute(to)?,
                })
            })
            .filter(|quiet| quiet.from != quiet.to)
            .ok_or_else(|| ParseQuietHoursError(text.to_owned()))
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            from / 60,
            from % 60,
            to / 60,
            to % 60
        )
    }
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuietHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_span_midnight() {
        let night: QuietHours = "22:00 - 7:30".parse().unwrap();
        let quiet = |hour: u16, minute: u16| night.contain(hour * 60 + minute);
        assert!(quiet(22, 0) && quiet(0, 0) && quiet(7, 29));
        assert!(!quiet(21, 59) && !quiet(7, 30) && !quiet(12, 0));
        let lesson: QuietHours = "09:00-10:00".parse().unwrap();
        assert!(lesson.contain(9 * 60) && !lesson.contain(10 * 60) && !lesson.contain(0));
        assert_eq!(night.to_string(), "22:00-07:30");
    }

    #[test]
    fn what_names_no_hours_is_refused_with_an_example() {
        for text in [
            "",
            "22-7",
            "25:00-07:00",
            "22:00-07:60",
            "at night",
            "22:00-22:00",
        ] {
            let error = text.parse::<QuietHours>().unwrap_err().to_string();
            assert!(error.contains("22:00-07:00"), "{error}");
        }
    }
}
