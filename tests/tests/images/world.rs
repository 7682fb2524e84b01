//! Nodes that each have a Docker Engine of their own, and with it an image store of their own.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::{
    demo::{Answer, Client, program},
    docker::DockerEngine,
};
use transport::NodeKey;

const PASSWORD: &str = "correct horse";

/// One node on an engine.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) http: SocketAddr,
    node_port: SocketAddr,
    pub(crate) engine: DockerEngine,
    child: Option<Child>,
    folder: PathBuf,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) folder: tempfile::TempDir,
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        _ = kill_process(pid, Signal::TERM);
    }
    _ = child.wait();
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An engine without networks but those that a node makes.
fn start_engine(folder: PathBuf, number: usize) -> DockerEngine {
    // Tests of several programs may run at once: each takes another part of the address space.
    let pool = format!(
        "base=10.{}.{}.0/24,size=26",
        130 + std::process::id() % 100,
        number
    );
    let network = [
        "--bridge=none",
        "--iptables=false",
        "--default-address-pool",
        &pool,
    ];
    DockerEngine::start(Command::new("dockerd"), folder, &network)
}

impl World {
    /// So many nodes; the first alone runs a controller.
    pub(crate) fn start(nodes: usize) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bramble-images-")
            .tempdir_in("/tmp")
            .unwrap();
        let engines: Vec<_> = (0..nodes)
            .map(|number| start_engine(folder.path().join(format!("d{number}")), number))
            .collect();
        let minted: Vec<_> = (0..nodes)
            .map(|number| {
                let key = NodeKey::generate().unwrap();
                let state = folder.path().join(format!("n{number}"));
                key.save(&state.join("identity")).unwrap();
                (key.id(), state, free_address(), free_address())
            })
            .collect();
        let peers: Vec<_> = minted
            .iter()
            .map(|(.., node_port)| node_port.to_string())
            .collect();
        let nodes = engines.into_iter().zip(minted).map(|(engine, minted)| {
            let (id, state, http, node_port) = minted;
            let name = format!("pi-4b-{}", id.tail());
            let card = format!(
                "node_name = \"{name}\"\njoin_key = \"five random words are good\"\npeers = {}\nengine = \"docker\"\n\
                 docker = \"{}\"\n",
                json!(peers),
                engine.place(),
            );
            fs::write(state.join("bramble.toml"), card).unwrap();
            engine.wait();
            Node {
                name,
                http,
                node_port,
                engine,
                child: None,
                folder: state,
            }
        });
        let mut world = Self {
            nodes: nodes.collect(),
            folder,
        };
        // The first founds, since it is alone.
        world.nodes[0].start();
        world.wait("the first node to lead", |world| {
            let one = json!({"count": 1}).to_string();
            let answer = world.client(0).try_send("PUT", "/api/v1/controllers", one)?;
            (answer.status == 204).then_some(())
        });
        for node in world.nodes.iter_mut().skip(1) {
            node.start();
        }
        let all = world.nodes.len();
        world.wait("all nodes to be up and to run Docker", |world| {
            let nodes = world.client(0).try_send("GET", "/api/v1/nodes", "")?.json();
            let up = nodes.as_array()?.iter().filter(|node| {
                node["phase"] == "up" && node["warnings"].as_array().is_some_and(Vec::is_empty)
            });
            (up.count() == all).then_some(())
        });
        world
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        Client::new(&format!("http://{}", self.nodes[node].http)).signed_in("admin", PASSWORD)
    }

    /// Runs a command of `bramble` against a node; answers what it prints, and whether it worked.
    pub(crate) fn bramble(&self, node: usize, args: &[&str]) -> (bool, String) {
        let url = format!("http://{}", self.nodes[node].http);
        let run = |args: &[&str]| {
            let mut command = Command::new(program());
            command
                .args(args)
                .args(["--gateway", &url])
                .env("HOME", self.folder.path())
                .env("XDG_CONFIG_HOME", self.folder.path())
                .env("DOCKER_HOST", self.nodes[node].engine.place())
                .env_remove("OPENFAAS_URL");
            command
        };
        let signed_in = run(&["login", "--username", "admin", "--password", PASSWORD])
            .output()
            .unwrap();
        assert!(
            signed_in.status.success(),
            "{}",
            String::from_utf8_lossy(&signed_in.stderr)
        );
        let output = run(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Sends an archive to a node's API.
    pub(crate) fn push(&self, node: usize, archive: Vec<u8>) -> Answer {
        self.client(node).send("POST", "/api/v1/images", archive)
    }

    pub(crate) fn deploy(&self, name: &str, image: &str, more: &Value) {
        let mut deployment = json!({"service": name, "image": image});
        for (key, value) in more.as_object().into_iter().flatten() {
            deployment[key] = value.clone();
        }
        let answer = self.client(0).post_json("/system/functions", &deployment);
        let answer = match answer.status.as_u16() {
            409 => self
                .client(0)
                .send("PUT", "/system/functions", deployment.to_string()),
            _ => answer,
        };
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    pub(crate) fn scale(&self, name: &str, replicas: usize) {
        let body = json!({"serviceName": name, "replicas": replicas});
        let answer = self
            .client(0)
            .post_json(&format!("/system/scale-function/{name}"), &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Nothing while the controller starts again.
    pub(crate) fn function(&self, name: &str) -> Value {
        let path = format!("/api/v1/functions/openfaas-fn/{name}");
        let answer = self.client(0).try_send("GET", &path, "");
        answer.map_or(Value::Null, |answer| answer.json())
    }

    /// Waits until so many replicas are ready, each on a node of its own.
    pub(crate) fn wait_for_ready(&self, name: &str, replicas: usize) {
        self.wait(&format!("{replicas} replicas of {name}"), |world| {
            let function = world.function(name);
            let placements = function["placements"].as_array()?;
            let ready = placements.iter().filter(|it| it["phase"] == "ready").count();
            (ready == replicas && placements.len() == replicas).then_some(())
        });
    }

    /// What the function answers.
    pub(crate) fn says(&self, name: &str) -> String {
        self.client(0).get(&format!("/function/{name}")).text()
    }

    pub(crate) fn image(&self, name: &str) -> Option<Value> {
        let images = self.client(0).get("/api/v1/images").json();
        images
            .as_array()?
            .iter()
            .find(|image| image["name"] == name)
            .cloned()
    }

    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}\n{}",
                self.story()
            );
            sleep(Duration::from_millis(50));
        }
    }

    fn story(&self) -> String {
        let mut story = String::new();
        for node in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            story += &format!(
                "── {}\n{}\n",
                node.name,
                lines[lines.len().saturating_sub(25)..].join("\n")
            );
        }
        story
    }
}

impl Node {
    pub(crate) fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let child = Command::new(program())
            .arg("node")
            .args(["--no-multicast", "--brisk", "--state"])
            .arg(&self.folder)
            .arg("--settings")
            .arg(self.folder.join("bramble.toml"))
            .args(["--http", &self.http.to_string()])
            .args(["--node-port", &self.node_port.to_string()])
            .env("BRAMBLE_ADMIN_PASSWORD", PASSWORD)
            .env("BRAMBLE_BUILTIN_DIR", super::archive::builtin_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Ends the process at once, as a power cut does; containers go on.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                end(&mut child);
            }
        }
    }
}
