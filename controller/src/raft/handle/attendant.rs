//! The task beside Raft: tells who leads and whether Raft still runs, asks for a snapshot when the log has grown, and
//! stops Raft when the disk failed.

use api::NodeId;
use openraft::{Raft, ServerState, async_runtime::WatchReceiver};
use tokio::sync::{mpsc, watch};

use crate::raft::{
    log::LogNews,
    machine::MachineStore,
    types::{Machine, Types},
};

/// Who leads, as far as this controller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; `None` while there is none to be seen.
    pub leader: Option<NodeId>,
    /// Whether this controller leads, and has applied what was agreed on under the leaders before: until then it
    /// would decide and answer by a state of the past.
    pub is_me: bool,
    /// The term of office: grows with every election.
    pub term: u64,
}

/// What the attendant tells.
pub(crate) struct News {
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// Why Raft stopped, once it has.
    pub(crate) stopped: watch::Receiver<Option<String>>,
}

/// Starts the task; it ends with `raft`.
pub(crate) fn start<M: Machine>(
    raft: Raft<Types<M>, MachineStore<M>>,
    mut log_news: mpsc::UnboundedReceiver<LogNews>,
) -> (News, tokio::task::JoinHandle<()>) {
    let (tell_leadership, leadership) = watch::channel(Leadership::default());
    let (tell_stopped, stopped) = watch::channel(None);
    let task = tokio::spawn(async move {
        let reason = attend(&raft, &mut log_news, &tell_leadership).await;
        tell_leadership.send_modify(|last| {
            *last = Leadership {
                term: last.term,
                ..Leadership::default()
            }
        });
        tell_stopped.send_replace(Some(reason));
    });
    (News { leadership, stopped }, task)
}

/// Answers why Raft stopped, once it has.
async fn attend<M: Machine>(
    raft: &Raft<Types<M>, MachineStore<M>>,
    log_news: &mut mpsc::UnboundedReceiver<LogNews>,
    leadership: &watch::Sender<Leadership>,
) -> String {
    let mut metrics = raft.metrics();
    // Set while a snapshot is wanted because the log has grown: the last entry of the snapshot before.
    let mut outgrown: Option<Option<u64>> = None;
    loop {
        let snapshot = {
            let metrics = metrics.borrow_watched();
            if let Err(fatal) = &metrics.running_state {
                return fatal.to_string();
            }
            let applied = metrics.last_applied.as_ref();
            let now = Leadership {
                leader: metrics.current_leader,
                // Not by id alone: while leadership is handed over, the old leader is still named.
                is_me: metrics.state == ServerState::Leader
                    && metrics.current_leader == Some(metrics.id)
                    && applied.is_some_and(|id| id.committed_leader_id().term == metrics.current_term),
                term: metrics.current_term,
            };
            leadership.send_if_modified(|last| std::mem::replace(last, now) != now);
            metrics.snapshot.as_ref().map(|id| id.index)
        };
        if let Some(before) = outgrown
            && let Some(last) = snapshot
            && snapshot > before
        {
            // Not only down to the few hundred entries that usually stay: these are large ones.
            _ = raft.trigger().purge_log(last).await;
            outgrown = None;
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                return "it was shut down".to_owned();
            },
            Some(news) = log_news.recv() => match news {
                LogNews::Grown => {
                    outgrown = Some(snapshot);
                    // Where Raft has stopped, the metrics say so next.
                    _ = raft.trigger().snapshot().await;
                }
                LogNews::Failed { reason } => {
                    // Raft is told of entries and votes only; this may have been neither.
                    _ = raft.shutdown().await;
                    return reason;
                }
            },
        }
    }
}
