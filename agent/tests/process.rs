//! The process engine: real child processes of the built-in functions, no Docker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ffi::OsString,
    io::BufRead,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use agent::{
    engine::{
        Engine, Progress, State,
        process::{ProcessConfig, ProcessEngine},
    },
    plan::Step,
    probe,
};
use api::{
    FunctionSpec, Generation, ReplicaId, openfaas::FunctionDeployment, spec::Probe, sync::DesiredReplica,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

const R1: ReplicaId = ReplicaId(1);

fn builtin_dir() -> PathBuf {
    let directory = std::env::var_os("BRAMBLE_BUILTIN_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/builtin")),
        PathBuf::from,
    );
    assert!(
        directory.join("functions").exists(),
        "{} has no built-in functions: run `make builtin` first, or name their directory in BRAMBLE_BUILTIN_DIR",
        directory.display()
    );
    directory
}

/// The example of this name, which cargo builds along with the tests.
fn example() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let example = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/process_engine");
    assert!(
        example.exists(),
        "{} is missing: run `cargo build -p agent --examples`",
        example.display()
    );
    example
}

/// An engine with a directory of its own.
struct World {
    engine: ProcessEngine,
    directory: TempDir,
    warnings: Vec<String>,
}

impl World {
    async fn new() -> Self {
        Self::with(vec![example().into(), "sandbox".into()]).await
    }

    async fn with(sandbox: Vec<OsString>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = ProcessEngine::new(ProcessConfig {
            builtin_dir: builtin_dir(),
            secrets_dir: std::env::temp_dir().join("bramble-test-secrets"),
            gateway: Ipv4Addr::new(127, 88, 0, 7).into(),
            run_dir: directory.path().join("run"),
            sandbox,
        });
        let abilities = engine
            .open()
            .await
            .unwrap_or_else(|error| panic!("{}", error.in_words()));
        Self {
            engine,
            directory,
            warnings: abilities.warnings.into_iter().collect(),
        }
    }

