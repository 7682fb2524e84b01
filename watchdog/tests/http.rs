//! `mode=http` of the real binary, row by row of section 5 of the OpenFaaS contract. The function is a server in this
//! process; what the watchdog forks is only `sleep`.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use support::{
    Received, Response, Upstream, Watchdog, binary_body, eventually, read_head, respond, runs, send,
};

fn watchdog(upstream: &Upstream, variables: &[(&str, &str)]) -> Watchdog {
    let own = [
        ("mode", "http"),
        ("fprocess", "sleep 1000"),
        ("upstream_url", upstream.url.as_str()),
    ];
    Watchdog::start(&[&own, variables].concat())
}

/// Answers with the request's own first line, Host and body.
fn mirror(request: Received, stream: &mut TcpStream) {
    let host = request.header("host").unwrap_or_default();
    let body = [format!("{} {host} ", request.target()).as_bytes(), &request.body].concat();
    respond(
        stream,
        "201 Created",
        "X-Own: yes\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: keep-alive\r\n",
        &body,
    );
}

#[test]
fn method_path_query_host_and_body_go_in_and_the_whole_answer_comes_out() {
    let watchdog = watchdog(&Upstream::start(mirror), &[]);

    let response = watchdog.request("PATCH", "/a%20b/c?q=1", &[("X-Call-Id", "1")], b"body");

    assert_eq!(response.status, 201);
    assert_eq!(response.text(), "PATCH /a%20b/c?q=1 test body");
    assert_eq!(response.header("x-own"), Some("yes"));
    let duration: f64 = response.header("x-duration-seconds").unwrap().parse().unwrap();
    assert!((0.0..20.0).contains(&duration));
    assert_eq!(response.header("x-openfaas-internal"), None);
}

#[test]
fn a_base_path_is_put_before_every_path() {
    let upstream = Upstream::start(mirror);
    let url = format!("{}/base/", upstream.url);
    let watchdog = Watchdog::start(&[
        ("mode", "http"),
        ("fprocess", "sleep 1000"),
        ("http_upstream_url", &url),
    ]);

    assert_eq!(watchdog.get("/x?y").text(), "GET /base/x?y test ");
}

#[test]
fn five_megabytes_go_both_ways_intact_with_and_without_buffering() {
    for buffered in ["false", "true"] {
        let upstream = Upstream::start(|request, stream| respond(stream, "200 OK", "", &request.body));
        let watchdog = watchdog(&upstream, &[("http_buffer_req_body", buffered)]);
        let body = binary_body();

        assert!(watchdog.post(&body).body == body, "buffered: {buffered}");
    }
}

#[test]
fn a_chunked_request_stays_chunked_unless_it_is_to_be_buffered() {
    for (variable, buffered, length, encoding) in [
        ("http_buffer_req_body", "false", None, Some("chunked")),
        ("http_buffer_req_body", "true", Some("5"), None),
        ("buffer_http", "true", Some("5"), None),
    ] {
        let upstream = Upstream::start(move |request, stream| {
            assert_eq!(request.header("content-length"), length);
            assert_eq!(request.header("transfer-encoding"), encoding);
            respond(stream, "200 OK", "", &request.body);
        });
        let watchdog = watchdog(&upstream, &[(variable, buffered)]);
        let mut stream = watchdog.connect();
        let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").unwrap();

        assert_eq!(
            Response::read(&mut stream).unwrap().text(),
            "hello",
            "buffered: {buffered}"
        );
    }
}

#[test]
fn connections_are_kept_for_the_next_request() {
    let upstream = Upstream::start(mirror);
    let watchdog = watchdog(&upstream, &[]);

    for _ in 0..20 {
        assert_eq!(watchdog.post(b"x").status, 201);
    }

    assert!(
        upstream.connections() <= 2,
        "{} connections",
        upstream.connections()
    );
}

#[test]
fn headers_of_one_connection_are_not_passed_on() {
    let upstream = Upstream::start(|request, stream| {
        let names: Vec<_> = request
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split(':').next())
            .collect();
        let text = names.join(" ").to_lowercase();
        respond(stream, "200 OK", "Keep-Alive: timeout=5\r\n", text.as_bytes());
    });
    let watchdog = watchdog(&upstream, &[]);

    let headers = [
        ("TE", "trailers"),
        ("X-Kept", "1"),
        ("Proxy-Connection", "close"),
        ("Upgrade", "h2c"),
    ];
    let response = watchdog.request("GET", "/", &headers, b"");

    assert_eq!(response.text().trim(), "host x-kept");
    assert_eq!(response.header("keep-alive"), None);
}

#[test]
fn a_redirect_is_passed_on_and_not_followed() {
    let upstream =
        Upstream::start(|_, stream| respond(stream, "302 Found", "Location: http://elsewhere/\r\n", b""));
    let watchdog = watchdog(&upstream, &[]);

    let response = watchdog.get("/");

    assert_eq!(
        (response.status, response.header("location")),
        (302, Some("http://elsewhere/"))
    );
}

