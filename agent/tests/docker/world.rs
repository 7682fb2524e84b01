//! A node of its own on the real Docker, cleaned up whatever happens.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::{
    builtin,
    engine::{
        Abilities, Engine, EngineError, Progress, Seen, State,
        docker::{self, DockerConfig, DockerEngine, labels},
    },
    images::Sources,
    plan::Step,
    probe,
};
use api::{FunctionSpec, Generation, NodeId, ReplicaId, openfaas::FunctionDeployment, sync::DesiredReplica};
use bollard::{
    Docker,
    models::ContainerInspectResponse,
    query_parameters::{
        InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveImageOptions,
    },
};
use futures_util::FutureExt;

pub(crate) const R1: ReplicaId = ReplicaId(1);
pub(crate) const R2: ReplicaId = ReplicaId(2);

pub(crate) struct World {
    pub(crate) docker: Docker,
    pub(crate) engine: DockerEngine,
    pub(crate) config: DockerConfig,
    pub(crate) abilities: Abilities,
    pub(crate) words: Arc<Mutex<Vec<String>>>,
    /// Further nodes that this test made.
    pub(crate) neighbours: Vec<NodeId>,
    /// Images that this test fetched.
    pub(crate) images: Vec<String>,
}

/// Where the files of the built-in functions are.
pub(crate) fn builtin_dir() -> PathBuf {
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

/// Runs `test` with a node of its own, and takes away all that the node had, also when the test fails.
pub(crate) fn with_docker(test: impl AsyncFnOnce(&mut World)) {
    if std::env::var("BRAMBLE_TEST_WITHOUT_DOCKER").is_ok_and(|value| value == "1") {
        // Not by `println!`, which is only shown of tests that fail.
        _ = std::io::stderr()
            .write_all(b"\nnot run: the agent's tests on real Docker (BRAMBLE_TEST_WITHOUT_DOCKER=1)\n");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        let result = AssertUnwindSafe(test(&mut world)).catch_unwind().await;
        world.clean_up().await;
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) fn desired(name: &str, image: &str, extra: &str) -> DesiredReplica {
    let text = format!(r#"{{"service":"{name}","image":"{image}"{extra}}}"#);
    let written: FunctionDeployment = serde_json::from_str(&text).unwrap();
    DesiredReplica {
        version: 1,
        spec: FunctionSpec::check(&written, "").unwrap(),
        image: None,
        secrets: Default::default(),
        devices: Default::default(),
    }
}

pub(crate) fn start(replica: ReplicaId, desired: DesiredReplica) -> Step {
    Step::Start {
        replica,
        desired: Box::new(desired),
        generation: Generation { epoch: 1, number: 5 },
    }
}

pub(crate) fn stop(replica: ReplicaId) -> Step {
    Step::Stop {
        replica,
        grace: Duration::from_secs(10),
    }
}

impl World {
    async fn new() -> Self {
        let config = DockerConfig {
            place: None,
            node: NodeId::from_number(u128::from_be_bytes(random())),
            bramble: "test".to_owned(),
            builtin_dir: builtin_dir(),
            secrets_dir: std::env::temp_dir().join("bramble-test-secrets"),
            root: "/".into(),
            yard: docker::Yard::new(None),
            sources: Sources::none(),
        };
        let engine = DockerEngine::new(config.clone());
        let abilities = engine.open().await.unwrap_or_else(|error| {
            panic!(
                "no Docker: {}. Start it, name its socket in DOCKER_HOST, or set BRAMBLE_TEST_WITHOUT_DOCKER=1",
                error.in_words()
            )
        });
        let docker = docker::connect(None).await.unwrap();
        Self {
            docker,
            engine,
            config,
            abilities,
            words: Arc::default(),
            neighbours: Vec::new(),
            images: Vec::new(),
        }
    }

    /// The agent starts again: a new engine that knows nothing.
    pub(crate) async fn restart_agent(&mut self) {
        self.engine = DockerEngine::new(self.config.clone());
        self.engine.open().await.unwrap();
    }

    pub(crate) async fn try_run(&self, step: Step) -> Result<(), EngineError> {
        let words = self.words.clone();
        let progress: Progress = Arc::new(move |text| words.lock().unwrap().push(text));
        self.engine.run(&step, &progress).await
    }

    pub(crate) async fn run(&self, step: Step) {
        self.try_run(step)
            .await
            .unwrap_or_else(|error| panic!("{}", error.in_words()));
    }

    pub(crate) async fn refusal(&self, step: Step) -> String {
        self.try_run(step).await.unwrap_err().in_words()
    }

    pub(crate) async fn list(&self) -> BTreeMap<ReplicaId, Seen> {
        self.engine.list().await.unwrap()
    }

    pub(crate) async fn state(&self, replica: ReplicaId) -> State {
        self.list().await[&replica].state.clone()
    }

    /// Where the replica answers, once it does.
    pub(crate) async fn ready(&self, replica: ReplicaId) -> std::net::SocketAddr {
        let began = Instant::now();
        loop {
            let state = self.state(replica).await;
            let State::Running { address } = state else {
                panic!("{state:?}")
            };
            let probe = api::spec::Probe::default();
            let answer = probe::ask(address, &probe).await;
            match probe::judge(answer, &probe, async { false }).await {
                Ok(()) => return address,
                Err(words) if began.elapsed() > Duration::from_secs(20) => panic!("never ready: {words}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// How the replica ended, once it has.
    pub(crate) async fn ending(&self, replica: ReplicaId) -> agent::engine::Ending {
        let began = Instant::now();
        loop {
            match self.state(replica).await {
                State::Ended(ending) => return ending,
                state if began.elapsed() > Duration::from_secs(20) => panic!("never ended: {state:?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(crate) async fn inspect(&self, replica: ReplicaId) -> ContainerInspectResponse {
        let id = self.list().await[&replica].run.clone();
        self.docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
            .unwrap()
    }

    /// Ids of all containers of a node.
    pub(crate) async fn containers_of(&self, node: NodeId) -> Vec<String> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{}={node}", labels::NODE)])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = self.docker.list_containers(Some(options)).await.unwrap();
        found.into_iter().filter_map(|c| c.id).collect()
    }

    async fn remove_all(&self, node: NodeId) {
        for id in self.containers_of(node).await {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            _ = self.docker.remove_container(&id, Some(options)).await;
        }
        let filters = HashMap::from([("label".to_owned(), vec![format!("{}={node}", labels::NODE)])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in self.docker.list_networks(Some(options)).await.unwrap_or_default() {
            _ = self.docker.remove_network(&network.id.unwrap_or_default()).await;
        }
    }

    async fn clean_up(&self) {
        for node in self.neighbours.iter().chain([&self.config.node]) {
            self.remove_all(*node).await;
        }
        for image in &self.images {
            _ = self
                .docker
                .remove_image(image, None::<RemoveImageOptions>, None)
                .await;
        }
    }

    /// Label of the built-in image that a replica runs.
    pub(crate) async fn builtin_label(&self) -> Option<String> {
        let image = self.docker.inspect_image("bramble/env:latest").await.ok()?;
        image.config?.labels?.remove(builtin::LABEL)
    }
}

/// Random enough: addresses and times of this process.
fn random() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let mut bytes = [0; 16];
    for (n, half) in bytes.chunks_mut(8).enumerate() {
        half.copy_from_slice(&RandomState::new().hash_one(n).to_be_bytes());
    }
    bytes
}
