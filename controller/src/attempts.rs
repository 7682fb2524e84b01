//! Which of those who were turned away people are told of: each of a kind once in a while, and not too many, since each
//! line goes onto the controllers' cards. Pure: time is passed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use api::sync::{Stranger, Wanted};

/// What was told is not told again for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Lines in that time.
const MOST: usize = 12;

/// What people were told lately.
#[derive(Debug, Default)]
pub(crate) struct Told(VecDeque<(Instant, Stranger)>);

impl Told {
    /// The line about somebody who was turned away at `now`, if it is worth one.
    pub(crate) fn tell(&mut self, stranger: &Stranger, now: Instant) -> Option<String> {
        let Stranger {
            from, wanted, why, ..
        } = stranger;
        while self
            .0
            .front()
            .is_some_and(|(told, ..)| now.duration_since(*told) >= AGAIN_AFTER)
        {
            self.0.pop_front();
        }
        let same = |told: &Stranger| (&told.from, &told.wanted, &told.why) == (from, wanted, why);
        let is_known = self.0.iter().any(|(_, told)| same(told));
        if is_known || self.0.len() >= MOST {
            return None;
        }
        self.0.push_back((now, stranger.clone()));
        let more = match self.0.len() {
            MOST => " More of the kind will not be told for ten minutes.",
            _ => "",
        };
        let what = match wanted {
            Wanted::In => "was not let in",
            Wanted::Trust => "was not believed to be a bramble",
        };
        Some(format!("Somebody at {from} {what}: {why}.{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8, why: &str) -> Stranger {
        Stranger {
            from: [192, 168, 1, number].into(),
            node: None,
            wanted: Wanted::In,
            why: why.to_owned(),
        }
    }

    #[test]
    fn each_of_a_kind_is_told_once_in_ten_minutes() {
        let (mut told, now) = (Told::default(), Instant::now());
        let another = at(9, "the join key is another");
        assert_eq!(
            told.tell(&another, now).unwrap(),
            "Somebody at 192.168.1.9 was not let in: the join key is another."
        );
        assert_eq!(told.tell(&another, now), None);
        assert!(
            told.tell(&at(9, "it knocks too often"), now).is_some(),
            "for another reason"
        );
        assert!(
            told.tell(&at(10, "the join key is another"), now).is_some(),
            "somebody else"
        );
        assert!(told.tell(&another, now + AGAIN_AFTER).is_some());
    }

    #[test]
    fn who_was_taken_for_no_bramble_is_told_in_other_words() {
        let pretends = Stranger {
            wanted: Wanted::Trust,
            ..at(9, "it holds another join key")
        };
        assert_eq!(
            Told::default().tell(&pretends, Instant::now()).unwrap(),
            "Somebody at 192.168.1.9 was not believed to be a bramble: it holds another join key."
        );
    }

    #[test]
    fn a_flood_from_everywhere_is_some_lines() {
        let (mut told, now) = (Told::default(), Instant::now());
        let lines: Vec<_> = (0..=255)
            .filter_map(|number| told.tell(&at(number, "it knocks too often"), now))
            .collect();
        assert_eq!(lines.len(), MOST);
        assert!(lines.last().unwrap().contains("will not be told"), "{lines:?}");
        assert!(
            told.tell(&at(1, "it knocks too often"), now + AGAIN_AFTER)
                .is_some()
        );
    }
}
