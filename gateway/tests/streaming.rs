//! A gigabyte through the gateway in little memory. Alone in its file, for it measures the whole process: client,
//! gateways and replica together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Bramble, Fed, Replica, send};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;

const PIECE: usize = 64 << 10;
const GIGABYTE: usize = 1 << 30;

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Sends `total` bytes to the function, which sends them back, and looks at each and at the memory. How much it grew.
async fn there_and_back(bramble: &Bramble, node: usize, pieces: &Arc<Vec<Bytes>>, total: usize) -> u64 {
    let before = resident();
    let (feed, body) = Fed::new();
    let source = tokio::spawn({
        let pieces = pieces.clone();
        async move {
            for number in 0..total / PIECE {
                feed.send(pieces[number % 256].clone()).await.unwrap();
            }
        }
    });
    let request = Request::post("/function/env/echo").body(body).unwrap();
    let answer = send(bramble.nodes[node].public, request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let (mut at, mut most, mut looks) = (0, 0, 0);
    while let Some(frame) = body.frame().await {
        let mut data = frame.unwrap().into_data().unwrap();
        while !data.is_empty() {
            let expected = &pieces[(at / PIECE) % 256][at % PIECE..];
            let length = expected.len().min(data.len());
            assert!(
                data.split_to(length) == expected[..length],
                "damaged at byte {at}"
            );
            at += length;
        }
        looks += 1;
        if looks % 512 == 0 {
            most = most.max(resident().saturating_sub(before));
        }
    }
    source.await.unwrap();
    assert_eq!(at, total);
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_streams_there_and_back_in_less_than_8_mb() {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("r1").await;
    bramble.place("env", 1, 1, replica.address);
    let pieces = Arc::new((0..=255).map(|byte| Bytes::from(vec![byte; PIECE])).collect());
    for node in [1, 0] {
        // Opens what stays open.
        assert_eq!(bramble.get(node, "/function/env/name").await.text(), "r1");
        let grown = there_and_back(&bramble, node, &pieces, GIGABYTE).await;
        println!("asked at node {node} it grew by {} KiB", grown >> 10);
        assert!(grown < 8 << 20, "asked at node {node} it grew by {grown} bytes");
    }
}
