//! What happened to one replica: its deaths, its answers, and what follows from them.

use std::time::Duration;

use api::{spec::Probe, sync::Phase};

use super::{Question, RETRY};
use crate::{
    engine::{Seen, State},
    plan::{Actual, Busy, Now, Step},
    words,
};

/// A replica that was ready for this long is over its troubles: the next death counts as the first.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// After this long without a first answer a replica is said to fail. It is asked on: interpreters on a Pi 2 take
/// their time, and starting them afresh would only make them begin again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Silence shorter than this needs no words: every start takes a moment.
const NOT_WORTH_A_WORD: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    run: String,
    run_since: Now,
    ready_since: Option<Now>,
    /// Failures in a row of each question.
    unready: u32,
    unwell: u32,
    last_miss: String,
    /// The end of this run was counted, or was our doing.
    buried: bool,
    /// A start went well, and nobody has looked since.
    expected: bool,
    deaths: u32,
    restarts: u32,
    trouble: String,
}

impl History {
    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The engine shows `seen`; `actual` still holds what it showed before.
    pub(super) fn observe(&mut self, actual: &mut Actual, seen: Option<&Seen>, busy: bool, now: Now) {
        let Some(seen) = seen else {
            // Somebody removed it by hand: it is made again, as if it had died.
            let was_there = self.expected || actual.seen.is_some() && !self.buried;
            if was_there && !busy && actual.unwanted_since.is_none() {
                self.expected = false;
                self.died(
                    "was removed by somebody; it is made again".to_owned(),
                    actual,
                    now,
                );
            }
            self.silent();
            return;
        };
        self.expected = false;
        if seen.run != self.run {
            self.run.clone_from(&seen.run);
            self.run_since = now;
            self.buried = false;
            self.silent();
        }
        match &seen.state {
            State::Ended(ending) if !self.buried => {
                self.settle(now);
                let life = now.saturating_sub(self.run_since);
                let text = words::death(ending, life, self.deaths + 1);
                self.died(text, actual, now);
                self.buried = true;
            }
            State::Running { .. } if self.buried => {
                // Started again by hand.
                self.buried = false;
                self.run_since = now;
            }
            _ => {}
        }
    }

    fn silent(&mut self) {
        self.ready_since = None;
        self.unready = 0;
        self.unwell = 0;
    }

    /// Forgets deaths that lie before a healthy while.
    fn settle(&mut self, now: Now) {
        if self
            .ready_since
            .is_some_and(|since| now.saturating_sub(since) >= HEALTHY_AFTER)
        {
            self.deaths = 0;
        }
    }

    fn died(&mut self, trouble: String, actual: &mut Actual, now: Now) {
        self.trouble = trouble;
        self.silent();
        actual.routable = false;
        self.deaths = self.deaths.saturating_add(1);
        let (first, longest) = RETRY;
        let pause = first.saturating_mul(1 << (self.deaths - 1).min(10)).min(longest);
        actual.retry_at = now + pause;
    }

    pub(super) fn starts(&mut self, actual: &Actual) {
        if matches!(
            actual.seen,
            Some(Seen {
                state: State::Ended(_),
                ..
            })
        ) {
            self.restarts = self.restarts.saturating_add(1);
        }
    }

    pub(super) fn answered(
        &mut self,
        actual: &mut Actual,
        question: Question,
        answer: Result<(), String>,
        (ready, alive): &(Probe, Probe),
        now: Now,
    ) {
        match answer {
            Ok(()) => {
                if question != Question::Alive {
                    self.unready = 0;
                    self.ready_since.get_or_insert(now);
                    self.settle(now);
                    actual.routable = true;
                }
                if question != Question::Ready {
                    self.unwell = 0;
                }
            }
            Err(miss) => {
                self.last_miss = miss;
                let was_ready = self.ready_since.is_some();
                if question != Question::Alive {
                    self.unready = self.unready.saturating_add(1);
                }
                // Health begins with the first readiness: a slow start is no illness.
                if question != Question::Ready && (was_ready || self.unwell > 0) {
                    self.unwell = self.unwell.saturating_add(1);
                }
                if self.unready >= ready.failures {
                    self.settle(now);
                    self.ready_since = None;
                }
                if self.unwell >= alive.failures && !actual.condemned {
                    actual.condemned = true;
                    self.trouble = format!(
                        "stopped answering ({} times in a row) and was started afresh; the last time: {}",
                        self.unwell, self.last_miss
                    );
                }
            }
        }
    }

    pub(super) fn step_ended(
        &mut self,
        actual: &mut Actual,
        step: &Step,
        result: Result<(), String>,
        now: Now,
    ) {
        match (step, result) {
            (_, Err(trouble)) => {
                self.died(trouble, actual, now);
                // What a start leaves behind it removes itself, after somebody may have seen it.
                self.buried |= matches!(step, Step::Start { .. });
            }
            (Step::Stop { .. }, Ok(())) => {
                if actual.condemned {
                    let trouble = std::mem::take(&mut self.trouble);
                    self.died(trouble, actual, now);
                    self.restarts = self.restarts.saturating_add(1);
                    actual.condemned = false;
                }
                actual.routable = false;
                // It went because we let it go.
                self.buried = true;
            }
            (Step::Start { .. }, Ok(())) => self.expected = true,
            (Step::Freeze { .. } | Step::Thaw { .. }, Ok(())) => {}
        }
    }

    /// When a silent replica begins to count as failing.
    pub(super) fn patience_ends(&self) -> Option<Now> {
        (self.ready_since.is_none() && !self.run.is_empty()).then(|| self.run_since + PATIENCE)
    }

    /// Where the replica stands, and why.
    pub(super) fn phase(&self, actual: &Actual, now: Now) -> (Phase, String) {
        if self.ready_since.is_some() && !actual.condemned {
            let frozen = matches!(
                actual.seen,
                Some(Seen {
                    state: State::Frozen { .. },
                    ..
                })
            );
            return (if frozen { Phase::Frozen } else { Phase::Ready }, String::new());
        }
        if self.deaths > 0 || actual.condemned {
            return (Phase::Failing, self.trouble.clone());
        }
        match (&actual.busy, &actual.seen) {
            (Some(Busy::Starting(text)), _) => (Phase::Starting, text.clone()),
            (
                _,
                Some(Seen {
                    state: State::Frozen { .. },
                    ..
                }),
            ) => (Phase::Frozen, String::new()),
            (
                _,
                Some(Seen {
                    state: State::Running { .. },
                    ..
                }),
            ) => {
                let silence = now.saturating_sub(self.run_since);
                if silence < NOT_WORTH_A_WORD || self.last_miss.is_empty() {
                    (Phase::Starting, String::new())
                } else if silence < PATIENCE {
                    (Phase::Starting, self.last_miss.clone())
                } else {
                    (Phase::Failing, words::silence(PATIENCE, &self.last_miss))
                }
            }
            _ => (Phase::Starting, String::new()),
        }
    }
}
