//! Connections from a gateway to a replica of its own node: made once, used again, and given up when they are not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use common::{Bramble, Replica, until};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// So many clients make so many calls each, all at the same time, each on its one connection.
async fn rush(bramble: &Bramble, clients: usize, calls: usize, method: Method, path: &'static str) {
    let mut rush = JoinSet::new();
    for _ in 0..clients {
        let (address, method) = (bramble.nodes[0].public, method.clone());
        rush.spawn(async move {
            let socket = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
                .await
                .unwrap();
            tokio::spawn(connection);
            for _ in 0..calls {
                let request = Request::builder()
                    .method(method.clone())
                    .uri(path)
                    .header("host", "bramble.local:8080")
                    .body(Full::new(Bytes::from_static(b"x")))
                    .unwrap();
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.unwrap();
            }
        });
    }
    while let Some(done) = rush.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_calls_there_are_at_once_a_connection_is_made_once() {
    for (method, clients) in [(Method::GET, 64), (Method::POST, 64), (Method::POST, 200)] {
        let mut bramble = Bramble::of(1).await;
        let replica = Replica::start("slow").await;
        bramble.place("env", 1, 0, replica.address);

        // All of them take as long, so they come back all at once.
        rush(&bramble, clients, 10, method, "/function/env/slow").await;

        let made = replica.connections.load(Ordering::SeqCst) as usize;
        // A client may be back with its next call a moment before its last one's connection is.
        assert!(
            made <= clients + clients / 4,
            "{made} connections for {clients} calls at once"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rush_few_connections_stay_and_in_the_end_none() {
    let mut bramble = Bramble::of(1).await;
    let replica = Replica::start("slow").await;
    bramble.place("env", 1, 0, replica.address);
    rush(&bramble, 200, 1, Method::POST, "/function/env/together/200").await;

    assert_eq!(replica.connections.load(Ordering::SeqCst), 200);
    let open = || replica.open.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    until(|| open() <= 64).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    until(|| open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_grew_old_do_not_keep_new_ones_from_being_kept() {
    let mut bramble = Bramble::of(1).await;
    let replica = Replica::start("slow").await;
    bramble.place("env", 1, 0, replica.address);
    rush(&bramble, 100, 1, Method::GET, "/function/env/slow").await;
    let before = replica.connections.load(Ordering::SeqCst);

    // Now nobody trusts them with a call that must not be made twice.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    rush(&bramble, 8, 20, Method::POST, "/function/env/name").await;

    let made = replica.connections.load(Ordering::SeqCst) - before;
    assert!(made <= 12, "{made} connections for 8 calls at once");
}
