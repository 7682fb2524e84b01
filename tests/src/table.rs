//! Pis on a table, each with a card in it: real processes, with the process engine, that know each other's addresses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::demo::{Client, program, wait_for};

/// A join key, as it stands on a card.
pub const KEY: &str = "join_key = \"otter paper violet engine\"\n";

/// What the first visitor chooses.
pub const PASSWORD: &str = "correct horse";

/// One Pi on the table, with a card in it.
#[derive(Debug)]
pub struct Pi {
    /// Its card.
    pub folder: PathBuf,
    /// Where it takes HTTP.
    pub http: SocketAddr,
    /// Where it takes other nodes.
    pub node_port: SocketAddr,
    /// The board's serial number.
    pub serial: String,
    /// More words of its command line.
    pub words: Vec<String>,
    /// What its program finds in its environment besides.
    pub environment: Vec<(String, String)>,
    child: Option<Child>,
}

/// Some Pis that know each other's addresses.
#[derive(Debug)]
pub struct Table {
    /// All of them.
    pub pis: Vec<Pi>,
    _folder: tempfile::TempDir,
}

/// One that no other test of this program was given.
fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address) {
            return address;
        }
    }
}

impl Table {
    /// So many, all with this on their cards.
    pub fn set(count: usize, card: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pis = (0..count).map(|number| Pi {
            folder: folder.path().join(format!("pi{number}")),
            http: free_address(),
            node_port: free_address(),
            serial: format!("10000000{number:08x}"),
            words: Vec::new(),
            environment: Vec::new(),
            child: None,
        });
        let pis: Vec<Pi> = pis.collect();
        let peers: Vec<_> = pis.iter().map(|pi| pi.node_port.to_string()).collect();
        for pi in &pis {
            fs::create_dir_all(&pi.folder).unwrap();
            let card = format!("engine = \"process\"\npeers = {}\n{card}", json!(peers));
            fs::write(pi.folder.join("bramble.toml"), card).unwrap();
        }
        Self { pis, _folder: folder }
    }

    /// The same with other boards.
    pub fn set_elsewhere(count: usize, card: &str) -> Self {
        let mut table = Self::set(count, card);
        for (number, pi) in table.pis.iter_mut().enumerate() {
            pi.serial = format!("20000000{number:08x}");
        }
        table
    }

    /// Has the Pis of both tables know each other from their next start on.
    pub fn connect(&self, other: &Self) {
        let all = self.pis.iter().chain(&other.pis);
        let peers: Vec<_> = all.clone().map(|pi| pi.node_port.to_string()).collect();
        for pi in all {
            pi.rewrite(|card| {
                let lines = card.lines().map(|line| match line.starts_with("peers") {
                    true => format!("peers = {}", json!(peers)),
                    false => line.to_owned(),
                });
                lines.collect::<Vec<_>>().join("\n") + "\n"
            });
        }
    }

    /// Plugs all in at the same time.
    pub fn power_on(&mut self) {
        self.pis.iter_mut().for_each(Pi::power_on);
    }
}

impl Pi {
    /// Plugs it in.
    pub fn power_on(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let board = json!({"short": "pi-4b", "model": "Raspberry Pi 4 Model B", "memory_bytes": 1_u64 << 30, "cores": 4, "serial": self.serial});
        let child = Command::new(program())
            .args([
                "node",
                "--no-multicast",
                "--brisk",
                "--until-stdin-ends",
                "--state",
            ])
            .arg(self.folder.join("state"))
            .arg("--settings")
            .arg(self.folder.join("bramble.toml"))
            .args(["--http", &self.http.to_string()])
            .args(["--node-port", &self.node_port.to_string()])
            .args(["--virtual-board", &board.to_string()])
            .arg("--sign")
            .arg(self.folder.join("sign"))
            .args(&self.words)
            .env_remove("BRAMBLE_ADMIN_PASSWORD")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Takes its power away.
    pub fn unplug(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Has its program end in good order.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The node ends when nobody holds its input any more.
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    /// Has it do nothing at all, as a Pi that waits for its card does; or go on.
    pub fn stall(&self, stalled: bool) {
        let child = self.child.as_ref().expect("it is plugged in");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let signal = if stalled { Signal::STOP } else { Signal::CONT };
        kill_process(pid, signal).unwrap();
    }

    /// What it has written since it was first plugged in.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What stands on its screen for whoever is in front of it.
    pub fn sign(&self) -> String {
        fs::read_to_string(self.folder.join("sign")).unwrap_or_default()
    }

    /// Where its portal is.
    pub fn portal(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Somebody who has not signed in.
    pub fn client(&self) -> Client {
        Client::new(&self.portal())
    }

    /// The admin.
    pub fn admin(&self) -> Client {
        self.client().signed_in("admin", PASSWORD)
    }

    /// The admin, signed in to the portal.
    pub fn admin_in_portal(&self) -> Client {
        self.client().with_session("admin", PASSWORD)
    }

    /// The code for the first visit, as it stands in this Pi's log.
    pub fn code(&self) -> String {
        wait_for("this Pi to show the code", || {
            let log = self.log();
            let (_, code) = log.rsplit_once("with the code ")?;
            Some(code.lines().next()?.trim().to_owned())
        })
    }

    /// Somebody comes first and chooses the password.
    pub fn first_visit(&self) {
        let visit = json!({"code": self.code(), "password": PASSWORD});
        let answer = self.client().post_json("/api/v1/first-visit", &visit);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// The nodes, as this Pi answers; none where it does not.
    pub fn nodes(&self) -> Vec<Value> {
        let answer = self.admin().try_send("GET", "/api/v1/nodes", "");
        let list = answer.filter(|answer| answer.status == 200);
        list.map_or_else(Vec::new, |answer| answer.json().as_array().cloned().unwrap())
    }

    /// Who waits to be let in.
    pub fn waiting(&self) -> Vec<Value> {
        let answer = self.admin().try_send("GET", "/api/v1/waiting", "");
        let list = answer.filter(|answer| answer.status == 200);
        list.map_or_else(Vec::new, |answer| answer.json().as_array().cloned().unwrap())
    }
}

impl Pi {
    /// How many replicas run on it: the program's children.
    pub fn replicas(&self) -> usize {
        let Some(child) = &self.child else { return 0 };
        let parent = format!("PPid:\t{}\n", child.id());
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let statuses = processes.filter_map(|process| fs::read_to_string(process.path().join("status")).ok());
        let alive = |status: &String| status.contains(&parent) && !status.contains("State:\tZ");
        statuses.filter(alive).count()
    }

    /// Puts a card into it that was flashed anew, with the same settings.
    pub fn flash(&mut self) {
        self.unplug();
        fs::remove_dir_all(self.folder.join("state")).unwrap();
        fs::rename(self.folder.join("log"), self.folder.join("log-before")).unwrap();
    }

    /// Changes what its card says.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.join("bramble.toml");
        let card = fs::read_to_string(&file).unwrap();
        fs::write(&file, change(card)).unwrap();
    }
}

impl Drop for Pi {
    fn drop(&mut self) {
        if self.child.is_some() {
            // Who is stalled would never end.
            self.stall(false);
        }
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                let log = self.log();
                let tail: Vec<_> = log.lines().rev().take(20).collect();
                eprintln!("── {}", self.folder.display());
                tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
            }
            // The node ends in good order when nobody holds its input any more.
            drop(child.stdin.take());
            _ = child.wait();
        }
    }
}
