//! Replicas as containers of Docker Engine, 20.10 to 29.
//!
//! ```text
//!   mod      the engine: list, start, stop     client   connection, errors in words
//!   labels   what containers say of themselves create   what a container looks like (pure)
//!   images   here, fetched or made             network  this node's own
//!   events   wakes the agent                   ending   why a container ended
//!   logs     what a container wrote             devices  what of this node it may use
//! ```
//!
//! Touches only what carries this node's label. Keeps nothing that it could not read from Docker again.

mod client;
mod create;
mod devices;
mod ending;
mod events;
mod images;
pub mod labels;
mod logs;
mod network;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{Generation, NodeId, Platform, ReplicaId, images::HeldImage, sync::DesiredReplica};
use bollard::{
    Docker,
    errors::Error,
    models::{ContainerSummary, ContainerSummaryStateEnum as Shown},
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{Notify, Semaphore};
use tracing::warn;

use super::{Abilities, Engine, EngineError, LogsWanted, Progress, Seen, State, Written};
use crate::{images::Sources, plan::Step, report::node_platforms};
pub use client::connect;
use client::{forgive, is_gone, start_failed, status, unreachable};
use create::Capabilities;
use ending::Endings;
use images::Images;
pub use images::yard::{LoadError, Yard};
use labels::Labels;

/// The label by which a node knows its containers and networks; its value is the node's id.
pub use labels::NODE as NODE_LABEL;

/// The port that every function listens on (openfaas' contract).
const FUNCTION_PORT: u16 = 8080;

/// Containers that are made and started at the same time: more only make each other slow on a card.
const STARTS_AT_ONCE: usize = 3;

/// What the engine has to know of its node.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// Where Docker is reached; see [`connect`].
    pub place: Option<String>,
    /// The node whose containers these are.
    pub node: NodeId,
    /// Identity of the bramble.
    pub bramble: String,
    /// Where the files of the built-in functions are.
    pub builtin_dir: PathBuf,
    /// Where the secrets of each function are, in a directory of its name.
    pub secrets_dir: PathBuf,
    /// Where this machine's files are, of which devices are given to containers: `/`.
    pub root: PathBuf,
    /// Docker's images.
    pub yard: Yard,
    /// Where else images are.
    pub sources: Sources,
}

/// Runs replicas as containers.
#[derive(Debug)]
pub struct DockerEngine {
    config: DockerConfig,
    open: Mutex<Option<Open>>,
    images: Images,
    endings: Endings,
    starting: Semaphore,
    changed: Arc<Notify>,
    images_changed: Arc<Notify>,
}

/// An open connection, and what was found out at its beginning.
#[derive(Clone, Debug)]
struct Open {
    docker: Docker,
    can: Arc<Capabilities>,
    platform: Arc<str>,
    /// What this node runs, the best first.
    platforms: Arc<[Platform]>,
    /// Ends with the last clone.
    _events: Arc<events::Listener>,
}

impl DockerEngine {
    /// An engine that is not connected yet.
    pub fn new(config: DockerConfig) -> Self {
        Self {
            images: Images::new(
                config.builtin_dir.clone(),
                config.yard.clone(),
                config.sources.clone(),
            ),
            config,
            open: Mutex::default(),
            endings: Endings::default(),
            starting: Semaphore::new(STARTS_AT_ONCE),
            changed: Arc::default(),
            images_changed: Arc::default(),
        }
    }

    fn opened(&self) -> Result<Open, EngineError> {
        let open = self.open.lock().expect("no panic while held").clone();
        let place = || client::place(self.config.place.as_deref());
        open.ok_or_else(|| unreachable(&place(), Error::SocketNotFoundError(place())))
    }

    /// What went wrong; a lost connection is remembered as lost.
    fn failed(&self, doing: &str, error: Error) -> EngineError {
        if is_gone(&error) {
            *self.open.lock().expect("no panic while held") = None;
            return unreachable(&client::place(self.config.place.as_deref()), error);
        }
        EngineError::Failed {
            doing: doing.to_owned(),
            source: Box::new(error),
        }
    }