/// Says nothing more until the watchdog has given up.
fn hung_up_on(stream: &mut TcpStream) {
    _ = stream.read(&mut [0]);
}

#[test]
fn a_function_that_takes_too_long_is_a_504_of_the_watchdog() {
    let upstream = Upstream::start(|_, stream| hung_up_on(stream));
    let watchdog = watchdog(&upstream, &[("exec_timeout", "200ms")]);
    let started = Instant::now();

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 504);
    assert_eq!(response.header("x-openfaas-internal"), Some("of-watchdog"));
    assert!(response.header("x-duration-seconds").is_some());
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_caller_can_shorten_the_limit_but_not_lengthen_it() {
    let upstream = Upstream::start(|_, stream| {
        thread::sleep(Duration::from_millis(700));
        respond(stream, "200 OK", "", b"done");
    });
    let patient = watchdog(&upstream, &[]);
    assert_eq!(
        patient.request("GET", "/", &[("X-Timeout", "100ms")], b"").status,
        504
    );
    assert_eq!(
        patient.request("GET", "/", &[("X-Timeout", "10s")], b"").status,
        200
    );

    let hasty = watchdog(&upstream, &[("exec_timeout", "100ms")]);
    assert_eq!(
        hasty.request("GET", "/", &[("X-Timeout", "10s")], b"").status,
        504
    );
}

#[test]
fn a_body_that_breaks_off_is_told_in_the_same_words_with_and_without_buffering() {
    for buffered in ["false", "true"] {
        let watchdog = watchdog(&Upstream::start(mirror), &[("http_buffer_req_body", buffered)]);
        let mut stream = watchdog.connect();
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();

        let response = Response::read(&mut stream).unwrap();

        assert_eq!(response.status, 500);
        assert_eq!(
            response.text(),
            "the request body did not arrive whole: the request body broke off\n",
            "buffered: {buffered}"
        );
    }
}

#[test]
fn a_status_without_a_name_is_logged_as_its_number() {
    let upstream = Upstream::start(|_, stream| respond(stream, "299 Odd", "", b"ok"));
    let watchdog = watchdog(&upstream, &[]);

    assert_eq!(watchdog.get("/").status, 299);

    eventually("it is logged", || {
        watchdog.log().contains("GET / - 299 - ContentLength: 2B (")
    });
}

#[test]
fn an_answer_that_goes_on_beyond_the_limit_is_cut() {
    let upstream = Upstream::start(|_, stream| {
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        hung_up_on(stream);
    });
    let watchdog = watchdog(&upstream, &[("exec_timeout", "200ms")]);
    let started = Instant::now();

    let response = watchdog.get("/");

    assert_eq!((response.status, response.text()), (200, "begun"));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_function_that_does_not_listen_or_breaks_off_is_a_500_of_the_watchdog() {
    let broken = Upstream::start(|_, stream| stream.shutdown(std::net::Shutdown::Both).unwrap());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [broken.url, format!("http://{nobody}")] {
        let own = [
            ("mode", "http"),
            ("fprocess", "sleep 1000"),
            ("upstream_url", url.as_str()),
        ];
        let watchdog = Watchdog::start_unready(&own);

        let response = watchdog.post(b"x");

        assert_eq!(response.status, 500);
        assert_eq!(response.header("x-openfaas-internal"), Some("of-watchdog"));
        assert!(response.header("x-duration-seconds").is_some());
    }
}

#[test]
fn a_stream_of_events_is_passed_on_event_by_event_and_outlives_the_limit() {
    let (heard_first, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let upstream = Upstream::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..5 {
            stream.write_all(b"9\r\ndata: 1\n\n\r\n").unwrap();
            // The second one follows when the first has come out at the other end.
            () = may_go_on.lock().unwrap().recv().unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let watchdog = watchdog(&upstream, &[("exec_timeout", "200ms")]);
    for accepted in ["text/event-stream", "application/x-ndjson"] {
        let mut stream = watchdog.connect();
        let started = Instant::now();
        send(&mut stream, "GET", "/", &[("Accept", accepted)], b"");

        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_head(&mut reader).unwrap();
        let mut first = [0; 14];
        reader.read_exact(&mut first).unwrap();
        assert!(
            started.elapsed() < Duration::from_millis(350),
            "the first event was held back"
        );
        for _ in 0..5 {
            heard_first.send(()).unwrap();
        }
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();

        assert_eq!(&first[3..], b"data: 1\n\n\r\n");
        assert_eq!(rest.matches("data: 1").count(), 4);
        assert!(rest.ends_with("0\r\n\r\n"));
    }
}

#[test]
fn a_websocket_becomes_a_tunnel_that_counts_as_an_invocation() {
    let upstream = Upstream::start(|request, stream| {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(
            request.header("connection").map(str::to_lowercase).as_deref(),
            Some("upgrade")
        );
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = [0; 4];
        while stream.read_exact(&mut said).is_ok() {
            said.reverse();
            stream.write_all(&said).unwrap();
        }
    });
    let watchdog = watchdog(&upstream, &[("max_inflight", "1"), ("exec_timeout", "300ms")]);
    let mut stream = watchdog.connect();
    let head =
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (status, headers) = read_head(&mut reader).unwrap();
    assert_eq!(status, 101);
    assert!(
        headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && value == "websocket")
    );

    for _ in 0..3 {
        stream.write_all(b"ping").unwrap();
        let mut said = [0; 4];
        reader.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"gnip");
        thread::sleep(Duration::from_millis(200));
    }

    assert_eq!(watchdog.post(b"x").status, 429);
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    eventually("the tunnel has ended", || watchdog.get("/_/ready").status == 200);
}

#[test]
fn ready_path_is_asked_of_the_function() {
    let upstream = Upstream::start(|request, stream| match request.target() {
        "GET /am-i" => respond(stream, "418 Teapot", "", b"not yet"),
        _ => respond(stream, "200 OK", "", b""),
    });
    let watchdog = watchdog(&upstream, &[("ready_path", "/am-i")]);

    let response = watchdog.get("/_/ready");

    assert_eq!((response.status, response.text()), (418, "not yet"));
}

#[test]
fn the_watchdog_ends_badly_when_its_function_ends() {
    let own = [
        ("mode", "http"),
        ("fprocess", "sleep 0.3"),
        ("upstream_url", "http://127.0.0.1:9"),
    ];
    let mut watchdog = Watchdog::start_unready(&own);

    assert_eq!(watchdog.ended().code(), Some(1));
    eventually("it is told", || {
        watchdog
            .log()
            .contains("Forked function has terminated: exit status 0")
    });
}

#[test]
fn a_function_that_cannot_be_started_ends_the_watchdog_at_once() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fwatchdog"))
        .envs([
            ("mode", "http"),
            ("fprocess", "no-such-program"),
            ("upstream_url", "http://127.0.0.1:9"),
        ])
        .env("port", "0")
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no-such-program"), "{said}");
}

