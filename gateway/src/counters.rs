//! What is counted, and the guards that count it.
//!
//! A call is counted by what holds its guard: begun when the guard is made, ended when it is dropped, whichever way
//! that comes about (answered, failed, the client went away). So the sums always fit:
//! `started = finished + in flight + waiting`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use api::{FunctionName, sync::FunctionCounters};
use http::StatusCode;

/// The status under which a call is counted whose client went away before there was an answer (as nginx has it).
const CLIENT_LEFT: u16 = 499;

/// The counts of one function since this gateway began.
#[derive(Debug, Default)]
pub(crate) struct FunctionCounts {
    started: AtomicU64,
    in_flight: AtomicU32,
    waiting: AtomicU32,
    /// Nearly every call ends with this one.
    ok: AtomicU64,
    /// Written to when a status is seen for the first time, read-locked otherwise.
    others: RwLock<BTreeMap<u16, AtomicU64>>,
}

impl FunctionCounts {
    fn finish(&self, status: u16) {
        if status == 200 {
            self.ok.fetch_add(1, Relaxed);
            return;
        }
        if let Some(count) = self.others.read().expect("no panic while held").get(&status) {
            count.fetch_add(1, Relaxed);
            return;
        }
        let mut others = self.others.write().expect("no panic while held");
        others.entry(status).or_default().fetch_add(1, Relaxed);
    }

    /// Whether nothing was ever counted here.
    pub(crate) fn is_unused(&self) -> bool {
        self.started.load(Relaxed) == 0
    }

    /// The counts as they are reported, without the replicas.
    pub(crate) fn report(&self, function: &FunctionName) -> FunctionCounters {
        let others = self.others.read().expect("no panic while held");
        let mut finished: BTreeMap<u16, u64> = others
            .iter()
            .map(|(status, count)| (*status, count.load(Relaxed)))
            .collect();
        let ok = self.ok.load(Relaxed);
        if ok > 0 {
            finished.insert(200, ok);
        }
        FunctionCounters {
            function: function.clone(),
            started: self.started.load(Relaxed),
            finished,
            in_flight: self.in_flight.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            replicas: BTreeMap::new(),
        }
    }
}

/// How busy one replica is.
#[derive(Debug, Default)]
pub(crate) struct ReplicaLoad {
    /// Calls that this gateway took and that replica answers.
    own: AtomicU32,
    /// Calls that run on this node, from whichever gateway; stays 0 for replicas elsewhere.
    here: AtomicU32,
    /// Until when it is better not to try it, in milliseconds since the gateway began.
    avoid_until_ms: AtomicU64,
}

/// How long a replica that took no connection is avoided where there is another: until the leader has noticed.
const AVOIDED_MS: u64 = 5_000;

impl ReplicaLoad {
    /// It took no connection at `now_ms` (milliseconds since the gateway began).
    pub(crate) fn avoid(&self, now_ms: u64) {
        self.avoid_until_ms.store(now_ms + AVOIDED_MS, Relaxed);
    }

    /// Whether it took no connection a short while ago.
    pub(crate) fn is_avoided(&self, now_ms: u64) -> bool {
        self.avoid_until_ms.load(Relaxed) > now_ms
    }

    /// Calls under way as far as this gateway can know.
    pub(crate) fn known(&self) -> u32 {
        self.own.load(Relaxed).max(self.here.load(Relaxed))
    }

    /// Calls under way that this gateway took.
    pub(crate) fn own(&self) -> u32 {
        self.own.load(Relaxed)
    }

    /// Calls under way on this node.
    pub(crate) fn here(&self) -> u32 {
        self.here.load(Relaxed)
    }
}

/// One call that runs on this node.
#[derive(Debug)]
pub(crate) struct Here(Arc<ReplicaLoad>);

impl Here {
    pub(crate) fn begin(load: Arc<ReplicaLoad>) -> Self {
        load.here.fetch_add(1, Relaxed);
        Self(load)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.here.fetch_sub(1, Relaxed);
    }
}

/// One call that this gateway took, from its first byte to its last.
#[derive(Debug)]
pub(crate) struct Call {
    counts: Arc<FunctionCounts>,
    replica: Option<Arc<ReplicaLoad>>,
    waiting: bool,
    status: u16,
}

impl Call {
    /// A call begins.
    pub(crate) fn begin(counts: Arc<FunctionCounts>) -> Self {
        counts.started.fetch_add(1, Relaxed);
        counts.in_flight.fetch_add(1, Relaxed);
        Self {
            counts,
            replica: None,
            waiting: false,
            status: CLIENT_LEFT,
        }
    }

    /// It begins to wait for a replica. Whether it is the only one that does.
    pub(crate) fn wait(&mut self) -> bool {
        if self.waiting {
            return false;
        }
        self.waiting = true;
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.counts.waiting.fetch_add(1, Relaxed) == 0
    }

    /// It waits no longer.
    pub(crate) fn wait_no_more(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.counts.waiting.fetch_sub(1, Relaxed);
            self.counts.in_flight.fetch_add(1, Relaxed);
        }
    }

    /// It goes to this replica, and no longer to another.
    pub(crate) fn go_to(&mut self, replica: &Arc<ReplicaLoad>) {
        replica.own.fetch_add(1, Relaxed);
        if let Some(before) = self.replica.replace(replica.clone()) {
            before.own.fetch_sub(1, Relaxed);
        }
    }

    /// It has an answer; it ends when the answer's last byte is sent.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.wait_no_more();
        if let Some(replica) = &self.replica {
            replica.own.fetch_sub(1, Relaxed);
        }
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.counts.finish(self.status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(counts: &FunctionCounts) -> FunctionCounters {
        counts.report(&"env".parse().unwrap())
    }

    #[test]
    fn every_call_is_finished_in_flight_or_waiting() {
        let counts = Arc::new(FunctionCounts::default());
        let mut answered = Call::begin(counts.clone());
        answered.answered(StatusCode::OK);
        drop(answered);
        let mut failed = Call::begin(counts.clone());
        failed.answered(StatusCode::BAD_GATEWAY);
        drop(failed);
        drop(Call::begin(counts.clone()));
        let mut waiting = Call::begin(counts.clone());
        assert!(waiting.wait());
        let _running = Call::begin(counts.clone());

        let report = report(&counts);
        assert_eq!(report.started, 5);
        assert_eq!(report.finished, BTreeMap::from([(200, 1), (499, 1), (502, 1)]));
        assert_eq!((report.in_flight, report.waiting), (1, 1));
    }

    #[test]
    fn only_the_first_that_waits_wakes_anybody() {
        let counts = Arc::new(FunctionCounts::default());
        let (mut first, mut second) = (Call::begin(counts.clone()), Call::begin(counts.clone()));
        assert!(first.wait());
        assert!(!second.wait());
        first.wait_no_more();
        second.wait_no_more();
        assert_eq!((report(&counts).waiting, report(&counts).in_flight), (0, 2));
        assert!(first.wait());
    }

    #[test]
    fn a_call_that_goes_to_another_replica_leaves_the_first() {
        let (first, second) = (Arc::<ReplicaLoad>::default(), Arc::<ReplicaLoad>::default());
        let mut call = Call::begin(Arc::default());
        call.go_to(&first);
        call.go_to(&second);
        assert_eq!((first.own(), second.own()), (0, 1));
        drop(call);
        assert_eq!(second.own(), 0);
    }
}
