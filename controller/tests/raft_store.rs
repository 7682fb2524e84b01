//! The log and the machine as openraft sees them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raft_support;

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use controller::raft::{
    Enveloped,
    log::{
        Disk, DiskFile, LogNews, LogStore, RealDisk, StoreError,
        sim::{Pace, SimDisk},
    },
    machine::MachineStore,
};
use openraft::{
    Entry, EntryPayload, LogId, RaftLogReader, RaftSnapshotBuilder, StorageError, Vote,
    alias::EntryOf,
    storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
    vote::RaftLeaderId,
};
use raft_support::{Counted, Numbers, tell};
use tokio::time::Instant;

type Log = LogStore<Counted>;
type Machine = MachineStore<Numbers, u64>;
type Leader = openraft::impls::leader_id_adv::LeaderId<u64, u64>;

fn id(index: u64) -> LogId<Leader> {
    LogId::new(Leader::new(1, 7), index)
}

fn entry(index: u64) -> EntryOf<Counted> {
    Entry {
        log_id: id(index),
        payload: EntryPayload::Normal(Enveloped(tell(index))),
    }
}

fn open(disk: impl Disk + Clone) -> Result<(Log, Machine), StoreError> {
    let (log, opened) = LogStore::open(Arc::new(disk.clone()), |_| {})?;
    Ok((log, MachineStore::open(Arc::new(disk), &opened)?))
}

struct OnRealDisk;

impl StoreBuilder<Counted, Log, Machine, tempfile::TempDir> for OnRealDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, Log, Machine), StorageError<Counted>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, machine) = open(RealDisk::new(dir.path()).unwrap()).unwrap();
        Ok((dir, log, machine))
    }
}

struct OnSimDisk;

impl StoreBuilder<Counted, Log, Machine> for OnSimDisk {
    async fn build(&self) -> Result<((), Log, Machine), StorageError<Counted>> {
        let (log, machine) = open(SimDisk::new()).unwrap();
        Ok(((), log, machine))
    }
}

#[tokio::test]
async fn openrafts_own_suite_passes_on_a_real_disk() {
    Suite::test_all(OnRealDisk).await.unwrap();
}

#[tokio::test]
async fn openrafts_own_suite_passes_on_a_simulated_disk() {
    Suite::test_all(OnSimDisk).await.unwrap();
}

/// A disk whose syncs wait until they are let pass, and are counted.
#[derive(Clone, Debug)]
struct Gated {
    disk: RealDisk,
    gate: Arc<(Mutex<bool>, Condvar)>,
    syncs: Arc<AtomicU64>,
}

impl Gated {
    fn new(dir: &tempfile::TempDir) -> Self {
        let disk = RealDisk::new(dir.path()).unwrap();
        Self {
            disk,
            gate: Arc::new((Mutex::new(true), Condvar::new())),
            syncs: Arc::default(),
        }
    }

    fn set_open(&self, open: bool) {
        *self.gate.0.lock().unwrap() = open;
        self.gate.1.notify_all();
    }
}

struct GatedFile {
    file: Box<dyn DiskFile>,
    disk: Gated,
}

impl DiskFile for GatedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        let open = self.disk.gate.0.lock().unwrap();
        drop(self.disk.gate.1.wait_while(open, |open| !*open).unwrap());
        self.file.sync()
    }
}

impl Disk for Gated {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(GatedFile {
            file: self.disk.create(name)?,
            disk: self.clone(),
        }))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(GatedFile {
            file: self.disk.open(name)?,
            disk: self.clone(),
        }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}

/// openraft's suite does not notice a log that answers before its entries can be read; a release build of openraft
/// would then skip them without a word.
#[tokio::test]
async fn entries_can_be_read_when_append_returns_and_are_acknowledged_only_when_safe() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Gated::new(&dir);
    let (mut log, _) = open(disk.clone()).unwrap();
    disk.set_open(false);
    let (safe, mut told) = Counted::oneshot();
    log.append([entry(0), entry(1)], IOFlushed::signal(safe))
        .await
        .unwrap();

    let mut reader = log.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(0..2).await.unwrap().len(), 2);
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(1)));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut told).await;
    assert!(early.is_err(), "nothing is safe yet");

    disk.set_open(true);
    told.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_comes_during_a_sync_shares_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Gated::new(&dir);
    let (mut log, _) = open(disk.clone()).unwrap();
    disk.set_open(false);
    let before = disk.syncs.load(Ordering::SeqCst);
    let mut safe = Vec::new();
    for index in 0..50 {
        let (tell, told) = Counted::oneshot();
        log.append([entry(index)], IOFlushed::signal(tell)).await.unwrap();
        safe.push(told);
        if index == 0 {
            while disk.syncs.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    disk.set_open(true);
    for told in safe {
        told.await.unwrap().unwrap();
    }
    assert_eq!(
        disk.syncs.load(Ordering::SeqCst) - before,
        2,
        "one for the first, one for the other 49"
    );
}

#[tokio::test]
async fn a_vote_that_is_there_already_is_not_written_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(disk.clone()).unwrap();
    log.save_vote(&Vote::new(4, 7)).await.unwrap();
    let before = disk.counts();
    log.save_vote(&Vote::new(4, 7)).await.unwrap();
    assert_eq!(disk.counts(), before);
}

