//! What this node says of itself.

use std::path::Path;

use api::{BoardDetails, Cpu, Devices, Memory, NodeFacts, Platform, node::EngineKind};
use hardware::{Board, System, revision::Processor};

use crate::{
    config::{AgentConfig, EngineConfig},
    engine::Abilities,
};

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    board: Board,
    system: System,
}

impl Machine {
    /// The machine whose files are below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        Self {
            board: hardware::board::read(root),
            system: System::read(root),
        }
    }

    /// What this node is, with an engine that can do this.
    pub(crate) fn facts(&self, config: &AgentConfig, abilities: &Abilities) -> NodeFacts {
        let lent = config.virtual_board.as_ref();
        NodeFacts {
            name: config.name.clone(),
            board: lent.map_or(&self.board.words, |lent| &lent.board).clone(),
            address: config.address.now(),
            memory: lent.map_or(Memory::from_bytes(self.system.memory_bytes), |lent| lent.memory),
            cpu: lent.map_or(Cpu::from_cores(self.system.cores), |lent| lent.cpu),
            platforms: platforms(&self.board.platforms(&self.system), &abilities.platforms),
            os: self.system.os.clone(),
            page_bytes: self.system.page_bytes,
            engine: match config.engine {
                EngineConfig::Docker { .. } => EngineKind::Docker,
                EngineConfig::Process { .. } => EngineKind::Process,
            },
            version: config.version.clone(),
            serial: lent.map_or(&self.board.serial, |lent| &lent.serial).clone(),
            devices: devices(config),
            details: if config.is_its_own_machine() {
                details(&self.board)
            } else {
                BoardDetails::default()
            },
        }
    }
}

fn details(board: &Board) -> BoardDetails {
    BoardDetails {
        revision: board.revision.map(|revision| format!("{:x}", revision.code)),
        version: board
            .revision
            .map(|revision| format!("{}.{}", revision.version.0, revision.version.1)),
        processor: board.processor.and_then(Processor::name).map(str::to_owned),
        memory_fitted: board.memory_mib.map(Memory::from_mib),
    }
}

/// What this node could give to functions, looked up each time, since cameras and microcontrollers are plugged in and
/// pulled out. Only containers are given any, and virtual Pis have none.
fn devices(config: &AgentConfig) -> Devices {
    match config.engine {
        EngineConfig::Docker { .. } if config.virtual_board.is_none() => {
            let kinds = hardware::devices::offered(&config.root);
            kinds.into_iter().filter_map(|kind| kind.parse().ok()).collect()
        }
        _ => Devices::default(),
    }
}

/// What this machine runs with an engine that runs `engine`, the best first.
pub(crate) fn node_platforms(engine: &[Platform]) -> Vec<Platform> {
    let machine = Machine::read(Path::new("/"));
    platforms(&machine.board.platforms(&machine.system), engine)
}

/// What the board can run, if the engine can, too: a 32-bit Docker on a 64-bit kernel fetches 32-bit images. An
/// engine that is made for something else altogether knows best.
fn platforms(board: &[String], engine: &[Platform]) -> Vec<Platform> {
    let board: Vec<Platform> = board.iter().filter_map(|text| text.parse().ok()).collect();
    let Some(own) = engine.first() else { return board };
    if board
        .first()
        .is_some_and(|best| best.architecture() == own.architecture())
    {
        return board;
    }
    let same: Vec<Platform> = board
        .into_iter()
        .filter(|platform| platform.architecture() == own.architecture())
        .collect();
    if same.is_empty() { engine.to_vec() } else { same }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::NodeId;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn run_by(board: &[&str], engine: &str) -> Vec<String> {
        let engine = [engine.parse().unwrap()];
        platforms(&strings(board), &engine)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn platforms_are_those_of_the_board_that_the_engine_fetches() {
        let pi_4 = ["linux/arm64", "linux/arm/v7", "linux/arm/v6"];
        assert_eq!(run_by(&pi_4, "linux/arm64"), pi_4);
        assert_eq!(run_by(&pi_4, "linux/arm/v7"), ["linux/arm/v7", "linux/arm/v6"]);
        assert_eq!(run_by(&["linux/amd64"], "linux/amd64"), ["linux/amd64"]);
        assert_eq!(run_by(&["linux/amd64"], "linux/riscv64"), ["linux/riscv64"]);
        assert_eq!(platforms(&strings(&pi_4), &[]).len(), 3);
    }

    #[test]
    fn a_node_offers_the_devices_of_its_machine_to_containers_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        for name in ["gpiochip0", "i2c-1"] {
            std::fs::write(root.path().join("dev").join(name), "").unwrap();
        }
        let config = AgentConfig {
            root: root.path().to_owned(),
            virtual_board: None,
            ..config()
        };
        assert_eq!(config.facts().devices.to_string(), "gpio, i2c");
        let lent = AgentConfig {
            virtual_board: self::config().virtual_board,
            ..config.clone()
        };
        assert!(lent.facts().devices.is_empty());
        let sandbox = Vec::new();
        let processes = AgentConfig {
            engine: EngineConfig::Process { sandbox },
            ..config
        };
        assert!(processes.facts().devices.is_empty());
    }

    #[test]
    fn every_device_that_functions_can_ask_for_is_looked_for_by_its_name() {
        assert_eq!(hardware::devices::KINDS, api::Device::ALL.map(api::Device::name));
    }

    fn config() -> AgentConfig {
        AgentConfig {
            node: NodeId::from_number(1),
            name: "pi-3b-plus-0001".to_owned(),
            bramble: "test".to_owned(),
            version: "0".to_owned(),
            address: crate::OwnAddress::Fixed("127.0.0.1:7443".parse().unwrap()),
            state_dir: "/".into(),
            root: "/".into(),
            builtin_dir: "/".into(),
            engine: EngineConfig::Docker { place: None },
            contacts: crate::Contacts::default(),
            strangers: crate::Strangers::default(),
            virtual_board: Some(crate::config::VirtualBoard {
                board: "Raspberry Pi 3 Model B Plus".to_owned(),
                memory: Memory::from_mib(906),
                cpu: Cpu::from_cores(4),
                serial: None,
            }),
        }
    }

    #[test]
    fn a_virtual_pi_lends_board_memory_and_cores_but_no_architecture() {
        let config = config();
        let machine = Machine::read(Path::new("/"));
        let facts = machine.facts(&config, &Abilities::default());
        assert_eq!(
            (facts.board.as_str(), facts.memory),
            ("Raspberry Pi 3 Model B Plus", Memory::from_mib(906))
        );
        assert_eq!(facts.cpu, Cpu::from_cores(4));
        assert_eq!(
            facts.platforms[0].architecture(),
            match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            }
        );
        let truth = machine.facts(
            &AgentConfig {
                virtual_board: None,
                ..config
            },
            &Abilities::default(),
        );
        assert!(truth.memory > Memory::ZERO && truth.page_bytes >= 4096);
    }
}
