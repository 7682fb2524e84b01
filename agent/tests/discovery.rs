//! Nodes that find each other by real multicast: each in a network namespace of its own, all on one bridge.
//!
//! Needs root and the `ip` program; where they are missing, it says so and tests nothing. A node is this very test
//! program, started in its namespace with orders on standard input and what it sees on standard output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use agent::discovery::{BrambleName, Discovery, Event, Interfaces, Mdns, NameStep, Peers};
use api::{
    Memory, NodeId,
    join::{Announcement, BrambleId, KeyTag, Role, Sighting, Standing},
};
use futures_util::future::BoxFuture;
use mdns_sd::{HostnameResolutionEvent, IfKind, ServiceDaemon};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use transport::{
    NodeKey,
    join::{Admission, Attempt, Decision, HostSelf, JoinHost, JoinRequest, serve_candidate},
};

const BRAMBLE: BrambleId = BrambleId::from_number(5);
const PORT: u16 = 7443;

/// Set for the processes that play a node: the node's number.
const PLAYS: &str = "BRAMBLE_TEST_DISCOVERY_NODE";

fn announcement(node: NodeId, standing: Standing) -> Announcement {
    Announcement {
        node,
        standing,
        board: "Raspberry Pi 4 Model B".to_owned(),
        memory: Memory::from_mib(1024),
        version: "0.1.0".to_owned(),
    }
}

fn leader(term: u64) -> Standing {
    Standing::Member {
        bramble: BRAMBLE,
        key: None,
        role: Role::Leader(term),
        work: false,
    }
}

const CANDIDATE: Standing = Standing::Candidate {
    key: Some(KeyTag::from_bytes([7; 8])),
};

/// One line for each thing seen, for the test that started this process.
fn tell(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "\n# {line}");
    _ = out.flush();
}

/// A node in a namespace: says what it sees, and does what it is told.
#[test]
#[ignore = "started in a namespace by the other tests"]
fn node_in_a_namespace() {
    let Ok(number) = std::env::var(PLAYS) else { return };
    let number: u128 = number.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let id = NodeId::from_number(number);
        let mut mdns = Mdns::start(Interfaces::default(), &format!("pi-4b-{}", id.tail()), PORT).unwrap();
        let mut name = BrambleName::new(&mdns, "bramble", 80);
        mdns.announce(&announcement(id, CANDIDATE)).unwrap();
        let (give, mut orders) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            std::io::stdin().lines().map_while(Result::ok).try_for_each(|order| give.send(order))
        });
        loop {
            tokio::select! {
                event = mdns.next() => match event {
                    Event::Sighted(sighting) => {
                        let Sighting { announcement, addresses } = sighting;
                        tell(format_args!("sees {} {:?} at {addresses:?}", announcement.node.tail(), announcement.standing));
                    }
                    Event::Lost(node) => tell(format_args!("lost {}", node.tail())),
                },
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    match order.split_once(' ') {
                        Some(("lead", term)) => {
                            let term = term.parse().unwrap();
                            mdns.announce(&announcement(id, leader(term))).unwrap();
                            name.carry_out(NameStep::Publish(term)).unwrap();
                        }
                        _ if order == "step down" => {
                            mdns.announce(&announcement(id, CANDIDATE)).unwrap();
                            name.carry_out(NameStep::Withdraw).unwrap();
                        }
                        Some(("rename", to)) => mdns.rename(to),
                        Some(("resolve", what)) => tell(format_args!("{what} is {:?}", resolve(what).await)),
                        _ => {
                            // Gives the last goodbye time to leave.
                            drop(name);
                            drop(mdns);
                            tokio::time::sleep(Duration::from_millis(500)).await;
                            return;
                        }
                    }
                }
            }
        }
    });
}

/// Asks the network, as any computer in the classroom would.
async fn resolve(name: &str) -> BTreeSet<String> {
    let daemon = ServiceDaemon::new().unwrap();
    daemon.disable_interface(IfKind::All).unwrap();
    daemon.enable_interface("eth0").unwrap();
    let answers = daemon.resolve_hostname(&format!("{name}."), Some(2_000)).unwrap();
    let mut found = BTreeSet::new();
    while let Ok(event) = answers.recv_async().await {
        match event {
            HostnameResolutionEvent::AddressesFound(_, addresses) => {
                found.extend(
                    addresses
                        .iter()
                        .filter(|it| it.is_ipv4())
                        .map(ToString::to_string),
                );
            }
            HostnameResolutionEvent::SearchTimeout(_) => break,
            _ => {}
        }
    }
    _ = daemon.shutdown();
    found
}