#[tokio::test(start_paused = true)]
async fn a_vote_waits_for_the_card_and_that_it_won_does_not() {
    let disk = SimDisk::new();
    let second = Duration::from_secs(1);
    let slow = Pace {
        usual: second,
        stall: second,
        stall_one_in: 1,
    };
    disk.slow(slow, 1);
    let (mut log, _) = open(disk.clone()).unwrap();
    let asked = Instant::now();
    log.save_vote(&Vote::new(4, 7)).await.unwrap();
    let took = asked.elapsed();
    assert!(took >= second, "a promise is kept through a power cut: {took:?}");
    log.save_vote(&Vote::new_committed(4, 7)).await.unwrap();
    assert_eq!(asked.elapsed(), took);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(4, 7)));

    // Another promise, or another one's victory, is waited for.
    log.save_vote(&Vote::new_committed(5, 8)).await.unwrap();
    assert!(asked.elapsed() >= second * 2, "{:?}", asked.elapsed());
    let (mut log, _) = open(disk.crash(1)).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(5, 8)));
}

#[tokio::test(start_paused = true)]
async fn of_a_vote_that_won_a_power_cut_leaves_the_promise() {
    let disk = SimDisk::new();
    let second = Duration::from_secs(1);
    let slow = Pace {
        usual: second,
        stall: second,
        stall_one_in: 1,
    };
    disk.slow(slow, 1);
    let (mut log, _) = open(disk.clone()).unwrap();
    log.save_vote(&Vote::new(4, 7)).await.unwrap();
    log.save_vote(&Vote::new_committed(4, 7)).await.unwrap();
    let (mut log, _) = open(disk.crash(1)).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(4, 7)));
}

#[tokio::test]
async fn a_commit_mark_costs_no_write_and_is_there_after_the_next_batch() {
    let disk = SimDisk::new();
    let (mut log, _) = open(disk.clone()).unwrap();
    log.blocking_append([entry(0), entry(1)]).await.unwrap();
    let before = disk.counts();
    log.save_committed(Some(id(1))).await.unwrap();
    assert_eq!(disk.counts(), before);
    log.blocking_append([entry(2)]).await.unwrap();

    let (mut log, _) = open(disk.crash(1)).unwrap();
    assert_eq!(log.read_committed().await.unwrap(), Some(id(1)));
}

#[tokio::test]
async fn a_failed_sync_is_told_and_stays() {
    let disk = SimDisk::new();
    let (mut log, _) = open(disk.clone()).unwrap();
    disk.fail_after(0);
    let error = log.blocking_append([entry(0)]).await.unwrap_err().to_string();
    assert!(error.contains("the card refuses"), "{error}");
    assert!(log.blocking_append([entry(1)]).await.is_err());
    for _ in 0..2 {
        assert!(log.save_vote(&Vote::new(4, 7)).await.is_err());
    }
}

#[tokio::test]
async fn the_news_of_a_failed_disk_does_not_wait_for_the_next_entry() {
    let disk = SimDisk::new();
    let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
    let tell = move |said| tell.send(said).unwrap();
    let (mut log, _) = LogStore::<Counted>::open(Arc::new(disk.clone()), tell).unwrap();
    log.blocking_append([entry(0)]).await.unwrap();
    disk.fail_after(0);
    log.purge(id(0)).await.unwrap();
    assert!(matches!(news.try_recv(), Ok(LogNews::Failed { reason }) if reason.contains("the card refuses")));
}

