//! Look-ups against name servers that do what a test wants.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tempfile::TempDir;

use super::*;

/// What a server says to a question.
#[derive(Clone)]
enum Says {
    Addresses(Vec<IpAddr>),
    /// So many IPv4 addresses, which do not fit into UDP.
    Many(u8),
    /// An answer to another question first, then this address.
    AfterForgery(IpAddr),
    /// Another name, and that one's address.
    Alias(IpAddr),
    NoSuchName,
    Failure,
    Silence,
}

/// A name server, and what it was asked.
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Server {
    /// Answers at `address` what `says` says to (name, is it IPv6 that is asked for).
    fn start(
        address: Ipv4Addr,
        port: u16,
        says: impl Fn(&str, bool) -> Says + Clone + Send + 'static,
    ) -> Self {
        // A port that is free for one may be somebody's for the other: another one, then.
        let (udp, tcp, port) = loop {
            let udp = UdpSocket::bind((address, port)).unwrap();
            let port = udp.local_addr().unwrap().port();
            if let Ok(tcp) = TcpListener::bind((address, port)) {
                break (udp, tcp, port);
            }
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, says_by_tcp) = (asked.clone(), says.clone());
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, client)) = udp.recv_from(&mut bytes) {
                for answer in answers(&bytes[..length], &says, false, &log) {
                    udp.send_to(&answer, client).unwrap();
                }
            }
        });
        let log = asked.clone();
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut bytes).unwrap();
                for answer in answers(&bytes, &says_by_tcp, true, &log) {
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length, &answer[..]].concat()).unwrap();
                }
            }
        });
        Self { asked, port }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answers(
    bytes: &[u8],
    says: &impl Fn(&str, bool) -> Says,
    by_tcp: bool,
    log: &Mutex<Vec<String>>,
) -> Vec<Vec<u8>> {
    let query = Packet::parse(bytes).unwrap();
    let (name, is_v6) = (
        query.questions[0].qname.to_string(),
        query.questions[0].qtype == QTYPE::TYPE(TYPE::AAAA),
    );
    log.lock().unwrap().push(format!(
        "{name} {}{}",
        if is_v6 { "AAAA" } else { "A" },
        if by_tcp { " by TCP" } else { "" }
    ));
    let id = query.id();
    let mut answer = query.clone().into_reply();
    let add = |answer: &mut Packet<'_>, name: &str, data: RData<'static>| {
        let name = Name::new(name).unwrap().into_owned();
        answer
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, data));
    };
    let data = |address: &IpAddr| match address {
        IpAddr::V4(address) => RData::A(A::from(*address)),
        IpAddr::V6(address) => RData::AAAA(AAAA::from(*address)),
    };
    match says(&name, is_v6) {
        Says::Addresses(addresses) => {
            for address in addresses.iter().filter(|address| address.is_ipv6() == is_v6) {
                add(&mut answer, &name, data(address));
            }
        }
        Says::Many(count) if !is_v6 => {
            for last in 1..=count {
                add(&mut answer, &name, data(&Ipv4Addr::new(10, 0, 0, last).into()));
            }
            if !by_tcp {
                // As some servers do: what fits, whole records or not.
                let mut bytes = answer.build_bytes_vec().unwrap();
                bytes.truncate(512);
                bytes[2] |= 2;
                return vec![bytes];
            }
        }
        Says::AfterForgery(address) if !is_v6 => {
            let mut forged = Packet::new_reply(id.wrapping_add(1));
            forged.set_flags(PacketFlag::RESPONSE);
            add(&mut forged, &name, data(&Ipv4Addr::new(6, 6, 6, 6).into()));
            add(&mut answer, &name, data(&address));
            let noise = b"not a packet".to_vec();
            return vec![
                noise,
                forged.build_bytes_vec().unwrap(),
                answer.build_bytes_vec().unwrap(),
            ];
        }
        Says::Alias(address) if !is_v6 => {
            let alias = RData::CNAME(CNAME(Name::new("real.example").unwrap()));
            add(&mut answer, &name, alias);
            add(&mut answer, "real.example", data(&address));
        }
        Says::Many(_) | Says::AfterForgery(_) | Says::Alias(_) => {}
        Says::NoSuchName => *answer.rcode_mut() = RCODE::NameError,
        Says::Failure => *answer.rcode_mut() = RCODE::ServerFailure,
        Says::Silence => return Vec::new(),
    }
    vec![answer.build_bytes_vec_compressed().unwrap()]
}

/// Names of a system whose files say this.
fn names(port: u16, hosts: &str, settings: &str) -> (TempDir, Names) {
    let folder = TempDir::new().unwrap();
    let names = Names {
        hosts: folder.path().join("hosts"),
        settings: folder.path().join("resolv.conf"),
        port,
    };
    fs::write(&names.hosts, hosts).unwrap();
    fs::write(&names.settings, settings).unwrap();
    (folder, names)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn look_up(names: &Names, name: &str) -> Result<Vec<IpAddr>, NamesError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(names.addresses(name))
}

