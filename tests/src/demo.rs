//! A real demo as its users start it, and a client that speaks to it: what the end-to-end tests are made of.
//!
//! Everything is real: the `bramble` program as built, its node processes, their containers where Docker is there.
//! When a [`Demo`] goes out of scope it is ended as Ctrl-C ends it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use crate::http_client::{Answer, Client};

/// How long a bramble may take for anything before a test gives up; generous, since machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The engine that the tests of this run use: process where they run with no Docker reachable.
pub fn engine() -> &'static str {
    if std::env::var_os("BRAMBLE_TEST_WITHOUT_DOCKER").is_some() {
        "process"
    } else {
        "docker"
    }
}

/// The folder with the programs as built, beside this test program's own.
fn target_dir() -> PathBuf {
    let this = std::env::current_exe().expect("a test program knows itself");
    this.ancestors()
        .nth(2)
        .expect("test programs are in target/PROFILE/deps")
        .to_owned()
}

/// The `bramble` program.
pub fn program() -> PathBuf {
    let path = target_dir().join("bramble");
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `make build` first",
        path.display()
    );
    path
}

/// Folders of the nodes of a demo with so many that was started in `data` and has ended. A node that is given files of a
/// machine ([`machine_says`]) before it starts again goes by them.
pub fn node_folders(data: &Path, nodes: u16) -> Vec<PathBuf> {
    let demo = Demo::builder().data(data).nodes(nodes).engine("process").start();
    let names = demo.node_names();
    demo.end();
    names.iter().map(|name| data.join("nodes").join(name)).collect()
}

/// Has the kernel of a virtual Pi's machine say this from now on.
pub fn machine_says(node_folder: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let path = node_folder.join("machine").join(file);
        let folder = path.parent().expect("the machine's folder at least");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    child: Child,
    /// Where it is reached.
    pub portal: String,
    /// The admin's password.
    pub password: String,
    /// Its `Engine:` line.
    pub engine: String,
    /// Its folder.
    pub data: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    _temporary: Option<tempfile::TempDir>,
}

/// Settings of a demo to start.
#[derive(Debug, Default)]
pub struct DemoBuilder {
    data: Option<PathBuf>,
    password: Option<String>,
    nodes: Option<u16>,
    engine: Option<&'static str>,
    program: Option<PathBuf>,
    controllers: Option<u8>,
}

impl DemoBuilder {
    /// With so many controllers; one if not said.
    pub fn controllers(mut self, controllers: u8) -> Self {
        self.controllers = Some(controllers);
        self
    }

    /// By another `bramble` program than this build's.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Keeps everything in `data`, instead of a folder that goes with the demo.
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// With this admin password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// With so many nodes.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// With this engine, whatever the run's is.
    pub fn engine(mut self, engine: &'static str) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Starts it and waits until all nodes are up.
    pub fn start(self) -> Demo {
        let temporary = self
            .data
            .is_none()
            .then(|| tempfile::tempdir().expect("a folder can be made"));
        let data = self
            .data
            .unwrap_or_else(|| temporary.as_ref().expect("made above").path().to_owned());
        let mut command = Command::new(self.program.unwrap_or_else(program));
        command
            .args([
                "demo",
                "--listen",
                "127.0.0.1:0",
                "--engine",
                self.engine.unwrap_or_else(engine),
            ])
            .arg("--data")
            .arg(&data)
            .args(["--nodes", &self.nodes.unwrap_or(4).to_string()])
            .args(["--controllers", &self.controllers.unwrap_or(1).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env_remove("BRAMBLE_ADMIN_PASSWORD");
        if let Some(password) = &self.password {
            command.env("BRAMBLE_ADMIN_PASSWORD", password);
        }
        let mut child = command.spawn().expect("the demo starts");
        let (lines, news) = read_lines(child.stdout.take().expect("piped above"));
        let mut demo = Demo {
            child,
            portal: String::new(),
            password: String::new(),
            engine: String::new(),
            data,
            lines,
            _temporary: temporary,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = news
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("the demo is not ready: {}", demo.story()));
            match line.split_once(": ") {
                Some(("Portal", portal)) => demo.portal = portal.to_owned(),
                Some(("Password", password)) => demo.password = password.to_owned(),
                Some(("Engine", engine)) => demo.engine = engine.to_owned(),
                _ if line.starts_with("Ready after") => return demo,
                _ => {}
            }
        }
    }
}

fn read_lines(
    output: impl std::io::Read + Send + 'static,
) -> (Arc<Mutex<Vec<String>>>, mpsc::Receiver<String>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (send, receive) = mpsc::channel();
    let kept = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            kept.lock().expect("nobody panics with it").push(line.clone());
            // Nobody listens any more once the demo is ready.
            _ = send.send(line);
        }
    });
    (lines, receive)
}

