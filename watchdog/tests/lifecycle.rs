//! Start, health, readiness and end of the real binary.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Response, Watchdog, eventually, read_head, runs, send};
use tempfile::TempDir;

/// Runs the binary to its end.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fwatchdog"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn health_is_ok_while_the_lock_file_is_there() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let health = watchdog.get("/_/health");
    assert_eq!((health.status, health.text()), (200, "OK"));
    assert_eq!(watchdog.request("POST", "/_/health", &[], b"").status, 405);
    assert_eq!(watchdog.get("/_/ready").status, 200);
    assert_eq!(watchdog.request("POST", "/_/ready", &[], b"").status, 405);

    fs::remove_file(watchdog.lock_file()).unwrap();

    assert_eq!(watchdog.get("/_/health").status, 503);
    assert_eq!(watchdog.get("/_/ready").status, 503);
    assert_eq!(watchdog.post(b"still served").text(), "still served");
}

#[test]
fn ready_path_is_a_request_to_the_function() {
    let watchdog = Watchdog::start(&[("fprocess", "printenv Http_Path"), ("ready_path", "/am-i")]);

    let ready = watchdog.get("/_/ready");

    assert_eq!((ready.status, ready.text()), (200, "/am-i\n"));
}

#[test]
fn a_suppressed_lock_is_not_written() {
    let watchdog = Watchdog::start_unready(&[("fprocess", "cat"), ("suppress_lock", "true")]);
    eventually("it is said", || watchdog.log().contains("suppress_lock"));

    assert!(!watchdog.lock_file().exists());
    assert_eq!(watchdog.get("/_/health").status, 503);
    assert_eq!(watchdog.post(b"served").text(), "served");
}

#[test]
fn the_health_check_of_the_binary_looks_for_the_lock_file() {
    let folder = TempDir::new().unwrap();
    let check = || {
        run(
            &["-run-healthcheck"],
            &[("TMPDIR", folder.path().to_str().unwrap())],
        )
        .status
        .success()
    };
    assert!(!check());

    fs::write(folder.path().join(".lock"), "").unwrap();

    assert!(check());
}

#[test]
fn it_tells_its_version() {
    let output = run(&["-version"], &[]);

    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        concat!("fwatchdog ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn settings_that_cannot_work_are_refused_in_words() {
    for (variables, part) in [
        (&[][..], "fprocess"),
        (
            &[("fprocess", "cat"), ("mode", "afterburn")],
            "mode `afterburn` is not supported: OpenFaaS removed it, use http instead",
        ),
        (
            &[("fprocess", "cat"), ("mode", "carrier-pigeon")],
            "mode `carrier-pigeon` is not supported; supported: streaming, serializing, http, static",
        ),
        (
            &[("mode", "inproc")],
            "mode `inproc` is not supported: it is for handlers compiled into a watchdog",
        ),
        (
            &[("fprocess", "cat"), ("jwt_auth", "true")],
            "`jwt_auth` is not supported",
        ),
        (
            &[
                ("mode", "static"),
                ("static_path", "/no/such/folder"),
                ("port", "0"),
            ],
            "`static_path` /no/such/folder",
        ),
        (&[("fprocess", "cat"), ("mode", "http")], "upstream_url"),
        (&[("fprocess", "cat"), ("write_timeout", "0")], "write_timeout"),
    ] {
        let output = run(&[], variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn sigterm_removes_the_lock_serves_on_for_the_quiet_time_and_drains() {
    let mut watchdog = Watchdog::start(&[("fprocess", "cat"), ("healthcheck_interval", "1s")]);

    watchdog.signal(Signal::TERM);
    eventually("the lock file is removed", || !watchdog.lock_file().exists());

    assert_eq!(watchdog.get("/_/health").status, 503);
    assert_eq!(watchdog.get("/_/ready").status, 503);
    assert_eq!(watchdog.post(b"still served").text(), "still served");
    assert!(watchdog.ended().success());
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    let own = [("fprocess", "sleep 1"), ("healthcheck_interval", "0")];
    let mut watchdog = Watchdog::start(&own);
    let mut stream = watchdog.connect();
    send(&mut stream, "POST", "/", &[], b"x");
    eventually("it is under way", || watchdog.children().len() == 1);

    watchdog.signal(Signal::TERM);

    assert_eq!(Response::read(&mut stream).unwrap().status, 200);
    assert!(watchdog.ended().success());
}

/// Sends a request on a connection of its own. `None` when nobody is let in any more: the connection is refused, or
/// reset without an answer because it stood before the door when that was closed.
fn call(port: u16, body: &[u8]) -> Option<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    Response::read(&mut stream)
}

/// Callers at full speed while the watchdog is asked to end: until the quiet time is over everyone is answered, and
/// then whoever gets an answer gets a whole one.
#[test]
fn under_load_everyone_who_is_let_in_is_answered_and_the_end_comes_in_time() {
    let body = vec![b'x'; 10_000];
    for mode in ["streaming", "serializing", "static"] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("index.html"), &body).unwrap();
        let mut watchdog = Watchdog::start(&[
            ("fprocess", "cat"),
            ("mode", mode),
            ("static_path", folder.path().to_str().unwrap()),
            ("healthcheck_interval", "500ms"),
            ("write_timeout", "3s"),
        ]);
        let (port, began) = (watchdog.port, Instant::now());
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let body = body.clone();
                thread::spawn(move || {
                    while let Some(response) = call(port, &body) {
                        assert_eq!(response.status, 200);
                        assert!(response.body == body, "{} bytes", response.body.len());
                    }
                    began.elapsed()
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        let quiet = began.elapsed() + Duration::from_millis(500);

        watchdog.signal(Signal::TERM);

        assert!(watchdog.ended().success());
        let took = began.elapsed();
        assert!(
            took >= quiet && took < quiet + Duration::from_secs(3),
            "{mode}: {took:?}"
        );
        for caller in callers {
            let turned_away = caller.join().unwrap();
            assert!(turned_away >= quiet, "{mode}: after {turned_away:?}");
        }
        let log = watchdog.log();
        assert!(log.contains("SIGTERM: no new connections in 500ms\n"), "{log}");
        assert!(log.contains("Exiting. Active connections: 0\n"), "{log}");
    }
}

/// Callers that keep their connections, as gateways do: the last answer on each says that it is the last, so nobody sends
/// a request into a connection that is just being closed.
#[test]
fn under_load_kept_connections_end_with_an_answer() {
    for mode in ["serializing", "static"] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("index.html"), "x").unwrap();
        let mut watchdog = Watchdog::start(&[
            ("fprocess", "cat"),
            ("mode", mode),
            ("static_path", folder.path().to_str().unwrap()),
            ("healthcheck_interval", "300ms"),
            ("write_timeout", "3s"),
        ]);
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let stream = watchdog.connect();
                thread::spawn(move || until_the_last_answer(stream))
            })
            .collect();
        thread::sleep(Duration::from_millis(200));

        watchdog.signal(Signal::TERM);

        assert!(watchdog.ended().success());
        for caller in callers {
            let answers = caller.join().unwrap();
            assert!(answers > 1, "{mode}: {answers}");
        }
    }
}