const HERE: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

#[test]
fn a_server_is_asked_for_both_kinds_of_address() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| {
        Says::Addresses(vec![ip("fd00::7"), ip("10.0.0.7"), ip("10.0.0.8")])
    });
    let (_folder, names) = names(server.port, "", HERE);

    let found = look_up(&names, "db.room.one").unwrap();

    assert_eq!(found, [ip("10.0.0.7"), ip("10.0.0.8"), ip("fd00::7")]);
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["db.room.one A", "db.room.one AAAA"]);
}

#[test]
fn what_is_in_the_hosts_file_is_asked_of_nobody() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::Failure);
    let (_folder, names) = names(server.port, "10.1.1.1 db", HERE);

    assert_eq!(look_up(&names, "db").unwrap(), [ip("10.1.1.1")]);
    assert!(server.asked().is_empty());
}

#[test]
fn without_its_files_a_system_asks_itself() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| {
        Says::Addresses(vec![ip("10.0.0.7")])
    });
    let (folder, names) = names(server.port, "", "");
    fs::remove_file(folder.path().join("hosts")).unwrap();
    fs::remove_file(folder.path().join("resolv.conf")).unwrap();

    assert_eq!(look_up(&names, "db").unwrap(), [ip("10.0.0.7")]);
}

#[test]
fn the_search_list_is_gone_through_until_a_name_is_known() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |name, _| match name {
        "db.school.example" => Says::Addresses(vec![ip("10.0.0.7")]),
        _ => Says::NoSuchName,
    });
    let settings = format!("{HERE}search lan school.example\n");
    let (_folder, names) = names(server.port, "", &settings);

    assert_eq!(look_up(&names, "db").unwrap(), [ip("10.0.0.7")]);
    let unknown = look_up(&names, "web").unwrap_err();
    assert!(
        unknown.to_string().contains("nobody knows the name `web`"),
        "{unknown}"
    );
    let asked = server.asked();
    assert!(asked.contains(&"db.lan A".to_owned()), "{asked:?}");
    assert!(!asked.contains(&"db A".to_owned()), "{asked:?}");
    assert!(asked.contains(&"web A".to_owned()), "{asked:?}");
}

#[test]
fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::Many(100));
    let (_folder, names) = names(server.port, "", HERE);

    let found = look_up(&names, "db").unwrap();

    assert_eq!(found.len(), 100);
    assert!(
        server.asked().contains(&"db A by TCP".to_owned()),
        "{:?}",
        server.asked()
    );
}

#[test]
fn only_an_answer_to_the_question_is_believed() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::AfterForgery(ip("10.0.0.7")));
    let (_folder, names) = names(server.port, "", HERE);

    assert_eq!(look_up(&names, "db").unwrap(), [ip("10.0.0.7")]);
}

#[test]
fn a_name_that_stands_for_another_has_that_ones_addresses() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::Alias(ip("10.0.0.7")));
    let (_folder, names) = names(server.port, "", HERE);

    assert_eq!(look_up(&names, "www.example").unwrap(), [ip("10.0.0.7")]);
}

#[test]
fn a_server_that_fails_or_is_silent_is_replaced_by_the_next() {
    for first in [Says::Failure, Says::Silence] {
        let second = Server::start(Ipv4Addr::new(127, 0, 0, 53), 0, |_, _| {
            Says::Addresses(vec![ip("10.0.0.7")])
        });
        let first = Server::start(Ipv4Addr::LOCALHOST, second.port, move |_, _| first.clone());
        let settings = format!("{HERE}nameserver 127.0.0.53\n");
        let (_folder, names) = names(second.port, "", &settings);

        assert_eq!(look_up(&names, "db").unwrap(), [ip("10.0.0.7")]);
        assert!(first.asked().contains(&"db A".to_owned()));
    }
}

#[test]
fn where_nobody_answers_the_last_servers_trouble_is_told() {
    let failing = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::Failure);
    let (_folder, names) = names(failing.port, "", HERE);
    let why = look_up(&names, "db").unwrap_err().to_string();
    assert!(
        why.contains("`db`") && why.contains("127.0.0.1") && why.contains("ServerFailure"),
        "{why}"
    );

    let silent = Server::start(Ipv4Addr::LOCALHOST, 0, |_, _| Says::Silence);
    let names = Names {
        port: silent.port,
        ..names
    };
    let why = look_up(&names, "db").unwrap_err().to_string();
    assert!(why.contains("no answer in time"), "{why}");
}

#[test]
fn one_kind_of_address_is_enough() {
    let server = Server::start(Ipv4Addr::LOCALHOST, 0, |_, is_v6| {
        if is_v6 {
            Says::Failure
        } else {
            Says::Addresses(vec![ip("10.0.0.7")])
        }
    });
    let (_folder, names) = names(server.port, "", HERE);

    assert_eq!(look_up(&names, "db").unwrap(), [ip("10.0.0.7")]);
}
