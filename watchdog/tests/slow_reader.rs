//! `exec_timeout` holds whatever the caller does: one who reads slowly, or not at all, does not keep a function alive.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::{Response, Upstream, Watchdog, eventually, send};

/// More than all buffers between caller and function hold.
const LONG: usize = 300_000_000;

/// A watchdog and its metrics port.
fn measured(variables: &[(&str, &str)]) -> (Watchdog, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = port.to_string();
    let own = [("bramble_metrics_port", text.as_str())];
    (Watchdog::start(&[&own, variables].concat()), port)
}

fn counted(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    send(&mut stream, "GET", "/metrics", &[], b"");
    let text = Response::read(&mut stream).unwrap().text().to_owned();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("http_requests_total{"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything that still comes, as it comes.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest);
    rest
}

#[test]
fn a_process_is_ended_at_its_limit_although_nobody_reads() {
    let endless = format!("head -c {LONG} /dev/zero");
    let (watchdog, port) = measured(&[("fprocess", &endless), ("exec_timeout", "500ms")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/long", &[], b"");
    eventually("the function runs", || !watchdog.children().is_empty());
    let started = Instant::now();

    eventually("the function is ended", || watchdog.children().is_empty());

    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let came = rest(stream);
    assert!(
        came.starts_with(b"HTTP/1.1 200 OK\r\n"),
        "the status was sent first"
    );
    assert!(
        !came.ends_with(b"0\r\n\r\n"),
        "it looks complete, after {} bytes",
        came.len()
    );
    eventually("the log says what happened", || {
        let log = watchdog.log();
        log.contains("exec_timeout (500ms)") && log.contains("GET /long - 500 Internal Server Error - ")
    });
    assert!(!watchdog.log().contains("200 OK"), "{}", watchdog.log());
    assert_eq!(
        counted(port),
        "http_requests_total{code=\"500\",method=\"get\"} 1"
    );
}

#[test]
fn a_process_is_ended_at_its_limit_although_its_output_never_pauses() {
    let (watchdog, port) = measured(&[("fprocess", "yes"), ("exec_timeout", "500ms")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");
    let started = Instant::now();

    let came = rest(stream);

    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(!came.ends_with(b"0\r\n\r\n"), "it looks complete");
    assert_eq!(
        counted(port),
        "http_requests_total{code=\"500\",method=\"get\"} 1"
    );
}

#[test]
fn a_process_that_says_no_more_ends_with_an_answer_that_is_seen_to_be_incomplete() {
    let folder = tempfile::TempDir::new().unwrap();
    let fprocess = Watchdog::script(&folder, "echo begun; sleep 1000");
    let watchdog = Watchdog::start_in(folder, &[("fprocess", &fprocess), ("exec_timeout", "300ms")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");

    let came = String::from_utf8(rest(stream)).unwrap();

    assert!(came.ends_with("6\r\nbegun\n\r\n"), "{came}");
}

#[test]
fn a_server_is_not_listened_to_beyond_the_limit_although_nobody_reads() {
    let upstream = Upstream::start(|_, stream| {
        support::respond(stream, "200 OK", "", &vec![b'x'; LONG]);
    });
    for (limit, headers) in [("500ms", &[][..]), ("1m", &[("X-Timeout", "500ms")])] {
        let own = [
            ("mode", "http"),
            ("fprocess", "sleep 1000"),
            ("upstream_url", upstream.url.as_str()),
            ("exec_timeout", limit),
        ];
        let (watchdog, port) = measured(&own);
        let mut stream = watchdog.connect();
        send(&mut stream, "GET", "/long", headers, b"");

        eventually("the log says what happened", || {
            watchdog.log().contains("GET /long - 504 Gateway Timeout - ")
        });

        let came = rest(stream);
        assert!(
            came.starts_with(b"HTTP/1.1 200 OK\r\n"),
            "the head was sent first"
        );
        assert!(came.len() < LONG, "{}", came.len());
        assert!(
            watchdog.log().contains("took longer than 500ms"),
            "{}",
            watchdog.log()
        );
        assert_eq!(
            counted(port),
            "http_requests_total{code=\"504\",method=\"get\"} 1"
        );
    }
}

#[test]
fn an_answer_cut_at_write_timeout_is_told_as_such() {
    let endless = format!("head -c {LONG} /dev/zero");
    let own = [
        ("fprocess", endless.as_str()),
        ("exec_timeout", "0"),
        ("write_timeout", "500ms"),
    ];
    let (watchdog, port) = measured(&own);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");

    eventually("the function is ended", || {
        watchdog.log().contains("GET / - 500 ") && watchdog.children().is_empty()
    });

    assert!(watchdog.log().contains("no complete answer within write_timeout"));
    assert_eq!(
        counted(port),
        "http_requests_total{code=\"500\",method=\"get\"} 1"
    );
}

#[test]
fn a_slow_reader_within_the_limit_gets_everything() {
    let (watchdog, port) = measured(&[
        ("fprocess", "head -c 20000000 /dev/zero"),
        ("exec_timeout", "15s"),
    ]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");
    thread::sleep(Duration::from_millis(500));

    let response = Response::read(&mut stream).unwrap();

    assert_eq!((response.status, response.body.len()), (200, 20_000_000));
    eventually("it is counted", || {
        counted(port) == "http_requests_total{code=\"200\",method=\"get\"} 1"
    });
}
