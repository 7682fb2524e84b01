//! The agent as the node holds it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

use api::NodeId;
use gateway::Gateway;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::Client;

use crate::{
    config::{AgentConfig, EngineConfig},
    engine::{
        Engine,
        docker::{DockerConfig, DockerEngine, Yard},
        process::{ProcessConfig, ProcessEngine},
    },
    images::{ImagePort, Sources, cleaner},
    light::NodeLight,
    logs::Logs,
    pulse::Pulse,
    reconciler::Reconciler,
    secrets::{self as kept, Secrets},
    senses::{self, Senses},
    shared::{Report, Shared, Told},
    sign::Sign,
    sync::Sync,
};

/// A loopback address for this node, so that several on one machine have each its own port 8080.
fn loopback_of(node: NodeId) -> IpAddr {
    let number = u16::from_str_radix(&node.tail(), 16).unwrap_or_default();
    let [high, low] = number.to_be_bytes();
    IpAddr::from([127, 88, high, low])
}

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its directory cannot be used.
    #[error("failed to use {} as this node's directory", path.display())]
    StateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Has an agent stop all that it runs, in good order, because its node leaves the bramble.
#[derive(Clone, Debug)]
pub struct Leave(Arc<Shared>);

impl Leave {
    /// From now on nothing of the bramble is to run here, whatever its leader says; [`Agent::is_empty`] tells when that
    /// is so.
    pub fn leave(&self) {
        self.0.stop_all();
    }
}

/// The part of a node that reports, runs replicas and follows the leader's orders.
#[derive(Debug)]
pub struct Agent {
    config: Arc<AgentConfig>,
    gateway: Gateway,
    client: Client,
    shared: Arc<Shared>,
    sources: Sources,
    /// Docker's images, where this node runs Docker.
    yard: Option<Yard>,
    logs: Logs,
    secrets: Secrets,
    light: NodeLight,
    sign: Sign,
    pulse: Pulse,
}

impl Agent {
    /// An agent that does nothing yet. `gateway` is told of routes and replicas, `client` reaches the leader, and
    /// `bulk` other nodes for images.
    ///
    /// # Errors
    /// [`AgentError`] where the node's directory cannot be used.
    pub fn new(
        mut config: AgentConfig,
        gateway: Gateway,
        client: Client,
        bulk: Client,
    ) -> Result<Self, AgentError> {
        let unusable = |source| AgentError::StateDir {
            path: config.state_dir.clone(),
            source,
        };
        std::fs::create_dir_all(&config.state_dir).map_err(unusable)?;
        config.state_dir = config.state_dir.canonicalize().map_err(unusable)?;
        let shared = Shared::new();
        let sources = Sources::new(client.clone(), bulk, gateway.clone(), shared.holders.subscribe());
        let secrets = Secrets::new(kept::home(config.node), client.clone(), gateway.clone());
        let yard = match &config.engine {
            EngineConfig::Docker { place } => Some(Yard::new(place.clone())),
            EngineConfig::Process { .. } => None,
        };
        Ok(Self {
            config: Arc::new(config),
            gateway,
            client,
            shared: Arc::new(shared),
            sources,
            yard,
            logs: Logs::default(),
            secrets,
            light: NodeLight::default(),
            sign: Sign::default(),
            pulse: Pulse::default(),
        })
    }

    /// Has this light say what the leader wants it to.
    #[must_use]
    pub fn with_light(self, light: NodeLight) -> Self {
        Self { light, ..self }
    }

    /// Has this sign say what people in front of this Pi should read.
    #[must_use]
    pub fn with_sign(self, sign: Sign) -> Self {
        Self { sign, ..self }
    }

    /// Has this pulse beat while the conversation with the leader goes on.
    #[must_use]
    pub fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// Answers what other nodes ask about images.
    pub fn images(&self) -> ImagePort {
        ImagePort::new(self.yard.clone(), self.sources.clone(), &self.config.name)
    }

    /// What this node's replicas write.
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }

    /// What the leader says of the bramble as a whole, now and whenever it says so again.
    pub fn told(&self) -> watch::Receiver<Told> {
        self.shared.told.subscribe()
    }

    /// For a node that leaves its bramble by itself.
    pub fn leave(&self) -> Leave {
        Leave(Arc::clone(&self.shared))
    }

    /// Waits until nothing of the bramble runs here any more, as far as the engine says.
    pub fn is_empty(&self) -> impl Future<Output = ()> + use<> {
        let mut report = self.shared.report.subscribe();
        async move {
            let empty = |report: &Report| report.replicas.as_ref().is_some_and(BTreeMap::is_empty);
            // Fails only when the agent ends.
            _ = report.wait_for(empty).await;
        }
    }

    /// Where replicas reach this node, once that is known: the node takes HTTP there, for functions that call
    /// `http://gateway:8080`. Stays `None` where replicas have no network of their own.
    pub fn bridge_gateway(&self) -> watch::Receiver<Option<IpAddr>> {
        self.shared.bridge.subscribe()
    }

    /// Runs until `stop`. Containers are left running then, as they are when this process is killed: the next agent
    /// finds them again. Child processes end.
    /// An engine or a leader that does not answer is waited for.
    pub async fn run(self, stop: CancellationToken) {
        let config = &self.config;
        match &config.engine {
            EngineConfig::Docker { place } => {
                let engine = DockerEngine::new(DockerConfig {
                    place: place.clone(),
                    node: config.node,
                    bramble: config.bramble.clone(),
                    builtin_dir: config.builtin_dir.clone(),
                    secrets_dir: kept::home(config.node),
                    root: config.root.clone(),
                    yard: self.yard.clone().unwrap_or_else(|| Yard::new(place.clone())),
                    sources: self.sources.clone(),
                });
                self.run_with(engine, stop).await;
            }
            EngineConfig::Process { sandbox } => {
                let engine = ProcessEngine::new(ProcessConfig {
                    gateway: loopback_of(config.node),
                    builtin_dir: config.builtin_dir.clone(),
                    secrets_dir: kept::home(config.node),
                    run_dir: config.state_dir.join("run"),
                    sandbox: sandbox.clone(),
                });
                self.run_with(engine, stop).await;
            }
        }
    }

    /// Runs on any engine until `stop`.
    pub async fn run_with(self, engine: impl Engine, stop: CancellationToken) {
        let engine = Arc::new(engine);
        self.logs.read_from(engine.clone());
        let wanted = self.shared.secrets.subscribe();
        let secrets = self.secrets.clone().follow(wanted, stop.clone());
        let reconciler = Reconciler::new(engine, self.shared.clone(), self.gateway.clone(), self.secrets);
        let mut senses = Senses::new(self.config.clone());
        self.shared.vitals.send_replace(senses.look());
        let senses = senses::run(senses, self.shared.clone(), stop.clone());
        let sync = Sync::new(
            self.config,
            self.shared,
            self.gateway,
            self.client,
            self.light,
            self.sign,
            self.pulse,
        );
        let (yard, sources, cleaner_stop) = (self.yard, self.sources, stop.clone());
        let cleaner = async {
            if let Some(yard) = yard {
                cleaner::run(yard, sources, cleaner_stop).await;
            }
        };
        tokio::join!(
            reconciler.run(stop.clone()),
            sync.run(stop),
            cleaner,
            secrets,
            senses
        );
    }
}
