//! A function of http mode that answers before it has read the whole request, as one does that wants a smaller one (413)
//! or a password first (401). What the watchdog forks is only `sleep`.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use support::{Response, Watchdog, read_head};

/// Far more than all buffers between caller and function hold.
const BODY: usize = 40 * 1024 * 1024;

/// Reads the heads of requests only, answers each with `413` and this body, and ends the connection with `end`.
fn hasty(body: Vec<u8>, end: fn(&mut TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, body) = (stream.unwrap(), body.clone());
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    // The watchdog looks whether the function listens; that is no request.
                    if reader.read_line(&mut line).unwrap() == 0 {
                        return;
                    }
                }
                let head = format!(
                    "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
                end(&mut stream);
            });
        }
    });
    url
}

/// Leaves the rest of the request unread, so that the system answers it with a reset.
fn closes(_: &mut TcpStream) {}

/// Says that it is done, and reads the rest.
fn closes_politely(stream: &mut TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    _ = std::io::copy(stream, &mut std::io::sink());
}

fn watchdog(url: &str, variables: &[(&str, &str)]) -> Watchdog {
    let own = [
        ("mode", "http"),
        ("fprocess", "sleep 1000"),
        ("upstream_url", url),
    ];
    Watchdog::start(&[&own, variables].concat())
}

/// The answer that a caller gets who sends everything before it reads, as most do.
fn answer_after_sending(watchdog: &Watchdog) -> Response {
    let mut stream = watchdog.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 1024 * 1024];
    for _ in 0..BODY / piece.len() {
        stream
            .write_all(&piece)
            .expect("the watchdog reads what the function does not");
    }
    Response::read(&mut stream).expect("there is an answer")
}

#[test]
fn an_early_answer_reaches_a_caller_who_sends_everything_first() {
    for end in [closes, closes_politely] {
        let watchdog = watchdog(&hasty(b"at most 1 MB, please".to_vec(), end), &[]);
        for _ in 0..10 {
            let response = answer_after_sending(&watchdog);

            assert_eq!((response.status, response.text()), (413, "at most 1 MB, please"));
            assert_eq!(
                response.header("x-openfaas-internal"),
                None,
                "it is the function's own"
            );
        }
    }
}

#[test]
fn an_early_answer_that_is_long_comes_whole_to_a_caller_who_reads_late() {
    let long: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let watchdog = watchdog(&hasty(long.clone(), closes_politely), &[]);
    for _ in 0..5 {
        let response = answer_after_sending(&watchdog);

        assert_eq!(response.status, 413);
        assert!(
            response.body == long,
            "{} bytes of {}",
            response.body.len(),
            long.len()
        );
    }
}

#[test]
fn a_connection_whose_early_answer_is_out_serves_the_next_request() {
    let watchdog = watchdog(&hasty(b"no".to_vec(), closes), &[]);
    let mut stream = watchdog.connect();
    for _ in 0..3 {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; BODY]).unwrap();
        let mut reader = BufReader::new(&mut stream);
        let (status, _) = read_head(&mut reader).unwrap();
        let mut said = [0; 2];
        reader.read_exact(&mut said).unwrap();

        assert_eq!((status, &said), (413, b"no"));
    }
}

#[test]
fn a_504_reaches_a_caller_whose_body_the_function_never_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let watchdog = watchdog(&url, &[("exec_timeout", "300ms")]);

    assert_eq!(answer_after_sending(&watchdog).status, 504);
}

#[test]
fn a_function_that_closes_without_an_answer_is_still_a_500() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            _ = stream.read(&mut [0; 100]);
            thread::sleep(Duration::from_millis(50));
        }
    });
    let watchdog = watchdog(&url, &[]);

    let response = answer_after_sending(&watchdog);

    assert_eq!(response.status, 500);
    assert_eq!(response.header("x-openfaas-internal"), Some("of-watchdog"));
}
