//! The node as a service of systemd's: says when it answers, and that it is alive. Elsewhere nobody listens.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use agent::Pulse;
use sd_notify::NotifyState;
use tracing::warn;

/// Says that the node answers.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// A pulse that systemd hears, if it watches over this process: it starts the node again once it hears nothing for longer
/// than its unit allows. A beat is passed on four times within that, however often it beats.
pub(super) fn pulse() -> Pulse {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return Pulse::default();
    };
    let often = Often::new(patience / 4);
    Pulse::new(move || {
        if often.is_due(Instant::now()) {
            tell(NotifyState::Watchdog);
        }
    })
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "systemd does not hear this node");
    }
}

/// Lets one through in so much time.
struct Often {
    pause: Duration,
    last: Mutex<Option<Instant>>,
}

impl Often {
    fn new(pause: Duration) -> Self {
        Self {
            pause,
            last: Mutex::new(None),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        // Somebody else is just telling.
        let Ok(mut last) = self.last.try_lock() else {
            return false;
        };
        let due = last.is_none_or(|last| now.duration_since(last) >= self.pause);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_beats_one_is_passed_on_in_so_much_time() {
        let often = Often::new(Duration::from_secs(20));
        let began = Instant::now();
        let passed = (0..100).filter(|second| often.is_due(began + Duration::from_secs(*second)));
        assert_eq!(passed.collect::<Vec<_>>(), [0, 20, 40, 60, 80]);
    }
}