fn ip(arguments: &str) -> Output {
    Command::new("ip").args(arguments.split(' ')).output().unwrap()
}

fn ip_does(arguments: &str) {
    let output = ip(arguments);
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One bridge, and namespaces that are plugged into it; all are gone when this is dropped.
struct Lan {
    prefix: String,
    nodes: Vec<u8>,
}

impl Lan {
    /// `Err` says why there can be none here.
    fn new() -> Result<Self, String> {
        let lan = Self {
            prefix: format!("bramble-{}", std::process::id()),
            nodes: Vec::new(),
        };
        let made = Command::new("ip").args(["netns", "add", &lan.name(0)]).output();
        match made {
            Err(error) => return Err(format!("there is no `ip` program ({error})")),
            Ok(output) if !output.status.success() => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(format!("no network namespace can be made here ({why})"));
            }
            Ok(_) => {}
        }
        let bridge = lan.name(0);
        ip_does(&format!("-n {bridge} link add lan type bridge mcast_snooping 0"));
        ip_does(&format!("-n {bridge} link set lan up"));
        Ok(lan)
    }

    fn name(&self, node: u8) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// A machine with a cable to the bridge, and Docker's bridge, as every machine with Docker has it.
    fn plug_in(&mut self, node: u8) {
        let (bridge, name) = (self.name(0), self.name(node));
        ip_does(&format!("netns add {name}"));
        self.nodes.push(node);
        ip_does(&format!(
            "link add eth0 netns {name} type veth peer name port{node} netns {bridge}"
        ));
        ip_does(&format!("-n {bridge} link set port{node} master lan"));
        ip_does(&format!("-n {bridge} link set port{node} up"));
        ip_does(&format!("-n {name} link set lo up"));
        ip_does(&format!("-n {name} addr add 10.77.0.{node}/24 dev eth0"));
        ip_does(&format!("-n {name} link set eth0 up"));
        ip_does(&format!("-n {name} link add docker0 type bridge"));
        ip_does(&format!("-n {name} addr add 172.17.0.1/16 dev docker0"));
        ip_does(&format!("-n {name} link set docker0 up"));
    }

    fn cable(&self, node: u8, state: &str) {
        ip_does(&format!("-n {} link set port{node} {state}", self.name(0)));
    }

    fn start(&self, node: u8) -> Node {
        let mut process = Command::new("ip")
            .args(["netns", "exec", &self.name(node)])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "node_in_a_namespace", "--ignored", "--nocapture"])
            .env(PLAYS, node.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (orders, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (tell, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("# ") {
                    _ = tell.send(line.to_owned());
                }
            }
        });
        Node {
            process,
            orders,
            seen,
            all: Vec::new(),
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for node in self.nodes.iter().copied().chain([0]) {
            ip(&format!("netns del {}", self.name(node)));
        }
    }
}

struct Node {
    process: Child,
    orders: ChildStdin,
    seen: mpsc::Receiver<String>,
    /// Everything it ever said.
    all: Vec<String>,
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Node {
    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Waits for a line that has all of `words`; answers it and how long it took.
    fn says(&mut self, words: &[&str], within: Duration) -> (String, Duration) {
        let began = Instant::now();
        while let Ok(line) = self.seen.recv_timeout(within.saturating_sub(began.elapsed())) {
            self.all.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return (line, began.elapsed());
            }
        }
        panic!(
            "nothing with {words:?} within {within:?}; it said {:#?}",
            self.all
        );
    }
}

const SOON: Duration = Duration::from_secs(12);

