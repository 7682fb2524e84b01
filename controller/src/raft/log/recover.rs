//! Reading the log back after a stop, planned or not.
//!
//! A power cut can spoil the last frame only (see [`super::frame`]), and a file that it has spoiled altogether was
//! only just created. Those are cut off: nobody was told that they are safe. Everything else that does not fit
//! together was safe once, and is an error that names the place.

use std::collections::{BTreeMap, VecDeque};

use api::versioned;
use openraft::{RaftTypeConfig, entry::RaftEntry};

use super::{
    disk::Disk,
    error::StoreError,
    frame::{self, Found},
    memory::Memory,
    record::{Batch, Begin, Record},
    wal::{Segment, segment_name, segment_number},
};

/// What the log held when it was opened.
pub struct Recovered<C: RaftTypeConfig> {
    /// All but the entries; `committed` is never beyond `last`.
    pub memory: Memory<C>,
    /// The entries that were not purged, by index, without a gap.
    pub entries: BTreeMap<u64, C::Entry>,
    /// The unfinished write that was cut off.
    pub cut: Option<Cut>,
    /// Whether there was no log, and a new one was begun.
    pub fresh: bool,
}

impl<C: RaftTypeConfig> Recovered<C> {
    pub(crate) fn nothing() -> Self {
        Self {
            memory: Memory::default(),
            entries: BTreeMap::new(),
            cut: None,
            fresh: true,
        }
    }
}

impl<C: RaftTypeConfig> std::fmt::Debug for Recovered<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovered")
            .field("memory", &self.memory)
            .field("entries", &self.entries.len())
            .field("cut", &self.cut)
            .field("fresh", &self.fresh)
            .finish()
    }
}

/// A write that was not finished, so that nobody was told it is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In which file.
    pub file: String,
    /// From which byte on.
    pub offset: usize,
}

/// Where the log ends on the disk.
pub(crate) struct End {
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) bytes_since_purge: u64,
}

/// Reads all segments; `None` where there are none.
pub(crate) fn read<C: RaftTypeConfig>(disk: &dyn Disk) -> Result<Option<(End, Recovered<C>)>, StoreError> {
    let names = disk.list().map_err(StoreError::disk("list", "log"))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    // A purge removes from the front, and a power cut may undo some of its removals and not others. What is left
    // below a gap is of no use; whether it should be gone is checked by what is above.
    let run = numbers
        .iter()
        .rev()
        .zip((0..=numbers.last().copied().unwrap_or(0)).rev());
    let unbroken = run.take_while(|(number, expected)| **number == *expected).count();
    let remains = numbers.drain(..numbers.len() - unbroken).collect::<Vec<_>>();

    let Some(&newest) = numbers.last() else {
        return Ok(None);
    };
    let mut replay = Replay::<C>::default();
    let mut segments = VecDeque::new();
    let (mut offset, mut length, mut cut) = (0, 0, None);
    let place = |offset: u64| usize::try_from(offset).expect("the file was in memory");
    for number in numbers {
        let name = segment_name(number);
        let content = disk.read(&name).map_err(StoreError::disk("read", &name))?;
        replay.greatest = None;
        let mut at = 0;
        let torn = loop {
            match frame::look(&content, at) {
                Found::Frame { payload, next } => {
                    let unreadable = |source| StoreError::Unreadable {
                        file: name.clone(),
                        offset: at,
                        source,
                    };
                    let batch: Batch<C> = versioned::decode(payload).map_err(unreadable)?;
                    replay
                        .batch(batch, at == 0)
                        .map_err(|Broken| match segments.back() {
                            // A segment begins with what the one before ended with: that one has lost its end.
                            Some(Segment { number, .. }) if at == 0 => StoreError::Damaged {
                                file: segment_name(*number),
                                offset: place(offset),
                            },
                            _ => StoreError::Damaged {
                                file: name.clone(),
                                offset: at,
                            },
                        })?;
                    replay.bytes_since_purge += (next - at) as u64;
                    at = next;
                }
                // Every segment has at least its first frame, once it is safe.
                Found::End => break at == 0,
                Found::Torn => break true,
                Found::Damaged => {
                    return Err(StoreError::Damaged {
                        file: name,
                        offset: at,
                    });
                }
            }
        };
        if torn {
            // Only the newest segment can have been written to when the power went; and where all of it is bad,
            // it must be one that nobody relied on yet: the very first, or one whose predecessor is still there.
            let new = at > 0 || number == 1 || !segments.is_empty();
            if number != newest || !new {
                return Err(StoreError::Damaged {
                    file: name,
                    offset: at,
                });
            }
            cut = Some(Cut {
                file: name.clone(),
                offset: at,
            });
        }
        if at == 0 {
            disk.remove(&name).map_err(StoreError::disk("remove", &name))?;
            disk.sync_names()
                .map_err(StoreError::disk("sync the directory of", &name))?;
            break;
        }
        if torn {
            let mut file = disk.open(&name).map_err(StoreError::disk("open", &name))?;
            file.truncate(at as u64).map_err(StoreError::disk("cut", &name))?;
            file.sync().map_err(StoreError::disk("sync", &name))?;
            length = at as u64;
        } else {
            length = content.len() as u64;
        }
        offset = at as u64;
        segments.push_back(Segment {
            number,
            greatest: replay.greatest,
        });
    }
    if segments.is_empty() {
        return Ok(None);
    }
    if replay.lacks_entries() {
        return Err(StoreError::Missing {
            file: segment_name(segments[0].number - 1),
        });
    }
    for number in remains {
        let name = segment_name(number);
        disk.remove(&name).map_err(StoreError::disk("remove", &name))?;
    }
    let end = End {
        segments,
        offset,
        length,
        bytes_since_purge: replay.bytes_since_purge,
    };
    let Replay {
        mut memory, entries, ..
    } = replay;
    memory.committed = memory
        .committed
        .filter(|committed| Some(committed) <= memory.last.as_ref());
    let recovered = Recovered {
        memory,
        entries,
        cut,
        fresh: false,
    };
    Ok(Some((end, recovered)))
}

