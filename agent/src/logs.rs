//! What this node's replicas write, for the controller that asks on somebody's behalf.
//!
//! The lines are the engine's; here they are found, limited, named and put one after the other. Nothing is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use api::{
    FunctionName, ReplicaId, Timestamp,
    logs::{LogLine, LogsRequest, RECENT},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::engine::{Engine, LogsWanted, Written};

/// Lines that wait for a slow reader; behind them the replica's engine waits.
const WAITING_LINES: usize = 64;

/// How often somebody who follows is shown replicas that began meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Finds and reads replicas; any engine can be asked.
trait Source: Send + Sync {
    /// The replicas of `function` that are here, each with what differs whenever it is started.
    fn runs(&self, function: &FunctionName) -> BoxFuture<'_, BTreeSet<(ReplicaId, String)>>;
    fn read(&self, replica: ReplicaId, wanted: LogsWanted) -> BoxFuture<'_, BoxStream<'static, Written>>;
}

impl<E: Engine> Source for E {
    fn runs(&self, function: &FunctionName) -> BoxFuture<'_, BTreeSet<(ReplicaId, String)>> {
        let function = function.clone();
        async move {
            let here = self.list().await.unwrap_or_else(|_| BTreeMap::new()).into_iter();
            here.filter(|(_, seen)| seen.function == function)
                .map(|(id, seen)| (id, seen.run))
                .collect()
        }
        .boxed()
    }

    fn read(&self, replica: ReplicaId, wanted: LogsWanted) -> BoxFuture<'_, BoxStream<'static, Written>> {
        async move {
            let lines = self.logs(replica, wanted).await;
            lines.unwrap_or_else(|_| stream::empty().boxed())
        }
        .boxed()
    }
}

/// Answers for the logs of this node. Clones are the same.
#[derive(Clone, Default)]
pub struct Logs(Arc<OnceLock<Arc<dyn Source>>>);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    /// From now on the replicas of `engine` are read.
    pub(crate) fn read_from(&self, engine: Arc<impl Engine>) {
        _ = self.0.set(engine);
    }

    /// The lines that are asked for. They end when there are no more, or, if they are followed, when they are dropped.
    pub fn read(&self, request: LogsRequest) -> BoxStream<'static, LogLine> {
        let Some(source) = self.0.get().cloned() else {
            return stream::empty().boxed();
        };
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        tokio::spawn(async move {
            tokio::select! {
                () = read_all(source, &request, &sender) => {}
                () = sender.closed() => {}
            }
        });
        stream::unfold(lines, |mut lines| async {
            let line = lines.recv().await?;
            Some((line, lines))
        })
        .boxed()
    }
}

async fn read_all(source: Arc<dyn Source>, request: &LogsRequest, sender: &mpsc::Sender<LogLine>) {
    let mut wanted = LogsWanted {
        tail: request.tail,
        since: request.since,
        follow: request.follow,
    };
    if wanted.tail.is_none() && wanted.since.is_none() {
        wanted.since = Some(recently());
    }
    let is_wanted = |replica: ReplicaId| request.instance.is_none_or(|only| only == replica);
    let mut reading = stream::SelectAll::new();
    let mut known = BTreeSet::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some((replica, line)) = reading.next() => {
                let line = named(&request.function, replica, line);
                if sender.send(line).await.is_err() {
                    return;
                }
            }
            _ = look.tick(), if request.follow || known.is_empty() => {
                let runs = source.runs(&request.function).await;
                let new: Vec<_> = runs.difference(&known).filter(|(id, _)| is_wanted(*id)).cloned().collect();
                for (replica, _) in &new {
                    let lines = source.read(*replica, wanted).await;
                    reading.push(lines.map({ let replica = *replica; move |line| (replica, line) }).boxed());
                }
                if new.is_empty() && !request.follow {
                    return;
                }
                known.extend(new);
                // What begins later is wanted from its beginning.
                wanted.tail = None;
            }
            else => return,
        }
    }
}

fn named(function: &FunctionName, replica: ReplicaId, line: Written) -> LogLine {
    LogLine {
        name: function.name().to_owned(),
        namespace: function.namespace().to_owned(),
        instance: replica.to_string(),
        timestamp: line.time,
        text: line.text,
    }
}

/// By this node's own clock, which its lines go by, too.
fn recently() -> Timestamp {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let ms = now.saturating_sub(RECENT).as_millis();
    Timestamp::from_millis(u64::try_from(ms).unwrap_or(0))
}
