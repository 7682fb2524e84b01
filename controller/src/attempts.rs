//! Which of those who were turned away people are told of: each of a kind once in a while, and not too many, since each
//! line goes onto the controllers' cards. Pure: time is passed in.

use std::{
    collections::VecDeque,
    net::IpAddr,
    time::{Duration, Instant},
};

/// What was told is not told again for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Lines in that time.
const MOST: usize = 12;

/// What people were told lately.
#[derive(Debug, Default)]
pub(crate) struct Told(VecDeque<(Instant, IpAddr, String)>);

impl Told {
    /// The line about somebody at `from` who was turned away at `now`, if it is worth one.
    pub(crate) fn tell(&mut self, from: IpAddr, why: &str, now: Instant) -> Option<String> {
        while self
            .0
            .front()
            .is_some_and(|(told, ..)| now.duration_since(*told) >= AGAIN_AFTER)
        {
            self.0.pop_front();
        }
        let is_known = self.0.iter().any(|(_, ip, said)| *ip == from && said == why);
        if is_known || self.0.len() >= MOST {
            return None;
        }
        self.0.push_back((now, from, why.to_owned()));
        let more = match self.0.len() {
            MOST => " More of the kind will not be told for ten minutes.",
            _ => "",
        };
        Some(format!("Somebody at {from} was not let in: {why}.{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(number: u8) -> IpAddr {
        IpAddr::from([192, 168, 1, number])
    }

    #[test]
    fn each_of_a_kind_is_told_once_in_ten_minutes() {
        let (mut told, now) = (Told::default(), Instant::now());
        let line = told.tell(from(9), "the join key is another", now).unwrap();
        assert_eq!(
            line,
            "Somebody at 192.168.1.9 was not let in: the join key is another."
        );
        assert_eq!(told.tell(from(9), "the join key is another", now), None);
        assert!(
            told.tell(from(9), "it knocks too often", now).is_some(),
            "for another reason"
        );
        assert!(
            told.tell(from(10), "the join key is another", now).is_some(),
            "somebody else"
        );
        let later = now + AGAIN_AFTER;
        assert!(told.tell(from(9), "the join key is another", later).is_some());
    }

    #[test]
    fn a_flood_from_everywhere_is_some_lines() {
        let (mut told, now) = (Told::default(), Instant::now());
        let lines: Vec<_> = (0..=255)
            .filter_map(|number| told.tell(from(number), "it knocks too often", now))
            .collect();
        assert_eq!(lines.len(), MOST);
        assert!(lines.last().unwrap().contains("will not be told"), "{lines:?}");
        assert!(
            told.tell(from(1), "it knocks too often", now + AGAIN_AFTER)
                .is_some()
        );
    }
}