    /// Containers of this node, running or not; only those of `replica` if one is named.
    async fn containers(
        &self,
        docker: &Docker,
        replica: Option<ReplicaId>,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut wanted = vec![format!("{}={}", labels::NODE, self.config.node)];
        if let Some(replica) = replica {
            wanted.push(format!("{}={}", labels::BRAMBLE, self.config.bramble));
            wanted.push(format!("{}={replica}", labels::REPLICA));
        }
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        docker
            .list_containers(Some(options))
            .await
            .map_err(|error| self.failed("list the containers", error))
    }

    /// Removes what carries this node's label and is no replica of this bramble: what is left when a node moves from
    /// one bramble to another.
    async fn remove_strangers(&self, docker: &Docker) -> Result<(), EngineError> {
        for container in self.containers(docker, None).await? {
            let labels = container.labels.unwrap_or_default();
            if Labels::read(&labels, &self.config.bramble).is_none() {
                let id = container.id.unwrap_or_default();
                warn!(
                    id,
                    ?labels,
                    "removing a container of this node that is no replica of this bramble"
                );
                self.remove(docker, &id).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, docker: &Docker, id: &str) -> Result<(), EngineError> {
        // Anonymous volumes of the image go along.
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        forgive(docker.remove_container(id, Some(options)).await, &[404, 409])
            .map_err(|error| self.failed("remove the container", error))
    }

    async fn start(
        &self,
        open: &Open,
        replica: ReplicaId,
        desired: &DesiredReplica,
        generation: Generation,
        progress: &Progress,
    ) -> Result<(), EngineError> {
        for container in self.containers(&open.docker, Some(replica)).await? {
            match self.seen(&open.docker, &container).await? {
                Some((_, seen))
                    if seen.version == desired.version && matches!(seen.state, State::Running { .. }) =>
                {
                    return Ok(());
                }
                _ => {
                    self.remove(&open.docker, container.id.as_deref().unwrap_or_default())
                        .await?
                }
            }
        }
        let spec = &desired.spec;
        let image = self
            .images
            .ensure(&open.docker, desired, &open.platforms, progress)
            .await?;
        progress(String::new());
        let _turn = self.starting.acquire().await.expect("never closed");
        // Made again if somebody removed it.
        let gateway = network::ensure(&open.docker, self.config.node, &self.config.bramble)
            .await
            .map_err(|error| self.failed("make this node's network", error))?;
        let network = network::name(self.config.node);
        let labels = Labels::new(replica, desired, generation);
        let mut body = create::body(
            self.config.node,
            &self.config.bramble,
            &network,
            gateway,
            &labels,
            spec,
            &open.can,
        );
        body.image = Some(image.clone());
        if !spec.secrets.is_empty() {
            let secrets = self.config.secrets_dir.join(spec.name.to_string());
            create::mount_secrets(&mut body, &secrets);
        }
        let given = devices::find(&self.config.root, &spec.devices(), &desired.devices)?;
        devices::give(&mut body, &given);
        let name = create::container_name(replica, spec.name.name(), self.config.node);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let refused = |error: Error| match status(&error) {
            Some(409) => EngineError::Refused(format!(
                "a container that is not this node's has the name {name}; remove or rename it"
            )),
            _ if is_gone(&error) => self.failed("", error),
            _ => start_failed(&spec.image, &open.platform, error),
        };
        let id = open
            .docker
            .create_container(Some(options), body)
            .await
            .map_err(refused)?
            .id;
        if let Err(error) = self.check_pages(open, desired, &id, &image).await {
            _ = self.remove(&open.docker, &id).await;
            return Err(error);
        }
        if let Err(error) = open
            .docker
            .start_container(&id, None::<StartContainerOptions>)
            .await
        {
            let error = refused(error);
            // What could not start would only be in the way of the next attempt.
            _ = self.remove(&open.docker, &id).await;
            return Err(error);
        }
        Ok(())
    }

    /// Refuses a program that this node's kernel would not load, in words; what is not known is tried.
    async fn check_pages(
        &self,
        open: &Open,
        desired: &DesiredReplica,
        container: &str,
        image: &str,
    ) -> Result<(), EngineError> {
        if desired.image.is_none() {
            return Ok(());
        }
        let node = u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX);
        match images::pages::largest(&open.docker, &self.config.yard, container, image).await {
            Some(largest) if largest < node => Err(EngineError::Refused(format!(
                "the program of image {} is linked for memory pages of {} KiB, and this node has pages of {} KiB; \
                 link it with -z max-page-size=65536, or start the node with a kernel of smaller pages",
                desired.spec.image,
                largest / 1024,
                node / 1024
            ))),
            _ => Ok(()),
        }
    }

    async fn stop(&self, open: &Open, replica: ReplicaId, grace: Duration) -> Result<(), EngineError> {
        for container in self.containers(&open.docker, Some(replica)).await? {
            let id = container.id.unwrap_or_default();
            if container.state == Some(Shown::PAUSED) {
                // A paused program hears no signal.
                _ = open.docker.unpause_container(&id).await;
            }
            if matches!(container.state, Some(Shown::RUNNING | Shown::PAUSED)) {
                let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
                let options = StopContainerOptionsBuilder::default().t(seconds).build();
                let docker = open.docker.clone().with_timeout(grace + Duration::from_secs(60));
                forgive(docker.stop_container(&id, Some(options)).await, &[304, 404])
                    .map_err(|error| self.failed("stop the container", error))?;
            }
            self.remove(&open.docker, &id).await?;
        }
        Ok(())
    }

    async fn freeze(&self, open: &Open, replica: ReplicaId, freeze: bool) -> Result<(), EngineError> {
        for container in self.containers(&open.docker, Some(replica)).await? {
            let id = container.id.unwrap_or_default();
            match (freeze, container.state) {
                (true, Some(Shown::RUNNING)) => open.docker.pause_container(&id).await,
                (false, Some(Shown::PAUSED)) => open.docker.unpause_container(&id).await,
                _ => Ok(()),
            }
            .map_err(|error| {
                self.failed(
                    if freeze {
                        "pause the container"
                    } else {
                        "resume the container"
                    },
                    error,
                )
            })?;
        }
        Ok(())
    }

    /// The replica that a container is; `None` where it is none, or is about to be gone.
    async fn seen(
        &self,
        docker: &Docker,
        container: &ContainerSummary,
    ) -> Result<Option<(ReplicaId, Seen)>, EngineError> {
        let empty = HashMap::new();
        let Some(labels) = Labels::read(container.labels.as_ref().unwrap_or(&empty), &self.config.bramble)
        else {
            return Ok(None);
        };
        let id = container.id.clone().unwrap_or_default();
        let address = self.address(container);
        let state = match (container.state, address) {
            (Some(Shown::RUNNING | Shown::STOPPING), Some(address)) => State::Running { address },
            (Some(Shown::PAUSED), Some(address)) => State::Frozen { address },
            (Some(Shown::EXITED | Shown::DEAD), _) => {
                let ending = self.endings.of(docker, &id).await;
                State::Ended(ending.map_err(|error| self.failed("look at the container", error))?)
            }
            (Some(Shown::REMOVING), _) => return Ok(None),
            _ => State::Made,
        };
        let seen = Seen {
            function: labels.function,
            version: labels.version,
            generation: labels.generation,
            grace: labels.grace,
            run: id,
            state,
        };
        Ok(Some((labels.replica, seen)))
    }

    fn address(&self, container: &ContainerSummary) -> Option<SocketAddr> {
        let networks = container.network_settings.as_ref()?.networks.as_ref()?;
        let address = networks
            .get(&network::name(self.config.node))?
            .ip_address
            .as_ref()?;
        Some(SocketAddr::new(address.parse().ok()?, FUNCTION_PORT))
    }
}

impl Engine for DockerEngine {
    async fn open(&self) -> Result<Abilities, EngineError> {
        let docker = connect(self.config.place.as_deref()).await?;
        let failed = |error| self.failed("ask Docker what it can do", error);
        let version = docker.version().await.map_err(failed)?;
        let info = docker.info().await.map_err(failed)?;
        let platform = Platform::new(
            version.os.as_deref().unwrap_or("linux"),
            version.arch.as_deref().unwrap_or_default(),
            "",
        );
        let logs = info.plugins.and_then(|plugins| plugins.log).unwrap_or_default();
        let can = Capabilities {
            log_local: logs.iter().any(|driver| driver == "local"),
            cpu_quota: info.cpu_cfs_quota != Some(false),
            cores: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        };
        let mut warnings = BTreeSet::new();
        if info.memory_limit == Some(false) {
            warnings.insert(
                "limits.memory has no effect: this kernel does not limit memory; add cgroup_enable=memory to cmdline.txt and restart"
                    .to_owned(),
            );
        }
        if !can.cpu_quota {
            warnings.insert("limits.cpu has no effect: this kernel does not limit CPU time".to_owned());
        }
        self.remove_strangers(&docker).await?;
        let gateway = network::ensure(&docker, self.config.node, &self.config.bramble)
            .await
            .map_err(|error| self.failed("make this node's network", error))?;
        let events = events::Listener::new(
            docker.clone(),
            self.config.node,
            self.changed.clone(),
            self.images_changed.clone(),
        );
        *self.open.lock().expect("no panic while held") = Some(Open {
            docker,
            can: Arc::new(can),
            platform: platform.to_string().into(),
            platforms: node_platforms(std::slice::from_ref(&platform)).into(),
            _events: Arc::new(events),
        });
        Ok(Abilities {
            platforms: vec![platform],
            warnings,
            gateway,
        })
    }

