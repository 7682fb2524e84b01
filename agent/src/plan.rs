//! The steps from what is there to what was ordered.
//!
//! Pure and synchronous: whole against whole, with the time passed in. Stops come first, since they give memory back.
//!
//! Not here: carrying the steps out ([`crate::engine`]), remembering what happened ([`crate::replicas`]).

use std::{collections::BTreeMap, time::Duration};

use api::{FunctionName, Generation, ReplicaId, sync::DesiredReplica};

use crate::engine::{Seen, State};

/// Time since the agent began. Monotonic, since a Pi's clock jumps when it is set.
pub type Now = Duration;

/// How long a replica that should go keeps serving before it is told to end: until every gateway has certainly heard
/// that it is not to be used any more (a sync request hangs for a second at the most).
pub const ROUTES_SETTLE: Duration = Duration::from_millis(1500);

/// How long a replica may take to end that is stopped because it does not answer: it has nothing to finish.
pub const UNRESPONSIVE_GRACE: Duration = Duration::from_secs(10);

/// What this node was told to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Version of the set.
    pub generation: Generation,
    /// All of it.
    pub replicas: BTreeMap<ReplicaId, DesiredReplica>,
}

/// One replica as this agent knows it: what the engine showed at the last look, and what the agent remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// What the engine showed; `None` where nothing is there.
    pub seen: Option<Seen>,
    /// A step under way, or one that ended after the last look.
    pub busy: Option<Busy>,
    /// Nothing is tried before this time.
    pub retry_at: Now,
    /// Since when it is not ordered any more.
    pub unwanted_since: Option<Now>,
    /// Whether some gateway may still send it invocations.
    pub routable: bool,
    /// Invocations under way.
    pub in_flight: u32,
    /// Whether it must be started afresh, because it stopped answering.
    pub condemned: bool,
}

/// What is being done to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It is being started; how far that is, in words.
    Starting(String),
    /// It is being stopped, paused or resumed.
    Changing,
    /// A step ended, and nobody has looked since.
    Settling,
}

/// One thing to do. Every step is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Have it run: find or fetch the image, make it and start it, after removing what is left of an earlier run.
    Start {
        /// The replica.
        replica: ReplicaId,
        /// What to run.
        desired: Box<DesiredReplica>,
        /// By which orders.
        generation: Generation,
    },
    /// Have it gone: ask it to end, end it after `grace`, remove it. A start under way is given up.
    Stop {
        /// The replica.
        replica: ReplicaId,
        /// How long it may take to finish what it has.
        grace: Duration,
    },
    /// Pause it: it keeps its memory and uses no CPU.
    Freeze {
        /// The replica.
        replica: ReplicaId,
    },
    /// Let a paused one go on.
    Thaw {
        /// The replica.
        replica: ReplicaId,
    },
}

impl Step {
    /// Which replica it is about.
    pub fn replica(&self) -> ReplicaId {
        match self {
            Self::Start { replica, .. }
            | Self::Stop { replica, .. }
            | Self::Freeze { replica }
            | Self::Thaw { replica } => *replica,
        }
    }

    /// Its name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
        }
    }

    /// Whose replica it is, where the step says so.
    pub fn function(&self) -> Option<&FunctionName> {
        match self {
            Self::Start { desired, .. } => Some(&desired.spec.name),
            _ => None,
        }
    }
}

/// The steps from `actual` to `wanted` that are due at `now`. Stops come first, to free memory.
pub fn plan(wanted: &Wanted, actual: &BTreeMap<ReplicaId, Actual>, now: Now) -> Vec<Step> {
    let stops = actual
        .iter()
        .filter_map(|(replica, actual)| stop(*replica, wanted.replicas.get(replica), actual, now));
    let nothing = Actual::default();
    let rest = wanted.replicas.iter().filter_map(|(replica, desired)| {
        let actual = actual.get(replica).unwrap_or(&nothing);
        start(*replica, desired, wanted.generation, actual, now)
    });
    stops.chain(rest).collect()
}

fn stop(replica: ReplicaId, desired: Option<&DesiredReplica>, actual: &Actual, now: Now) -> Option<Step> {
    let at = |grace| Some(Step::Stop { replica, grace });
    match (&actual.busy, &actual.seen) {
        // A start that nobody wants any more is given up, however long its image would still take.
        (Some(Busy::Starting(_)), _) if desired.is_none() => return at(Duration::ZERO),
        (Some(_), _) => return None,
        (None, _) if now < actual.retry_at => return None,
        (None, _) => {}
    }
    let seen = actual.seen.as_ref()?;
    match desired {
        // A replica of another version is another replica, even under the same number.
        Some(desired) if desired.version != seen.version => at(seen.grace),
        Some(_) if actual.condemned && is_running(actual) => at(UNRESPONSIVE_GRACE.min(seen.grace)),
        Some(_) => None,
        None if !is_running(actual) => at(seen.grace),
        None => (now >= drained_at(actual, seen.grace, now)).then_some(Step::Stop {
            replica,
            grace: seen.grace,
        }),
    }
}

/// When an unwanted replica that runs may be told to end.
pub(crate) fn drained_at(actual: &Actual, grace: Duration, now: Now) -> Now {
    let since = actual.unwanted_since.unwrap_or(now);
    if !actual.routable {
        since
    } else if actual.in_flight == 0 {
        since + ROUTES_SETTLE
    } else {
        since + grace.max(ROUTES_SETTLE)
    }
}

fn is_running(actual: &Actual) -> bool {
    matches!(
        actual.seen,
        Some(Seen {
            state: State::Running { .. },
            ..
        })
    )
}

fn start(
    replica: ReplicaId,
    desired: &DesiredReplica,
    generation: Generation,
    actual: &Actual,
    now: Now,
) -> Option<Step> {
    if actual.busy.is_some() {
        return None;
    }
    let start = || Step::Start {
        replica,
        desired: Box::new(desired.clone()),
        generation,
    };
    match &actual.seen {
        Some(seen) if seen.version != desired.version => None,
        Some(Seen {
            state: State::Running { .. },
            ..
        }) => None,
        Some(Seen {
            state: State::Frozen { .. },
            ..
        }) => Some(Step::Thaw { replica }),
        Some(Seen {
            state: State::Made | State::Ended(_),
            ..
        })
        | None => (now >= actual.retry_at).then(start),
    }
}
