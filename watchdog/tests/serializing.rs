//! `mode=serializing` of the real binary, row by row of section 5 of the OpenFaaS contract.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use support::{Response, Watchdog, binary_body, eventually, runs, send};
use tempfile::TempDir;

fn serializing(variables: &[(&str, &str)]) -> Watchdog {
    Watchdog::start(&[&[("mode", "serializing")], variables].concat())
}

/// A watchdog for a shell script.
fn script(text: &str, variables: &[(&str, &str)]) -> Watchdog {
    let folder = TempDir::new().unwrap();
    let fprocess = Watchdog::script(&folder, text);
    let variables = [
        &[("mode", "serializing"), ("fprocess", fprocess.as_str())],
        variables,
    ]
    .concat();
    let watchdog = Watchdog::start_in(folder, &variables);
    eventually("it is ready", || watchdog.lock_file().exists());
    watchdog
}

/// The process ids a script wrote into a file, once there are `count`.
fn noted_ids(watchdog: &Watchdog, count: usize) -> Vec<i32> {
    let file = watchdog.folder.path().join("ids");
    let mut ids = Vec::new();
    eventually("the function notes its processes", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        ids = text.lines().filter_map(|line| line.parse().ok()).collect();
        ids.len() == count
    });
    ids
}

#[test]
fn the_body_goes_in_and_the_output_comes_out() {
    let watchdog = serializing(&[("fprocess", "tr a-z A-Z")]);

    let response = watchdog.post(b"hello");

    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "HELLO");
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.header("content-length"), Some("5"));
    let duration: f64 = response.header("x-duration-seconds").unwrap().parse().unwrap();
    assert!(duration > 0.0 && duration < 20.0);
}

#[test]
fn five_megabytes_of_anything_come_back_intact() {
    let watchdog = serializing(&[("fprocess", "cat")]);
    let body = binary_body();

    let response = watchdog.post(&body);

    assert_eq!(
        response.header("content-length"),
        Some(body.len().to_string().as_str())
    );
    assert!(response.body == body);
}

#[test]
fn a_chunked_body_arrives_whole() {
    let watchdog = serializing(&[("fprocess", "cat")]);
    let mut stream = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in ["5\r\nhello\r\n", "6\r\n world\r\n", "0\r\n\r\n"] {
        stream.write_all(chunk.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }

    assert_eq!(Response::read(&mut stream).unwrap().text(), "hello world");
}

#[test]
fn a_chunked_body_is_announced_as_such() {
    let watchdog = serializing(&[("fprocess", "printenv Http_Transfer_Encoding")]);
    let mut stream = watchdog.connect();
    let head =
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();

    assert_eq!(Response::read(&mut stream).unwrap().text(), "chunked\n");
    // And only then: printenv fails where there is no such variable.
    assert_eq!(watchdog.post(b"x").status, 500);
}

#[test]
fn a_function_that_does_not_read_its_input_still_answers() {
    let body = binary_body();
    for (fprocess, expected) in [
        ("echo done", &b"done\n"[..]),
        ("true", b""),
        ("head -c 10", &body[..10]),
    ] {
        let watchdog = serializing(&[("fprocess", fprocess)]);

        let response = watchdog.post(&body);

        assert_eq!(response.status, 200, "{fprocess}");
        assert_eq!(response.body, expected, "{fprocess}");
    }
}

#[test]
fn a_function_that_prints_much_before_it_reads_is_no_deadlock() {
    let watchdog = script("head -c 1000000 /dev/zero; cat | wc -c", &[]);

    let response = watchdog.post(&binary_body());

    assert_eq!(response.status, 200);
    assert_eq!(&response.body[1_000_000..], b"5242880\n");
}

#[test]
fn without_a_body_the_input_is_empty_and_not_the_watchdogs_own() {
    let watchdog = serializing(&[("fprocess", "cat")]);

    let response = watchdog.get("/");

    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn the_request_is_described_in_the_environment() {
    let watchdog = serializing(&[
        ("fprocess", "env"),
        ("own", "kept"),
        ("content_type", "text/plain"),
    ]);

    let headers = [
        ("X-Call-Id", "abc-1"),
        ("Content-Type", "text/csv"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
    ];
    let response = watchdog.request("PUT", "/a%20b/c?q=1%202&r", &headers, b"hello");

    assert_eq!(response.header("content-type"), Some("text/plain"));
    let lines: Vec<_> = response.text().lines().collect();
    for line in [
        "Http_X_Call_Id=abc-1",
        "Http_Content_Type=text/csv",
        "Http_Content_Length=5",
        "Http_X_Twice=1",
        "Http_Method=PUT",
        "Http_Path=/a b/c",
        "Http_Query=q=1%202&r",
        "own=kept",
    ] {
        assert!(lines.contains(&line), "{line} is missing in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("Http_Host=")));
}

#[test]
fn every_method_is_an_invocation() {
    let watchdog = serializing(&[("fprocess", "printenv Http_Method")]);

    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(watchdog.request(method, "/", &[], b"").text().trim(), method);
    }
    let head = watchdog.request("HEAD", "/", &[], b"");
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("5"), 0)
    );
}

#[test]
fn a_function_that_fails_is_a_500_with_its_status() {
    let watchdog = script("echo half an answer; echo the reason >&2; exit 3", &[]);

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 500);
    assert_eq!(response.text(), "exit status 3\n");
    assert!(response.header("x-duration-seconds").is_some());
    eventually("standard error is logged", || {
        watchdog.log().contains("stderr: the reason\n")
    });
}

#[test]
fn a_function_that_cannot_be_started_is_a_500_that_names_it() {
    let watchdog = serializing(&[("fprocess", "no-such-program x")]);

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 500);
    assert!(response.text().contains("no-such-program"), "{}", response.text());
}

