//! An upstream on another machine, whose name a name server knows: in a network of the test's own, where it plays the
//! name server of `/etc/resolv.conf`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod support;

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::{env, fs, thread};

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, QTYPE, ResourceRecord, TYPE};
use support::{Upstream, Watchdog, eventually, respond};
use tempfile::TempDir;

/// Set in the network of the test's own.
const INSIDE: &str = "BRAMBLE_TEST_INSIDE";

#[test]
fn an_upstream_is_found_by_its_name() {
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("resolv.conf");
    fs::write(&settings, "nameserver 127.0.0.1\nsearch school.example\n").unwrap();
    // Its own network and view of files, where port 53 is free and /etc is as the test wants it.
    let script = format!(
        "ip link set lo up && mount --bind {} /etc/resolv.conf && exec {} --exact an_upstream_is_found_by_its_name --nocapture",
        settings.display(),
        env::current_exe().unwrap().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--map-root-user", "--", "sh", "-c", &script]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare:") || !Path::new("/etc/resolv.conf").exists() {
        // Not by `eprintln!`, which is only shown of tests that fail.
        let why = format!(
            "\nnot run: the watchdog's names (a test gets no network of its own here: {})\n",
            said.trim()
        );
        _ = std::io::stderr().write_all(why.as_bytes());
        return;
    }
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn inside() {
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, client)) = server.recv_from(&mut bytes) {
            let query = Packet::parse(&bytes[..length]).unwrap();
            let question = query.questions[0].clone();
            let mut answer = query.clone().into_reply();
            if question.qname.to_string() == "db.school.example" && question.qtype == QTYPE::TYPE(TYPE::A) {
                let data = RData::A(A::from(Ipv4Addr::LOCALHOST));
                answer
                    .answers
                    .push(ResourceRecord::new(question.qname, CLASS::IN, 60, data));
            }
            server
                .send_to(&answer.build_bytes_vec().unwrap(), client)
                .unwrap();
        }
    });
    let upstream = Upstream::start(|received, stream| {
        let host = received.header("host").unwrap().to_owned();
        respond(stream, "200 OK", "", host.as_bytes());
    });
    let url = upstream.url.replace("127.0.0.1", "db");
    let watchdog = Watchdog::start(&[("mode", "http"), ("fprocess", "sleep 60"), ("upstream_url", &url)]);
    assert_eq!(watchdog.get("/").text(), "test");

    let url = url.replace("db", "nowhere");
    let watchdog =
        Watchdog::start_unready(&[("mode", "http"), ("fprocess", "sleep 60"), ("upstream_url", &url)]);
    let answer = watchdog.get("/");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("nobody knows the name `nowhere`"),
        "{}",
        answer.text()
    );
    eventually("the log tells why the function is not there", || {
        watchdog.log().contains("nobody knows the name `nowhere`")
    });
}
