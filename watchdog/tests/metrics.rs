//! The metrics port of the real binary: sections 5.2 and 6.2 of the OpenFaaS contract.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::net::{TcpListener, TcpStream};

use support::{Response, Watchdog, eventually, send};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn ask(port: u16, method: &str, path: &str) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    send(&mut stream, method, path, &[], b"");
    Response::read(&mut stream).unwrap()
}

/// A watchdog and its metrics port.
fn measured(variables: &[(&str, &str)]) -> (Watchdog, u16) {
    let port = free_port();
    let own = [("bramble_metrics_port", port.to_string())];
    let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
    (Watchdog::start(&[&own, variables].concat()), port)
}

#[test]
fn requests_are_counted_by_code_and_method() {
    let (watchdog, port) = measured(&[("fprocess", "sh -c exit${IFS}3"), ("mode", "serializing")]);
    watchdog.get("/");
    watchdog.get("/");
    watchdog.post(b"x");
    watchdog.get("/_/health");
    watchdog.get("/_/ready");

    let answer = ask(port, "GET", "/metrics");

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let lines: Vec<_> = answer.text().lines().collect();
    for line in [
        "# TYPE http_requests_total counter",
        "http_requests_total{code=\"500\",method=\"get\"} 2",
        "http_requests_total{code=\"500\",method=\"post\"} 1",
        "http_request_duration_seconds_bucket{code=\"500\",method=\"get\",le=\"10\"} 2",
        "http_request_duration_seconds_bucket{code=\"500\",method=\"get\",le=\"+Inf\"} 2",
        "http_request_duration_seconds_count{code=\"500\",method=\"post\"} 1",
        "http_requests_in_flight 0",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:#?}");
    }
    assert!(!answer.text().contains("code=\"200\""), "health is no request");
}

#[test]
fn what_is_under_way_and_what_was_turned_away_is_counted_too() {
    let own = [
        ("fprocess", "sleep 1000"),
        ("max_inflight", "1"),
        ("exec_timeout", "0"),
    ];
    let (watchdog, port) = measured(&own);
    let mut stream = watchdog.connect();
    send(&mut stream, "POST", "/", &[], b"x");
    eventually("it is under way", || watchdog.children().len() == 1);
    assert_eq!(watchdog.post(b"x").status, 429);

    let text = ask(port, "GET", "/metrics").text().to_owned();

    assert!(text.contains("http_requests_in_flight 1\n"), "{text}");
    assert!(
        text.contains("http_requests_total{code=\"429\",method=\"post\"} 1\n"),
        "{text}"
    );
    assert!(!text.contains("code=\"200\""), "it is not over: {text}");
}

#[test]
fn a_streamed_answer_that_fails_later_counts_as_what_was_sent() {
    let (watchdog, port) = measured(&[("fprocess", "false")]);

    assert_eq!(watchdog.get("/").status, 200);

    assert!(
        ask(port, "GET", "/metrics")
            .text()
            .contains("http_requests_total{code=\"200\",method=\"get\"} 1\n")
    );
}

#[test]
fn readiness_checks_of_the_function_are_not_counted() {
    let (watchdog, port) = measured(&[("fprocess", "true"), ("ready_path", "/ready")]);

    assert_eq!(watchdog.get("/_/ready").status, 200);

    assert!(!ask(port, "GET", "/metrics").text().contains("code="));
}

#[test]
fn nothing_but_metrics_is_served_there_and_no_metrics_where_the_function_is() {
    let (watchdog, port) = measured(&[("fprocess", "echo the function")]);

    assert_eq!(ask(port, "GET", "/").status, 404);
    assert_eq!(ask(port, "GET", "/_/health").status, 404);
    assert_eq!(ask(port, "POST", "/metrics").status, 405);
    assert_eq!(watchdog.get("/metrics").text(), "the function\n");
}

#[test]
fn a_taken_port_is_said_and_is_no_reason_not_to_run() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = port.to_string();

    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("bramble_metrics_port", &text)]);

    assert_eq!(watchdog.post(b"served").text(), "served");
    assert!(
        watchdog.log().contains(&format!("No metrics at port {port}: ")),
        "{}",
        watchdog.log()
    );
}

#[test]
fn metrics_are_served_to_the_very_end() {
    let (watchdog, port) = measured(&[("fprocess", "cat"), ("healthcheck_interval", "5s")]);

    watchdog.signal(rustix::process::Signal::TERM);
    eventually("the lock file is removed", || !watchdog.lock_file().exists());

    assert_eq!(ask(port, "GET", "/metrics").status, 200);
}
