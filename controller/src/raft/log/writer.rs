//! Who writes the log: one thread of its own, so that a card that stalls holds up nobody else.
//!
//! Group commit: what arrives while a sync is running goes into the next batch together, with one sync.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use openraft::{RaftTypeConfig, storage::IOFlushed};
use tokio::sync::oneshot;

use super::{error::StoreError, record::Record, wal::Wal};

/// Bytes of log after which a snapshot is worth writing, however few commands they are: bounds the store, and what
/// a restart reads.
const GROWTH_BYTES: u64 = 1024 * 1024;

/// What those who keep the log want to know beside who waits for which record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogNews {
    /// The log has become long enough for a snapshot to be worth its bytes; said once between two purges.
    Grown,
    /// The disk refused. The log takes no more, and the process has to end.
    Failed {
        /// What the disk said.
        reason: String,
    },
}

/// Who wants to know that records are safe.
pub(crate) enum Done<C: RaftTypeConfig> {
    /// Nobody.
    Nobody,
    /// openraft, of entries.
    Flushed(IOFlushed<C>),
    /// Somebody who waits.
    Tell(oneshot::Sender<io::Result<()>>),
}

impl<C: RaftTypeConfig> Done<C> {
    fn call(self, result: io::Result<()>) {
        match self {
            Self::Nobody => {}
            Self::Flushed(callback) => callback.io_completed(result),
            // Where nobody waits any more, nobody is to be told.
            Self::Tell(waiting) => _ = waiting.send(result),
        }
    }
}

enum Job<C: RaftTypeConfig> {
    Write(Vec<Record<C>>, Done<C>),
    Close(oneshot::Sender<()>),
}

/// The log, and what it does besides being written.
struct Pen<C: RaftTypeConfig> {
    wal: Wal<C>,
    tell: Box<dyn Fn(LogNews) + Send + Sync>,
    told_of_growth: bool,
}

impl<C: RaftTypeConfig> Pen<C> {
    fn write(&mut self, records: Vec<Record<C>>) -> Result<(), String> {
        // As text, because several may want to know.
        if let Err(reason) = self
            .wal
            .write(records)
            .map_err(|error| error.into_io().to_string())
        {
            (self.tell)(LogNews::Failed {
                reason: reason.clone(),
            });
            return Err(reason);
        }
        let grown = self.wal.bytes_since_purge() >= GROWTH_BYTES;
        if grown && !self.told_of_growth {
            (self.tell)(LogNews::Grown);
        }
        self.told_of_growth = grown;
        Ok(())
    }
}

/// Takes records in order and makes them safe in that order.
pub(crate) struct Writer<C: RaftTypeConfig> {
    way: Way<C>,
}

enum Way<C: RaftTypeConfig> {
    /// To the thread that has the pen.
    Thread(Sender<Job<C>>),
    /// At once, in the caller: for disks that never stall. `None` once closed.
    Here(Mutex<Option<Pen<C>>>),
}

impl<C: RaftTypeConfig> fmt::Debug for Writer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> Writer<C> {
    pub(crate) fn new(wal: Wal<C>, stalls: bool, tell: Box<dyn Fn(LogNews) + Send + Sync>) -> Self {
        let pen = Pen {
            wal,
            tell,
            told_of_growth: false,
        };
        if !stalls {
            return Self {
                way: Way::Here(Mutex::new(Some(pen))),
            };
        }
        let (jobs, queue) = channel();
        thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || run(pen, &queue))
            .expect("a controller that cannot start a thread cannot run");
        Self {
            way: Way::Thread(jobs),
        }
    }

    /// Puts `records` behind those before. An error says that the log is closed; what goes wrong later, `done` is
    /// told.
    pub(crate) fn submit(&self, records: Vec<Record<C>>, done: Done<C>) -> io::Result<()> {
        let stopped = || StoreError::Stopped.into_io();
        match &self.way {
            Way::Thread(jobs) => jobs.send(Job::Write(records, done)).map_err(|_| stopped()),
            Way::Here(pen) => {
                let mut pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
                let result = pen.as_mut().ok_or_else(stopped)?.write(records);
                done.call(result.map_err(io::Error::other));
                Ok(())
            }
        }
    }

    /// Waits for what was put before, then closes the log.
    pub(crate) async fn close(&self) {
        match &self.way {
            Way::Thread(jobs) => {
                let (closed, wait) = oneshot::channel();
                if jobs.send(Job::Close(closed)).is_ok() {
                    // Where the thread has ended already, the log is closed too.
                    _ = wait.await;
                }
            }
            Way::Here(pen) => *pen.lock().unwrap_or_else(PoisonError::into_inner) = None,
        }
    }
}

/// The thread's life: until it is told to close, or nobody is left who could tell it anything.
fn run<C: RaftTypeConfig>(mut pen: Pen<C>, queue: &Receiver<Job<C>>) {
    let mut close = None;
    while close.is_none() {
        let Ok(first) = queue.recv() else { return };
        let (mut records, mut waiting) = (Vec::new(), Vec::new());
        for job in std::iter::once(first).chain(queue.try_iter()) {
            match job {
                Job::Write(more, done) => {
                    records.extend(more);
                    waiting.push(done);
                }
                Job::Close(closed) => {
                    close = Some(closed);
                    break;
                }
            }
        }
        let result = if records.is_empty() {
            Ok(())
        } else {
            pen.write(records)
        };
        for done in waiting {
            done.call(result.clone().map_err(io::Error::other));
        }
    }
    drop(pen);
    if let Some(closed) = close {
        _ = closed.send(());
    }
}
