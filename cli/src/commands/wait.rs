//! Waiting until a function is as it was asked for, with progress, and with the reasons where it does not come to it.

use std::time::Duration;

use api::{FunctionName, sync::Phase, v1};
use tokio::time::{Instant, sleep};

use super::{
    connect::{self, Api},
    describe,
    failure::{Exit, Failure},
    out::Out,
};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(300);

/// How long a function may look as if it will never run before that is believed: nodes come back, and a replica that
/// died once may live.
const STUCK_FOR: Duration = Duration::from_secs(15);

/// How long a bramble that does not answer is asked again: its leader may be changing.
const SILENT_FOR: Duration = Duration::from_secs(20);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Ready { ready: usize },
    Working { ready: usize, wanted: usize },
    Stuck,
}

/// Looks at `function`. Only replicas of a version after `older` count.
fn progress(function: &v1::Function, older: u64) -> Progress {
    let wanted = usize::try_from(function.status.replicas).unwrap_or(usize::MAX);
    let new: Vec<&v1::Placement> = function.placements.iter().filter(|p| p.version > older).collect();
    let count = |phase: Phase| new.iter().filter(|placement| placement.phase == phase).count();
    let ready = count(Phase::Ready);
    let surplus = function.placements.len().saturating_sub(wanted);
    if ready >= wanted && surplus == 0 {
        Progress::Ready { ready }
    } else if count(Phase::Failing) > 0 || !function.refusals.is_empty() {
        Progress::Stuck
    } else {
        Progress::Working { ready, wanted }
    }
}

/// The newest version that a replica of `function` runs now: what [`until_ready`] is to see replaced.
pub(crate) fn newest_version(function: &v1::Function) -> u64 {
    function
        .placements
        .iter()
        .map(|placement| placement.version)
        .max()
        .unwrap_or(0)
}

/// Waits at most `patience` until as many replicas as wanted run a version after `older`, and no others are there.
///
/// # Errors
/// The sentences why it does not come to it.
pub(crate) async fn until_ready(
    api: &Api,
    name: &FunctionName,
    older: u64,
    patience: Duration,
    out: &Out,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut stuck_since = None;
    let mut silent_since = None;
    loop {
        let now = Instant::now();
        let late = now.duration_since(began) > patience;
        let function = match describe::read(api, name).await {
            Ok(function) => function,
            Err(failure) if failure.exit == Exit::Unreachable && !late => {
                let since = *silent_since.get_or_insert(now);
                if now.duration_since(since) > SILENT_FOR {
                    out.progress_is_over();
                    return Err(failure);
                }
                sleep(PERIOD).await;
                continue;
            }
            Err(failure) => {
                out.progress_is_over();
                return Err(failure);
            }
        };
        silent_since = None;
        let sentences = describe::sentences(&function).join(" ");
        let state = progress(&function, older);
        match state {
            Progress::Ready { ready } => {
                out.progress_is_over();
                let took = began.elapsed().as_secs_f64();
                return out.line(match ready {
                    0 => format!("{} is scaled to zero.", connect::of(name)),
                    1 => format!("{} is ready after {took:.1} s.", connect::of(name)),
                    n => format!(
                        "{} is ready with {n} replicas after {took:.1} s.",
                        connect::of(name)
                    ),
                });
            }
            Progress::Working { ready, wanted } => {
                stuck_since = None;
                out.progress(&format!(
                    "{}: {ready} of {wanted} ready. {sentences}",
                    connect::of(name)
                ));
            }
            Progress::Stuck => {
                stuck_since.get_or_insert(now);
                out.progress(&format!("{}: {sentences}", connect::of(name)));
            }
        }
        let given_up = stuck_since.is_some_and(|since: Instant| now.duration_since(since) > STUCK_FOR);
        if late || given_up {
            out.progress_is_over();
            return Err(Failure::failed(format!(
                "{} is not ready after {:.0} s. {sentences}",
                connect::of(name),
                began.elapsed().as_secs_f64()
            )));
        }
        sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(wanted: u32, replicas: &[(&str, u64)], refused: bool) -> v1::Function {
        let placement = |(phase, version): &(&str, u64)| {
            serde_json::json!({"replica": "r1", "node": "pi", "node_id": "00000000000000000000000000000001",
                "phase": phase, "reason": "", "restarts": 0, "version": version})
        };
        let refusals = match refused {
            true => serde_json::json!([{"node": "pi", "reason": "no memory"}]),
            false => serde_json::json!([]),
        };
        serde_json::from_value(serde_json::json!({
            "name": "f", "image": "x", "namespace": "openfaas-fn", "labels": {}, "annotations": {},
            "replicas": wanted, "createdAt": "", "placements": replicas.iter().map(placement).collect::<Vec<_>>(),
            "refusals": refusals, "sentences": [], "why": [], "events": [], "invocations_by_code": {},
        }))
        .unwrap()
    }

    #[test]
    fn only_replicas_of_the_new_version_make_an_update_ready() {
        let old = function(1, &[("ready", 7)], false);
        assert_eq!(progress(&old, 7), Progress::Working { ready: 0, wanted: 1 });
        let both = function(1, &[("ready", 7), ("ready", 9)], false);
        assert_eq!(progress(&both, 7), Progress::Working { ready: 1, wanted: 1 });
        let new = function(1, &[("ready", 9)], false);
        assert_eq!(progress(&new, 7), Progress::Ready { ready: 1 });
        assert_eq!(
            (newest_version(&both), newest_version(&function(0, &[], false))),
            (9, 0)
        );
    }

    #[test]
    fn a_function_that_wants_none_is_ready_and_one_that_fails_is_stuck() {
        assert_eq!(
            progress(&function(0, &[], false), 0),
            Progress::Ready { ready: 0 }
        );
        assert_eq!(
            progress(&function(1, &[("failing", 1)], false), 0),
            Progress::Stuck
        );
        assert_eq!(progress(&function(2, &[("ready", 1)], true), 0), Progress::Stuck);
        assert_eq!(
            progress(&function(2, &[("ready", 1), ("starting", 1)], false), 0),
            Progress::Working { ready: 1, wanted: 2 }
        );
    }
}
