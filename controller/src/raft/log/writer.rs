//! Who writes the log: one thread of its own, so that a card that stalls holds up nobody else.
//!
//! Group commit: what arrives while a sync is running goes into the next batch together, with one sync.

use std::{
    fmt, io, iter,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use openraft::{RaftTypeConfig, storage::IOFlushed};
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    time::sleep,
};

use super::{disk::Disk, error::StoreError, record::Record, wal::Wal};

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

/// What was waiting when the sync before had ended: one batch.
struct Round<C: RaftTypeConfig> {
    records: Vec<Record<C>>,
    waiting: Vec<Done<C>>,
    close: Option<oneshot::Sender<()>>,
}

impl<C: RaftTypeConfig> Round<C> {
    fn gather(jobs: impl Iterator<Item = Job<C>>) -> Self {
        let mut round = Self {
            records: Vec::new(),
            waiting: Vec::new(),
            close: None,
        };
        for job in jobs {
            match job {
                Job::Write(records, done) => {
                    round.records.extend(records);
                    round.waiting.push(done);
                }
                Job::Close(closed) => {
                    round.close = Some(closed);
                    break;
                }
            }
        }
        round
    }

    /// Writes it, tells who waits, and answers who waits for the log to be closed.
    fn write(self, pen: &mut Pen<C>) -> Option<oneshot::Sender<()>> {
        let result = match self.records.is_empty() {
            true => Ok(()),
            false => pen.write(self.records),
        };
        for done in self.waiting {
            done.call(result.clone().map_err(io::Error::other));
        }
        self.close
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
    /// To a task that has the pen and lets every batch take its time by tokio's clock: for simulated slow disks.
    Task(UnboundedSender<Job<C>>),
}

impl<C: RaftTypeConfig> fmt::Debug for Writer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> Writer<C> {
    pub(crate) fn new(wal: Wal<C>, disk: Arc<dyn Disk>, tell: Box<dyn Fn(LogNews) + Send + Sync>) -> Self {
        let pen = Pen {
            wal,
            tell,
            told_of_growth: false,
        };
        if disk.simulated_delay().is_some() {
            let (jobs, queue) = mpsc::unbounded_channel();
            tokio::spawn(simulate(pen, queue, disk));
            return Self { way: Way::Task(jobs) };
        }
        if !disk.stalls() {
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
            Way::Task(jobs) => jobs.send(Job::Write(records, done)).map_err(|_| stopped()),
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
        let (closed, wait) = oneshot::channel();
        let asked = match &self.way {
            Way::Thread(jobs) => jobs.send(Job::Close(closed)).is_ok(),
            Way::Task(jobs) => jobs.send(Job::Close(closed)).is_ok(),
            Way::Here(pen) => {
                *pen.lock().unwrap_or_else(PoisonError::into_inner) = None;
                false
            }
        };
        if asked {
            // Where the thread has ended already, the log is closed too.
            _ = wait.await;
        }
    }
}

/// The thread's life: until it is told to close, or nobody is left who could tell it anything.
fn run<C: RaftTypeConfig>(mut pen: Pen<C>, queue: &Receiver<Job<C>>) {
    while let Ok(first) = queue.recv() {
        let round = Round::gather(iter::once(first).chain(queue.try_iter()));
        if let Some(closed) = round.write(&mut pen) {
            drop(pen);
            _ = closed.send(());
            return;
        }
    }
}

/// The same in a simulation, where a batch is begun as on a real disk and is safe when its time has passed.
async fn simulate<C: RaftTypeConfig>(
    mut pen: Pen<C>,
    mut queue: UnboundedReceiver<Job<C>>,
    disk: Arc<dyn Disk>,
) {
    while let Some(first) = queue.recv().await {
        let rest = iter::from_fn(|| queue.try_recv().ok());
        let round = Round::gather(iter::once(first).chain(rest));
        if !round.records.is_empty() {
            sleep(disk.simulated_delay().unwrap_or_default()).await;
        }
        if let Some(closed) = round.write(&mut pen) {
            drop(pen);
            _ = closed.send(());
            return;
        }
    }
}
