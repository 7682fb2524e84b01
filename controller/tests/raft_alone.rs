//! One controller: what most brambles have.

mod raft_support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use controller::raft::{
    OpenError, ProposeError, RaftConfig, RaftHandle, Timings,
    log::{StoreError, sim::SimDisk},
};
use raft_support::{Counting, ME, Nobody, Numbers, Tell, alone, alone_on, size_of, tell};

#[tokio::test]
async fn a_lone_controller_leads_at_once_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for start in ["first start", "restart"] {
        let before = Instant::now();
        let raft = alone(dir.path()).await;
        let took = before.elapsed();
        println!("{start}: open to leading in {took:?}");
        assert!(took < Duration::from_secs(2), "{start}: {took:?}");
        raft.propose(tell(1)).await.unwrap();
        raft.shutdown().await;
    }
}

#[tokio::test]
async fn what_was_proposed_is_in_the_state_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let raft = alone(dir.path()).await;
    for number in 0..20 {
        assert_eq!(raft.propose(tell(number)).await.unwrap().times, 1);
        assert_eq!(
            raft.watch().borrow().applied,
            number + 1,
            "applied here when `propose` answers"
        );
    }
    assert_eq!(raft.propose(tell(3)).await.unwrap().times, 2);
    raft.shutdown().await;

    let raft = alone(dir.path()).await;
    assert_eq!(raft.propose(tell(3)).await.unwrap().times, 3);
    let state = raft.watch().borrow().clone();
    assert_eq!((state.told.len(), state.applied), (20, 22));
}

#[tokio::test]
async fn after_a_restart_the_state_is_there_without_any_new_command() {
    let dir = tempfile::tempdir().unwrap();
    let raft = alone(dir.path()).await;
    for number in 0..20 {
        raft.propose(tell(number)).await.unwrap();
    }
    raft.shutdown().await;

    let raft = alone(dir.path()).await;
    let mut watch = raft.watch();
    let all = tokio::time::timeout(
        Duration::from_secs(5),
        watch.wait_for(|state| state.applied == 20),
    )
    .await;
    all.expect("everything is applied").unwrap();
}

#[tokio::test]
async fn initializing_twice_changes_nothing() {
    let raft = alone_on(SimDisk::new()).await;
    raft.propose(tell(1)).await.unwrap();
    raft.initialize([ME]).await.unwrap();
    assert_eq!(raft.watch().borrow().applied, 1);
}

#[tokio::test]
async fn without_members_there_is_no_leader_and_the_error_says_so() {
    let disk = Arc::new(SimDisk::new());
    let raft = RaftHandle::<Numbers>::open_on(disk, ME, Timings::default(), Arc::new(Nobody))
        .await
        .unwrap();
    let error = raft.propose(tell(1)).await.unwrap_err();
    assert!(matches!(error, ProposeError::NoLeader));
    assert!(error.to_string().starts_with("no controller leads at the moment"));
}

#[tokio::test]
async fn a_directory_has_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let raft = alone(dir.path()).await;
    let config = RaftConfig {
        id: ME,
        dir: dir.path().to_owned(),
        timings: Timings::default(),
    };
    let error = RaftHandle::<Numbers>::open(config, Arc::new(Nobody))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Store {
                source: StoreError::InUse { .. },
                ..
            }
        ),
        "{error}"
    );
    raft.shutdown().await;
    alone(dir.path()).await;
}

#[tokio::test]
async fn a_disk_that_refuses_stops_the_controller_and_nothing_false_is_acknowledged() {
    let disk = SimDisk::new();
    let raft = alone_on(disk.clone()).await;
    raft.propose(tell(1)).await.unwrap();
    disk.fail_after(0);
    let error = raft.propose(tell(2)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Fatal { .. }), "{error}");
    let reason = tokio::time::timeout(Duration::from_secs(5), raft.stopped())
        .await
        .unwrap();
    assert!(reason.contains("the card refuses"), "{reason}");
    assert_eq!(raft.leadership().borrow().leader, None);
    assert!(matches!(
        raft.propose(tell(3)).await.unwrap_err(),
        ProposeError::Fatal { .. }
    ));

    let raft = alone_on(disk.crash(5)).await;
    let state = raft.watch().borrow().clone();
    assert!(
        state.told.contains_key(&1) && !state.told.contains_key(&3),
        "{state:?}"
    );
}

#[tokio::test]
async fn an_idle_controller_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Counting::new(dir.path());
    let raft = alone_on(disk.clone()).await;
    raft.propose(tell(1)).await.unwrap();
    let before = disk.counts();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(disk.counts(), before);
    raft.propose(tell(2)).await.unwrap();
    let after = disk.counts();
    assert_eq!(after[2] - before[2], 1, "and a command costs one sync");
}

