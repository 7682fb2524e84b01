//! The log on a disk that loses power, and on one that damages what it holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raft_support;

use std::sync::Arc;

use controller::raft::{
    Enveloped,
    log::{Disk, Record, Recovered, StoreError, Wal, sim::SimDisk},
};
use openraft::{Entry, EntryPayload, LogId, Vote, vote::RaftLeaderId};
use raft_support::{Counted, tell};

type Leader = openraft::impls::leader_id_adv::LeaderId<u64, u64>;

fn id(index: u64) -> LogId<Leader> {
    LogId::new(Leader::new(1, 7), index)
}

fn entry(index: u64) -> Record<Counted> {
    Record::Entry(Entry {
        log_id: id(index),
        payload: EntryPayload::Normal(Enveloped(tell(index))),
    })
}

fn vote(term: u64) -> Record<Counted> {
    Record::Vote(Vote::new(term, 7))
}

fn open(disk: &SimDisk) -> Result<(Wal<Counted>, Recovered<Counted>), StoreError> {
    Wal::open(Arc::new(disk.clone()))
}

fn indexes(recovered: &Recovered<Counted>) -> Vec<u64> {
    recovered.entries.keys().copied().collect()
}

/// The name of the first log file.
const FIRST: &str = "log-0000000000000001";

/// How much of the first log file is not zeros.
fn used(disk: &SimDisk) -> usize {
    disk.read(FIRST)
        .unwrap()
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)
}

/// A log of five batches of one entry each, and the offsets at which they end; the first is where they begin.
fn five_batches() -> (SimDisk, Vec<usize>) {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    let mut ends = vec![used(&disk)];
    for index in 0..5 {
        wal.write(vec![entry(index)]).unwrap();
        ends.push(used(&disk));
    }
    (disk, ends)
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let disk = SimDisk::new();
    let (mut wal, recovered) = open(&disk).unwrap();
    assert!(recovered.fresh);
    wal.write(vec![vote(3), entry(0), entry(1)]).unwrap();
    wal.write(vec![entry(2), Record::Committed(id(1))]).unwrap();
    drop(wal);

    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(indexes(&recovered), [0, 1, 2]);
    assert_eq!(recovered.memory.vote, Some(Vote::new(3, 7)));
    assert_eq!(recovered.memory.committed, Some(id(1)));
    assert_eq!(recovered.memory.last, Some(id(2)));
    assert_eq!((recovered.fresh, recovered.cut), (false, None));
}

#[test]
fn truncated_entries_stay_away_and_others_take_their_place() {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    wal.write((0..10).map(entry).collect()).unwrap();
    wal.write(vec![Record::Truncate { after: Some(id(4)) }, entry(5)])
        .unwrap();
    assert_eq!(indexes(&open(&disk).unwrap().1), [0, 1, 2, 3, 4, 5]);

    wal.write(vec![Record::Truncate { after: None }]).unwrap();
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!((indexes(&recovered), recovered.memory.last), (vec![], None));
}

#[test]
fn a_purge_beyond_the_end_leaves_an_empty_log_that_goes_on_behind_it() {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    wal.write((0..10).map(entry).collect()).unwrap();
    wal.write(vec![Record::Purge(id(500))]).unwrap();
    wal.write(vec![entry(501)]).unwrap();

    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(
        (indexes(&recovered), recovered.memory.purged),
        (vec![501], Some(id(500)))
    );
}

#[test]
fn a_batch_is_one_sync_and_one_small_write() {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    let before = disk.counts();
    wal.write(vec![entry(0)]).unwrap();
    let after = disk.counts();
    assert_eq!(
        (after.syncs - before.syncs, after.changes - before.changes),
        (1, 1)
    );
    assert!(
        after.bytes - before.bytes < 400,
        "{} bytes",
        after.bytes - before.bytes
    );
}

#[test]
fn opening_a_whole_log_writes_nothing() {
    let (disk, _) = five_batches();
    let before = disk.counts();
    drop(open(&disk).unwrap());
    assert_eq!(disk.counts(), before);
}

#[test]
fn purging_removes_whole_segments_and_keeps_the_log_small() {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    wal.write(vec![vote(9)]).unwrap();
    let mut largest = 0;
    for index in 0..20_000 {
        wal.write(vec![entry(index)]).unwrap();
        if index % 1000 == 999 {
            wal.write(vec![Record::Purge(id(index - 100))]).unwrap();
            largest = largest.max(disk.size());
        }
    }
    assert!(largest < 2 << 20, "{largest} bytes");
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(indexes(&recovered), (19_900..20_000).collect::<Vec<_>>());
    assert_eq!(
        recovered.memory.vote,
        Some(Vote::new(9, 7)),
        "the vote outlives the segment it was cast in"
    );
}

