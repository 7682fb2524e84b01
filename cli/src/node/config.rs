//! What a node is given before it starts: `node.toml` in its state folder.
//!
//! Unknown keys are refused with their name and line, so that a slip of the pen does not pass for a setting.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use api::{NodeId, node::EngineKind};
use serde::{Deserialize, Serialize};

/// The settings of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// The node's name.
    pub(crate) name: String,
    /// Where it takes HTTP: invocations, management API and portal.
    pub(crate) http: SocketAddr,
    /// Where it takes other nodes (mutual TLS), and what it tells them of that.
    pub(crate) node_port: SocketAddr,
    /// How it runs replicas.
    pub(crate) engine: EngineKind,
    /// Where its Docker Engine is reached: a path to a socket, `unix://…` or `tcp://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) docker: Option<String>,
    /// Whether it runs a controller.
    #[serde(default)]
    pub(crate) controller: bool,
    /// The nodes that run a controller, for the first contact; later ones are told by the leader.
    pub(crate) controllers: Vec<Peer>,
    /// What a virtual Pi pretends to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_board: Option<VirtualBoard>,
}

/// Another node and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Who it is.
    pub(crate) id: NodeId,
    /// Its node-to-node port.
    pub(crate) address: SocketAddr,
}

/// What the demo lends a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VirtualBoard {
    /// The board in people's words.
    pub(crate) model: String,
    /// Its memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Its cores.
    pub(crate) cores: u16,
}

impl NodeConfig {
    fn path(state: &Path) -> PathBuf {
        state.join("node.toml")
    }

    /// Reads the settings of the node whose state is in `state`.
    pub(crate) fn load(state: &Path) -> Result<Self> {
        let path = Self::path(state);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "failed to read {}: `bramble demo` makes such folders, one for each node",
                path.display()
            )
        })?;
        toml::from_str(&text).with_context(|| format!("{} cannot be followed", path.display()))
    }

    /// Like [`load`](Self::load); `None` where there are none yet.
    pub(crate) fn load_if_there(state: &Path) -> Result<Option<Self>> {
        match Self::path(state).try_exists() {
            Ok(true) => Self::load(state).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error).context("failed to look for node.toml"),
        }
    }

    /// Writes the settings.
    pub(crate) fn save(&self, state: &Path) -> Result<()> {
        let text = toml::to_string(self).context("failed to write settings as TOML")?;
        let path = Self::path(state);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        NodeConfig {
            name: "pi-3b-0001".to_owned(),
            http: "127.0.0.1:8080".parse().unwrap(),
            node_port: "127.0.0.1:7443".parse().unwrap(),
            engine: EngineKind::Process,
            docker: None,
            controller: true,
            controllers: vec![Peer {
                id: NodeId::from_number(1),
                address: "127.0.0.1:7443".parse().unwrap(),
            }],
            virtual_board: Some(VirtualBoard {
                model: "Pi".to_owned(),
                memory_bytes: 1 << 30,
                cores: 4,
            }),
        }
    }

    #[test]
    fn settings_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(NodeConfig::load_if_there(folder.path()).unwrap(), None);
        config().save(folder.path()).unwrap();
        assert_eq!(NodeConfig::load(folder.path()).unwrap(), config());
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("colour = \"red\"\n{}", toml::to_string(&config()).unwrap());
        fs::write(folder.path().join("node.toml"), text).unwrap();
        let error = format!("{:#}", NodeConfig::load(folder.path()).unwrap_err());
        assert!(error.contains("colour") && error.contains("line 1"), "{error}");
    }
}
