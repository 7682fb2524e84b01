//! What happens when a replica is missing, refuses, breaks off or is slow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use api::ReplicaId;
use bytes::Bytes;
use common::{Bramble, Fed, Replica, name, send, until};
use gateway::GatewayConfig;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// An address where nothing listens, nor will: each has a loopback address of its own, which no other test is given.
async fn nowhere() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    TcpListener::bind((Ipv4Addr::new(127, 77, 0, NEXT.fetch_add(1, Ordering::Relaxed)), 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

fn quick() -> GatewayConfig {
    GatewayConfig {
        invoke_limit: Duration::from_millis(300),
        wait_limit: Duration::from_millis(300),
        ..GatewayConfig::default()
    }
}

fn post(path: &str, body: &'static str) -> Request<Bytes> {
    Request::post(path)
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

#[tokio::test]
async fn a_replica_that_takes_no_connection_is_replaced_by_another_with_the_whole_body() {
    for (dead, alive) in [(1, 1), (1, 0), (0, 1), (0, 0)] {
        let mut bramble = Bramble::of(2).await;
        let replica = Replica::start("alive").await;
        bramble.place("env", 1, dead, nowhere().await);
        bramble.place("env", 2, alive, replica.address);
        for _ in 0..10 {
            let answer = bramble.ask(0, post("/function/env/echo", "all of it")).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (StatusCode::OK, "all of it")
            );
        }
        assert_eq!(bramble.counters(0, "env").unwrap().finished, [(200, 10)].into());
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_replaced_by_another() {
    let mut bramble = Bramble::of(3).await;
    let (gone, alive) = (Replica::start("gone").await, Replica::start("alive").await);
    bramble.place("env", 1, 1, gone.address);
    bramble.place("env", 2, 2, alive.address);
    let unplugged = bramble.nodes.remove(1);
    drop(unplugged);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..10 {
        let answer = bramble.ask(0, post("/function/env/echo", "all of it")).await;
        assert_eq!(answer.text(), "all of it");
    }
}

#[tokio::test]
async fn a_replica_that_its_node_does_not_know_is_refused_there_and_tried_elsewhere() {
    let mut bramble = Bramble::of(3).await;
    let replica = Replica::start("alive").await;
    // Node 1 was told to stop it, and node 0 has not heard of that yet.
    bramble.route("env", 1, 1);
    bramble.place("env", 2, 2, replica.address);
    for _ in 0..10 {
        let answer = bramble.ask(0, post("/function/env/echo", "all of it")).await;
        assert_eq!(answer.text(), "all of it");
        assert_eq!(answer.header("x-bramble-node"), "pi-2");
        assert_eq!(answer.header("x-bramble-refused"), "");
    }
}

#[tokio::test]
async fn a_hop_for_a_replica_that_is_gone_goes_to_its_neighbour_and_never_on() {
    let mut bramble = Bramble::of(3).await;
    let (neighbour, elsewhere) = (
        Replica::start("neighbour").await,
        Replica::start("elsewhere").await,
    );
    bramble.place("env", 2, 1, neighbour.address);
    let path = format!("{}r1/env.openfaas-fn/name", gateway::HOP_PREFIX);
    let hop = || Request::get(&path).body(Bytes::new()).unwrap();
    assert_eq!(
        hop_to(&bramble, 1, hop()).await,
        (StatusCode::OK, "neighbour".to_owned())
    );

    bramble.unroute("env", 2);
    bramble.place("env", 3, 2, elsewhere.address);
    assert_eq!(
        hop_to(&bramble, 1, hop()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(elsewhere.calls(), 0);
}

/// One hop made by hand: through a plain HTTP/1.1 listener in front of `invoke_hop`.
async fn hop_to(bramble: &Bramble, node: usize, request: Request<Bytes>) -> (StatusCode, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gateway, peer) = (bramble.nodes[node].gateway.clone(), bramble.nodes[0].id);
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, std::convert::Infallible>(gateway.invoke_hop(peer, request).await) }
        });
        let socket = hyper_util::rt::TokioIo::new(socket);
        hyper::server::conn::http1::Builder::new()
            .serve_connection(socket, service)
            .await
    });
    let answer = common::ask(address, request).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn a_function_whose_replica_breaks_off_is_unreachable_and_is_not_called_twice() {
    let mut bramble = Bramble::of(2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bramble.place("env", 1, 1, listener.local_addr().unwrap());
    let calls = Arc::new(AtomicU32::new(0));
    tokio::spawn({
        let calls = calls.clone();
        async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                _ = socket.read(&mut head).await.unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    for node in [1, 0] {
        calls.store(0, Ordering::SeqCst);
        let answer = bramble.ask(node, post("/function/env", "pay 5")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text(), "Can't reach service for: env.\n");
        assert_eq!(answer.header("x-openfaas-internal"), "gateway");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_connection_that_the_replica_closed_meanwhile_costs_nobody_an_error() {
    let mut bramble = Bramble::of(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bramble.place("env", 1, 0, listener.local_addr().unwrap());
    // Promises to keep the connection and closes it after one answer, sooner or later.
    tokio::spawn(async move {
        for wait_ms in (0..4).cycle() {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                _ = socket.read(&mut head).await.unwrap();
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            });
        }
    });
    for _ in 0..300 {
        let answer = bramble.get(0, "/function/env").await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "ok"));
    }
    for pause_ms in [5, 10, 20] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        assert_eq!(
            bramble.ask(0, post("/function/env", "x")).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn connections_to_a_replica_are_used_again() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [0, 1, 0, 1, 0] {
        assert_eq!(
            bramble.ask(node, post("/function/env/echo", "x")).await.text(),
            "x"
        );
        assert_eq!(
            bramble.get(node, "/function/env/status/204").await.status,
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(replica.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_function_that_does_not_answer_in_time_is_502_without_a_body() {
    let mut bramble = Bramble::with(2, quick()).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [1, 0] {
        let answer = bramble.get(node, "/function/env/hang").await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::BAD_GATEWAY, 0));
        assert_eq!(answer.header("x-openfaas-internal"), "gateway");
        replica.until_busy(0).await;
    }
}

#[tokio::test]
async fn an_upload_that_takes_longer_than_the_limit_is_fine_while_it_moves() {
    let mut bramble = Bramble::with(2, quick()).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [1, 0] {
        let (feed, body) = Fed::new();
        let request = Request::post("/function/env/text").body(body).unwrap();
        tokio::spawn(async move {
            for _ in 0..6 {
                feed.send(Bytes::from_static(b"piece ")).await.unwrap();
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        let answer = send(bramble.nodes[node].public, request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"body: piece piece piece piece piece piece \n"));
    }
}

#[tokio::test]
async fn a_call_waits_for_a_replica_wakes_the_agent_and_goes_on_when_there_is_one() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.deploy("env");
    let gateway = bramble.nodes[0].gateway.clone();
    let address = bramble.nodes[0].public;
    let calls: Vec<_> = (0..3)
        .map(|_| tokio::spawn(async move { common::ask(address, post("/function/env/echo", "held")).await }))
        .collect();
    tokio::time::timeout(Duration::from_secs(2), gateway.woken())
        .await
        .expect("woken");
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 3)
    })
    .await;
    assert_eq!(bramble.counters(0, "env").unwrap().in_flight, 0);

    bramble.deploy("unrelated");
    bramble.place("env", 1, 1, replica.address);
    for call in calls {
        assert_eq!(call.await.unwrap().text(), "held");
    }
    let counters = bramble.counters(0, "env").unwrap();
    assert_eq!(
        (counters.waiting, counters.in_flight, counters.started),
        (0, 0, 3)
    );
    let again = tokio::time::timeout(Duration::from_millis(50), gateway.woken()).await;
    assert!(again.is_err(), "woken once, not for each call");
}

#[tokio::test]
async fn a_replica_of_this_node_is_waited_for_until_the_agent_says_where_it_is() {
    let mut bramble = Bramble::of(1).await;
    let replica = Replica::start("r1").await;
    bramble.route("env", 1, 0);
    let address = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(address, post("/function/env/echo", "held")).await });
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 1)
    })
    .await;
    bramble.place("env", 1, 0, replica.address);
    assert_eq!(call.await.unwrap().text(), "held");
}