/// Makes one request after the other until an answer says that it is the last, and counts the answers.
fn until_the_last_answer(mut stream: TcpStream) -> usize {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for answers in 1.. {
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            .unwrap();
        let (status, headers) = read_head(&mut reader).expect("a request that was sent is answered");
        assert_eq!(status, 200);
        let header = |name| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let length: usize = header("content-length").unwrap().1.parse().unwrap();
        reader.read_exact(&mut vec![0; length]).unwrap();
        if header("connection").is_some_and(|(_, value)| value == "close") {
            return answers;
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn the_drain_ends_after_write_timeout() {
    let own = [
        ("fprocess", "sleep 1000"),
        ("healthcheck_interval", "0"),
        ("write_timeout", "500ms"),
        ("exec_timeout", "0"),
    ];
    let mut watchdog = Watchdog::start(&own);
    let mut stream = watchdog.connect();
    send(&mut stream, "POST", "/", &[], b"x");
    eventually("it is under way", || watchdog.children().len() == 1);
    let function = watchdog.children()[0].0;
    let started = Instant::now();

    watchdog.signal(Signal::TERM);

    assert!(watchdog.ended().success());
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the function is killed", || !runs(function));
}

#[test]
fn the_end_of_standard_input_is_the_end_if_asked_for() {
    let mut bound = Watchdog::start(&[("fprocess", "sleep 1000"), ("bramble_exit_with_stdin", "true")]);
    let mut free = Watchdog::start(&[("fprocess", "sleep 1000")]);
    let mut stream = bound.connect();
    send(&mut stream, "POST", "/", &[], b"x");
    eventually("it is under way", || bound.children().len() == 1);
    let function = bound.children()[0].0;

    bound.close_stdin();
    free.close_stdin();

    assert!(bound.ended().success());
    eventually("its function is killed", || !runs(function));
    assert!(!bound.lock_file().exists());
    thread::sleep(Duration::from_millis(200));
    assert!(!free.has_ended());
}

#[test]
fn it_listens_only_where_it_is_told_to() {
    let own = [("fprocess", "cat"), ("bramble_listen_address", "127.0.0.2")];
    let watchdog = Watchdog::start(&own);

    assert!(TcpStream::connect(("127.0.0.1", watchdog.port)).is_err());
    assert!(TcpStream::connect(("127.0.0.2", watchdog.port)).is_ok());
}

#[test]
fn what_is_ours_is_not_shown_to_the_function() {
    let watchdog = Watchdog::start(&[("fprocess", "env"), ("bramble_exit_with_stdin", "true")]);

    assert!(!watchdog.get("/").text().contains("bramble_exit_with_stdin"));
}

/// As PID 1 of a container, orphans fall to the watchdog. A process namespace is such a container, where one may be
/// made.
#[test]
fn as_the_first_process_it_collects_orphans() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !Command::new("unshare")
        .args(unshare)
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("no process namespace can be made here: not tested");
        return;
    }
    let folder = TempDir::new().unwrap();
    // A grandchild that outlives its parent and then ends.
    let fprocess = Watchdog::script(&folder, "sh -c 'sleep 0.2 >/dev/null 2>&1 & echo started'");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut child = Command::new("unshare")
        .args(unshare)
        .arg(env!("CARGO_BIN_EXE_fwatchdog"))
        .env("TMPDIR", folder.path())
        .envs([
            ("fprocess", fprocess.as_str()),
            ("port", port.to_string().as_str()),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it is ready", || folder.path().join(".lock").exists());
    let unshare_id = i32::try_from(child.id()).unwrap();
    let first = support::processes()
        .into_iter()
        .find(|p| p.parent == unshare_id)
        .unwrap()
        .id;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        send(&mut stream, "POST", "/", &[], b"x");
        assert_eq!(Response::read(&mut stream).unwrap().text(), "started\n");
    }
    let orphans = || {
        support::processes()
            .iter()
            .filter(|process| process.parent == first)
            .count()
    };
    assert!(orphans() > 0, "the grandchildren fell to the first process");

    eventually("all are collected", || orphans() == 0);

    child.kill().unwrap();
    child.wait().unwrap();
}
