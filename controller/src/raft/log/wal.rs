//! The log on the disk: segments that are only ever appended to.
//!
//! ```text
//!   log-0000000000000007     [Begin …] [batch] [batch] … closed: everything in it is safe
//!   log-0000000000000008     [Begin …] [batch] [batch] 0 0 0 0 0 0 …
//!                                                      ^ next batch: one write, one sync
//! ```
//!
//! A batch is one frame and is safe as a whole or not at all; the next one is begun only when it is. Files grow by
//! [`GROW_BYTES`] of written zeros at a time, so that a batch overwrites blocks that the file system has already
//! given to the file and its sync needs no journal write. Purging removes whole segments and rewrites nothing.
//!
//! Synchronous, and knows neither tokio nor the machine. Reading back what was written is [`super::recover`];
//! giving it to openraft is [`super::store`].

use std::{collections::VecDeque, fmt, sync::Arc};

use openraft::{RaftTypeConfig, entry::RaftEntry};

use super::{
    disk::{Disk, DiskFile},
    error::StoreError,
    frame,
    memory::Memory,
    record::{Batch, Record},
    recover::{self, Recovered},
};

/// A segment that has reached this size is followed by a new one. Small, because what a purge frees is whole
/// segments; large against [`GROW_BYTES`].
pub(crate) const SEGMENT_BYTES: u64 = 512 * 1024;

/// How far a segment grows at once. Every step costs one journal write and writes these bytes twice (once as zeros);
/// at some 300 bytes per command that is one journal write in 400 commands.
const GROW_BYTES: u64 = 128 * 1024;

/// A page of the kernel's cache, all zeros.
const PAGE: [u8; 4096] = [0; 4096];

/// The name of segment `number`; names sort as the numbers do.
pub(crate) fn segment_name(number: u64) -> String {
    format!("log-{number:016x}")
}

/// The number in a segment's name; `None` for other files.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// A segment on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The greatest index of an entry in it.
    pub(crate) greatest: Option<u64>,
}

/// The log on a disk, open for writing. One owner.
pub struct Wal<C: RaftTypeConfig> {
    disk: Arc<dyn Disk>,
    /// All segments; the last is the one that is written to.
    segments: VecDeque<Segment>,
    file: Box<dyn DiskFile>,
    /// Where the next frame goes.
    offset: u64,
    /// The file's length; zeros from `offset` on.
    length: u64,
    memory: Memory<C>,
    bytes_since_purge: u64,
    /// A write or sync failed, so that what is on the disk is not known.
    failed: bool,
}

