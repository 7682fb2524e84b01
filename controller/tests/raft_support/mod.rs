//! A small machine for the tests of the raft room: it remembers numbers, and how often it was told each.

#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod lan;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{NodeId, versioned::Versioned};
use bytes::Bytes;
use controller::raft::{
    BoxFuture, Machine, Peers, RaftConfig, RaftHandle, Timings, Types,
    log::{Disk, DiskFile, RealDisk},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// How often each number was told.
    pub(crate) told: BTreeMap<u64, u64>,
    /// How many commands were applied.
    pub(crate) applied: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) number: u64,
    /// Makes the command as large as a test wants it.
    #[serde(default)]
    pub(crate) ballast: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) times: u64,
}

impl Versioned for Numbers {
    const NAME: &'static str = "numbers";
    const VERSION: u32 = 1;
}

impl Versioned for Tell {
    const NAME: &'static str = "tell";
    const VERSION: u32 = 1;
}

impl Machine for Numbers {
    type Command = Tell;
    type Outcome = Told;

    fn apply(&mut self, command: Tell) -> Told {
        self.applied += 1;
        let times = self.told.entry(command.number % KEPT).or_default();
        *times += 1;
        Told { times: *times }
    }
}

/// Numbers are remembered modulo this, so that the state stays as small as a bramble's.
pub(crate) const KEPT: u64 = 100_000;

/// The types of a log that openraft's own suite can use, too.
pub(crate) type Counted = Types<Numbers, u64>;

pub(crate) fn tell(number: u64) -> Tell {
    Tell {
        number,
        ballast: String::new(),
    }
}

/// A member that has no others to talk to.
pub(crate) struct Nobody;

impl Peers for Nobody {
    fn call<'a>(&'a self, _: NodeId, _: &'static str, _: Bytes) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async { Err(io::ErrorKind::HostUnreachable.into()) })
    }
}

pub(crate) const ME: NodeId = NodeId::from_number(7);

/// A controller alone on `dir`, leading.
pub(crate) async fn alone(dir: &Path) -> RaftHandle<Numbers> {
    let config = RaftConfig {
        id: ME,
        dir: dir.to_owned(),
        timings: Timings::default(),
    };
    leading(RaftHandle::open(config, Arc::new(Nobody)).await.unwrap()).await
}

/// A controller alone on a disk of any kind, leading.
pub(crate) async fn alone_on(disk: impl Disk) -> RaftHandle<Numbers> {
    leading(
        RaftHandle::open_on(Arc::new(disk), ME, Timings::default(), Arc::new(Nobody))
            .await
            .unwrap(),
    )
    .await
}

async fn leading(handle: RaftHandle<Numbers>) -> RaftHandle<Numbers> {
    handle.initialize([ME]).await.unwrap();
    handle.leadership().wait_for(|now| now.is_me).await.unwrap();
    handle
}

/// A real directory that counts what is asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    disk: RealDisk,
    pub(crate) changes: Arc<AtomicU64>,
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) syncs: Arc<AtomicU64>,
}

impl Counting {
    pub(crate) fn new(dir: &Path) -> Self {
        let disk = RealDisk::new(dir).unwrap();
        Self {
            disk,
            changes: Arc::default(),
            bytes: Arc::default(),
            syncs: Arc::default(),
        }
    }

    /// Changes, bytes and syncs so far.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.changes, &self.bytes, &self.syncs].map(|count| count.load(Ordering::SeqCst))
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Disk for Counting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.changed();
        Ok(Box::new(CountingFile {
            file: self.disk.create(name)?,
            disk: self.clone(),
        }))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile {
            file: self.disk.open(name)?,
            disk: self.clone(),
        }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.changed();
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.changed();
        self.disk.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.disk.sync_names()
    }
}

struct CountingFile {
    file: Box<dyn DiskFile>,
    disk: Counting,
}

impl DiskFile for CountingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.changed();
        self.disk.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        self.file.write_at(offset, bytes)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.changed();
        self.file.truncate(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync()
    }
}

/// Bytes of all files in `dir`. A file that is removed meanwhile counts nothing: the store clears up when it likes to.
pub(crate) fn size_of(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| match entry.unwrap().metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => panic!("{error}"),
        })
        .sum()
}
