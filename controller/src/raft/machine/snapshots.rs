//! Snapshots as files: `snapshot-<index of the next entry>`, a frame with the header and one with the state.
//!
//! A snapshot is written under another name, synced, renamed, and its name synced; only then do older ones go, and
//! only after that does the log drop what the snapshot holds. So there is a whole snapshot at every moment.
//!
//! Synchronous, like the disk.

use std::sync::{Arc, Mutex, PoisonError};

use api::versioned::{self, Versioned};
use openraft::{RaftTypeConfig, alias::SnapshotMetaOf};
use serde::{Deserialize, Serialize};

use crate::raft::{
    log::{
        Disk, StoreError,
        frame::{self, Found},
    },
    types::{Machine, MemberId, Types},
};

/// The name of a snapshot that is not finished.
const UNFINISHED: &str = "snapshot.unfinished";

/// What a snapshot file begins with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SnapshotHeader<C: RaftTypeConfig> {
    /// The last entry that is in the state, and the members by then.
    pub meta: SnapshotMetaOf<C>,
}

impl<C: RaftTypeConfig> Versioned for SnapshotHeader<C> {
    const NAME: &'static str = "snapshot header";
    const VERSION: u32 = 1;
}

/// A snapshot read back.
pub(crate) struct Stored<M: Machine, N: MemberId> {
    pub(crate) meta: SnapshotMetaOf<Types<M, N>>,
    pub(crate) state: M,
}

/// The index of the first entry that is not in the snapshot.
fn next_index<C: RaftTypeConfig>(meta: &SnapshotMetaOf<C>) -> u64 {
    meta.last_log_id.as_ref().map_or(0, |id| id.index + 1)
}

fn file_name(next_index: u64) -> String {
    format!("snapshot-{next_index:016x}")
}

fn next_index_in(name: &str) -> Option<u64> {
    let digits = name
        .strip_prefix("snapshot-")
        .filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The snapshots on a disk.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    /// One is written at a time: an own one may be under way while the leader sends another.
    saving: Mutex<()>,
}

impl Snapshots {
    /// Finds the newest whole snapshot on `disk` and removes what a stop or a dying card left of others. `needed` is
    /// the index of the first entry that the log still has: a snapshot that ends before it is of no use.
    ///
    /// # Errors
    /// [`StoreError`] where the disk refuses, or where a snapshot is needed and there is none, or none whole.
    pub(crate) fn open<M: Machine, N: MemberId>(
        disk: Arc<dyn Disk>,
        needed: u64,
    ) -> Result<(Self, Option<Stored<M, N>>), StoreError> {
        let snapshots = Self {
            disk,
            saving: Mutex::new(()),
        };
        let found = snapshots.load_from(needed)?;
        let kept = found
            .as_ref()
            .map_or(0, |stored| next_index::<Types<M, N>>(&stored.meta));
        snapshots.remove_unfinished()?;
        for damaged in snapshots.list()?.into_iter().filter(|next| *next > kept) {
            tracing::warn!(
                file = file_name(damaged),
                "a damaged snapshot is removed; an older one and the log do"
            );
            snapshots.remove(&file_name(damaged))?;
        }
        Ok((snapshots, found))
    }

    /// Whether calls may take long; see [`Disk::stalls`].
    pub(crate) fn stall(&self) -> bool {
        self.disk.stalls()
    }

    /// Makes `state` safe as the one snapshot, unless there is a newer one.
    pub(crate) fn save<M: Machine, N: MemberId>(
        &self,
        meta: &SnapshotMetaOf<Types<M, N>>,
        state: &M,
    ) -> Result<(), StoreError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next_index::<Types<M, N>>(meta);
        if self.list()?.first() > Some(&next) {
            return Ok(());
        }
        self.remove_unfinished()?;
        let header = frame::encode(&SnapshotHeader::<Types<M, N>> { meta: meta.clone() });
        let body = frame::encode(state);
        let mut file = self
            .disk
            .create(UNFINISHED)
            .map_err(StoreError::disk("create", UNFINISHED))?;
        file.write_at(0, &header)
            .map_err(StoreError::disk("write", UNFINISHED))?;
        file.write_at(header.len() as u64, &body)
            .map_err(StoreError::disk("write", UNFINISHED))?;
        file.sync().map_err(StoreError::disk("sync", UNFINISHED))?;
        drop(file);
        let name = file_name(next);
        self.disk
            .rename(UNFINISHED, &name)
            .map_err(StoreError::disk("rename", &name))?;
        self.disk
            .sync_names()
            .map_err(StoreError::disk("sync the directory of", &name))?;
        let older = self.list()?.into_iter().filter(|other| *other < next);
        older.map(file_name).try_for_each(|name| self.remove(&name))
    }

    /// Reads the newest snapshot; `None` where there is none.
    pub(crate) fn load<M: Machine, N: MemberId>(&self) -> Result<Option<Stored<M, N>>, StoreError> {
        self.load_from(0)
    }

    fn load_from<M: Machine, N: MemberId>(&self, needed: u64) -> Result<Option<Stored<M, N>>, StoreError> {
        let mut refused = None;
        for next in self.list()?.into_iter().filter(|next| *next >= needed) {
            let name = file_name(next);
            let content = self.disk.read(&name).map_err(StoreError::disk("read", &name))?;
            match read(&name, &content) {
                Ok(stored) => return Ok(Some(stored)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) => Err(error),
            None if needed > 0 => Err(StoreError::Missing {
                file: file_name(needed),
            }),
            None => Ok(None),
        }
    }

    /// The snapshots by the index of the next entry, newest first.
    fn list(&self) -> Result<Vec<u64>, StoreError> {
        let names = self.disk.list().map_err(StoreError::disk("list", "snapshots"))?;
        let mut found: Vec<u64> = names.iter().filter_map(|name| next_index_in(name)).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.disk.remove(name).map_err(StoreError::disk("remove", name))
    }

    /// Removes what a stop in the middle of [`Snapshots::save`] left.
    fn remove_unfinished(&self) -> Result<(), StoreError> {
        let names = self.disk.list().map_err(StoreError::disk("list", "snapshots"))?;
        if names.iter().any(|name| name == UNFINISHED) {
            self.remove(UNFINISHED)
        } else {
            Ok(())
        }
    }
}

fn read<M: Machine, N: MemberId>(name: &str, content: &[u8]) -> Result<Stored<M, N>, StoreError> {
    let mut frames = Frames { name, content, at: 0 };
    let SnapshotHeader { meta } = frames.next::<SnapshotHeader<Types<M, N>>>()?;
    let state = frames.next::<M>()?;
    Ok(Stored { meta, state })
}

struct Frames<'a> {
    name: &'a str,
    content: &'a [u8],
    at: usize,
}

impl Frames<'_> {
    fn next<T: Versioned>(&mut self) -> Result<T, StoreError> {
        let (file, offset) = (self.name.to_owned(), self.at);
        let Found::Frame { payload, next } = frame::look(self.content, self.at) else {
            return Err(StoreError::Damaged { file, offset });
        };
        self.at = next;
        versioned::decode(payload).map_err(|source| StoreError::Unreadable { file, offset, source })
    }
}
