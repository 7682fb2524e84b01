//! A log whose reader is late, slow or not there at all.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use support::{PATIENCE, Response, Watchdog, eventually, read_head, send};
use tempfile::TempDir;

/// A watchdog whose log is read only when a test does so.
struct Unread {
    port: u16,
    child: Child,
    log: BufReader<ChildStderr>,
    folder: TempDir,
}

impl Unread {
    fn start(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fwatchdog"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("TMPDIR", folder.path())
            .envs([("port", "0"), ("bramble_metrics_port", "0")])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("Listening on port: ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "ended early");
        }
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self {
            port,
            child,
            log,
            folder,
        }
    }

    /// One whose only work is to log, and which is ready.
    fn of_files() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let mut watchdog = Self::start(folder, &[("mode", "static"), ("static_path", &path)]);
        let mut line = String::new();
        watchdog.log.read_line(&mut line).unwrap();
        assert!(line.contains("Writing lock-file"), "{line}");
        eventually("the lock file is written", || {
            watchdog.folder.path().join(".lock").exists()
        });
        watchdog
    }

    fn get(&self, target: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        send(&mut stream, "GET", target, &[], b"");
        Response::read(&mut stream).expect("there is an answer").status
    }

    /// Requests with these numbers, each of which is a line of a kilobyte.
    fn log_lines(&self, numbers: std::ops::Range<usize>) {
        let filling = "x".repeat(1000);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        for number in numbers {
            let head = format!("HEAD /{number}?{filling} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            assert_eq!(read_head(&mut answers).expect("there is an answer").0, 404);
        }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The number of the request that a line tells about.
fn number(line: &str) -> Option<usize> {
    line.split("HEAD /").nth(1)?.split('?').next()?.parse().ok()
}

#[test]
fn a_log_that_nobody_reads_stops_nobody_and_tells_later_what_it_lacks() {
    let mut watchdog = Unread::of_files();
    watchdog.log_lines(0..800);
    assert_eq!(watchdog.get("/_/health"), 200);

    let mut line = String::new();
    let mut told = 0;
    let lost = loop {
        line.clear();
        assert_ne!(watchdog.log.read_line(&mut line).unwrap(), 0);
        if let Some((count, _)) = line.split_once(" lines of this log were lost") {
            break count.parse::<usize>().unwrap();
        }
        assert_eq!(number(&line), Some(told), "in order, and none is missing: {line}");
        told += 1;
    };

    assert!(told > 256 * 1024 / 1200, "{told}");
    assert_eq!(told + lost, 800);
    watchdog.log_lines(800..810);
    for expected in 800..810 {
        line.clear();
        watchdog.log.read_line(&mut line).unwrap();
        assert_eq!(number(&line), Some(expected), "{line}");
    }
}

#[test]
fn what_waits_to_be_logged_is_written_before_the_end() {
    let mut watchdog = Unread::of_files();
    watchdog.log_lines(0..200);
    watchdog.signal(Signal::INT);

    let mut rest = String::new();
    watchdog.log.read_to_string(&mut rest).unwrap();

    let told: Vec<_> = rest.lines().filter_map(number).collect();
    assert_eq!(told, (0..200).collect::<Vec<_>>());
}

#[test]
fn the_end_does_not_wait_for_a_reader_who_is_not_there() {
    let mut watchdog = Unread::of_files();
    watchdog.log_lines(0..400);
    watchdog.signal(Signal::INT);

    eventually("it ends", || watchdog.child.try_wait().unwrap().is_some());
}

#[test]
fn a_late_reader_gets_all_that_a_function_says() {
    let folder = TempDir::new().unwrap();
    let fprocess = Watchdog::script(&folder, "seq 100000 >&2");
    let mut watchdog = Unread::start(folder, &[("fprocess", &fprocess), ("prefix_logs", "true")]);
    let port = watchdog.port;
    let caller = thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        send(&mut stream, "GET", "/", &[], b"");
        Response::read(&mut stream).unwrap().status
    });
    thread::sleep(Duration::from_millis(200));

    let mut line = String::new();
    for expected in 1..=100_000 {
        line.clear();
        // What the watchdog itself says comes in between.
        while !line.contains("stderr: ") {
            line.clear();
            assert_ne!(watchdog.log.read_line(&mut line).unwrap(), 0);
        }
        assert!(
            line.ends_with(&format!("stderr: {expected}\n")),
            "{expected}: {line}"
        );
    }
    assert_eq!(caller.join().unwrap(), 200);
}