#[test]
fn a_function_that_takes_too_long_is_killed_with_all_its_helpers() {
    let text = "echo $$ >> $TMPDIR/ids; sleep 1000 & echo $! >> $TMPDIR/ids; wait";
    let watchdog = script(text, &[("exec_timeout", "300ms")]);
    let started = Instant::now();

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 500);
    assert!(
        response.text().contains("exec_timeout (300ms)"),
        "{}",
        response.text()
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    for id in noted_ids(&watchdog, 2) {
        eventually("it is killed", || !runs(id));
    }
    eventually("no zombie is left", || watchdog.children().is_empty());
}

#[test]
fn a_helper_left_behind_that_holds_the_output_is_killed_at_the_limit() {
    let watchdog = script(
        "sleep 1000 & echo $! >> $TMPDIR/ids",
        &[("exec_timeout", "300ms")],
    );

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 500);
    let id = noted_ids(&watchdog, 1)[0];
    eventually("it is killed", || !runs(id));
}

#[test]
fn a_caller_who_goes_away_ends_the_function() {
    let watchdog = script(
        "echo $$ >> $TMPDIR/ids; sleep 1000 & echo $! >> $TMPDIR/ids; wait",
        &[],
    );
    let mut stream = watchdog.connect();
    send(&mut stream, "POST", "/", &[], b"x");
    let ids = noted_ids(&watchdog, 2);

    stream.shutdown(Shutdown::Both).unwrap();

    for id in ids {
        eventually("it is killed", || !runs(id));
    }
    eventually("no zombie is left", || watchdog.children().is_empty());
}

#[test]
fn half_a_body_is_never_taken_for_a_whole_one() {
    let watchdog = script(
        "cat > /dev/null; echo ended > $TMPDIR/ended",
        &[("read_timeout", "300ms")],
    );
    let mut stream = watchdog.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();

    let response = Response::read(&mut stream).unwrap();

    assert_eq!(response.status, 408);
    eventually("the function is gone", || watchdog.children().is_empty());
    assert!(!watchdog.folder.path().join("ended").exists());
}