impl<C: RaftTypeConfig> fmt::Debug for Wal<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("segments", &self.segments)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> Wal<C> {
    /// Opens the log on `disk`, begins one where there is none, and tells what is in it. A last write that was cut
    /// short is removed; otherwise opening writes nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the disk refuses or what was safe is damaged or gone.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Recovered<C>), StoreError> {
        let Some((end, recovered)) = recover::read(&*disk)? else {
            return Ok((Self::begin(disk)?, Recovered::nothing()));
        };
        let number = end.segments.back().expect("recovery found a segment").number;
        let name = segment_name(number);
        let file = disk.open(&name).map_err(StoreError::disk("open", &name))?;
        let wal = Self {
            disk,
            segments: end.segments,
            file,
            offset: end.offset,
            length: end.length,
            memory: recovered.memory.clone(),
            bytes_since_purge: end.bytes_since_purge,
            failed: false,
        };
        Ok((wal, recovered))
    }

    /// The first segment of a new log.
    fn begin(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let first = Segment {
            number: 1,
            greatest: None,
        };
        let name = segment_name(first.number);
        let file = disk.create(&name).map_err(StoreError::disk("create", &name))?;
        let mut wal = Self {
            disk,
            segments: VecDeque::from([first]),
            file,
            offset: 0,
            length: 0,
            memory: Memory::default(),
            bytes_since_purge: 0,
            failed: false,
        };
        wal.write_frame(&Batch(vec![wal.memory.begin()]))?;
        wal.disk
            .sync_names()
            .map_err(StoreError::disk("sync the directory of", &name))?;
        Ok(wal)
    }

    /// Makes `records` safe, with one sync. When this returns, all of them will be there after a power cut; when it
    /// fails, all or none may be, and the log takes no more.
    ///
    /// # Errors
    /// [`StoreError::Disk`] where the disk refuses, [`StoreError::Stopped`] where it refused before.
    pub fn write(&mut self, records: Vec<Record<C>>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        let written = self.try_write(records);
        self.failed = written.is_err();
        written
    }

    fn try_write(&mut self, mut records: Vec<Record<C>>) -> Result<(), StoreError> {
        let rolled = self.offset >= SEGMENT_BYTES;
        if rolled {
            self.next_segment()?;
            records.insert(0, self.memory.begin());
        }
        let batch = Batch(records);
        self.write_frame(&batch)?;
        if rolled {
            // Nobody may rely on a file whose name a power cut could take away.
            let name = segment_name(self.current().number);
            self.disk
                .sync_names()
                .map_err(StoreError::disk("sync the directory of", &name))?;
        }
        let mut purged = false;
        for record in &batch.0 {
            if let Record::Entry(entry) = record {
                let segment = self
                    .segments
                    .back_mut()
                    .expect("there is always a current segment");
                segment.greatest = segment.greatest.max(Some(entry.index()));
            }
            purged |= matches!(record, Record::Purge(_));
            self.memory.take(record);
        }
        if purged { self.drop_purged() } else { Ok(()) }
    }

    /// Creates the next segment and makes it the current one.
    fn next_segment(&mut self) -> Result<(), StoreError> {
        let number = self.current().number + 1;
        let name = segment_name(number);
        self.file = self
            .disk
            .create(&name)
            .map_err(StoreError::disk("create", &name))?;
        self.segments.push_back(Segment {
            number,
            greatest: None,
        });
        (self.offset, self.length) = (0, 0);
        Ok(())
    }

    fn write_frame(&mut self, batch: &Batch<C>) -> Result<(), StoreError> {
        let frame = frame::encode(batch);
        let name = segment_name(self.current().number);
        let end = self.offset + frame.len() as u64;
        if end > self.length {
            let grown = end.next_multiple_of(GROW_BYTES);
            // A page at a time: a kernel that keeps what was written at once together as one large page counts, at
            // every later commit, all of it as written.
            while self.length < grown {
                let piece = (grown - self.length).min(PAGE.len() as u64 - self.length % PAGE.len() as u64);
                let zeros = &PAGE[..usize::try_from(piece).expect("at most a page")];
                self.file
                    .write_at(self.length, zeros)
                    .map_err(StoreError::disk("grow", &name))?;
                self.length += piece;
            }
        }
        self.file
            .write_at(self.offset, &frame)
            .map_err(StoreError::disk("write", &name))?;
        self.file.sync().map_err(StoreError::disk("sync", &name))?;
        self.offset = end;
        self.bytes_since_purge += frame.len() as u64;
        Ok(())
    }

    /// Removes the segments at the front whose entries are all purged. What else is in them, a later segment's
    /// `Begin` repeats.
    fn drop_purged(&mut self) -> Result<(), StoreError> {
        self.bytes_since_purge = 0;
        let purged = self.memory.purged.as_ref().map(|id| id.index);
        let mut removed = false;
        while self.segments.len() > 1 && self.segments[0].greatest <= purged {
            let name = segment_name(self.segments[0].number);
            self.disk
                .remove(&name)
                .map_err(StoreError::disk("remove", &name))?;
            self.segments.pop_front();
            removed = true;
        }
        if removed {
            self.disk
                .sync_names()
                .map_err(StoreError::disk("sync the directory of", "log"))?;
        }
        Ok(())
    }

    fn current(&self) -> Segment {
        *self.segments.back().expect("there is always a current segment")
    }

    /// Bytes written since entries were last purged: what a restart has to read again.
    pub fn bytes_since_purge(&self) -> u64 {
        self.bytes_since_purge
    }
}
