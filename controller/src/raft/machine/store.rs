//! The machine as openraft wants it.
//!
//! The state lives in one place, the `watch` channel that publishes it. Applying changes it there, in place: readers
//! hold an `Arc` of it only while they look, and only if one does at that moment is the state copied first
//! (`Arc::make_mut`). A batch of commands is published once, and its proposers are answered after that.

use std::{fmt, io, sync::Arc};

use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, StoredMembership,
    alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
    storage::{EntryResponder, RaftStateMachine},
};
use tokio::sync::watch;

use super::snapshots::{Snapshots, Stored};
use crate::raft::{
    log::{Disk, Opened, StoreError},
    types::{Answer, Machine, MemberId, Types},
};

/// Entries applied between two publications at most, so that readers are not kept out for long.
const APPLY_AT_ONCE: usize = 256;

/// The applied state, and its snapshots.
pub struct MachineStore<M: Machine, N: MemberId = api::NodeId> {
    state: watch::Sender<Arc<M>>,
    applied: Option<LogIdOf<Types<M, N>>>,
    members: StoredMembershipOf<Types<M, N>>,
    snapshots: Arc<Snapshots>,
}

impl<M: Machine, N: MemberId> fmt::Debug for MachineStore<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineStore")
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

impl<M: Machine, N: MemberId> MachineStore<M, N> {
    /// Restores the newest snapshot on `disk`, or begins with the default state. `log` is what opening the log told:
    /// the snapshot has to hold at least what the log no longer does.
    ///
    /// # Errors
    /// [`StoreError`] where the disk refuses, or snapshot and log do not fit together.
    pub fn open(disk: Arc<dyn Disk>, log: &Opened) -> Result<Self, StoreError> {
        let (snapshots, stored) = Snapshots::open::<M, N>(disk, log.purged.map_or(0, |index| index + 1))?;
        if stored.is_some() && log.fresh {
            // Its votes are gone with it: going on could vote twice in one term.
            return Err(StoreError::Missing {
                file: "log-*".to_owned(),
            });
        }
        let (state, meta) = stored.map_or_else(Default::default, |Stored { meta, state }| (state, meta));
        let SnapshotMetaOf::<Types<M, N>> {
            last_log_id,
            last_membership,
        } = meta;
        Ok(Self {
            state: watch::Sender::new(Arc::new(state)),
            applied: last_log_id,
            members: last_membership,
            snapshots: Arc::new(snapshots),
        })
    }

    /// The applied state, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<M>> {
        self.state.subscribe()
    }

    fn meta(&self) -> SnapshotMetaOf<Types<M, N>> {
        SnapshotMetaOf::<Types<M, N>> {
            last_log_id: self.applied,
            last_membership: self.members.clone(),
        }
    }

    /// Applies entries that are all at hand, publishes the state, and answers the proposers.
    fn apply_batch(&mut self, batch: Vec<EntryResponder<Types<M, N>>>) {
        let Self {
            state,
            applied,
            members,
            ..
        } = self;
        let mut answers = Vec::with_capacity(batch.len());
        state.send_if_modified(|state| {
            let mut changed = false;
            for (entry, proposer) in batch {
                *applied = Some(entry.log_id);
                let outcome = match entry.payload {
                    EntryPayload::Blank => None,
                    EntryPayload::Normal(command) => {
                        changed = true;
                        Some(Arc::make_mut(state).apply(command.0))
                    }
                    EntryPayload::Membership(membership) => {
                        *members = StoredMembership::new(*applied, membership);
                        None
                    }
                };
                answers.extend(proposer.map(|proposer| (proposer, Answer(outcome))));
            }
            changed
        });
        for (proposer, answer) in answers {
            proposer.send(answer);
        }
    }
}

/// Does `work` with the snapshots, on a thread of its own where the disk may stall.
async fn on_disk<T: Send + 'static>(
    snapshots: &Arc<Snapshots>,
    work: impl FnOnce(&Snapshots) -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    let result = if snapshots.stall() {
        let snapshots = Arc::clone(snapshots);
        tokio::task::spawn_blocking(move || work(&snapshots))
            .await
            .map_err(io::Error::other)?
    } else {
        work(snapshots)
    };
    result.map_err(StoreError::into_io)
}

impl<M: Machine, N: MemberId> RaftStateMachine<Types<M, N>> for MachineStore<M, N> {
    /// The state itself: what cannot be read is refused before it gets here.
    type SnapshotData = Arc<M>;
    type SnapshotBuilder = SnapshotWriter<M, N>;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types<M, N>>>, StoredMembershipOf<Types<M, N>>), io::Error> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types<M, N>>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_AT_ONCE);
        while let Some(batch) = batches.next().await {
            self.apply_batch(batch.into_iter().collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let state = self.state.borrow().clone();
        SnapshotWriter {
            meta: self.meta(),
            state,
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types<M, N>>,
        snapshot: Self::SnapshotData,
    ) -> Result<(), io::Error> {
        let (stored, state) = (meta.clone(), Arc::clone(&snapshot));
        on_disk(&self.snapshots, move |snapshots| {
            snapshots.save::<M, N>(&stored, &state)
        })
        .await?;
        self.applied = meta.last_log_id;
        self.members = meta.last_membership.clone();
        self.state.send_replace(snapshot);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types<M, N>, Self::SnapshotData>>, io::Error> {
        // Read when needed and not kept: a second copy of the state would be the larger cost.
        let stored = on_disk(&self.snapshots, Snapshots::load::<M, N>).await?;
        Ok(stored.map(|Stored { meta, state }| SnapshotOf::<Types<M, N>, _> {
            meta,
            snapshot: Arc::new(state),
        }))
    }
}

/// The state at one moment, to be written as a snapshot while the machine goes on.
pub struct SnapshotWriter<M: Machine, N: MemberId = api::NodeId> {
    meta: SnapshotMetaOf<Types<M, N>>,
    state: Arc<M>,
    snapshots: Arc<Snapshots>,
}

impl<M: Machine, N: MemberId> fmt::Debug for SnapshotWriter<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl<M: Machine, N: MemberId> RaftSnapshotBuilder<Types<M, N>> for SnapshotWriter<M, N> {
    type SnapshotData = Arc<M>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types<M, N>, Arc<M>>, io::Error> {
        let (meta, state) = (self.meta.clone(), Arc::clone(&self.state));
        on_disk(&self.snapshots, move |snapshots| {
            snapshots.save::<M, N>(&meta, &state)
        })
        .await?;
        Ok(SnapshotOf::<Types<M, N>, _> {
            meta: self.meta.clone(),
            snapshot: Arc::clone(&self.state),
        })
    }
}