/// Applies the entries `from..to` and makes a snapshot of it.
async fn snapshot(machine: &mut Machine, from: u64, to: u64) {
    let entries = (from..to).map(|index| Ok((entry(index), None)));
    machine.apply(futures_util::stream::iter(entries)).await.unwrap();
    machine
        .get_snapshot_builder()
        .await
        .build_snapshot()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_snapshot_is_there_after_a_power_cut_and_older_ones_are_gone() {
    let disk = SimDisk::new();
    let (_, mut machine) = open(disk.clone()).unwrap();
    snapshot(&mut machine, 0, 10).await;
    snapshot(&mut machine, 10, 20).await;
    let disk = disk.crash(3);
    let (_, mut machine) = open(disk.clone()).unwrap();
    assert_eq!(machine.applied_state().await.unwrap().0, Some(id(19)));
    assert_eq!(machine.watch().borrow().applied, 20);
}

#[tokio::test]
async fn a_snapshot_torn_by_a_power_cut_leaves_the_one_before() {
    let mut survived = 0;
    for seed in 0..50 {
        let disk = SimDisk::new();
        let (_, mut machine) = open(disk.clone()).unwrap();
        snapshot(&mut machine, 0, 10).await;
        // The power goes at one of the syncs of the next one: of the file, or of its name.
        disk.fail_after(seed % 2);
        let entries = (10..20).map(|index| Ok((entry(index), None)));
        machine.apply(futures_util::stream::iter(entries)).await.unwrap();
        machine
            .get_snapshot_builder()
            .await
            .build_snapshot()
            .await
            .unwrap_err();

        let (_, machine) = open(disk.crash(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let applied = machine.watch().borrow().applied;
        assert!(applied == 10 || applied == 20, "seed {seed}: {applied}");
        survived += applied / 20;
    }
    assert!(survived < 50, "sometimes the new one must be lost");
}

#[tokio::test]
async fn a_damaged_snapshot_is_an_error_that_names_it_and_nothing_is_removed() {
    let disk = SimDisk::new();
    let (_, mut machine) = open(disk.clone()).unwrap();
    snapshot(&mut machine, 0, 10).await;
    let names = disk.list().unwrap();
    let name = names.iter().find(|name| name.starts_with("snapshot")).unwrap();
    let length = disk.read(name).unwrap().len();
    for at in (0..length).step_by(7) {
        disk.damage(name, |file| file[at] ^= 0x5a);
        let error = open(disk.clone()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { file, .. } if file == name),
            "flipped {at}: {error}"
        );
        disk.damage(name, |file| file[at] ^= 0x5a);
    }
    assert_eq!(disk.list().unwrap(), names);
    open(disk).unwrap();
}

#[tokio::test]
async fn a_store_without_its_log_or_without_the_snapshot_it_needs_is_an_error() {
    let disk = SimDisk::new();
    let (mut log, mut machine) = open(disk.clone()).unwrap();
    log.blocking_append((0..10).map(entry)).await.unwrap();
    snapshot(&mut machine, 0, 10).await;
    log.purge(id(9)).await.unwrap();
    let names = disk.list().unwrap();
    for name in names {
        let disk = SimDisk::new();
        let (mut log, mut machine) = open(disk.clone()).unwrap();
        log.blocking_append((0..10).map(entry)).await.unwrap();
        snapshot(&mut machine, 0, 10).await;
        log.purge(id(9)).await.unwrap();
        disk.remove(&name).unwrap();
        assert!(
            matches!(open(disk).unwrap_err(), StoreError::Missing { .. }),
            "without {name}"
        );
    }
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_newer_one() {
    let disk = SimDisk::new();
    let (_, mut machine) = open(disk.clone()).unwrap();
    let entries = (0..10).map(|index| Ok((entry(index), None)));
    machine.apply(futures_util::stream::iter(entries)).await.unwrap();
    let mut slow = machine.get_snapshot_builder().await;
    snapshot(&mut machine, 10, 20).await;
    slow.build_snapshot().await.unwrap();

    let (_, machine) = open(disk).unwrap();
    assert_eq!(machine.watch().borrow().applied, 20);
}

#[tokio::test]
async fn the_state_is_copied_only_while_somebody_holds_it() {
    let (_, mut machine) = open(SimDisk::new()).unwrap();
    let mut watch = machine.watch();
    let place = Arc::as_ptr(&watch.borrow_and_update());
    machine
        .apply(futures_util::stream::iter([Ok((entry(0), None))]))
        .await
        .unwrap();
    assert_eq!(
        Arc::as_ptr(&watch.borrow_and_update()),
        place,
        "nobody held it: changed in place"
    );

    let held = watch.borrow().clone();
    machine
        .apply(futures_util::stream::iter([Ok((entry(1), None))]))
        .await
        .unwrap();
    assert_eq!((held.applied, watch.borrow().applied), (1, 2));
    assert!(watch.has_changed().unwrap());
}
