//! Whom this node turned away, until the leader has been told: people read it in the activity list. Each of a kind once in
//! a while and not too many; beyond that, somebody wants to fill the list.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use api::sync::Stranger;

/// What was noted is not noted again for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Strangers that are kept at a time.
const MOST: usize = 12;

/// For so long the leader is told, so that a new one hears it too where the old one fell silent meanwhile.
const TOLD_FOR: Duration = Duration::from_secs(15);

/// Whom this node turned away. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Strangers(Arc<Mutex<Vec<Noted>>>);

#[derive(Debug)]
struct Noted {
    stranger: Stranger,
    at: Instant,
    /// When the leader was to be told first.
    told: Option<Instant>,
}

impl Strangers {
    /// Somebody was turned away. Whether that is worth a line, here and for people.
    pub fn note(&self, stranger: Stranger) -> bool {
        self.note_at(stranger, Instant::now())
    }

    fn note_at(&self, stranger: Stranger, now: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|noted| noted.told.is_none() || now.duration_since(noted.at) < AGAIN_AFTER);
        let worth = noted.len() < MOST && noted.iter().all(|noted| noted.stranger != stranger);
        if worth {
            let (at, told) = (now, None);
            noted.push(Noted { stranger, at, told });
        }
        worth
    }

    /// Those of whom the leader is to be told at this moment.
    pub(crate) fn to_tell(&self) -> Vec<Stranger> {
        self.to_tell_at(Instant::now())
    }

    fn to_tell_at(&self, now: Instant) -> Vec<Stranger> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted
            .iter_mut()
            .filter_map(|noted| {
                let told = *noted.told.get_or_insert(now);
                (now.duration_since(told) < TOLD_FOR).then(|| noted.stranger.clone())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use api::sync::Wanted;

    use super::*;

    fn at(number: u8) -> Stranger {
        Stranger {
            from: [192, 168, 1, number].into(),
            node: None,
            wanted: Wanted::In,
            why: "it knocks too often".to_owned(),
        }
    }

    #[test]
    fn the_leader_is_told_for_some_seconds_from_the_first_time_that_it_can_be() {
        let (strangers, noted) = (Strangers::default(), Instant::now());
        assert!(strangers.note_at(at(1), noted));
        let told = noted + Duration::from_secs(3600);
        assert_eq!(
            strangers.to_tell_at(told),
            [at(1)],
            "it was part of no bramble before"
        );
        assert_eq!(strangers.to_tell_at(told + Duration::from_secs(5)), [at(1)]);
        assert_eq!(strangers.to_tell_at(told + TOLD_FOR), []);
    }

    #[test]
    fn each_of_a_kind_is_noted_once_in_ten_minutes_and_a_flood_is_some_lines() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        assert!(strangers.note_at(at(1), now) && !strangers.note_at(at(1), now));
        let more = (2..=255).filter(|number| strangers.note_at(at(*number), now));
        assert_eq!(more.count(), MOST - 1);
        assert_eq!(strangers.to_tell_at(now).len(), MOST);
        assert!(strangers.note_at(at(1), now + AGAIN_AFTER));
        assert_eq!(strangers.to_tell_at(now + AGAIN_AFTER), [at(1)]);
    }
}