#[test]
fn nodes_in_namespaces_find_each_other_lose_each_other_and_agree_on_one_name() {
    let mut lan = match Lan::new() {
        Ok(lan) => lan,
        Err(why) => return println!("not run: {why}"),
    };
    (1..=3).for_each(|node| lan.plug_in(node));
    let (mut one, mut two) = (lan.start(1), lan.start(2));

    // They see each other, under addresses that others can reach.
    let (line, took) = one.says(
        &["sees 0002", "Candidate", "0707070707070707", "10.77.0.2:7443"],
        SOON,
    );
    println!("seen after {took:?}: {line}");
    two.says(&["sees 0001", "10.77.0.1:7443"], SOON);
    let (line, took) = two.says(&["[fe80::"], SOON);
    println!("and over IPv6 {took:?} later: {line}");

    // A cable that is plugged in late.
    lan.cable(3, "down");
    let mut three = lan.start(3);
    std::thread::sleep(Duration::from_secs(3));
    assert!(!one.seen.try_iter().any(|line| line.contains("0003")));
    lan.cable(3, "up");
    let (_, took) = three.says(&["sees 0001"], Duration::from_secs(30));
    println!("seen {took:?} after the cable was plugged in");

    // Only the leader answers for the bramble's name, and whoever leads says since when.
    three.order("resolve bramble.local");
    three.says(&["bramble.local is {}"], SOON);
    two.order("lead 3");
    one.says(&["sees 0002", "Leader(3)"], SOON);
    three.order("resolve bramble.local");
    three.says(&["bramble.local is {\"10.77.0.2\"}"], SOON);
    three.order("resolve pi-4b-0001.local");
    three.says(&["pi-4b-0001.local is {\"10.77.0.1\"}"], SOON);

    // Leadership moves.
    two.order("step down");
    one.order("lead 4");
    three.says(&["sees 0001", "Leader(4)"], SOON);
    one.says(&["sees 0002", "Candidate"], SOON);
    // A goodbye is repeated, and takes a second to be believed.
    std::thread::sleep(Duration::from_secs(2));
    three.order("resolve bramble.local");
    three.says(&["bramble.local is {\"10.77.0.1\"}"], SOON);

    // Who gets another name takes the old one back.
    two.order("rename window");
    std::thread::sleep(Duration::from_secs(3));
    three.order("resolve pi-4b-0002.local");
    three.says(&["pi-4b-0002.local is {}"], SOON);
    three.order("resolve window.local");
    three.says(&["window.local is {\"10.77.0.2\"}"], SOON);

    // Who goes says goodbye.
    two.order("end");
    let (_, took) = one.says(&["lost 0002"], SOON);
    println!("lost {took:?} after it said goodbye");
    three.says(&["lost 0002"], SOON);

    let bridges =
        [&one, &two, &three].map(|node| node.all.iter().filter(|line| line.contains("172.17.")).count());
    assert_eq!(
        bridges,
        [0, 0, 0],
        "an address of Docker's bridge is of no use to others"
    );
}

/// A node without a bramble, for the list of addresses to find.
struct Nobody(HostSelf);

impl Admission for Nobody {
    fn host(&self) -> HostSelf {
        self.0.clone()
    }

    fn decide<'a>(&'a self, _: &'a JoinRequest) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(Decision::NotYet))
    }

    fn refused(&self, _: &Attempt) {}

    fn waits_no_longer(&self, _: NodeId) {}
}

async fn listens(key: &NodeKey, address: &str) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind(address).await.unwrap();
    let at = listener.local_addr().unwrap();
    let host = HostSelf {
        announcement: announcement(key.id(), CANDIDATE),
        authority: None,
        secret: None,
    };
    let stop = CancellationToken::new();
    let host = JoinHost::of_candidate(key, Arc::new(Nobody(host))).unwrap();
    tokio::spawn(serve_candidate(listener, host, stop.clone()));
    (at, stop)
}

#[tokio::test]
async fn a_list_of_addresses_finds_who_is_there_and_notices_who_goes() {
    let (key, other) = (
        Arc::new(NodeKey::generate().unwrap()),
        NodeKey::generate().unwrap(),
    );
    let (mine, _keep) = listens(&key, "127.0.0.1:0").await;
    let (theirs, stop) = listens(&other, "127.0.0.1:0").await;
    let mut peers = Peers::start(key, [mine.into(), theirs.into()], Duration::from_millis(100));
    let Ok(Event::Sighted(sighting)) = timeout(SOON, peers.next()).await else {
        panic!("nobody found");
    };
    assert_eq!(sighting.announcement, announcement(other.id(), CANDIDATE));
    assert_eq!(sighting.addresses, [theirs]);
    stop.cancel();
    assert_eq!(timeout(SOON, peers.next()).await, Ok(Event::Lost(other.id())));
}

#[tokio::test]
async fn an_empty_list_finds_nobody_and_does_not_end() {
    let key = Arc::new(NodeKey::generate().unwrap());
    let mut peers = Peers::start(key, [], Duration::from_millis(100));
    assert!(timeout(Duration::from_millis(300), peers.next()).await.is_err());
}