#[test]
fn what_the_function_prints_is_logged_with_the_streams_name() {
    let folder = tempfile::TempDir::new().unwrap();
    let fprocess = Watchdog::script(&folder, "echo to the log >&2; exec sleep 1000");
    let upstream = Upstream::start(mirror);
    let own = [
        ("mode", "http"),
        ("fprocess", fprocess.as_str()),
        ("upstream_url", upstream.url.as_str()),
    ];
    let watchdog = Watchdog::start_in(folder, &own);

    eventually("it is logged", || watchdog.log().contains("stderr: to the log\n"));
}

#[test]
fn the_function_is_killed_with_the_watchdog() {
    let upstream = Upstream::start(mirror);
    let mut watchdog = watchdog(&upstream, &[("bramble_exit_with_stdin", "true")]);
    let function = watchdog.children()[0].0;

    watchdog.close_stdin();

    assert_eq!(watchdog.ended().code(), Some(0));
    eventually("the function is killed", || !runs(function));
}

#[test]
fn a_megabyte_of_headers_goes_in_and_comes_out() {
    let upstream = Upstream::start(|request, stream| {
        let lengths = request
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("x-long-"));
        let length: usize = lengths.map(str::len).sum();
        let many = request
            .head
            .lines()
            .filter(|line| line.starts_with("x-many-"))
            .count();
        let own: String = (0..500).map(|at| format!("X-Own-{at}: {at}\r\n")).collect();
        let own = format!("{own}X-Own-Long: {}\r\n", "y".repeat(700_000));
        respond(stream, "200 OK", &own, format!("{length} {many}").as_bytes());
    });
    let watchdog = watchdog(&upstream, &[]);
    let long = "x".repeat(480_000);
    let names: Vec<_> = (0..900).map(|at| format!("X-Many-{at}")).collect();
    let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    headers.extend([("X-Long-1", long.as_str()), ("X-Long-2", long.as_str())]);

    let response = watchdog.request("GET", "/", &headers, b"");

    assert_eq!(response.status, 200, "{}", response.text());
    // With "1: " and "2: " before each.
    assert_eq!(response.text(), format!("{} 900", 2 * (480_000 + 3)));
    assert_eq!(response.header("x-own-499"), Some("499"));
    assert_eq!(response.header("x-own-long").map(str::len), Some(700_000));
}

#[test]
fn more_than_a_megabyte_of_headers_is_refused_as_such() {
    let watchdog = watchdog(&Upstream::start(mirror), &[]);
    let mut stream = watchdog.connect();
    let long = "x".repeat(600_000);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long-1: {long}\r\nX-Long-2: {long}\r\n\r\n");
    // It may not read to the end what it refuses.
    _ = stream.write_all(head.as_bytes());

    assert_eq!(Response::read(&mut stream).unwrap().status, 431);
}
