//! How often functions are invoked at present: differences of totals over the last seconds. Only in the leader's
//! memory, and for people only.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use api::FunctionName;

use crate::{liveness::Moment, totals::LiveTotals};

/// Over how long a rate is taken: long enough not to flicker with the nodes' reports, which come once a second.
const WINDOW: Duration = Duration::from_secs(5);

/// Time between two looks at the totals.
const LOOK_EVERY: Duration = Duration::from_millis(900);

/// The totals of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    looks: VecDeque<(Moment, BTreeMap<FunctionName, u64>)>,
}

impl Rates {
    /// Looks at the totals, if it is time to.
    pub(crate) fn look(&mut self, totals: &LiveTotals, now: Moment) {
        if let Some((last, _)) = self.looks.back()
            && now.since(*last) < LOOK_EVERY
        {
            return;
        }
        self.looks.push_back((now, totals.all()));
        // One that is as old as the window stays, to compare with.
        while self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
    }

    /// Invocations of `function` that ended per second, lately. Zero until there is something to compare with.
    pub fn rate(&self, function: &FunctionName) -> f64 {
        let (Some((first, before)), Some((last, after))) = (self.looks.front(), self.looks.back()) else {
            return 0.0;
        };
        let seconds = last.since(*first).as_secs_f64();
        // Unknown before: it was counted for the first time since, perhaps long ago.
        let (Some(before), Some(after)) = (before.get(function), after.get(function)) else {
            return 0.0;
        };
        if seconds <= 0.0 {
            return 0.0;
        }
        after.saturating_sub(*before) as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use api::{NodeId, sync::FunctionCounters};

    use super::*;

    fn env() -> FunctionName {
        FunctionName::new("env", "").unwrap()
    }

    fn at(ms: u64) -> Moment {
        Moment::new(Duration::from_millis(ms))
    }

    fn counted(totals: &mut LiveTotals, ended: u64) {
        let counters = FunctionCounters {
            function: env(),
            started: ended,
            finished: [(200, ended)].into(),
            in_flight: 0,
            waiting: 0,
            replicas: BTreeMap::new(),
        };
        totals.observe(NodeId::from_number(1), 1, &[counters]);
    }

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_has_none() {
        let (mut totals, mut rates) = (LiveTotals::default(), Rates::default());
        assert!(rates.rate(&env()) == 0.0);
        for second in 0..20 {
            counted(&mut totals, 1 + second * 10);
            rates.look(&totals, at(second * 1000));
        }
        assert!((rates.rate(&env()) - 10.0).abs() < 0.01, "{}", rates.rate(&env()));
        for second in 20..27 {
            rates.look(&totals, at(second * 1000));
        }
        assert!(rates.rate(&env()) == 0.0);
    }

    #[test]
    fn looking_often_keeps_little() {
        let (totals, mut rates) = (LiveTotals::default(), Rates::default());
        (0..100_000).for_each(|ms| rates.look(&totals, at(ms)));
        assert!(rates.looks.len() <= 8, "{}", rates.looks.len());
    }
}
