//! The built-in functions of the real binary, and the table that images are made from.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use support::{functions, run};

#[test]
fn the_table_is_as_agreed() {
    let output = run(functions().args(["list", "--json"]), b"");

    let found = String::from_utf8(output.stdout).unwrap();
    let agreed = include_str!("list.json");
    let first = found
        .lines()
        .zip(agreed.lines())
        .find(|(found, agreed)| found != agreed);
    assert_eq!(first, None, "the first line found, and as agreed");
    assert_eq!(found.len(), agreed.len());
}

#[test]
fn the_list_for_people_names_every_function_and_tool() {
    let output = run(functions().arg("list"), b"");

    let text = String::from_utf8(output.stdout).unwrap();
    for name in [
        "env",
        "shasum",
        "sleep",
        "nodeinfo",
        "sh",
        "echo",
        "tr",
        "sha512sum",
    ] {
        assert!(
            text.lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{name}"
        );
    }
}

#[test]
fn help_shows_how_to_begin() {
    let output = run(functions().arg("--help"), b"");

    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("echo Hello | functions run cows")
    );
}

#[test]
fn a_function_runs_in_a_pipeline_as_well() {
    let output = run(
        functions()
            .args(["run", "left-pad"])
            .env("Http_Query", "width=4&with=."),
        b"7\n",
    );
    assert_eq!(output.stdout, b"...7\n");

    let output = run(functions().args(["run", "temperature"]), b"warm");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "functions: `warm` is no temperature; write 20 C, 68 F or 293.15 K.\n"
    );
}

#[test]
fn sleep_waits_and_says_how_long() {
    let started = Instant::now();
    let output = run(
        functions().args(["run", "sleep"]).env("Http_X_Sleep", "150ms"),
        b"",
    );

    assert_eq!(output.stdout, b"Slept for: 0.150000s");
    assert!(started.elapsed() >= Duration::from_millis(150));
    let output = run(functions().args(["run", "sleep"]).env("sleep_duration", "0"), b"");
    assert_eq!(output.stdout, b"Slept for: 0.000000s");
}

#[test]
fn sleep_refuses_what_is_no_duration() {
    let output = run(
        functions().args(["run", "sleep"]).env("Http_X_Sleep", "soon"),
        b"",
    );

    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("X-Sleep is `soon`")
    );
}

#[test]
fn sleep_tells_the_caller_of_a_watchdog_what_is_no_duration() {
    let output = run(
        functions()
            .args(["run", "sleep"])
            .env("Http_Method", "GET")
            .env("Http_X_Sleep", "soon"),
        b"",
    );

    assert_eq!(
        output.status.code(),
        Some(0),
        "else the caller would read `exit status 2`"
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Did not sleep: X-Sleep is `soon`, which is no duration such as 2s, 1m30s or 250ms.\n"
    );
}

#[test]
fn nodeinfo_is_text_or_json() {
    let text = String::from_utf8(run(functions().args(["run", "nodeinfo"]), b"").stdout).unwrap();
    for part in [
        "Hostname: ",
        "\n\nArch: ",
        "\nCPUs: ",
        "\nTotal mem: ",
        "MB\nPlatform: linux\nUptime: ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }

    let json = run(
        functions()
            .args(["run", "nodeinfo"])
            .env("Http_Accept", "application/json"),
        b"",
    )
    .stdout;
    let info: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(info["total_memory_bytes"].as_u64().unwrap() > 1_000_000);
    assert!(info["cpus"].as_u64().unwrap() > 0);
}

/// A running echo server.
struct Echo {
    child: Child,
    port: u16,
}

/// One that no other test of this program was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// Whether somebody does. Where nobody does, a connection may be given that very port, and be answered by itself.
fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port))
        .is_ok_and(|stream| stream.local_addr().unwrap() != stream.peer_addr().unwrap())
}

impl Echo {
    fn start(variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = functions();
        command
            .args(["serve", "echo"])
            .env("port", port.to_string())
            .envs(variables.iter().copied());
        let echo = Self {
            child: command.stdin(Stdio::piped()).spawn().unwrap(),
            port,
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !listens(port) {
            assert!(Instant::now() < until, "it never listened");
            thread::sleep(Duration::from_millis(5));
        }
        echo
    }

    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let (mut sender, request) = (stream.try_clone().unwrap(), request.to_vec());
        thread::spawn(move || _ = sender.write_all(&request));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it never ended");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn echo_sends_back_the_body_and_its_type() {
    let echo = Echo::start(&[]);
    let body = vec![7; 5 * 1024 * 1024];
    let head = format!(
        "POST /any HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: a/b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );

    let answer = echo.exchange(&[head.as_bytes(), &body].concat());

    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    assert!(
        head.starts_with("http/1.1 200 ok") && head.contains("content-type: a/b\r\n"),
        "{head}"
    );
    assert!(answer[end..] == body);
}

#[test]
fn echo_says_that_it_is_healthy() {
    let echo = Echo::start(&[]);

    let answer = echo.exchange(b"GET /_/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\nOK"),
        "{answer}"
    );
}

#[test]
fn echo_ends_when_asked_even_with_an_idle_connection() {
    let mut echo = Echo::start(&[]);
    let _idle = TcpStream::connect(("127.0.0.1", echo.port)).unwrap();

    rustix::process::kill_process(Pid::from_child(&echo.child), Signal::TERM).unwrap();

    assert_eq!(echo.ended(), Some(0));
}

#[test]
fn echo_ends_with_its_standard_input_only_if_asked_for() {
    let mut bound = Echo::start(&[("bramble_exit_with_stdin", "true")]);
    let mut free = Echo::start(&[]);

    drop(bound.child.stdin.take());
    drop(free.child.stdin.take());

    assert_eq!(bound.ended(), Some(0));
    thread::sleep(Duration::from_millis(200));
    assert!(free.child.try_wait().unwrap().is_none());
}