#[tokio::test]
async fn a_call_that_waited_long_enough_is_503_in_plain_words() {
    let mut bramble = Bramble::with(1, quick()).await;
    bramble.deploy("env");
    let answer = bramble.get(0, "/function/env").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.text(),
        "no replica of env.openfaas-fn became ready within 0.3 s\n"
    );
    assert_eq!(answer.header("x-openfaas-internal"), "gateway");
    let counters = bramble.counters(0, "env").unwrap();
    assert_eq!(counters.finished, [(503, 1)].into());
    assert_eq!(counters.waiting, 0);
}

#[tokio::test]
async fn a_call_that_waits_for_a_function_that_is_removed_is_404() {
    let mut bramble = Bramble::of(1).await;
    bramble.deploy("env");
    let address = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(address, post("/function/env", "")).await });
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 1)
    })
    .await;
    bramble.remove("env");
    assert_eq!(call.await.unwrap().status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_call_that_the_only_replica_refused_goes_to_the_one_that_takes_its_place() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("new").await;
    bramble.place("env", 1, 1, nowhere().await);
    let address = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(address, post("/function/env/echo", "held")).await });
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 1)
    })
    .await;
    bramble.unroute("env", 1);
    bramble.place("env", 2, 1, replica.address);
    assert_eq!(call.await.unwrap().text(), "held");
}

