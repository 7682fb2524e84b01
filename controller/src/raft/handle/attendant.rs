//! The task beside Raft: tells who leads and whether Raft still runs, and asks for a snapshot when the log has grown.

use std::sync::Arc;

use api::NodeId;
use openraft::{Raft, ServerState, async_runtime::WatchReceiver};
use tokio::sync::{Notify, watch};

use crate::raft::{
    machine::MachineStore,
    types::{Machine, Types},
};

/// Who leads, as far as this controller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; `None` while there is none to be seen.
    pub leader: Option<NodeId>,
    /// Whether this controller leads.
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
    grown: Arc<Notify>,
) -> (News, tokio::task::JoinHandle<()>) {
    let (tell_leadership, leadership) = watch::channel(Leadership::default());
    let (tell_stopped, stopped) = watch::channel(None);
    let mut metrics = raft.metrics();
    let task = tokio::spawn(async move {
        loop {
            let (now, end) = {
                let metrics = metrics.borrow_watched();
                let leadership = Leadership {
                    leader: metrics.current_leader,
                    // Not by id alone: while leadership is handed over, the old leader is still named.
                    is_me: metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id),
                    term: metrics.current_term,
                };
                (leadership, metrics.running_state.as_ref().err().map(ToString::to_string))
            };
            if let Some(reason) = end {
                tell_leadership.send_replace(Leadership { term: now.term, ..Leadership::default() });
                tell_stopped.send_replace(Some(reason));
                return;
            }
            tell_leadership.send_if_modified(|last| std::mem::replace(last, now) != now);
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() {
                    tell_leadership.send_replace(Leadership { term: now.term, ..Leadership::default() });
                    tell_stopped.send_replace(Some("it was shut down".to_owned()));
                    return;
                },
                // Where Raft has stopped, the metrics say so next.
                () = grown.notified() => { _ = raft.trigger().snapshot().await; }
            }
        }
    });
    (News { leadership, stopped }, task)
}
