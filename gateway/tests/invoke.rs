//! Invocations as the OpenFaaS contract describes them, over real sockets, to a replica here and over the hop.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use bytes::Bytes;
use common::{Answer, Bramble, Fed, Replica, ask, send};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Two nodes and a function with one replica on the second: asked at node 0 it takes the hop, at node 1 none.
async fn world() -> (Bramble, Replica) {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    (bramble, replica)
}

const HOP: usize = 0;
const LOCAL: usize = 1;
const BOTH: [usize; 2] = [LOCAL, HOP];

fn request(method: Method, path: &str, body: &'static str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

#[tokio::test]
async fn the_function_sees_the_path_after_its_name_as_it_was_written() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        for (asked, seen) in [
            ("/function/env", "/"),
            ("/function/env/", "/"),
            ("/function/env/a/b", "/a/b"),
            ("/function/env.openfaas-fn/a?x=1&y=%20", "/a?x=1&y=%20"),
            ("/function/env?x=1", "/?x=1"),
            ("/function/env/a%2Fb/%25/../c", "/a%2Fb/%25/../c"),
        ] {
            let answer = bramble.get(node, asked).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(
                answer.text().lines().next().unwrap(),
                format!("GET {seen}"),
                "{asked} at {node}"
            );
        }
    }
}

#[tokio::test]
async fn every_verb_of_openfaas_reaches_the_function_and_no_other() {
    let (bramble, replica) = world().await;
    for node in BOTH {
        for verb in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = bramble
                .ask(node, request(verb.parse().unwrap(), "/function/env/x", ""))
                .await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.text().starts_with(verb));
        }
        let before = replica.calls();
        for verb in ["TRACE", "PURGE"] {
            let answer = bramble
                .ask(node, request(verb.parse().unwrap(), "/function/env", ""))
                .await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(answer.header("allow").contains("PATCH"));
        }
        assert_eq!(replica.calls(), before);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let answer = bramble
            .ask(node, request(Method::HEAD, "/function/env/name", ""))
            .await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert_eq!(answer.header("content-length"), "2");
    }
}

#[tokio::test]
async fn the_function_gets_the_headers_of_the_contract() {
    let (bramble, replica) = world().await;
    for node in BOTH {
        let request = Request::post("/function/env/x")
            .header("authorization", "Bearer mine")
            .header("x-callback-url", "http://a")
            .header("cookie", "a=1; bramble_session=secret; b=2")
            .header("connection", "keep-alive, x-private")
            .header("x-private", "1")
            .header("te", "trailers")
            .header("proxy-authorization", "x")
            .body(Bytes::from_static(b"hello"))
            .unwrap();
        let seen = bramble.ask(node, request).await.text();
        let line = |name: &str| {
            let found = seen
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found.unwrap_or_default().to_owned()
        };
        assert_eq!(line("authorization"), "Bearer mine");
        assert_eq!(line("x-callback-url"), "http://a");
        assert_eq!(line("cookie"), "a=1; b=2");
        assert_eq!(line("host"), replica.address.to_string());
        assert_eq!(line("x-forwarded-host"), "bramble.local:8080");
        assert!(line("x-forwarded-for").starts_with("127.0.0.1:"));
        assert_eq!(line("content-length"), "5");
        assert_eq!(line("user-agent"), "bramble-gateway/test");
        assert_eq!(line("x-call-id").len(), 36);
        assert!(line("x-start-time").parse::<u64>().unwrap() > 1_600_000_000_000_000_000);
        assert_eq!(line("body"), "hello");
        for gone in [
            "x-private",
            "te",
            "proxy-authorization",
            "connection",
            "transfer-encoding",
        ] {
            assert_eq!(line(gone), "", "{seen}");
        }
    }
}

#[tokio::test]
async fn every_answer_says_which_call_it_was_and_who_answered() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let answer = bramble.get(node, "/function/env").await;
        assert_eq!(answer.header("x-call-id").len(), 36);
        assert!(answer.header("x-start-time").parse::<u64>().is_ok());
        assert_eq!(answer.header("x-served-by"), "bramble/test");
        assert_eq!(answer.header("x-bramble-node"), "pi-1");

        let request = Request::get("/function/env")
            .header("x-call-id", "mine")
            .body(Bytes::new())
            .unwrap();
        let answer = bramble.ask(node, request).await;
        assert_eq!(answer.header("x-call-id"), "mine");
        assert!(answer.text().contains("x-call-id: mine\n"));
    }
}

