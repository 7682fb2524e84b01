//! The door to the replicated state: [`RaftHandle::propose`] a change, [`RaftHandle::watch`] the state.
//!
//! `propose` answers when *this* controller has applied the command; a follower sends it to the leader first and
//! waits for its own copy. Clones are the same controller.

mod answering;
mod attendant;
mod config;
mod error;
mod members;
mod proposing;

use std::{collections::BTreeMap, fmt, fs::File, io, path::Path, sync::Arc};

use api::NodeId;
use openraft::{Raft, ServerState, async_runtime::WatchReceiver, error::RaftError};
use tokio::sync::{Mutex, mpsc, watch};

pub use attendant::Leadership;
pub use config::{RaftConfig, Timings};
pub use error::{CallError, InitializeError, OpenError, ProposeError};
pub use members::{Members, MembersError};

use super::{
    log::{Disk, LogNews, LogStore, RealDisk, StoreError},
    machine::MachineStore,
    network::{Network, Peers, SNAPSHOT_PATIENCE},
    types::{Machine, Member, Types},
};
use attendant::News;

/// One controller's part in the replicated state.
pub struct RaftHandle<M: Machine> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: Machine> {
    id: NodeId,
    raft: Raft<Types<M>, MachineStore<M>>,
    log: LogStore<Types<M>>,
    state: watch::Receiver<Arc<M>>,
    news: News,
    peers: Arc<dyn Peers>,
    timings: Timings,
    attendant: tokio::task::JoinHandle<()>,
    /// Keeps other processes off the directory until shut down.
    lock: Mutex<Option<File>>,
}

impl<M: Machine> Drop for Inner<M> {
    fn drop(&mut self) {
        self.attendant.abort();
    }
}

impl<M: Machine> Clone for RaftHandle<M> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<M: Machine> fmt::Debug for RaftHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftHandle")
            .field("id", &self.inner.id)
            .finish_non_exhaustive()
    }
}

/// How the log, from its own thread, reaches the attendant.
type Bell = mpsc::UnboundedSender<LogNews>;

/// The two halves of a store, open.
type Store<M> = (LogStore<Types<M>>, MachineStore<M>);

fn open_store<M: Machine>(disk: Arc<dyn Disk>, bell: Bell) -> Result<Store<M>, StoreError> {
    let (log, opened) = LogStore::open(Arc::clone(&disk), move |news| _ = bell.send(news))?;
    if let Some(cut) = &opened.cut {
        tracing::info!(
            file = cut.file,
            offset = cut.offset,
            "removed a write that a stop had cut short"
        );
    }
    let machine = MachineStore::open(disk, &opened)?;
    Ok((log, machine))
}

/// Opens the store in `dir`, which no other process may have open.
fn open_directory<M: Machine>(dir: &Path, bell: Bell) -> Result<(File, Store<M>), StoreError> {
    let name = dir.display().to_string();
    let disk = RealDisk::new(dir).map_err(StoreError::disk("create", &name))?;
    let lock = disk.lock().map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse { dir: name },
        _ => StoreError::disk("lock", "lock")(source),
    })?;
    Ok((lock, open_store(Arc::new(disk), bell)?))
}

