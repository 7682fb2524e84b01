//! The log as openraft wants it.
//!
//! What openraft reads is in memory: entries since the last purge are few and small. What it writes goes into memory
//! at once, so that it can be read before `append` returns, and then to the disk by the [`Writer`].

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::{
    LogState, OptionalSend, RaftLogReader, RaftTypeConfig,
    alias::{LogIdOf, VoteOf},
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogStorage},
    vote::RaftVote,
};

use super::{
    disk::Disk,
    error::StoreError,
    memory::Memory,
    record::Record,
    recover::{Cut, Recovered},
    wal::Wal,
    writer::{Done, LogNews, Writer},
};

/// What is in the log, on the disk or on its way there.
struct Contents<C: RaftTypeConfig> {
    memory: Memory<C>,
    entries: BTreeMap<u64, C::Entry>,
    /// The vote that is known to be safe; that it won, may not be yet.
    safe_vote: Option<VoteOf<C>>,
    /// The newest commit mark; that of `memory` is the newest that the disk has or gets.
    committed: Option<LogIdOf<C>>,
}

struct Shared<C: RaftTypeConfig> {
    contents: Mutex<Contents<C>>,
    writer: Writer<C>,
}

/// openraft's log store, and its readers; clones are the same log.
pub struct LogStore<C: RaftTypeConfig> {
    shared: Arc<Shared<C>>,
}

impl<C: RaftTypeConfig> Clone for LogStore<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: RaftTypeConfig> fmt::Debug for LogStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore").finish_non_exhaustive()
    }
}

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// There was no log; a new one was begun.
    pub fresh: bool,
    /// The index up to which entries were purged.
    pub purged: Option<u64>,
    /// The unfinished write that was cut off.
    pub cut: Option<Cut>,
}

impl<C: RaftTypeConfig<Entry: Clone>> LogStore<C> {
    /// Opens the log on `disk`; `tell` is called with its news, from whichever thread writes it.
    ///
    /// # Errors
    /// See [`Wal::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        tell: impl Fn(LogNews) + Send + Sync + 'static,
    ) -> Result<(Self, Opened), StoreError> {
        let (wal, recovered) = Wal::open(Arc::clone(&disk))?;
        let opened = Opened {
            fresh: recovered.fresh,
            purged: recovered.memory.purged.as_ref().map(|id| id.index),
            cut: recovered.cut,
        };
        let Recovered { memory, entries, .. } = recovered;
        let (safe_vote, committed) = (memory.vote.clone(), memory.committed.clone());
        let contents = Contents {
            memory,
            entries,
            safe_vote,
            committed,
        };
        let writer = Writer::new(wal, disk, Box::new(tell));
        Ok((
            Self {
                shared: Arc::new(Shared {
                    contents: Mutex::new(contents),
                    writer,
                }),
            },
            opened,
        ))
    }

    /// Waits until everything written so far is safe or has failed, and closes the files; later writes fail.
    pub async fn close(&self) {
        self.shared.writer.close().await;
    }

    fn contents(&self) -> MutexGuard<'_, Contents<C>> {
        // Nothing in here panics half way through a change.
        self.shared
            .contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the records that `change` answers on their way to the disk, in the order in which it changed the
    /// entries.
    fn write(
        &self,
        done: Done<C>,
        change: impl FnOnce(&mut Contents<C>) -> Vec<Record<C>>,
    ) -> io::Result<()> {
        let mut contents = self.contents();
        let records = change(&mut contents);
        records.iter().for_each(|record| contents.memory.take(record));
        self.shared.writer.submit(records, done)
    }
}

impl<C: RaftTypeConfig<Entry: Clone>> RaftLogReader<C> for LogStore<C> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<C::Entry>, io::Error> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let empty = match range {
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            _ => false,
        };
        if empty {
            return Ok(Vec::new());
        }
        Ok(self
            .contents()
            .entries
            .range(range)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<C>>, io::Error> {
        Ok(self.contents().memory.vote.clone())
    }
}

impl<C: RaftTypeConfig<Entry: Clone>> RaftLogStorage<C> for LogStore<C> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, io::Error> {
        let Memory { purged, last, .. } = self.contents().memory.clone();
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<C>) -> Result<(), io::Error> {
        let safe = self.contents().safe_vote.clone();
        if safe.as_ref() == Some(vote) {
            return Ok(());
        }
        if safe.is_some_and(|safe| safe.leader_id() == vote.leader_id() && vote.is_committed()) {
            // The promise is safe already; this only adds that it won. Raft stands still while it waits for a vote, so
            // that on a slow card every new leader would begin with a pause. Should a power cut undo it, a candidate
            // is remembered where there was a leader; what that leader sent is behind it in the same log.
            self.write(Done::Nobody, |_| vec![Record::Vote(vote.clone())])?;
            self.contents().safe_vote = Some(vote.clone());
            return Ok(());
        }
        let (done, safe) = tokio::sync::oneshot::channel();
        self.write(Done::Tell(done), |_| vec![Record::Vote(vote.clone())])?;
        safe.await
            .unwrap_or_else(|_| Err(StoreError::Stopped.into_io()))?;
        self.contents().safe_vote = Some(vote.clone());
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        // Kept for the next batch: it is worth its bytes, but neither a write nor a sync of its own. What a restart
        // finds may be behind, never ahead.
        self.contents().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<C>>, io::Error> {
        Ok(self.contents().committed.clone())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // openraft reads the entries as soon as this returns, long before they are safe; a release build of it
        // would skip silently what it cannot read.
        self.write(Done::Flushed(callback), |contents| {
            let mut records = Vec::new();
            if contents.committed != contents.memory.committed {
                records.extend(contents.committed.clone().map(Record::Committed));
            }
            for entry in entries {
                contents.entries.insert(entry.index(), entry.clone());
                records.push(Record::Entry(entry));
            }
            records
        })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        // Needs no wait: should a power cut undo it, the void entries come back, which nobody relied on; whatever
        // is appended next becomes safe together with this or after it.
        self.write(Done::Nobody, |contents| {
            let keep = last_log_id.as_ref().map_or(0, |id| id.index + 1);
            drop(contents.entries.split_off(&keep));
            vec![Record::Truncate { after: last_log_id }]
        })
    }

    async fn purge(&mut self, upto: LogIdOf<C>) -> Result<(), io::Error> {
        // Needs no wait either: what a power cut brings back is in the snapshot too.
        self.write(Done::Nobody, |contents| {
            contents.entries = contents.entries.split_off(&(upto.index + 1));
            vec![Record::Purge(upto)]
        })
    }
}