    async fn try_start(&self, replica: ReplicaId, image: &str, extra: &str) -> Result<(), String> {
        let text = format!(r#"{{"service":"test","image":"{image}"{extra}}}"#);
        let written: FunctionDeployment = serde_json::from_str(&text).unwrap();
        let desired = DesiredReplica {
            version: 1,
            spec: FunctionSpec::check(&written, "").unwrap(),
            image: None,
            secrets: Default::default(),
            devices: Default::default(),
        };
        self.run(Step::Start {
            replica,
            desired: Box::new(desired),
            generation: Generation::default(),
        })
        .await
    }

    async fn run(&self, step: Step) -> Result<(), String> {
        let progress: Progress = Arc::new(|_| {});
        self.engine
            .run(&step, &progress)
            .await
            .map_err(|error| error.in_words())
    }

    /// Starts a replica and waits until it answers.
    async fn start(&self, replica: ReplicaId, image: &str, extra: &str) -> SocketAddr {
        self.try_start(replica, image, extra).await.unwrap();
        let began = Instant::now();
        loop {
            let State::Running { address } = self.state(replica).await else {
                panic!("{:?}", self.state(replica).await)
            };
            match is_ready(address).await {
                Ok(()) => return address,
                Err(words) if began.elapsed() > Duration::from_secs(10) => panic!("never ready: {words}"),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn state(&self, replica: ReplicaId) -> State {
        self.engine.list().await.unwrap()[&replica].state.clone()
    }
}

async fn is_ready(address: SocketAddr) -> Result<(), String> {
    let answer = probe::ask(address, &Probe::default()).await;
    probe::judge(answer, &Probe::default(), async { false }).await
}

async fn invoke(address: SocketAddr, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.write_all(body).await.unwrap();
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut answer), send);
    read.unwrap();
    let head_end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[head_end..].to_vec())
}

/// Whether a process is there and has not ended.
fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_built_in_function_answers_with_a_clean_environment() {
    let world = World::new().await;
    let address = world
        .start(R1, "bramble/env:latest", r#","envVars":{"colour":"red"}"#)
        .await;
    let (status, answer) = invoke(address, b"").await;
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 200);
    assert!(answer.lines().any(|line| line == "colour=red"), "{answer}");
    assert!(
        answer.lines().any(|line| line == "OPENFAAS_NAME=test"),
        "{answer}"
    );
    assert!(
        !answer.contains("CARGO") && !answer.contains("bramble_exit_with_stdin"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_of_5_mb_comes_back_intact_and_pipelines_work() {
    let world = World::new().await;
    let address = world.start(R1, "bramble/sh", r#","envProcess":"cat""#).await;
    let body: Vec<u8> = (0..5_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let (status, answer) = invoke(address, &body).await;
    assert!(
        status == 200 && answer == body,
        "{status}, {} bytes of {}",
        answer.len(),
        body.len()
    );

    let address = world
        .start(
            ReplicaId(2),
            "bramble/sh",
            r#","envProcess":"cat | rev | tr a-z A-Z""#,
        )
        .await;
    assert_eq!(invoke(address, b"hello\n").await, (200, b"OLLEH\n".to_vec()));
    let address = world.start(ReplicaId(3), "bramble/echo", "").await;
    assert_eq!(invoke(address, b"hello").await, (200, b"hello".to_vec()));
}

#[tokio::test]
async fn replicas_have_files_and_names_of_their_own_where_the_kernel_lets_them() {
    let world = World::new().await;
    let isolated = !world.warnings[0].contains("see this machine's files");
    println!("{}", world.warnings[0]);
    let marker = world.directory.path().join("secret");
    std::fs::write(&marker, "of the node").unwrap();
    let fprocess = format!(r#","envProcess":"cat {}""#, marker.display());
    let address = world.start(R1, "bramble/sh", &fprocess).await;
    let (status, _) = invoke(address, b"").await;
    assert_eq!(status == 500, isolated);
    if isolated {
        let address = world.start(ReplicaId(2), "bramble/nodeinfo", "").await;
        let (_, answer) = invoke(address, b"").await;
        assert!(String::from_utf8_lossy(&answer).contains("Hostname: test-r2"));
    }
    // Each has its own /tmp.
    let write = world
        .start(ReplicaId(3), "bramble/sh", r#","envProcess":"tee mine""#)
        .await;
    assert_eq!(invoke(write, b"x").await.0, 200);
    assert!(world.directory.path().join("run/r3/mine").exists());
}

#[tokio::test]
async fn a_kernel_that_forbids_namespaces_is_told_of_and_replicas_run_without() {
    let forbids =
        r#"case " $* " in *" --root "*) echo "not allowed here" >&2; exit 1;; esac; exec "$0" sandbox "$@""#;
    let world = World::with(vec![
        "/bin/sh".into(),
        "-c".into(),
        forbids.into(),
        example().into(),
    ])
    .await;
    let warning = &world.warnings[0];
    assert!(
        warning.contains("see this machine's files") && warning.contains("not allowed here"),
        "{warning}"
    );
    let address = world
        .start(R1, "bramble/sh", r#","envProcess":"cat | rev""#)
        .await;
    assert_eq!(invoke(address, b"hello").await, (200, b"olleh".to_vec()));
    assert!(world.directory.path().join("run/r1/.lock").exists());
    let address = world.start(ReplicaId(2), "bramble/echo", "").await;
    assert_eq!(invoke(address, b"hello").await, (200, b"hello".to_vec()));
}

#[tokio::test]
async fn children_end_when_their_node_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node(
        Command::new(example())
            .args([builtin_dir(), directory.path().join("run")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = std::io::BufReader::new(node.0.stdout.take().unwrap()).lines();
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let (pid, address) = line.split_once(' ').unwrap();
        replicas.push((pid.to_owned(), address.parse::<SocketAddr>().unwrap()));
    }
    for (pid, address) in &replicas {
        while is_ready(*address).await.is_err() {
            assert!(is_alive(pid));
            sleep(Duration::from_millis(10)).await;
        }
    }
    // One is busy: what it runs for the invocation has to go, too.
    let mut invocation = TcpStream::connect(replicas[0].1).await.unwrap();
    invocation
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let sleeping = async {
        loop {
            let grandchildren = children_of(&replicas[0].0);
            if !grandchildren.is_empty() {
                return grandchildren;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let sleeping = tokio::time::timeout(Duration::from_secs(20), sleeping).await;
    let grandchildren = sleeping.expect("the function should be sleeping");
    assert_eq!(grandchildren.len(), 1, "the function should be sleeping");

    drop(node);
    let began = Instant::now();
    let all: Vec<String> = replicas
        .into_iter()
        .map(|(pid, _)| pid)
        .chain(grandchildren)
        .collect();
    while all.iter().any(|pid| is_alive(pid)) {
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{all:?} outlived their node"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// A node that is killed at the latest when its test ends.
struct Node(std::process::Child);

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn children_of(pid: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn another_image_is_refused_with_the_cure() {
    let world = World::new().await;
    let words = world
        .try_start(R1, "ghcr.io/openfaas/figlet:latest", "")
        .await
        .unwrap_err();
    assert!(
        words.contains("needs Docker") && words.contains("install Docker") && words.contains("bramble/env"),
        "{words}"
    );
    assert!(world.engine.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_memory_limit_acts() {
    let world = World::new().await;
    let limited = r#","envProcess":"tac /dev/zero","limits":{"memory":"32Mi"}"#;
    let address = world.start(R1, "bramble/sh", limited).await;
    let (status, answer) = invoke(address, b"").await;
    assert_eq!(status, 500, "{}", String::from_utf8_lossy(&answer));
    assert!(matches!(world.state(R1).await, State::Running { .. }));
}

#[tokio::test]
async fn an_end_is_told_with_its_last_words() {
    let world = World::new().await;
    world
        .try_start(R1, "bramble/env", r#","envVars":{"mode":"carrier-pigeon"}"#)
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(5), world.engine.changed())
        .await
        .unwrap();
    let State::Ended(ending) = world.state(R1).await else {
        panic!("{:?}", world.state(R1).await)
    };
    assert!(
        ending.code != 0 && ending.last_words.contains("carrier-pigeon"),
        "{ending:?}"
    );
    // The next start begins afresh.
    world.start(R1, "bramble/env", "").await;
}

#[tokio::test]
async fn a_frozen_replica_answers_again_when_it_is_thawed() {
    let world = World::new().await;
    let address = world.start(R1, "bramble/echo", "").await;
    world.run(Step::Freeze { replica: R1 }).await.unwrap();
    assert_eq!(world.state(R1).await, State::Frozen { address });
    let quick = Probe {
        timeout_ms: 200,
        ..Probe::default()
    };
    assert!(matches!(
        probe::ask(address, &quick).await,
        probe::Answer::Silence(_)
    ));
    world.run(Step::Thaw { replica: R1 }).await.unwrap();
    assert_eq!(is_ready(address).await, Ok(()));
    world.run(Step::Freeze { replica: R1 }).await.unwrap();
    world
        .run(Step::Stop {
            replica: R1,
            grace: Duration::from_secs(5),
        })
        .await
        .unwrap();
    assert!(world.engine.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stopped_replica_finishes_what_it_has() {
    let world = World::new().await;
    let address = world.start(R1, "bramble/sleep", "").await;
    let invocation = tokio::spawn(async move { invoke(address, b"").await.0 });
    sleep(Duration::from_millis(200)).await;
    world
        .run(Step::Stop {
            replica: R1,
            grace: Duration::from_secs(10),
        })
        .await
        .unwrap();
    assert_eq!(invocation.await.unwrap(), 200);
    assert!(world.engine.list().await.unwrap().is_empty());
    assert!(!world.directory.path().join("run/r1").exists());
}

#[tokio::test]
async fn a_replica_that_will_not_end_is_ended_after_its_grace() {
    let world = World::new().await;
    let address = world
        .start(
            R1,
            "bramble/sleep",
            r#","envVars":{"healthcheck_interval":"20s"}"#,
        )
        .await;
    assert_eq!(is_ready(address).await, Ok(()));
    let began = Instant::now();
    world
        .run(Step::Stop {
            replica: R1,
            grace: Duration::from_secs(1),
        })
        .await
        .unwrap();
    assert!(
        (1..5).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    assert!(is_ready(address).await.is_err());
}
