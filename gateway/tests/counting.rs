//! Counters under load, and calls that clients leave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use api::ReplicaId;
use bytes::Bytes;
use common::{Bramble, Replica, send, until};
use http::Request;
use http_body_util::BodyExt as _;

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_counted_once_whatever_runs_at_the_same_time() {
    let mut bramble = Bramble::of(2).await;
    let replicas = [Replica::start("a").await, Replica::start("b").await];
    bramble.place("env", 1, 0, replicas[0].address);
    bramble.place("env", 2, 1, replicas[1].address);
    let addresses = [bramble.nodes[0].public, bramble.nodes[1].public];
    let workers: Vec<_> = (0..16)
        .map(|worker: usize| {
            tokio::spawn(async move {
                for call in 0..50 {
                    let status = [200, 201, 404, 500][call % 4];
                    let answer = common::ask(
                        addresses[worker % 2],
                        get(&format!("/function/env/status/{status}")),
                    )
                    .await;
                    assert_eq!(answer.status.as_u16(), status);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for node in [0, 1] {
        until(|| bramble.counters(node, "env").unwrap().in_flight == 0).await;
        let counters = bramble.counters(node, "env").unwrap();
        assert_eq!(counters.started, 400);
        // 8 clients made 50 calls each: 13 of them for the first two of the four statuses, 12 for the others.
        assert_eq!(
            counters.finished,
            [(200, 104), (201, 104), (404, 96), (500, 96)].into()
        );
        assert!(counters.replicas.is_empty());
    }
    assert_eq!(replicas[0].calls() + replicas[1].calls(), 800);
}

#[tokio::test]
async fn a_call_under_way_is_seen_by_both_gateways() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    let answer = send(
        bramble.nodes[0].public,
        get("/function/env/drip").map(http_body_util::Full::new),
    )
    .await;

    let counters = bramble.counters(0, "env").unwrap();
    assert_eq!((counters.started, counters.in_flight), (1, 1));
    assert_eq!(counters.replicas, [(ReplicaId(1), 1)].into());
    // Counted where the client asked, and only there; the other knows that its replica is busy.
    assert!(bramble.counters(1, "env").is_none());
    assert_eq!(bramble.nodes[1].gateway.local_in_flight(ReplicaId(1)), 1);

    answer.into_body().collect().await.unwrap();
    until(|| bramble.nodes[1].gateway.local_in_flight(ReplicaId(1)) == 0).await;
    until(|| bramble.counters(0, "env").unwrap().in_flight == 0).await;
    assert_eq!(bramble.counters(0, "env").unwrap().finished, [(200, 1)].into());
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels_the_call_and_it_counts() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [1, 0] {
        let address = bramble.nodes[node].public;
        let request = "GET /function/env/hang HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes())
            .await
            .unwrap();
        replica.until_busy(1).await;
        drop(socket);
        replica.until_busy(0).await;
        until(|| bramble.counters(node, "env").unwrap().in_flight == 0).await;
        assert_eq!(bramble.counters(node, "env").unwrap().finished, [(499, 1)].into());
        assert_eq!(bramble.nodes[1].gateway.local_in_flight(ReplicaId(1)), 0);
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_stops_the_function() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [1, 0] {
        let request = get("/function/env/endless").map(http_body_util::Full::new);
        let mut body = send(bramble.nodes[node].public, request).await.into_body();
        body.frame().await.unwrap().unwrap();
        replica.until_busy(1).await;
        drop(body);
        replica.until_busy(0).await;
        until(|| bramble.counters(node, "env").unwrap().in_flight == 0).await;
        assert_eq!(bramble.counters(node, "env").unwrap().finished, [(200, 1)].into());
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_function_back() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    for node in [1, 0] {
        replica.sent.store(0, Ordering::SeqCst);
        let request = get("/function/env/endless").map(http_body_util::Full::new);
        let answer = send(bramble.nodes[node].public, request).await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        let before = replica.sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after = replica.sent.load(Ordering::SeqCst);
        assert_eq!(before, after, "still sending");
        assert!(after < 32 << 20, "{after} bytes are buffered on the way");
        drop(answer);
    }
}