impl<M: Machine> RaftHandle<M> {
    /// Opens this controller's store and takes part with what is in it.
    ///
    /// # Errors
    /// [`OpenError`] where the store cannot be opened, is damaged or is in use.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(config: RaftConfig, peers: Arc<dyn Peers>) -> Result<Self, OpenError> {
        let (bell, news) = mpsc::unbounded_channel();
        let dir = config.dir.display().to_string();
        let opening = tokio::task::spawn_blocking(move || open_directory(&config.dir, bell));
        let opened = opening.await.map_err(|error| OpenError::Start {
            reason: error.to_string(),
        })?;
        let (lock, store) = opened.map_err(|source| OpenError::Store { dir, source })?;
        Self::start(config.id, config.timings, store, Some(lock), news, peers).await
    }

    /// As [`RaftHandle::open`], on any disk: for simulations.
    ///
    /// # Errors
    /// As [`RaftHandle::open`].
    pub async fn open_on(
        disk: Arc<dyn Disk>,
        id: NodeId,
        timings: Timings,
        peers: Arc<dyn Peers>,
    ) -> Result<Self, OpenError> {
        let (bell, news) = mpsc::unbounded_channel();
        let store = open_store(disk, bell);
        let store = store.map_err(|source| OpenError::Store {
            dir: "a disk".to_owned(),
            source,
        })?;
        Self::start(id, timings, store, None, news, peers).await
    }

    async fn start(
        id: NodeId,
        timings: Timings,
        (log, machine): Store<M>,
        lock: Option<File>,
        log_news: mpsc::UnboundedReceiver<LogNews>,
        peers: Arc<dyn Peers>,
    ) -> Result<Self, OpenError> {
        let config = timings
            .to_openraft(SNAPSHOT_PATIENCE)
            .map_err(OpenError::Timings)?;
        let state = machine.watch();
        let network = Network {
            peers: Arc::clone(&peers),
        };
        let raft = Raft::new(id, config, network, log.clone(), machine).await;
        let raft = raft.map_err(|fatal| OpenError::Start {
            reason: fatal.to_string(),
        })?;
        let alone_and_idle = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.voter_ids().eq([id]) && metrics.state != ServerState::Leader
        };
        if alone_and_idle {
            // Nobody else can lead, so there is nobody to wait for.
            let asked = raft.trigger().elect(false).await;
            asked.map_err(|fatal| OpenError::Start {
                reason: fatal.to_string(),
            })?;
        }
        let (news, attendant) = attendant::start(raft.clone(), log_news);
        let lock = Mutex::new(lock);
        let inner = Inner {
            id,
            raft,
            log,
            state,
            news,
            peers,
            timings,
            attendant,
            lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes `members`, of which this controller is one, the first members. Does nothing where there are members
    /// already, so that it may be called at every start.
    ///
    /// # Errors
    /// [`InitializeError`] where this controller is not among them, or has stopped.
    pub async fn initialize(&self, members: impl IntoIterator<Item = NodeId>) -> Result<(), InitializeError> {
        let raft = &self.inner.raft;
        let stopped = |reason: String| InitializeError::Fatal { reason };
        if raft
            .is_initialized()
            .await
            .map_err(|fatal| stopped(fatal.to_string()))?
        {
            return Ok(());
        }
        let members: BTreeMap<_, _> = members.into_iter().map(|id| (id, Member {})).collect();
        match raft.initialize(members).await {
            // "Not allowed": another member was quicker and has sent its log by now.
            Ok(()) | Err(RaftError::APIError(openraft::error::InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(openraft::error::InitializeError::NotInMembers(_))) => {
                Err(InitializeError::NotAMember)
            }
            Err(RaftError::Fatal(fatal)) => Err(stopped(fatal.to_string())),
        }
    }

    /// The applied state, now and after every batch of commands.
    ///
    /// Take the `Arc` out (`borrow().clone()`) to look for longer than a moment: a borrow holds up applying, and
    /// what is held as `Arc` when a command is applied costs one copy of the state.
    pub fn watch(&self) -> watch::Receiver<Arc<M>> {
        self.inner.state.clone()
    }

    /// Who leads, now and whenever it changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.news.leadership.clone()
    }

    /// The node this controller runs on.
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Hands leadership to another voter, which is quicker than letting the others miss this controller. Returns
    /// when the wish is made; [`RaftHandle::leadership`] tells what became of it.
    ///
    /// # Errors
    /// [`ProposeError::Fatal`] where this controller has stopped.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), ProposeError> {
        let wish = self.inner.raft.trigger().transfer_leader(to).await;
        wish.map_err(|fatal| ProposeError::Fatal {
            reason: fatal.to_string(),
        })
    }

    /// Writes a snapshot now instead of when enough commands have come.
    ///
    /// # Errors
    /// [`ProposeError::Fatal`] where this controller has stopped.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        let wish = self.inner.raft.trigger().snapshot().await;
        wish.map_err(|fatal| ProposeError::Fatal {
            reason: fatal.to_string(),
        })
    }

    /// Returns when this controller has stopped, with the reason: its disk failed, or it was shut down. The process
    /// has to end then; starting again finds what is really on the disk.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.inner.news.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "it was shut down".to_owned(),
        }
    }

    /// Stops taking part, makes safe what was written, and lets go of the store.
    pub async fn shutdown(&self) {
        // An error here is a task that panicked; it has stopped all the same.
        _ = self.inner.raft.shutdown().await;
        self.inner.log.close().await;
        drop(self.inner.lock.lock().await.take());
    }
}