#[tokio::test]
async fn an_unknown_function_is_404_with_words_and_a_call_id() {
    let (bramble, _replica) = world().await;
    for path in [
        "/function/nobody",
        "/function/nobody.openfaas-fn/x",
        "/function/env.other",
    ] {
        let answer = bramble.get(0, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(
            answer.text().starts_with("error finding function "),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("x-openfaas-internal"), "gateway");
        assert_eq!(answer.header("x-call-id").len(), 36);
    }
    for path in [
        "/function/",
        "/function/.openfaas-fn",
        "/function/a%20b",
        "/function/ENV",
    ] {
        assert_eq!(bramble.get(0, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(bramble.counters(0, "nobody").is_none());
}

#[tokio::test]
async fn what_the_function_answers_is_passed_on() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        for status in [201, 204, 400, 404, 418, 429, 500, 502, 503, 504] {
            let answer = bramble.get(node, &format!("/function/env/status/{status}")).await;
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(answer.header("x-openfaas-internal"), "");
        }
        let redirect = bramble.get(node, "/function/env/redirect").await;
        assert_eq!(redirect.status, StatusCode::FOUND);
        assert_eq!(redirect.header("location"), "http://elsewhere.example/");

        let answer = bramble
            .get(
                node,
                "/function/env?h=x-many:1&h=x-many:2&h=connection:x-private&h=x-private:1",
            )
            .await;
        assert_eq!(
            answer.headers.get_all("x-many").iter().collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert!(!answer.headers.contains_key("x-private"));
    }
}

#[tokio::test]
async fn the_content_type_is_the_functions_or_the_requests_or_plain_text() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let kind = async |path: &str, sent: Option<&str>| {
            let mut request = request(Method::POST, path, "x");
            if let Some(sent) = sent {
                request
                    .headers_mut()
                    .insert("content-type", sent.parse().unwrap());
            }
            bramble.ask(node, request).await.header("content-type").to_owned()
        };
        assert_eq!(kind("/function/env?h=content-type:a/b", Some("c/d")).await, "a/b");
        assert_eq!(kind("/function/env", Some("c/d")).await, "c/d");
        assert_eq!(kind("/function/env", None).await, "text/plain");
    }
}

#[tokio::test]
async fn a_body_without_a_length_arrives_whole_and_one_with_a_length_keeps_it() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let (feed, body) = Fed::new();
        let request = Request::post("/function/env/echo").body(body).unwrap();
        tokio::spawn(async move {
            for piece in ["a", "b", "c"] {
                feed.send(Bytes::from(piece)).await.unwrap();
            }
        });
        let answer = send(bramble.nodes[node].public, request).await;
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "abc");

        let large = Bytes::from(vec![b'x'; 5 << 20]);
        let request = Request::post("/function/env/echo").body(large.clone()).unwrap();
        let answer = bramble.ask(node, request).await;
        assert_eq!(answer.body, large);
        assert_eq!(answer.header("content-length"), (5 << 20).to_string());
    }
}

#[tokio::test]
async fn each_piece_of_an_answer_is_passed_on_when_it_comes() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let request = Request::get("/function/env/drip").body(String::new()).unwrap();
        let began = std::time::Instant::now();
        let mut body = send(bramble.nodes[node].public, request).await.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "one");
        assert!(began.elapsed().as_millis() < 250, "{:?}", began.elapsed());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "twothree");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let mut socket = tokio::net::TcpStream::connect(bramble.nodes[node].public)
            .await
            .unwrap();
        let head = "POST /function/env/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut told = [0; 25];
        socket.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        socket.write_all(b"yes").await.unwrap();
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
        assert!(rest.ends_with("yes"));
    }
}

#[tokio::test]
async fn trailers_do_no_harm() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let mut socket = tokio::net::TcpStream::connect(bramble.nodes[node].public)
            .await
            .unwrap();
        let request = "POST /function/env/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
                       connection: close\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("abc"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_web_socket_works_here_and_over_the_hop() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let request = Request::get("/function/env/socket")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(String::new())
            .unwrap();
        let answer = send(bramble.nodes[node].public, request).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()["upgrade"], "websocket");
        let mut socket = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        for word in [b"ping", b"1234"] {
            socket.write_all(word).await.unwrap();
            let mut back = [0; 4];
            socket.read_exact(&mut back).await.unwrap();
            let mut expected = *word;
            expected.reverse();
            assert_eq!(back, expected);
        }
        assert_eq!(bramble.counters(node, "env").unwrap().in_flight, 1);
        assert_eq!(bramble.nodes[1].gateway.local_in_flight(api::ReplicaId(1)), 1);
        drop(socket);
        common::until(|| bramble.counters(node, "env").unwrap().in_flight == 0).await;
        assert_eq!(bramble.counters(node, "env").unwrap().finished[&101], 1);
    }
}

#[tokio::test]
async fn an_upgrade_that_the_function_ignores_is_an_ordinary_call() {
    let (bramble, _replica) = world().await;
    for node in BOTH {
        let request = Request::get("/function/env/name")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(Bytes::new())
            .unwrap();
        let answer: Answer = ask(bramble.nodes[node].public, request).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "r1"));
    }
}
