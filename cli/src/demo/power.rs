//! The power plug of a virtual Pi: what happens to its containers when it is pulled, and when the demo ends.
//!
//! A real Pi takes its containers along. Here they belong to the host's Docker Engine, so the demo does it; it
//! touches only containers and networks that carry the node's label.

use std::collections::HashMap;

use anyhow::{Context, Result};
use api::NodeId;
use bollard::{
    Docker,
    query_parameters::{
        KillContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
        RemoveContainerOptionsBuilder,
    },
};

/// The host's Docker Engine, seen as the power supply of virtual Pis.
#[derive(Clone, Debug)]
pub(super) struct PowerStrip {
    docker: Option<Docker>,
}

impl PowerStrip {
    /// For nodes on the process engine: their replicas end with them.
    pub(super) fn without_docker() -> Self {
        Self { docker: None }
    }

    /// For nodes whose Docker Engine is reached at `socket`.
    pub(super) async fn with_docker(socket: Option<&str>) -> Result<Self> {
        let docker = agent::engine::docker::connect(socket)
            .await
            .context("failed to reach Docker")?;
        Ok(Self { docker: Some(docker) })
    }

    async fn containers(&self, docker: &Docker, node: NodeId, all: bool) -> Result<Vec<String>> {
        let filters = HashMap::from([(
            "label",
            vec![format!("{}={node}", agent::engine::docker::NODE_LABEL)],
        )]);
        let options = ListContainersOptionsBuilder::new()
            .all(all)
            .filters(&filters)
            .build();
        let list = docker
            .list_containers(Some(options))
            .await
            .context("failed to list containers")?;
        Ok(list.into_iter().filter_map(|container| container.id).collect())
    }

    /// Stops all containers of `node` at once and without asking, as a pulled plug does. They stay on its "card".
    pub(super) async fn cut(&self, node: NodeId) -> Result<()> {
        forget_secrets(node);
        let Some(docker) = &self.docker else { return Ok(()) };
        for id in self.containers(docker, node, false).await? {
            // A container that ended in between is as dead as one that was killed.
            _ = docker.kill_container(&id, None::<KillContainerOptions>).await;
        }
        Ok(())
    }

    /// Removes all that `node` ever made: containers and network.
    pub(super) async fn clear(&self, node: NodeId) -> Result<()> {
        forget_secrets(node);
        let Some(docker) = &self.docker else { return Ok(()) };
        for id in self.containers(docker, node, true).await? {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            docker
                .remove_container(&id, Some(options))
                .await
                .context("failed to remove a container")?;
        }
        let filters = HashMap::from([(
            "label",
            vec![format!("{}={node}", agent::engine::docker::NODE_LABEL)],
        )]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        for network in docker
            .list_networks(Some(options))
            .await
            .context("failed to list networks")?
        {
            if let Some(id) = network.id {
                docker
                    .remove_network(&id)
                    .await
                    .context("failed to remove a network")?;
            }
        }
        Ok(())
    }
}

/// What a Pi keeps in memory is gone with its power.
fn forget_secrets(node: NodeId) {
    let home = agent::secrets::home(node);
    if let Some(of_node) = home.parent() {
        // Mostly there is none.
        _ = std::fs::remove_dir_all(of_node);
    }
}