    async fn list(&self) -> Result<BTreeMap<ReplicaId, Seen>, EngineError> {
        let open = self.opened()?;
        let mut list = BTreeMap::new();
        let containers = self.containers(&open.docker, None).await?;
        self.endings.keep_only(&containers);
        for container in containers {
            list.extend(self.seen(&open.docker, &container).await?);
        }
        Ok(list)
    }

    async fn run(&self, step: &Step, progress: &Progress) -> Result<(), EngineError> {
        let open = self.opened()?;
        match step {
            Step::Start {
                replica,
                desired,
                generation,
            } => self.start(&open, *replica, desired, *generation, progress).await,
            Step::Stop { replica, grace } => self.stop(&open, *replica, *grace).await,
            Step::Freeze { replica } => self.freeze(&open, *replica, true).await,
            Step::Thaw { replica } => self.freeze(&open, *replica, false).await,
        }
    }

    async fn images(&self) -> Result<Vec<HeldImage>, EngineError> {
        let docker = self.opened()?.docker;
        let held = self.config.yard.shelf.list(&docker).await;
        held.map_err(|error| self.failed("list the images", error))
    }

    async fn images_changed(&self) {
        self.images_changed.notified().await;
    }

    async fn logs(
        &self,
        replica: ReplicaId,
        wanted: LogsWanted,
    ) -> Result<BoxStream<'static, Written>, EngineError> {
        let open = self.opened()?;
        let containers = self.containers(&open.docker, Some(replica)).await?;
        let ids = containers.into_iter().filter_map(|container| container.id);
        let lines: Vec<_> = ids.map(|id| logs::of(&open.docker, &id, wanted)).collect();
        Ok(stream::select_all(lines).boxed())
    }

    async fn has_lock_file(&self, replica: ReplicaId) -> bool {
        let Ok(open) = self.opened() else { return false };
        let Ok(containers) = self.containers(&open.docker, Some(replica)).await else {
            return false;
        };
        let Some(id) = containers.into_iter().next().and_then(|c| c.id) else {
            return false;
        };
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path("/tmp/.lock")
            .build();
        open.docker
            .get_container_archive_info(&id, Some(options))
            .await
            .is_ok()
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}
