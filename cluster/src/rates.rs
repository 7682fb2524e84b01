//! How often functions are invoked at present: what ended in the last seconds. Only in the leader's memory, and for
//! people only.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use api::{FunctionName, NodeId, sync::FunctionCounters};

use crate::{liveness::Moment, state::State};

/// Over how long a rate is taken: long enough not to flicker with the nodes' reports, which come once a second.
const WINDOW: Duration = Duration::from_secs(5);

/// Time between two looks at what ended.
const LOOK_EVERY: Duration = Duration::from_millis(900);

type Ended = BTreeMap<FunctionName, u64>;

/// What ended in the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// What each node had counted when it was last heard, and in which of its processes.
    heard: BTreeMap<NodeId, (Option<u64>, Ended)>,
    /// Invocations that ended while this leader listened. What a node counted before it was heard for the first time
    /// is not among them: that may have been long ago.
    ended: Ended,
    looks: VecDeque<(Moment, Ended)>,
}

impl Rates {
    /// Takes over what the process `incarnation` of `node` counted so far.
    pub(crate) fn hear(
        &mut self,
        node: NodeId,
        incarnation: u64,
        counters: &[FunctionCounters],
        now: Moment,
    ) {
        let (process, counted) = self.heard.entry(node).or_default();
        let before = std::mem::take(counted);
        let is_known = process.replace(incarnation) == Some(incarnation);
        for counters in counters {
            let last = before.get(&counters.function).copied().unwrap_or_default();
            let now = counters.ended().max(if is_known { last } else { 0 });
            counted.insert(counters.function.clone(), now);
            if is_known && now > last {
                *self.ended.entry(counters.function.clone()).or_default() += now - last;
            }
        }
        self.look(now);
    }

    /// Looks at what ended, if it is time to.
    fn look(&mut self, now: Moment) {
        if let Some((last, _)) = self.looks.back()
            && now.since(*last) < LOOK_EVERY
        {
            return;
        }
        self.looks.push_back((now, self.ended.clone()));
        // One that is as old as the window stays, to compare with.
        while self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
    }

    /// Forgets nodes and functions that are in the bramble no more.
    pub(crate) fn forget_strangers(&mut self, state: &State) {
        self.heard.retain(|node, _| state.node(*node).is_some());
        self.ended
            .retain(|function, _| state.function(function).is_some());
    }

    /// Invocations of `function` that ended per second, lately. Zero until there is something to compare with.
    pub fn rate(&self, function: &FunctionName) -> f64 {
        let (Some((first, before)), Some((last, after))) = (self.looks.front(), self.looks.back()) else {
            return 0.0;
        };
        let seconds = last.since(*first).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        let ended = |look: &Ended| look.get(function).copied().unwrap_or_default();
        ended(after).saturating_sub(ended(before)) as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> FunctionName {
        FunctionName::new("env", "").unwrap()
    }

    fn node(number: u128) -> NodeId {
        NodeId::from_number(number)
    }

    fn at(ms: u64) -> Moment {
        Moment::new(Duration::from_millis(ms))
    }

    fn counted(ended: u64) -> Vec<FunctionCounters> {
        vec![FunctionCounters {
            function: env(),
            started: ended,
            finished: [(200, ended)].into(),
            in_flight: 0,
            waiting: 0,
            replicas: BTreeMap::new(),
        }]
    }

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_has_none() {
        let mut rates = Rates::default();
        assert!(rates.rate(&env()) == 0.0);
        for second in 0..20 {
            rates.hear(node(1), 1, &counted(1 + second * 10), at(second * 1000));
        }
        assert!((rates.rate(&env()) - 10.0).abs() < 0.01, "{}", rates.rate(&env()));
        for second in 20..27 {
            rates.hear(node(1), 1, &counted(191), at(second * 1000));
        }
        assert!(rates.rate(&env()) == 0.0);
    }

    #[test]
    fn the_first_invocations_ever_have_their_rate_too() {
        let mut rates = Rates::default();
        rates.hear(node(1), 1, &[], at(0));
        // Counted between two looks, and all of it by the next.
        rates.hear(node(1), 1, &counted(20), at(500));
        rates.hear(node(1), 1, &counted(40), at(1000));
        assert!((rates.rate(&env()) - 40.0).abs() < 0.01, "{}", rates.rate(&env()));
    }

    #[test]
    fn what_was_counted_before_anybody_listened_is_no_rate() {
        let mut rates = Rates::default();
        rates.hear(node(1), 1, &counted(1_000_000), at(0));
        rates.hear(node(2), 1, &counted(5_000), at(1000));
        // It started again, and its first report was lost.
        rates.hear(node(1), 2, &counted(700), at(2000));
        rates.hear(node(1), 2, &counted(700), at(3000));
        assert!(rates.rate(&env()) == 0.0, "{}", rates.rate(&env()));
        rates.hear(node(1), 2, &counted(708), at(4000));
        assert!((rates.rate(&env()) - 2.0).abs() < 0.01, "{}", rates.rate(&env()));
    }

    #[test]
    fn looking_often_keeps_little() {
        let mut rates = Rates::default();
        (0..100_000).for_each(|ms| rates.hear(node(1), 1, &[], at(ms)));
        assert!(rates.looks.len() <= 8, "{}", rates.looks.len());
        rates.hear(node(1), 1, &counted(7), at(100_000));
        rates.forget_strangers(&State::default());
        assert!(rates.heard.is_empty() && rates.ended.is_empty());
    }
}
