//! What an agent is told at its start.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use api::{Cpu, Memory, NodeFacts, NodeId};

use crate::{
    contacts::{Contacts, OwnAddress},
    engine::Abilities,
    report::Machine,
    strangers::Strangers,
};

/// What an agent is told at its start.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// This node.
    pub node: NodeId,
    /// Its name: `pi-3b-plus-7f2a`.
    pub name: String,
    /// Identity of the bramble that the node is part of.
    pub bramble: String,
    /// Version of this program.
    pub version: String,
    /// Where this node's node-to-node port is reached.
    pub address: OwnAddress,
    /// The node's directory. The agent keeps no state there, only what its replicas need while they run.
    pub state_dir: PathBuf,
    /// Where the files of the built-in functions are.
    pub builtin_dir: PathBuf,
    /// Where this machine's files are: `/`; for tests and virtual Pis a small tree of the kernel's files.
    pub root: PathBuf,
    /// How replicas are run.
    pub engine: EngineConfig,
    /// Where controllers are reached.
    pub contacts: Contacts,
    /// Whom this node turned away.
    pub strangers: Strangers,
    /// What a virtual Pi pretends to be; `None` is the truth.
    pub virtual_board: Option<VirtualBoard>,
}

impl AgentConfig {
    /// What this node is, before its engine was asked what it can do.
    pub fn facts(&self) -> NodeFacts {
        Machine::read(&self.root).facts(self, &Abilities::default())
    }

    /// Whether there is a machine that is this node and no other. A virtual Pi has neither card nor power supply: what
    /// is wrong with the computer that it runs on is no fault of its own. One that is given files of its own has.
    pub(crate) fn is_its_own_machine(&self) -> bool {
        self.virtual_board.is_none() || self.root != Path::new("/")
    }
}

/// How replicas are run.
#[derive(Clone, Debug)]
pub enum EngineConfig {
    /// As containers.
    Docker {
        /// Where Docker is reached: a path, `unix://…` or `tcp://…`; `None` is what `DOCKER_HOST` says, else the usual
        /// socket.
        place: Option<String>,
    },
    /// As child processes.
    Process {
        /// Program and first arguments that lead to [`crate::engine::process::sandbox::exec`]: `bramble sandbox`.
        sandbox: Vec<OsString>,
    },
}

/// What a virtual Pi pretends to be. Its architecture stays that of the machine it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualBoard {
    /// The board in people's words.
    pub board: String,
    /// Its memory.
    pub memory: Memory,
    /// Its cores.
    pub cpu: Cpu,
    /// Its serial number.
    pub serial: Option<String>,
}
