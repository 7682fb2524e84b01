//! `mode=streaming`, the default, of the real binary, row by row of section 5 of the OpenFaaS contract.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use support::{Response, Watchdog, binary_body, eventually, read_head, runs, send};
use tempfile::TempDir;

/// A watchdog for a shell script.
fn script(text: &str, variables: &[(&str, &str)]) -> Watchdog {
    let folder = TempDir::new().unwrap();
    let fprocess = Watchdog::script(&folder, text);
    let variables = [&[("fprocess", fprocess.as_str())], variables].concat();
    let watchdog = Watchdog::start_in(folder, &variables);
    eventually("it is ready", || watchdog.lock_file().exists());
    watchdog
}

/// The process ids a script wrote into a file, once there are `count`.
fn noted_ids(watchdog: &Watchdog, count: usize) -> Vec<i32> {
    let file = watchdog.folder.path().join("ids");
    let mut ids = Vec::new();
    eventually("the function notes its processes", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        ids = text.lines().filter_map(|line| line.parse().ok()).collect();
        ids.len() == count
    });
    ids
}

#[test]
fn without_a_mode_it_is_streaming() {
    let watchdog = Watchdog::start(&[("fprocess", "tr a-z A-Z")]);

    let response = watchdog.post(b"hello");

    assert_eq!((response.status, response.text()), (200, "HELLO"));
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.header("x-duration-seconds"), None);
    assert_eq!(response.header("content-length"), None);
    assert!(
        watchdog
            .log()
            .contains("Watchdog mode: streaming\tfprocess: \"tr a-z A-Z\"\n"),
        "{}",
        watchdog.log()
    );
}

#[test]
fn what_is_printed_goes_out_while_the_function_still_runs() {
    let watchdog = script("echo one; sleep 1000", &[("content_type", "text/plain")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");
    let mut reader = BufReader::new(stream);

    let (status, headers) = read_head(&mut reader).unwrap();
    let mut first = [0; 7];
    reader.read_exact(&mut first).unwrap();

    assert_eq!((status, &first), (200, b"4\r\none\n"));
    assert!(headers.contains(&("content-type".to_owned(), "text/plain".to_owned())));
    assert_eq!(watchdog.children().len(), 1);
}

#[test]
fn the_head_goes_out_before_the_function_has_said_anything() {
    let watchdog = script("sleep 1000", &[]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");

    assert_eq!(read_head(&mut BufReader::new(stream)).unwrap().0, 200);
}

#[test]
fn the_body_goes_in_as_it_comes() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let mut stream = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());

    // Each piece is answered before the next is sent.
    stream.write_all(b"5\r\nhello\r\n").unwrap();
    read_head(&mut reader).unwrap();
    let mut answer = [0; 10];
    reader.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"5\r\nhello\r\n");
    stream.write_all(b"6\r\n world\r\n0\r\n\r\n").unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();

    assert_eq!(rest, "6\r\n world\r\n0\r\n\r\n");
}

#[test]
fn five_megabytes_of_anything_come_back_intact() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let body = binary_body();

    assert!(watchdog.post(&body).body == body);
}

#[test]
fn a_function_that_does_not_read_its_input_still_answers() {
    let body = binary_body();
    for (fprocess, expected) in [
        ("echo done", &b"done\n"[..]),
        ("true", b""),
        ("head -c 10", &body[..10]),
    ] {
        let watchdog = Watchdog::start(&[("fprocess", fprocess)]);

        let response = watchdog.post(&body);

        assert_eq!(
            (response.status, &response.body[..]),
            (200, expected),
            "{fprocess}"
        );
    }
}