impl Demo {
    /// Settings to choose from.
    pub fn builder() -> DemoBuilder {
        DemoBuilder::default()
    }

    /// Four nodes on this run's engine.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// All that it has said, and the ends of its nodes' logs.
    pub fn story(&self) -> String {
        let mut story = self.lines.lock().expect("nobody panics with it").join("\n");
        for name in self.node_names() {
            let log = std::fs::read_to_string(self.node_file(&name, "log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            story.push_str(&format!("\n── {name}\n"));
            story.extend(tail.into_iter().rev().flat_map(|line| [line, "\n"]));
        }
        story
    }

    /// Names of its nodes, sorted.
    pub fn node_names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data.join("nodes")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A file of a node.
    pub fn node_file(&self, node: &str, file: &str) -> PathBuf {
        self.data.join("nodes").join(node).join(file)
    }

    /// The process id of a node, waiting for it to run.
    pub fn pid(&self, node: &str) -> i32 {
        wait_for(&format!("{node} to run"), || {
            std::fs::read_to_string(self.node_file(node, "pid"))
                .ok()?
                .trim()
                .parse()
                .ok()
        })
    }

    /// A client that is signed in.
    pub fn client(&self) -> Client {
        Client::new(&self.portal).signed_in("admin", &self.password)
    }

    /// A client of one node's own address, signed in.
    pub fn node_client(&self, node: &str) -> Client {
        let address = wait_for(&format!("{node} to have an address"), || {
            std::fs::read_to_string(self.node_file(node, "http")).ok()
        });
        Client::new(address.trim()).signed_in("admin", &self.password)
    }

    /// All nodes as the API shows them.
    pub fn nodes(&self) -> Vec<Value> {
        let answer = self.client().get("/api/v1/nodes");
        answer.json().as_array().cloned().unwrap_or_default()
    }

    /// Name of the node that leads.
    pub fn leader(&self) -> String {
        let leader = self
            .nodes()
            .into_iter()
            .find(|node| node["leader"] == true)
            .expect("somebody leads");
        leader["name"].as_str().expect("nodes have names").to_owned()
    }

    /// A function as `/api/v1/` shows it.
    pub fn function(&self, name: &str) -> Value {
        self.client()
            .get(&format!("/api/v1/functions/openfaas-fn/{name}"))
            .json()
    }

    /// Deploys from JSON and waits until one replica is ready.
    pub fn deploy(&self, deployment: Value) {
        let answer = self.client().post_json("/system/functions", &deployment);
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.wait_for_ready(deployment["service"].as_str().expect("deployments have names"), 1);
    }

    /// Asks for so many replicas.
    pub fn scale(&self, name: &str, replicas: u32) {
        let body = serde_json::json!({"serviceName": name, "replicas": replicas});
        let answer = self
            .client()
            .post_json(&format!("/system/scale-function/{name}"), &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Waits until exactly so many replicas are ready, and no others are there.
    pub fn wait_for_ready(&self, name: &str, replicas: usize) -> Value {
        self.wait(&format!("{name} to have {replicas} ready replicas"), || {
            let function = self.function(name);
            let placements = function["placements"].as_array()?;
            let ready = placements
                .iter()
                .filter(|placement| placement["phase"] == "ready")
                .count();
            (ready == replicas && placements.len() == replicas).then_some(function.clone())
        })
    }

    /// Runs `bramble demo unplug NAME` or `plug`.
    pub fn plug(&self, what: &str, node: &str) {
        let status = Command::new(program())
            .args(["demo", what, node, "--data"])
            .arg(&self.data)
            .stdout(Stdio::null())
            .status()
            .expect("bramble runs");
        assert!(status.success(), "bramble demo {what} {node}: {status}");
    }

    /// Waits until `look` finds something; tells the demo's story if it does not.
    pub fn wait<T>(&self, for_what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {for_what}\n{}",
                self.story()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as Ctrl-C does; answers its exit code.
    pub fn end(mut self) -> Option<i32> {
        self.interrupt()
    }

    fn interrupt(&mut self) -> Option<i32> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status.code();
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)?;
        _ = kill_process(pid, Signal::INT);
        self.child.wait().ok()?.code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.story());
        }
        self.interrupt();
    }
}

/// Waits until `look` finds something.
pub fn wait_for<T>(for_what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {for_what}");
        thread::sleep(Duration::from_millis(20));
    }
}
