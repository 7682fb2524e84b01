//! Hosts on one network: each is a machine of its own as the kernel sees it (interfaces, addresses, host name), and runs
//! the real program. They find each other by real multicast.
//!
//! ```text
//!   test program ──► laptop ─┐   (asks for names, carries HTTP on)
//!                            ├── switch: a bridge, which has no address
//!   host ── eth0 ────────────┤
//!   host ── eth0 ────────────┘
//! ```
//!
//! Nothing of it is seen on the machine that the tests run on, and nothing is left when a [`Lan`] goes out of scope,
//! also where a test fails. Needs root, and the programs `unshare`, `nsenter` and `ip`.
//!
//! Not here: delay and reordering, which this kind of network does not have (the simulation does, [`crate::sim`]).

mod host;
mod laptop;
mod machine;

use std::{
    collections::BTreeSet,
    io::Write,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

pub use host::Host;
pub use laptop::Answer;
pub use machine::HOSTNAME;

use laptop::Laptop;
use machine::Machine;

/// The admin's password in brambles of these tests.
pub const PASSWORD: &str = "correct horse";

/// The laptop's last byte in 10.77.0.0/24; hosts have others.
const LAPTOP: u8 = 254;

/// A switch with hosts plugged into it.
#[derive(Debug)]
pub struct Lan {
    /// The hosts.
    pub hosts: Vec<Host>,
    laptop: Laptop,
    switch: Machine,
    /// Last bytes of addresses that nobody has had yet, in no order.
    leases: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Lan {
    /// A network without hosts. Where there can be none it says so, as one line of the tests' output.
    pub fn lay() -> Option<Self> {
        match Self::try_lay() {
            Ok(lan) => Some(lan),
            Err(why) => {
                // Not by `eprintln!`, which is only shown of tests that fail.
                _ = std::io::stderr()
                    .write_all(format!("\nnot run: hosts on a real network ({why})\n").as_bytes());
                None
            }
        }
    }

    fn try_lay() -> Result<Self, String> {
        let switch = Machine::start()?;
        switch.run("ip link add lan type bridge mcast_snooping 0 && ip link set lan up");
        let address = Ipv4Addr::new(10, 77, 0, LAPTOP);
        let laptop = Laptop::new(Machine::start()?, address);
        let mut leases: Vec<u8> = (2..LAPTOP).collect();
        fastrand::shuffle(&mut leases);
        let lan = Self {
            hosts: Vec::new(),
            laptop,
            switch,
            leases,
            // A socket's path may have 108 characters at the most.
            folder: tempfile::Builder::new()
                .prefix("bramble-hosts-")
                .tempdir_in("/tmp")
                .map_err(|error| error.to_string())?,
        };
        lan.plug_in(&lan.laptop.machine, "laptop");
        lan.laptop.machine.run(&format!(
            "ip addr add {address}/24 brd + dev eth0 && ip route add default dev eth0"
        ));
        Ok(lan)
    }

    /// Adds hosts with this on their cards, switched off. They differ in nothing but the hardware address of their
    /// interface, and in what the network lends them.
    pub fn add(&mut self, count: usize, card: &str) {
        for _ in 0..count {
            let number = self.hosts.len();
            let machine = Machine::start().expect("as the ones before");
            self.plug_in(&machine, &format!("port{number}"));
            let address = self.fresh_address();
            let lease = Arc::new(Mutex::new(address));
            let way = self.laptop.way_to(&lease);
            let folder = self.folder.path().join(format!("host{number}"));
            let mut host = Host::new(machine, lease, way, folder);
            host.set_card(card);
            host.lend(address);
            self.hosts.push(host);
        }
    }

    /// A cable between a machine and the switch.
    fn plug_in(&self, machine: &Machine, port: &str) {
        let mac: Vec<_> = (0..5).map(|_| format!("{:02x}", fastrand::u8(..))).collect();
        // Given by nobody, and no multicast.
        let mac = format!("02:{}", mac.join(":"));
        machine.run(&format!(
            "ip link add eth0 address {mac} type veth peer name {port} netns {}",
            self.switch.pid()
        ));
        self.switch
            .run(&format!("ip link set {port} master lan && ip link set {port} up"));
        machine.run("ip link set eth0 up");
    }

    /// An address that nobody has had yet.
    pub fn fresh_address(&mut self) -> Ipv4Addr {
        let last = self.leases.pop().expect("there are enough for a test");
        Ipv4Addr::new(10, 77, 0, last)
    }

    /// Pulls a host's cable out, or plugs it in again.
    pub fn cable(&self, host: usize, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        self.switch.run(&format!("ip link set port{host} {state}"));
    }

    /// Switches all hosts on at the same time.
    pub fn power_on(&mut self) {
        self.hosts.iter_mut().for_each(Host::power_on);
    }

    /// Asks the network for the addresses of a name such as `bramble.local`.
    pub fn ask(&self, name: &str) -> BTreeSet<Answer> {
        self.laptop.ask(name)
    }

    /// Does something on somebody else's computer that is plugged in here: on a thread that is in its network.
    pub fn elsewhere<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.laptop.machine.inside(work)
    }

    /// Waits until `look` finds something.
    pub fn wait<T>(&self, what: &str, within: Duration, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until all hosts that are switched on are one bramble and say so: all are up, at the addresses that they
    /// have, and the same one leads. Answers the nodes.
    pub fn wait_for_one_bramble(&self, within: Duration) -> Vec<Value> {
        let on = || self.hosts.iter().filter(|host| host.is_on());
        let nodes = self.wait("one bramble of all hosts", within, |_| {
            let mut seen: Vec<_> = on().map(|host| self.whole_bramble(host)).collect::<Option<_>>()?;
            let leaders: BTreeSet<_> = seen.iter().map(|nodes| self.leader_among(nodes)).collect();
            (leaders.len() == 1).then(|| seen.pop()).flatten()
        });
        let authorities: BTreeSet<_> = on().map(Host::authority).collect();
        assert_eq!(authorities.len(), 1, "all are part of the same bramble");
        nodes
    }

    /// What each host's node writes to its card meanwhile, in bytes.
    pub fn written_while_idle(&self, time: Duration) -> Vec<u64> {
        let written = || self.hosts.iter().map(Host::written_bytes);
        let before: Vec<u64> = written().collect();
        sleep(time);
        written()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect()
    }

    /// The memory of each host's node, in lines for people.
    pub fn memory(&self) -> String {
        let nodes = self.hosts.first().map(Host::nodes).unwrap_or_default();
        let line = |host: &Host| {
            let (all, own) = host.memory_kib();
            let node = nodes.iter().find(|node| address(node) == Some(host.address()));
            let role = match node {
                Some(node) if node["leader"] == true => "leader",
                Some(node) if node["controller"] == true => "controller",
                _ => "agent and gateway only",
            };
            let mib = |kib: u64| kib as f64 / 1024.0;
            format!(
                "{role}: {:.1} MiB resident, {:.1} of them its own\n",
                mib(all),
                mib(own)
            )
        };
        let mut lines: Vec<_> = self.hosts.iter().map(line).collect();
        lines.sort();
        lines.concat()
    }

    /// The nodes as `host` shows them, if those are all hosts that are switched on, and one leads.
    fn whole_bramble(&self, host: &Host) -> Option<Vec<Value>> {
        let nodes = host.nodes();
        let up: BTreeSet<_> = nodes
            .iter()
            .filter(|node| node["phase"] == "up")
            .map(address)
            .collect();
        let on = self.hosts.iter().filter(|host| host.is_on());
        let wanted: BTreeSet<_> = on.map(|host| Some(host.address())).collect();
        let leaders = nodes.iter().filter(|node| node["leader"] == true).count();
        (up == wanted && leaders == 1).then_some(nodes)
    }

    /// The host whose node leads, among nodes as the API shows them.
    pub fn leader_among(&self, nodes: &[Value]) -> Option<usize> {
        let leader = nodes.iter().find(|node| node["leader"] == true)?;
        let address = address(leader)?;
        self.hosts.iter().position(|host| host.address() == address)
    }

    /// Waits until one bramble of all hosts has so many controllers, all of which vote; answers the host that leads.
    pub fn wait_for_controllers(&self, count: usize, within: Duration) -> usize {
        let what = format!("{count} controllers");
        self.wait(&what, within, |lan| {
            let nodes = lan.wait_for_one_bramble(within);
            let controllers = nodes.iter().filter(|node| node["controller"] == true);
            // A node is asked to run a controller first, and has a vote when it knows everything.
            let vote = lan.hosts.iter().any(|host| {
                let log = host.log();
                let mut changes = log.lines().filter(|line| line.contains("step=SetVoters("));
                changes.any(|line| line.matches("NodeId(").count() == count)
            });
            (controllers.count() == count && vote)
                .then(|| lan.leader_among(&nodes))
                .flatten()
        })
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // All at once: one after the other, each would miss those before.
        self.hosts
            .iter_mut()
            .filter(|host| host.docker.is_none())
            .for_each(Host::unplug);
    }
}

/// Where a node is, as the API shows it.
fn address(node: &Value) -> Option<Ipv4Addr> {
    let (address, _) = node["address"].as_str()?.rsplit_once(':')?;
    address.parse().ok()
}