/// Records that do not follow from those before them.
struct Broken;

/// What the records so far amount to.
struct Replay<C: RaftTypeConfig> {
    memory: Memory<C>,
    entries: BTreeMap<u64, C::Entry>,
    /// The greatest index in the current segment.
    greatest: Option<u64>,
    /// The last entry that was in segments which are gone; they may go only when it is purged.
    owed: Option<u64>,
    bytes_since_purge: u64,
    begun: bool,
}

impl<C: RaftTypeConfig> Default for Replay<C> {
    fn default() -> Self {
        Self {
            memory: Memory::default(),
            entries: BTreeMap::new(),
            greatest: None,
            owed: None,
            bytes_since_purge: 0,
            begun: false,
        }
    }
}

impl<C: RaftTypeConfig> Replay<C> {
    /// Takes one batch; `first` says that it is the first of its segment.
    fn batch(&mut self, batch: Batch<C>, first: bool) -> Result<(), Broken> {
        for (place, record) in batch.0.into_iter().enumerate() {
            let begins = matches!(record, Record::Begin(_));
            if begins != (first && place == 0) {
                return Err(Broken);
            }
            self.record(record)?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record<C>) -> Result<(), Broken> {
        match &record {
            Record::Begin(begin) if self.begun => {
                // What the segment before should have ended with: a closed segment that lost its end shows here.
                if !self.agrees(begin) {
                    return Err(Broken);
                }
            }
            Record::Begin(begin) => {
                self.begun = true;
                self.owed = begin.last.as_ref().map(|id| id.index);
            }
            Record::Entry(entry) => {
                let index = entry.index();
                if self
                    .memory
                    .last
                    .as_ref()
                    .is_some_and(|last| last.index + 1 != index)
                {
                    return Err(Broken);
                }
                self.greatest = self.greatest.max(Some(index));
            }
            Record::Truncate { after } => {
                let after = after.as_ref().map(|id| id.index);
                self.entries.retain(|index, _| Some(*index) <= after);
                self.owed = self.owed.min(after);
            }
            Record::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.bytes_since_purge = 0;
            }
            Record::Vote(_) | Record::Committed(_) => {}
        }
        self.memory.take(&record);
        if let Record::Entry(entry) = record {
            self.entries.insert(entry.index(), entry);
        }
        Ok(())
    }

    fn agrees(&self, begin: &Begin<C>) -> bool {
        let memory = &self.memory;
        memory.vote == begin.vote && memory.purged == begin.purged && memory.last == begin.last
    }

    /// Whether entries that were never purged were in a segment that is gone.
    fn lacks_entries(&self) -> bool {
        self.owed > self.memory.purged.as_ref().map(|id| id.index)
    }
}
