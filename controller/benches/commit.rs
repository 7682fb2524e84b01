//! What a commit costs the card, and how many there are in a second: `cargo bench -p controller --bench commit`.
//!
//! Bytes are counted twice: what the log asked the disk to write, and what the kernel says this process caused to be
//! written (`write_bytes` of `/proc/self/io`: whole pages, without the file system's own journal; 0 where the
//! directory is in memory). `BENCH_DIR` names another place than the temporary directory.

#![expect(clippy::print_stdout, reason = "figures for people are what a bench is for")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/raft_support/mod.rs"]
mod raft_support;

use std::time::{Duration, Instant};

use raft_support::{Counting, Tell, alone_on, size_of};

/// About as large as the command that places a replica.
const BALLAST: usize = 150;
const COMMITS: u64 = 2000;

/// The value of `name` in `/proc/self/<file>`, in its unit.
fn proc_self(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':')
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn main() {
    let dir = std::env::var_os("BENCH_DIR")
        .map_or_else(tempfile::tempdir, tempfile::tempdir_in)
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let resident = proc_self("status", "RssAnon");
    runtime.block_on(async {
        let disk = Counting::new(dir.path());
        let raft = alone_on(disk.clone()).await;
        println!("memory of one idle member: {} KiB", proc_self("status", "RssAnon").saturating_sub(resident));
        for at_once in [1, 16] {
            let before = (disk.counts(), proc_self("io", "write_bytes"), Instant::now());
            let proposers: Vec<_> = (0..at_once)
                .map(|proposer| {
                    let raft = raft.clone();
                    tokio::spawn(async move {
                        let mut slowest = Duration::ZERO;
                        for number in 0..COMMITS / at_once {
                            let command = Tell { number: (proposer + number) % 300, ballast: "x".repeat(BALLAST) };
                            let asked = Instant::now();
                            raft.propose(command).await.unwrap();
                            slowest = slowest.max(asked.elapsed());
                        }
                        slowest
                    })
                })
                .collect();
            let mut slowest = Duration::ZERO;
            for proposer in proposers {
                slowest = slowest.max(proposer.await.unwrap());
            }
            let took = before.2.elapsed();
            let commits = COMMITS / at_once * at_once;
            let [_, bytes, syncs] = disk.counts();
            let per_commit = |now: u64, then: u64| (now - then) as f64 / commits as f64;
            println!(
                "{at_once:>2} at once: {:>6.0} commits/s, slowest {slowest:?}; per commit {:.0} bytes asked for, \
                 {:.0} bytes written by the kernel, {:.3} syncs",
                commits as f64 / took.as_secs_f64(),
                per_commit(bytes, before.0[1]),
                per_commit(proc_self("io", "write_bytes"), before.1),
                per_commit(syncs, before.0[2]),
            );
        }
        println!("store after {} commits: {} KiB", 2 * COMMITS, size_of(dir.path()) / 1024);
        raft.shutdown().await;
    });
}