#[test]
fn a_last_batch_cut_at_any_byte_is_gone_and_all_before_it_is_there() {
    let (_, ends) = five_batches();
    for length in ends[4]..ends[5] {
        let (disk, _) = five_batches();
        disk.damage(FIRST, |file| file.truncate(length));
        let (mut wal, recovered) = open(&disk).unwrap();
        assert_eq!(indexes(&recovered), [0, 1, 2, 3], "cut at {length}");
        assert_eq!(
            recovered.cut.map(|cut| cut.offset),
            (length > ends[4]).then_some(ends[4])
        );
        // And the log goes on as if it had never been.
        wal.write(vec![entry(4), entry(5)]).unwrap();
        assert_eq!(
            indexes(&open(&disk).unwrap().1),
            [0, 1, 2, 3, 4, 5],
            "cut at {length}"
        );
    }
}

#[test]
fn a_last_batch_with_any_byte_flipped_is_gone_and_all_before_it_is_there() {
    let (_, ends) = five_batches();
    for at in ends[4]..ends[5] {
        let (disk, _) = five_batches();
        disk.damage(FIRST, |file| file[at] ^= 0x5a);
        let (mut wal, recovered) = open(&disk).unwrap();
        assert_eq!(indexes(&recovered), [0, 1, 2, 3], "flipped {at}");
        wal.write(vec![entry(4)]).unwrap();
        assert_eq!(indexes(&open(&disk).unwrap().1), [0, 1, 2, 3, 4], "flipped {at}");
    }
}

#[test]
fn a_flipped_byte_before_the_last_batch_is_an_error_with_file_place_and_cure() {
    let (_, ends) = five_batches();
    for at in 0..ends[4] {
        let (disk, _) = five_batches();
        disk.damage(FIRST, |file| file[at] ^= 0x5a);
        let begin = ends.iter().rfind(|&&end| end <= at).copied().unwrap_or(0);
        let error = open(&disk).unwrap_err();
        let StoreError::Damaged { file, offset } = &error else {
            panic!("flipped {at}: {error}")
        };
        assert_eq!((file.as_str(), *offset), (FIRST, begin), "flipped {at}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
}

#[test]
fn garbage_behind_the_last_batch_is_cut_off() {
    let (disk, ends) = five_batches();
    disk.damage(FIRST, |file| file[ends[5] + 700] = 1);
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(indexes(&recovered), [0, 1, 2, 3, 4]);
    assert_eq!(recovered.cut.unwrap().offset, ends[5]);
}

/// Three segments, the first two of them closed, without any purge.
fn three_segments() -> (SimDisk, u64) {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    let mut entries = 0;
    while disk.list().unwrap().len() < 3 {
        wal.write((entries..entries + 50).map(entry).collect()).unwrap();
        entries += 50;
    }
    (disk, entries)
}

#[test]
fn a_closed_segment_that_lost_anything_is_an_error() {
    const SECOND: &str = "log-0000000000000002";
    let (disk, _) = three_segments();
    let content = disk.read(SECOND).unwrap();
    let end = content.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for cut in [0, 1, 200, end / 2, end - 1] {
        let (disk, _) = three_segments();
        disk.damage(SECOND, |file| file.truncate(cut));
        let error = open(&disk).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { file, .. } if file == SECOND),
            "cut at {cut}: {error}"
        );
    }
    // Its last batch, whole and clean, is gone: only the next segment knows.
    let (disk, _) = three_segments();
    let magic = br#"{"v":1,"#;
    let last = content
        .windows(magic.len())
        .rposition(|window| window == magic)
        .unwrap();
    disk.damage(SECOND, |file| file.truncate(last.min(end) - 8));
    assert!(matches!(open(&disk).unwrap_err(), StoreError::Damaged { file, .. } if file == SECOND));
}

#[test]
fn a_segment_that_is_gone_is_an_error_unless_all_of_it_was_purged() {
    let (disk, _) = three_segments();
    disk.remove(FIRST).unwrap();
    let error = open(&disk).unwrap_err();
    assert!(
        matches!(&error, StoreError::Missing { file } if file == FIRST),
        "{error}"
    );

    let (disk, entries) = three_segments();
    let (mut wal, _) = open(&disk).unwrap();
    wal.write(vec![Record::Purge(id(entries - 10))]).unwrap();
    assert_eq!(disk.list().unwrap(), ["log-0000000000000003"]);
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(indexes(&recovered), (entries - 9..entries).collect::<Vec<_>>());
}