#[tokio::test]
async fn restarting_again_and_again_writes_little() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Counting::new(dir.path());
    let raft = alone_on(disk.clone()).await;
    raft.propose(tell(1)).await.unwrap();
    raft.shutdown().await;
    let before = disk.counts();
    for _ in 0..10 {
        let raft = alone_on(disk.clone()).await;
        raft.propose(tell(1)).await.unwrap();
        raft.shutdown().await;
    }
    let [changes, bytes, syncs] = disk.counts();
    let (bytes, syncs) = (bytes - before[1], syncs - before[2]);
    println!(
        "10 restarts with a command each: {} changes, {bytes} bytes, {syncs} syncs",
        changes - before[0]
    );
    assert!(syncs <= 40 && bytes < 20_000, "{bytes} bytes, {syncs} syncs");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_power_cuts() {
    let mut disk = SimDisk::new();
    let mut acknowledged = 0;
    for seed in 0..30 {
        let raft = alone_on(disk.clone()).await;
        let state = raft
            .propose(tell(0))
            .await
            .map(|_| raft.watch().borrow().clone())
            .unwrap();
        for number in 1..=acknowledged {
            assert!(state.told.contains_key(&number), "seed {seed}: {number} is lost");
        }
        for _ in 0..20 {
            raft.propose(tell(acknowledged + 1)).await.unwrap();
            acknowledged += 1;
        }
        if seed % 3 == 0 {
            raft.snapshot().await.unwrap();
        }
        disk.fail_after(0);
        raft.propose(tell(1_000)).await.unwrap_err();
        disk = disk.crash(seed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_commands_leave_a_small_store_that_opens_fast() {
    let dir = tempfile::tempdir().unwrap();
    let raft = alone(dir.path()).await;
    let before = Instant::now();
    let proposers = (0..200).map(|proposer| {
        let raft = raft.clone();
        tokio::spawn(async move {
            for number in 0..500 {
                // A state as large as that of a busy bramble: a few hundred things.
                raft.propose(tell((proposer * 500 + number) % 500)).await.unwrap();
            }
        })
    });
    for proposer in proposers.collect::<Vec<_>>() {
        proposer.await.unwrap();
    }
    let took = before.elapsed();
    let size = size_of(dir.path());
    raft.shutdown().await;
    drop(raft);

    let before = Instant::now();
    let raft = alone(dir.path()).await;
    println!(
        "100000 commands in {took:?}, {size} bytes on the disk, opened and leading in {:?}",
        before.elapsed()
    );
    assert!(size < 4 << 20, "{size} bytes");
    assert_eq!(raft.propose(tell(0)).await.unwrap().times, 201);
    assert_eq!(raft.watch().borrow().applied, 100_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_commands_leave_a_small_store_too() {
    let dir = tempfile::tempdir().unwrap();
    let raft = alone(dir.path()).await;
    let mut largest = 0;
    for number in 0..150 {
        raft.propose(Tell {
            number,
            ballast: "x".repeat(100_000),
        })
        .await
        .unwrap();
        largest = largest.max(size_of(dir.path()));
    }
    println!("15 MB of commands: at most {largest} bytes on the disk");
    assert!(largest < 40 * 100_000 + (4 << 20), "{largest} bytes");
}

/// The variable that makes this executable a controller to be killed, with its directory.
const VICTIM: &str = "RAFT_TEST_VICTIM_DIR";
/// The first number that it proposes.
const VICTIM_FROM: &str = "RAFT_TEST_VICTIM_FROM";

/// Larger than any number of a victim.
const OWN: u64 = 99_999;

/// Not a test by itself: the controller that the next test starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim_of_the_next_test() {
    let Some(dir) = std::env::var_os(VICTIM) else {
        return;
    };
    let from: u64 = std::env::var(VICTIM_FROM).unwrap().parse().unwrap();
    let raft = alone(Path::new(&dir)).await;
    println!("\nleading");
    let proposers = (0..8).map(|proposer| {
        let raft = raft.clone();
        tokio::spawn(async move {
            for number in (from + proposer..).step_by(8) {
                raft.propose(tell(number)).await.unwrap();
                println!("\nacknowledged {number}");
                if number % 256 == 0 {
                    raft.snapshot().await.unwrap();
                }
            }
        })
    });
    for proposer in proposers.collect::<Vec<_>>() {
        proposer.await.unwrap();
    }
}

#[test]
fn killed_at_any_moment_it_comes_back_with_everything_it_acknowledged() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut from) = (Vec::new(), 0);
    for round in 0..40 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim_of_the_next_test", "--nocapture"])
            .env(VICTIM, dir.path())
            .env(VICTIM_FROM, from.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        // Sometimes in the middle of starting, mostly in the middle of writing.
        if random.u32(0..8) > 0 {
            assert!(
                lines.any(|line| line == "leading"),
                "round {round}, seed {seed}: the victim did not lead"
            );
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..60_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
        for line in lines {
            let number = line
                .strip_prefix("acknowledged ")
                .and_then(|number| number.parse::<u64>().ok());
            acknowledged.extend(number);
        }
        let state = runtime.block_on(async {
            let raft = alone(dir.path()).await;
            // A command of its own, so that everything before it is applied.
            raft.propose(tell(OWN)).await.unwrap();
            let state = raft.watch().borrow().clone();
            raft.shutdown().await;
            state
        });
        // What was applied though nobody was told is not proposed again.
        from = state
            .told
            .range(..OWN)
            .next_back()
            .map_or(0, |(last, _)| last + 1);
        for number in &acknowledged {
            let times = state.told.get(number);
            assert_eq!(
                times,
                Some(&1),
                "round {round}, seed {seed}: {number} was acknowledged"
            );
        }
    }
    println!(
        "40 kills, {} acknowledged commands, none lost",
        acknowledged.len()
    );
    assert!(acknowledged.len() > 100);
}
