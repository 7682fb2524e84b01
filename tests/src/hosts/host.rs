//! One host: a machine with a cable, an address that it was lent, and a card.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{PASSWORD, laptop::Lease, machine::Machine};
use crate::{
    demo::{Client, program},
    docker::DockerEngine,
};

/// How long an answer is waited for: a host that is cut off gives none.
const ANSWER: Duration = Duration::from_secs(15);

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Its Docker Engine, where it has one.
    pub docker: Option<DockerEngine>,
    pub(super) machine: Machine,
    /// The interface that has its address.
    uplink: String,
    lease: Lease,
    way: SocketAddr,
    folder: PathBuf,
    node: Option<Child>,
    log: Arc<Mutex<String>>,
}

impl Host {
    pub(super) fn new(machine: Machine, lease: Lease, way: SocketAddr, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("the test's folder is its own");
        Self {
            docker: None,
            machine,
            uplink: "eth0".to_owned(),
            lease,
            way,
            folder,
            node: None,
            log: Arc::default(),
        }
    }

    /// Writes its card.
    pub fn set_card(&self, card: &str) {
        fs::write(self.folder.join("bramble.toml"), card).expect("the test's folder is its own");
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Switches it on: the one program that a Pi starts, with nothing but its card.
    pub fn power_on(&mut self) {
        self.start(&[]);
    }

    /// Switches it on where nobody else is: it does not look around for long before it founds a bramble.
    pub fn power_on_alone(&mut self) {
        self.start(&["--brisk"]);
    }

    fn start(&mut self, more: &[&str]) {
        let board = json!({"short": "pi-4b", "model": "Raspberry Pi 4 Model B", "memory_bytes": 1_u64 << 30, "cores": 4});
        let mut command = self.machine.command(program());
        command
            // As the appliance's unit and the demo start it.
            .envs([("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_ARENA_MAX", "2")])
            .args(["node", "--until-stdin-ends", "--state"])
            .arg(self.folder.join("state"))
            .arg("--settings")
            .arg(self.folder.join("bramble.toml"))
            .args(["--virtual-board", &board.to_string()])
            .args(more)
            .env("BRAMBLE_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut node = command.spawn().expect("nsenter is there where unshare is");
        // Not into a file: what a node writes to its card is counted.
        let lines = BufReader::new(node.stderr.take().expect("piped above")).lines();
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        self.node = Some(node);
    }

    /// Pulls its plug: everything that runs on it ends at once.
    pub fn unplug(&mut self) {
        if let Some(mut node) = self.node.take() {
            // Whatever the node had started may not see that it ended first.
            _ = node.kill();
            self.machine.end_everything();
            _ = node.wait();
        }
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        self.node.is_some()
    }

    /// Starts a Docker Engine that is this host's alone.
    pub fn start_docker(&mut self) {
        let command = self.machine.command_in_network("dockerd");
        self.docker = Some(DockerEngine::start(command, self.folder.join("docker"), &[]));
    }

    /// Runs a command line on it, which has to work; answers what it prints.
    pub fn run(&self, line: &str) -> String {
        self.machine.run(line)
    }

    /// The address that it was lent.
    pub fn address(&self) -> Ipv4Addr {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its address is another one from now on, and the old one is nobody's.
    pub fn lend(&mut self, address: Ipv4Addr) {
        let uplink = &self.uplink;
        self.run(&format!(
            "ip -4 addr flush dev {uplink} && ip addr add {address}/24 brd + dev {uplink}"
        ));
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Plugs its cable into a bridge of its own, which has the address from now on.
    pub fn put_bridge_before_cable(&mut self, bridge: &str) {
        let address = self.address();
        self.run(&format!(
            "ip link add {bridge} type bridge mcast_snooping 0 && ip link set {bridge} up \
             && ip addr flush dev eth0 && ip link set eth0 master {bridge}"
        ));
        self.uplink = bridge.to_owned();
        self.lend(address);
    }

    /// All that its node has said since the beginning.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its node's name, as its log says it.
    pub fn name(&self) -> Option<String> {
        let log = self.log();
        let (_, name) = log.split_once("starts name=\"")?;
        Some(name.split_once('"')?.0.to_owned())
    }

    /// A client of this host, signed in.
    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.way))
            .signed_in("admin", PASSWORD)
            .patient(ANSWER)
    }

    /// The bramble's nodes as this host shows them; none while it does not answer.
    pub fn nodes(&self) -> Vec<Value> {
        let answer = self.client().try_send("GET", "/api/v1/nodes", "");
        let list = answer.filter(|answer| answer.status == 200);
        list.and_then(|answer| answer.json().as_array().cloned())
            .unwrap_or_default()
    }

    /// The certificate of the authority of its bramble, which no other bramble has; none while it is part of none.
    pub fn authority(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("state/identity/authority.pem")).ok()
    }

    /// Bytes that its node has given the kernel to write to its card since it was switched on.
    pub fn written_bytes(&self) -> u64 {
        self.figure("io", "write_bytes:")
    }

    /// Memory of its node in KiB: all of it, and what of it no file backs.
    pub fn memory_kib(&self) -> (u64, u64) {
        (self.figure("status", "VmRSS:"), self.figure("status", "RssAnon:"))
    }

    /// A number that the kernel has of its node.
    fn figure(&self, file: &str, label: &str) -> u64 {
        let node = self.node.as_ref().expect("it is switched on");
        let text = fs::read_to_string(format!("/proc/{}/{file}", node.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {label} in {text:?}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() && !self.log().is_empty() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(25).collect();
            eprintln!("── {} {}", self.name().unwrap_or_default(), self.address());
            tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
        }
        if self.docker.is_some() {
            // The node first, which would start anew what is taken from it; containers need their engine to go.
            if let Some(mut node) = self.node.take() {
                _ = node.kill();
                _ = node.wait();
            }
            self.docker = None;
        }
        self.unplug();
    }
}