#[test]
fn a_version_from_the_future_is_named_and_nothing_is_lost() {
    let (disk, ends) = five_batches();
    // The version's digit, and a checksum that says it was meant.
    disk.damage(FIRST, |file| {
        let frame = ends[4]..ends[5];
        file[frame.start + 8 + 5] = b'2';
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&file[frame.start..frame.start + 4]);
        hasher.update(&file[frame.start + 8..frame.end]);
        file[frame.start + 4..frame.start + 8].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
    let before = disk.read(FIRST).unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
    assert_eq!(disk.read(FIRST).unwrap(), before);
}

#[test]
fn a_disk_that_refused_once_is_never_asked_again() {
    let disk = SimDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    wal.write(vec![entry(0)]).unwrap();
    disk.fail_after(0);
    assert!(matches!(
        wal.write(vec![entry(1)]).unwrap_err(),
        StoreError::Disk { action: "sync", .. }
    ));
    let asked = disk.counts();
    assert!(matches!(
        wal.write(vec![entry(2)]).unwrap_err(),
        StoreError::Stopped
    ));
    assert_eq!(disk.counts(), asked);
}

#[test]
fn a_power_cut_while_the_first_segment_or_a_cut_is_made_is_survived() {
    for (syncs, seed) in (0..2).flat_map(|syncs| (0..20).map(move |seed| (syncs, seed))) {
        let disk = SimDisk::new();
        disk.fail_after(syncs);
        open(&disk).unwrap_err();
        let (mut wal, _) = open(&disk.crash(seed)).unwrap_or_else(|error| panic!("{syncs}, {seed}: {error}"));
        wal.write(vec![entry(0)]).unwrap();
    }
    let (_, ends) = five_batches();
    for seed in 0..20 {
        let (disk, _) = five_batches();
        disk.damage(FIRST, |file| file[ends[4] + 20] ^= 1);
        disk.fail_after(0);
        open(&disk).unwrap_err();
        let (_, recovered) = open(&disk.crash(seed)).unwrap();
        assert_eq!(indexes(&recovered), [0, 1, 2, 3], "{seed}");
    }
}

/// Lives four times: writes and purges at random until the power goes in the middle of a write, and looks what is
/// left. Answers the number of acknowledged entries, or what is missing.
fn live_and_die(seed: u64, skip_syncs: bool) -> Result<u64, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut disk = SimDisk::new();
    // What was acknowledged: the entries from `first` up to `next`, and a vote in `term`.
    let (mut first, mut next, mut term) = (0, 0, 0);
    let mut acknowledged = 0;
    for life in 0..4 {
        let (mut wal, recovered) = open(&disk).map_err(|error| format!("life {life}: {error}"))?;
        let found = indexes(&recovered);
        let end = found.last().map_or(first, |last| last + 1);
        if found != (first..end).collect::<Vec<_>>() || end < next {
            return Err(format!(
                "life {life}: entries {first} to {next} expected, found {found:?}"
            ));
        }
        let found_term = recovered.memory.vote.map_or(0, |vote| vote.leader_id.term);
        if found_term != term {
            return Err(format!(
                "life {life}: a vote in term {term} expected, found {found_term}"
            ));
        }
        next = end;
        if skip_syncs {
            disk.skip_syncs();
        }
        for _ in 0..random.u64(1..40) {
            match random.u32(0..20) {
                0 if next > first => {
                    let upto = random.u64(first..next);
                    wal.write(vec![Record::Purge(id(upto))]).unwrap();
                    first = upto + 1;
                }
                1 => {
                    term += 1;
                    wal.write(vec![vote(term)]).unwrap();
                }
                _ => {
                    let count = random.u64(1..30);
                    wal.write((next..next + count).map(large_entry).collect())
                        .unwrap();
                    next += count;
                    acknowledged += count;
                }
            }
        }
        // One more batch that is never acknowledged, because the power goes while it is written.
        disk.fail_after(0);
        wal.write((next..next + random.u64(1..30)).map(large_entry).collect())
            .unwrap_err();
        disk = disk.crash(random.u64(..));
    }
    Ok(acknowledged)
}

/// Large enough that a life sees several segments.
fn large_entry(index: u64) -> Record<Counted> {
    let command = raft_support::Tell {
        number: index,
        ballast: "x".repeat(2000),
    };
    Record::Entry(Entry {
        log_id: id(index),
        payload: EntryPayload::Normal(Enveloped(command)),
    })
}

#[test]
fn whenever_the_power_goes_everything_acknowledged_is_there() {
    let mut acknowledged = 0;
    for seed in 0..100 {
        acknowledged += live_and_die(seed, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(acknowledged > 50_000);
    println!("{acknowledged} acknowledged entries, none lost");
}

#[test]
fn a_disk_that_only_pretends_to_sync_is_found_out() {
    let found = (0..20).filter(|seed| live_and_die(*seed, true).is_err()).count();
    assert!(found > 15, "{found} of 20");
}
