//! A disk in memory that can lose power: everything that was not synced is forgotten, or kept in part.
//!
//! For tests and simulations. Like a real disk it may keep any part of what was not synced: whole writes or pieces
//! of them, in any combination. Changes of names are kept in order, as a journal does, up to any point.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::disk::{Disk, DiskFile};

/// The piece of a write that a disk keeps or forgets as a whole.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What was asked of a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `write_at`, `truncate`, `create`, `rename` and `remove`.
    pub changes: u64,
    /// Bytes given to `write_at`.
    pub bytes: u64,
    /// Calls of `sync` and `sync_names`.
    pub syncs: u64,
}

/// How slow a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a batch takes; a fifth more or less.
    pub usual: Duration,
    /// How long it takes while the card puts itself in order.
    pub stall: Duration,
    /// One batch in so many stalls; 0: none.
    pub stall_one_in: u32,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<SimFile>,
    /// Which file has which name now, and after a power cut.
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Changes of names since the last `sync_names`.
    renamings: Vec<Renaming>,
    counts: Counts,
    power_off: bool,
    skip_syncs: bool,
    fail_from_sync: Option<u64>,
    pace: Option<(Pace, Luck)>,
}

#[derive(Clone, Debug, Default)]
struct SimFile {
    now: Vec<u8>,
    safe: Vec<u8>,
    /// What was done since the last sync.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum Renaming {
    Link(String, usize),
    Unlink(String),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate(len) => content.truncate(*len),
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, file) => _ = names.insert(name.clone(), *file),
            Self::Unlink(name) => _ = names.remove(name),
        }
    }
}

/// Small deterministic randomness (SplitMix64), so that a seed means the same everywhere.
#[derive(Debug)]
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power: answers the disk as the next start finds it, which has lost a part of what was not synced.
    /// `seed` chooses the part. This disk, and every file open on it, refuses from now on.
    pub fn crash(&self, seed: u64) -> Self {
        let mut luck = Luck(seed);
        let mut state = self.lock();
        state.power_off = true;
        let mut names = state.safe_names.clone();
        let kept = luck.below(state.renamings.len() + 1);
        state.renamings[..kept]
            .iter()
            .for_each(|renaming| renaming.apply(&mut names));
        let files = state.files.iter().map(|file| {
            let mut content = file.safe.clone();
            for change in &file.changes {
                match change {
                    Change::Write { offset, bytes } => keep_part(*offset, bytes, &mut content, &mut luck),
                    Change::Truncate(_) if luck.coin() => change.apply(&mut content),
                    Change::Truncate(_) => {}
                }
            }
            SimFile {
                now: content.clone(),
                safe: content,
                changes: Vec::new(),
            }
        });
        let next = State {
            files: files.collect(),
            safe_names: names.clone(),
            names,
            pace: state.pace.take(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(next)),
        }
    }

    /// A planted bug: from now on syncs do nothing and say that they did.
    pub fn skip_syncs(&self) {
        self.lock().skip_syncs = true;
    }

    /// From now on, lets `syncs` more syncs pass and refuses all later ones.
    pub fn fail_after(&self, syncs: u64) {
        let mut state = self.lock();
        state.fail_from_sync = Some(state.counts.syncs + syncs);
    }

    /// Makes the disk slow, by tokio's clock; `seed` chooses which batches stall. Before a log is opened on it; later
    /// the pace can still be changed.
    pub fn slow(&self, pace: Pace, seed: u64) {
        self.lock().pace = Some((pace, Luck(seed)));
    }

    /// What was asked of this disk so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// The size of all files, in bytes.
    pub fn size(&self) -> usize {
        let state = self.lock();
        state
            .names
            .values()
            .map(|&file| state.files[file].now.len())
            .sum()
    }

    /// Changes a file behind everybody's back, as a dying card does; what it was is not known any more.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn damage(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let file = state.names[name];
        let file = &mut state.files[file];
        damage(&mut file.now);
        file.safe.clone_from(&file.now);
        file.changes.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the power is off.
    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.power_off {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(state)
        }
    }
}

/// Applies a part of a write: every sector it touches is written, or not, or not to its end.
fn keep_part(offset: usize, bytes: &[u8], content: &mut Vec<u8>, luck: &mut Luck) {
    let mut from = 0;
    while from < bytes.len() {
        let in_sector = SECTOR_BYTES - (offset + from) % SECTOR_BYTES;
        let to = (from + in_sector).min(bytes.len());
        let kept = match luck.below(4) {
            0 => from,
            1 => from + luck.below(to - from + 1),
            _ => to,
        };
        if kept > from {
            Change::Write {
                offset: offset + from,
                bytes: bytes[from..kept].to_vec(),
            }
            .apply(content);
        }
        from = to;
    }
}

impl State {
    fn sync(&mut self) -> io::Result<bool> {
        self.counts.syncs += 1;
        if self.fail_from_sync.is_some_and(|limit| self.counts.syncs > limit) {
            return Err(io::Error::other("the card refuses"));
        }
        Ok(!self.skip_syncs)
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Frees the files that no name leads to any more, now or after a power cut.
    fn forget_nameless(&mut self) {
        let named: Vec<usize> = self.names.values().copied().collect();
        for (number, file) in self.files.iter_mut().enumerate() {
            if !named.contains(&number) {
                *file = SimFile::default();
            }
        }
    }

    fn change_names(&mut self, renamings: impl IntoIterator<Item = Renaming>) {
        self.counts.changes += 1;
        for renaming in renamings {
            renaming.apply(&mut self.names);
            self.renamings.push(renaming);
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.running()?.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.running()?;
        Ok(state.files[state.file(name)?].now.clone())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.running()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(SimFile::default());
        state.change_names([Renaming::Link(name.to_owned(), file)]);
        drop(state);
        Ok(Box::new(Handle {
            disk: self.clone(),
            file,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.running()?.file(name)?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.running()?;
        let file = state.file(from)?;
        state.change_names([
            Renaming::Link(to.to_owned(), file),
            Renaming::Unlink(from.to_owned()),
        ]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.running()?;
        state.file(name)?;
        state.change_names([Renaming::Unlink(name.to_owned())]);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.running()?;
        if state.sync()? {
            state.safe_names = state.names.clone();
            state.renamings.clear();
            state.forget_nameless();
        }
        Ok(())
    }

    fn stalls(&self) -> bool {
        false
    }

    fn simulated_delay(&self) -> Option<Duration> {
        let mut state = self.lock();
        let (pace, luck) = state.pace.as_mut()?;
        let stalls = pace.stall_one_in > 0 && luck.next().is_multiple_of(pace.stall_one_in.into());
        let percent = 80 + u32::try_from(luck.below(41)).expect("at most 40");
        Some(match stalls {
            true => pace.stall,
            false => pace.usual * percent / 100,
        })
    }
}

struct Handle {
    disk: SimDisk,
    file: usize,
}

impl Handle {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.running()?;
        state.counts.changes += 1;
        if let Change::Write { bytes, .. } = &change {
            state.counts.bytes += bytes.len() as u64;
        }
        let file = &mut state.files[self.file];
        change.apply(&mut file.now);
        file.changes.push(change);
        Ok(())
    }
}

impl DiskFile for Handle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        })
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.change(Change::Truncate(usize::try_from(len).map_err(io::Error::other)?))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.running()?;
        if state.sync()? {
            let SimFile { safe, changes, .. } = &mut state.files[self.file];
            changes.drain(..).for_each(|change| change.apply(safe));
        }
        Ok(())
    }
}