#[test]
fn an_answer_that_is_not_there_in_time_cuts_the_connection() {
    let watchdog = script("sleep 1000", &[("exec_timeout", "0"), ("write_timeout", "300ms")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "POST", "/", &[], b"x");

    assert!(Response::read(&mut stream).is_none());

    eventually("the function is killed", || watchdog.children().is_empty());
}

#[test]
fn a_connection_serves_many_requests() {
    let watchdog = serializing(&[("fprocess", "cat")]);
    let mut stream = watchdog.connect();
    for number in 0..20 {
        let body = format!("number {number:02}");
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{body}").as_bytes())
            .unwrap();
        let mut reader = std::io::BufReader::new(&mut stream);
        let (status, _) = support::read_head(&mut reader).unwrap();
        let mut answer = [0; 9];
        reader.read_exact(&mut answer).unwrap();
        assert_eq!((status, &answer[..]), (200, body.as_bytes()));
    }
}

#[test]
fn more_than_max_inflight_are_told_to_come_back() {
    let watchdog = script("sleep 1", &[("max_inflight", "1")]);
    let mut first = watchdog.connect();
    send(&mut first, "POST", "/", &[], b"x");
    eventually("the first is under way", || watchdog.children().len() == 1);

    let second = watchdog.post(&binary_body());

    assert_eq!(second.status, 429);
    assert_eq!(second.header("content-type"), Some("text/plain"));
    assert_eq!(second.header("x-openfaas-internal"), Some("faas-middleware"));
    assert_eq!(
        second.text(),
        "Concurrent request limit exceeded. Max concurrent requests: 1\n"
    );
    assert_eq!(watchdog.get("/_/health").status, 200);
    assert_eq!(watchdog.get("/_/ready").status, 429);
    assert_eq!(Response::read(&mut first).unwrap().status, 200);
    assert_eq!(watchdog.get("/_/ready").status, 200);
    assert_eq!(watchdog.post(b"x").status, 200);
}

#[test]
fn requests_run_side_by_side() {
    // None of them ends before all are there.
    let text = "echo >> $TMPDIR/there; until [ $(wc -l < $TMPDIR/there) = 10 ]; do sleep 0.05; done; cat";
    let watchdog = script(text, &[]);
    let started = Instant::now();

    thread::scope(|scope| {
        for number in 0..10 {
            let watchdog = &watchdog;
            scope.spawn(move || {
                let body = number.to_string();
                assert_eq!(watchdog.post(body.as_bytes()).text(), body);
            });
        }
    });

    assert!(
        started.elapsed() < Duration::from_millis(2500),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_request_is_logged_as_upstream_logs_it() {
    let watchdog = serializing(&[("fprocess", "cat"), ("log_callid", "true")]);

    watchdog.request("POST", "/path?q=1", &[("X-Call-Id", "id-7")], b"twelve bytes");

    let log = || watchdog.log();
    eventually("it is logged", || {
        log().contains("POST /path?q=1 - 200 OK - ContentLength: 12B (0.")
    });
    assert!(log().contains("s) [id-7]\n"), "{}", log());
    assert!(
        log().contains("Watchdog mode: serializing\tfprocess: \"cat\"\n"),
        "{}",
        log()
    );
    assert!(
        log().contains("Timeouts: read: 30s write: 30s hard: 30s health: 30s\n"),
        "{}",
        log()
    );
}

#[test]
fn probes_are_not_logged() {
    let watchdog = serializing(&[("fprocess", "cat")]);

    watchdog.request("GET", "/probed", &[("User-Agent", "kube-probe/bramble")], b"");
    watchdog.request("GET", "/called", &[], b"");

    eventually("the call is logged", || watchdog.log().contains("/called"));
    assert!(!watchdog.log().contains("/probed"));
}

#[test]
fn without_prefixes_what_the_function_says_is_passed_on_as_it_is() {
    let watchdog = script("printf 'as it is' >&2", &[("prefix_logs", "false")]);

    watchdog.post(b"x");

    eventually("it is passed on", || watchdog.log().contains("\nas it is20"));
}

/// Memory of the watchdog's own in use now, in KiB.
fn memory_kib(watchdog: &Watchdog) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", watchdog.pid().as_raw_nonzero())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn the_memory_of_large_answers_is_given_back() {
    let watchdog = serializing(&[("fprocess", "head -c 50000000 /dev/zero")]);
    watchdog.request("HEAD", "/", &[], b"");
    let before = memory_kib(&watchdog);

    for _ in 0..3 {
        // Other answers come and go meanwhile, as they do.
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(watchdog.get("/").body.len(), 50_000_000));
            }
        });
    }

    let after = memory_kib(&watchdog);
    let files = fs::read_dir(format!("/proc/{}/fd", watchdog.pid().as_raw_nonzero())).unwrap();
    let held = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let held: Vec<_> = held
        .filter(|file| file.to_string_lossy().contains("memfd:"))
        .collect();
    eprintln!("{before} KiB before, {after} KiB after");
    assert!(held.is_empty(), "{held:?}");
    assert!(after < 4096, "{before} KiB before, {after} KiB after");
}

#[test]
fn more_than_there_is_memory_for_is_refused_in_words() {
    // Half of this is for answers.
    let own = [
        ("mode", "serializing"),
        ("fprocess", "yes"),
        ("exec_timeout", "15s"),
    ];
    let function = Watchdog::start_with_kib(200_000, &own);

    for _ in 0..2 {
        let response = function.get("/");

        assert_eq!(response.status, 500);
        let said = response.text();
        assert!(
            said.contains("more than there is memory for (102.4MB") && said.contains("mode=streaming"),
            "{said}"
        );
        eventually("the function is killed", || function.children().is_empty());
    }
}
