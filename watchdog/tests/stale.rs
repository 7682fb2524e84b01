//! A function of http mode that closes a kept connection at the moment it is used again. What the watchdog forks is only
//! `sleep`.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use support::{Upstream, Watchdog, respond};

/// What the function was asked.
#[derive(Default)]
struct Asked {
    in_all: AtomicUsize,
    /// Over a connection that had carried a request before.
    again: AtomicUsize,
}

impl Asked {
    fn figures(&self) -> (usize, usize) {
        (
            self.in_all.load(Ordering::SeqCst),
            self.again.load(Ordering::SeqCst),
        )
    }
}

/// Answers the first request of a connection, unless that is for `/never`; to another it says `last_words` and closes.
fn tired(last_words: &'static [u8]) -> (Watchdog, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let counted = asked.clone();
    let known = Mutex::new(HashSet::new());
    let upstream = Upstream::start(move |request, stream| {
        counted.in_all.fetch_add(1, Ordering::SeqCst);
        let is_first = known.lock().unwrap().insert(stream.peer_addr().unwrap());
        if !is_first {
            counted.again.fetch_add(1, Ordering::SeqCst);
        }
        if is_first && !request.target().ends_with("/never") {
            respond(stream, "200 OK", "", b"");
            return;
        }
        _ = stream.write_all(last_words);
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let own = [
        ("mode", "http"),
        ("fprocess", "sleep 1000"),
        ("upstream_url", upstream.url.as_str()),
    ];
    (Watchdog::start(&own), asked)
}

#[test]
fn what_changes_nothing_is_asked_once_more_where_a_kept_connection_was_just_closed() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        let (watchdog, asked) = tired(b"");
        let mut sent = 0;
        while asked.figures().1 < 2 {
            assert_eq!(
                watchdog.request(method, "/", &[("X-A", "1")], b"").status,
                200,
                "{method}"
            );
            sent += 1;
        }

        assert_eq!(asked.figures().0, sent + 2, "{method}");
    }
}

#[test]
fn nothing_else_is_ever_asked_twice() {
    for (method, body, last_words) in [
        ("POST", &b""[..], &b""[..]),
        ("POST", b"x", b""),
        ("PUT", b"", b""),
        ("DELETE", b"", b""),
        ("PATCH", b"", b""),
        ("GET", b"x", b""),
        // It has begun to answer.
        ("GET", b"", b"HTTP/1.1 2"),
    ] {
        let (watchdog, asked) = tired(last_words);
        let mut sent = 0;
        while asked.figures().1 < 2 {
            let before = asked.figures().1;
            let status = watchdog.request(method, "/", &[], body).status;
            sent += 1;
            let expected = if asked.figures().1 > before { 500 } else { 200 };
            assert_eq!(status, expected, "{method}");
        }

        assert_eq!(asked.figures().0, sent, "{method}");
    }
}

#[test]
fn a_function_that_never_answers_is_asked_twice_at_most() {
    let (watchdog, asked) = tired(b"");
    while asked.figures().1 == 0 {
        assert_eq!(watchdog.get("/").status, 200);
        let before = asked.figures();
        assert_eq!(watchdog.get("/never").status, 500);
        let (in_all, again) = asked.figures();
        assert_eq!(in_all - before.0, 1 + again - before.1);
    }
}