#[test]
fn the_request_is_described_in_the_environment() {
    let watchdog = Watchdog::start(&[("fprocess", "env"), ("bramble_metrics_port", "0")]);

    let headers = [("X-Call-Id", "abc-1"), ("Content-Type", "text/csv")];
    let response = watchdog.request("PUT", "/a%20b/c?q=1", &headers, b"hello");

    let lines: Vec<_> = response.text().lines().collect();
    for line in [
        "Http_X_Call_Id=abc-1",
        "Http_Content_Type=text/csv",
        "Http_Method=PUT",
        "Http_Path=/a b/c",
        "Http_Query=q=1",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(!response.text().contains("bramble_metrics_port"));
}

#[test]
fn a_function_that_fails_just_ends_and_the_log_shows_500() {
    let watchdog = script("echo begun; echo the reason >&2; exit 3", &[]);

    let response = watchdog.post(b"x");

    assert_eq!((response.status, response.text()), (200, "begun\n"));
    eventually("it is logged", || {
        let log = watchdog.log();
        log.contains("Function failed: exit status 3\n")
            && log.contains("POST / - 500 Internal Server Error - ContentLength: 6B (0.")
            && log.contains("stderr: the reason\n")
    });
}

#[test]
fn a_function_that_cannot_be_started_is_a_500_that_names_it() {
    let watchdog = Watchdog::start(&[("fprocess", "no-such-program x")]);

    let response = watchdog.post(b"x");

    assert_eq!(response.status, 500);
    assert!(response.text().contains("no-such-program"), "{}", response.text());
}

#[test]
fn a_function_that_takes_too_long_is_killed_with_all_its_helpers_and_just_ends() {
    let text = "echo begun; echo $$ >> $TMPDIR/ids; sleep 1000 & echo $! >> $TMPDIR/ids; wait";
    let watchdog = script(text, &[("exec_timeout", "300ms")]);
    let started = Instant::now();

    let response = watchdog.post(b"x");

    assert_eq!((response.status, response.text()), (200, "begun\n"));
    assert!(started.elapsed() < Duration::from_secs(10));
    eventually("it is logged", || watchdog.log().contains("exec_timeout (300ms)"));
    for id in noted_ids(&watchdog, 2) {
        eventually("it is killed", || !runs(id));
    }
    eventually("no zombie is left", || watchdog.children().is_empty());
}

#[test]
fn a_caller_who_goes_away_ends_the_function() {
    let watchdog = script(
        "echo begun; echo $$ >> $TMPDIR/ids; sleep 1000 & echo $! >> $TMPDIR/ids; wait",
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

    eventually("the function was there and is gone", || {
        watchdog.log().contains("the request body did not arrive whole") && watchdog.children().is_empty()
    });
    assert!(!watchdog.folder.path().join("ended").exists());
}

#[test]
fn a_read_timeout_of_zero_is_no_limit() {
    for mode in ["streaming", "serializing"] {
        let watchdog = Watchdog::start(&[("fprocess", "cat"), ("read_timeout", "0"), ("mode", mode)]);
        let mut stream = watchdog.connect();
        for piece in [
            "POST / HTTP/1.1\r\nHost: x\r\n",
            "Connection: close\r\nContent-Length: 5\r\n\r\nhe",
            "llo",
        ] {
            stream.write_all(piece.as_bytes()).expect(mode);
            thread::sleep(Duration::from_millis(100));
        }

        let response = Response::read(&mut stream).expect(mode);

        assert_eq!((response.status, response.text()), (200, "hello"), "{mode}");
    }
}

/// Sends the head of a request whose body waits to be asked for.
fn waits_for_continue(watchdog: &Watchdog) -> BufReader<std::net::TcpStream> {
    let mut stream = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    BufReader::new(stream)
}

#[test]
fn a_caller_who_waits_to_send_the_body_is_told_to_before_the_answer_begins() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let mut reader = waits_for_continue(&watchdog);

    assert_eq!(read_head(&mut reader).unwrap().0, 100);
    reader.get_mut().write_all(b"hello").unwrap();
    let response = Response::read(reader.get_mut()).unwrap();

    assert_eq!((response.status, response.text()), (200, "hello"));
}

#[test]
fn a_function_that_answers_without_the_body_is_heard_by_a_caller_who_waits_to_send_it() {
    let watchdog = script("echo no; exec sleep 1000", &[]);
    let mut reader = waits_for_continue(&watchdog);

    let mut head = read_head(&mut reader).unwrap();
    if head.0 == 100 {
        head = read_head(&mut reader).unwrap();
    }
    let mut first = [0; 6];
    reader.read_exact(&mut first).unwrap();

    assert_eq!((head.0, &first), (200, b"3\r\nno\n"));
}

#[test]
fn a_caller_who_never_sends_the_body_does_not_keep_the_function_beyond_its_limit() {
    let watchdog = script(
        "echo $$ > \"$(dirname \"$0\")/ids\"; exec sleep 1000",
        &[("exec_timeout", "500ms")],
    );
    let mut reader = waits_for_continue(&watchdog);
    let mut said = String::new();

    _ = reader.read_to_string(&mut said);

    assert!(said.starts_with("HTTP/1.1 100 "), "{said}");
    assert!(
        !said.ends_with("0\r\n\r\n"),
        "it is seen to be incomplete: {said}"
    );
    let function = noted_ids(&watchdog, 1)[0];
    eventually("the function is killed", || !runs(function));
}

#[test]
fn an_answer_that_goes_on_beyond_write_timeout_is_cut() {
    let watchdog = script(
        "while echo more; do sleep 0.1; done",
        &[("exec_timeout", "0"), ("write_timeout", "500ms")],
    );
    let started = Instant::now();

    let response = watchdog.get("/");

    assert!(response.text().starts_with("more\n"));
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the function is killed", || watchdog.children().is_empty());
}

#[test]
fn head_runs_the_function_to_its_end_and_sends_nothing() {
    let watchdog = script("sleep 0.2; echo printed; echo ended > $TMPDIR/ended", &[]);

    let response = watchdog.request("HEAD", "/", &[], b"");

    assert_eq!((response.status, response.body.len()), (200, 0));
    assert!(watchdog.folder.path().join("ended").exists());
}

#[test]
fn a_caller_who_reads_slowly_holds_the_function_back_and_not_the_memory() {
    let watchdog = Watchdog::start(&[("fprocess", "head -c 300000000 /dev/zero")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");
    let mut reader = BufReader::new(stream);
    read_head(&mut reader).unwrap();
    thread::sleep(Duration::from_millis(500));

    let status =
        std::fs::read_to_string(format!("/proc/{}/status", watchdog.pid().as_raw_nonzero())).unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    let kib: u64 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();

    assert!(kib < 4096, "{kib} KiB");
    assert_eq!(watchdog.children().len(), 1);
}

#[test]
fn more_than_max_inflight_are_told_to_come_back_while_an_answer_streams() {
    let watchdog = script("echo begun; sleep 1000", &[("max_inflight", "1")]);
    let mut stream = watchdog.connect();
    send(&mut stream, "GET", "/", &[], b"");
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    read_head(&mut reader).unwrap();

    assert_eq!(watchdog.post(b"x").status, 429);
    assert_eq!(watchdog.get("/_/ready").status, 429);

    stream.shutdown(Shutdown::Both).unwrap();
    eventually("there is room again", || watchdog.get("/_/ready").status == 200);
}

#[test]
fn many_answers_stream_side_by_side() {
    // None of them ends before all are there.
    let text =
        "cat; echo >> $TMPDIR/there; until [ $(wc -l < $TMPDIR/there) = 10 ]; do sleep 0.05; done; echo end";
    let watchdog = script(text, &[]);
    let started = Instant::now();

    thread::scope(|scope| {
        for number in 0..10 {
            let watchdog = &watchdog;
            scope.spawn(move || {
                let body = format!("{number} ");
                assert_eq!(watchdog.post(body.as_bytes()).text(), format!("{number} end\n"));
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
fn a_connection_serves_many_requests() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let mut stream = watchdog.connect();
    for number in 0..20 {
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{number:02}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(&mut stream);
        read_head(&mut reader).unwrap();
        let mut answer = [0; 12];
        reader.read_exact(&mut answer).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&answer),
            format!("2\r\n{number:02}\r\n0\r\n\r\n")
        );
    }
}

#[test]
fn lines_longer_than_log_buffer_size_are_logged_in_pieces() {
    for (size, expected) in [
        ("10", "stderr: 0123456789\n"),
        ("-1", "stderr: 0123456789abcde\n"),
    ] {
        let watchdog = script("echo 0123456789abcde >&2", &[("log_buffer_size", size)]);

        watchdog.get("/");

        eventually("it is logged", || watchdog.log().contains(expected));
    }
}

#[test]
fn an_http_1_0_caller_gets_its_answer_without_chunks() {
    let watchdog = Watchdog::start(&[("fprocess", "echo plain")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();

    let response = Response::read(&mut stream).unwrap();

    assert_eq!((response.status, response.text()), (200, "plain\n"));
    assert_eq!(response.header("transfer-encoding"), None);
}
