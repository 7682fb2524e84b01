//! Bodies stream: what passes through a node does not stay in it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use serde_json::json;
use tests::demo::Demo;

const GIGABYTE: u64 = 1 << 30;
const MEGABYTE: u64 = 1 << 20;

/// Sends `bytes` zeros to `path` and reads them back; answers how many came.
fn send_and_count(address: &str, path: &str, bytes: u64) -> u64 {
    let stream = TcpStream::connect(address).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    let sending = thread::spawn(move || {
        sender.write_all(head.as_bytes()).unwrap();
        let chunk = vec![0; 256 << 10];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(chunk.len() as u64);
            sender.write_all(&chunk[..usize::try_from(now).unwrap()]).unwrap();
            left -= now;
        }
    });
    let mut reader = std::io::BufReader::with_capacity(256 << 10, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains(&format!("content-length: {bytes}")),
        "the function knows the length and says it: {head}"
    );
    let count = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    sending.join().unwrap();
    count
}

/// A figure of `/proc/PID/status`, in bytes.
fn memory(pid: i32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn a_gigabyte_goes_through_with_less_than_eight_megabytes_of_growth() {
    let demo = Demo::builder().nodes(2).start();
    demo.deploy(json!({"service": "echo", "image": "bramble/echo:latest"}));
    let home = demo.function("echo")["placements"][0]["node"]
        .as_str()
        .unwrap()
        .to_owned();
    for name in demo.node_names() {
        let way = if name == home {
            "to a replica of its own"
        } else {
            "over the hop to another node"
        };
        let address = std::fs::read_to_string(demo.node_file(&name, "http")).unwrap();
        let address = address.trim().trim_start_matches("http://").to_owned();
        assert_eq!(send_and_count(&address, "/function/echo", MEGABYTE), MEGABYTE);

        let pids: Vec<_> = demo.node_names().iter().map(|node| demo.pid(node)).collect();
        for pid in &pids {
            // Forgets the highest figure so far (proc(5), clear_refs): checking a password at the start took more.
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        }
        let before: Vec<_> = pids.iter().map(|pid| memory(*pid, "VmRSS")).collect();
        assert_eq!(send_and_count(&address, "/function/echo", GIGABYTE), GIGABYTE);
        for (pid, before) in pids.iter().zip(before) {
            let growth = memory(*pid, "VmHWM").saturating_sub(before);
            assert!(growth < 8 * MEGABYTE, "{way}: grew by {} KiB", growth >> 10);
        }
    }
}