#[tokio::test]
async fn a_call_that_the_only_replica_refused_goes_there_once_it_is_back_though_nobody_missed_it() {
    let mut bramble = Bramble::of(2).await;
    let address = nowhere().await;
    bramble.place("env", 1, 1, address);
    let public = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(public, post("/function/env/echo", "held")).await });
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 1)
    })
    .await;
    let _replica = Replica::start_at("back", address).await;
    assert_eq!(call.await.unwrap().text(), "held");
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_is_counted_and_waits_no_more() {
    let mut bramble = Bramble::of(1).await;
    bramble.deploy("env");
    let address = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(address, post("/function/env", "")).await });
    until(|| {
        bramble
            .counters(0, "env")
            .is_some_and(|counters| counters.waiting == 1)
    })
    .await;
    call.abort();
    // The client's connection lives in a task of its own; the runtime ends it with the next turn.
    until(|| bramble.counters(0, "env").unwrap().waiting == 0).await;
    assert_eq!(bramble.counters(0, "env").unwrap().finished, [(499, 1)].into());
}

#[tokio::test]
async fn calls_spread_over_the_replicas_by_how_busy_these_are() {
    let mut bramble = Bramble::of(3).await;
    let replicas = [
        Replica::start("a").await,
        Replica::start("b").await,
        Replica::start("c").await,
    ];
    for (number, replica) in replicas.iter().enumerate() {
        bramble.place("env", number as u64 + 1, number, replica.address);
    }
    let address = bramble.nodes[0].public;
    let began = Instant::now();
    let workers: Vec<_> = (0..12)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..10 {
                    let answer = common::ask(address, post("/function/env/slow", "")).await;
                    assert_eq!(answer.status, StatusCode::OK);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for replica in &replicas {
        assert!(
            (20..=60).contains(&replica.calls()),
            "{} of 120 in {:?}",
            replica.calls(),
            began.elapsed()
        );
    }
    let counters = bramble.counters(0, "env").unwrap();
    assert_eq!(
        (counters.function, counters.finished),
        (name("env"), [(200, 120)].into())
    );
    assert!(counters.replicas.is_empty());
    assert_eq!(bramble.nodes[0].gateway.local_in_flight(ReplicaId(1)), 0);
}

#[tokio::test]
async fn a_function_that_answers_without_reading_is_heard_by_a_client_that_sends_first() {
    let mut bramble = Bramble::of(2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bramble.place("env", 1, 1, listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                _ = socket.read(&mut head).await.unwrap();
                socket
                    .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
                std::future::pending::<()>().await
            });
        }
    });
    for node in [1, 0] {
        let mut socket = tokio::net::TcpStream::connect(bramble.nodes[node].public)
            .await
            .unwrap();
        let length = 20 << 20;
        let head = format!("POST /function/env HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![7; length]).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
}

#[tokio::test]
async fn a_function_whose_route_is_on_its_way_is_waited_for_a_moment() {
    let mut bramble = Bramble::of(1).await;
    let replica = Replica::start("r1").await;
    let address = bramble.nodes[0].public;
    let call = tokio::spawn(async move { common::ask(address, post("/function/env/echo", "early")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    bramble.place("env", 1, 0, replica.address);
    assert_eq!(call.await.unwrap().text(), "early");
}

/// Answers every request as soon as it has its headers, and reads nothing of its body for a while.
async fn answers_without_reading() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head: Vec<u8> = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut piece = [0; 1024];
                    let read = stream.read(&mut piece).await.unwrap();
                    head.extend(&piece[..read]);
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_answer_of_a_function_that_does_not_read() {
    for home in [0, 1] {
        let mut bramble = Bramble::of(2).await;
        bramble.place("env", 1, home, answers_without_reading().await);
        let body = Bytes::from(vec![7; 5_000_000]);
        let answer = bramble
            .ask(0, Request::post("/function/env").body(body).unwrap())
            .await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "early"));
    }
}

/// Breaks off the first request, whatever it is, and answers the next ones.
async fn breaks_off_once() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for round in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut piece = [0; 1024];
            _ = stream.read(&mut piece).await.unwrap();
            if round > 0 {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                    .await
                    .unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn only_a_request_that_changes_nothing_is_made_again_after_a_connection_broke() {
    for (method, expected) in [
        ("GET", StatusCode::OK),
        ("POST", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let mut bramble = Bramble::of(1).await;
        let address = breaks_off_once().await;
        bramble.place("env", 1, 0, address);
        bramble.place("env", 2, 0, address);
        let request = Request::builder()
            .method(method)
            .uri("/function/env")
            .body(Bytes::new())
            .unwrap();
        assert_eq!(bramble.ask(0, request).await.status, expected, "{method}");
    }
}
