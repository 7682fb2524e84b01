use std::{collections::BTreeSet, path::PathBuf};

use api::{Cpu, NodeId};
use tempfile::TempDir;

use super::*;
use crate::{Contacts, EngineConfig, OwnAddress, VirtualBoard};

struct Machine {
    root: TempDir,
    state: TempDir,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        };
        for (path, text) in files {
            machine.write(path, text);
        }
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn senses(&self) -> Senses {
        self.senses_below(self.root.path().to_owned())
    }

    fn senses_below(&self, root: PathBuf) -> Senses {
        Senses::new(Arc::new(AgentConfig {
            node: NodeId::from_number(1),
            name: "pi-3b-plus-0001".to_owned(),
            bramble: "test".to_owned(),
            version: "0".to_owned(),
            address: OwnAddress::Fixed("127.0.0.1:7443".parse().unwrap()),
            state_dir: self.state.path().to_owned(),
            root,
            builtin_dir: "/".into(),
            engine: EngineConfig::Docker { place: None },
            contacts: Contacts::default(),
            strangers: crate::Strangers::default(),
            virtual_board: Some(VirtualBoard {
                board: "Raspberry Pi 3 Model B Plus".to_owned(),
                memory: Memory::from_mib(906),
                cpu: Cpu::from_cores(4),
                serial: None,
            }),
        }))
    }
}

fn codes(vitals: &NodeVitals) -> BTreeSet<&str> {
    vitals
        .problems
        .iter()
        .map(|problem| problem.code.as_str())
        .collect()
}

#[test]
fn a_dip_of_the_voltage_is_reported_and_told_afterwards() {
    const CHIP: &str = "sys/class/hwmon/hwmon1/in0_lcrit_alarm";
    let machine = Machine::new(&[("sys/class/hwmon/hwmon1/name", "rpi_volt\n"), (CHIP, "1\n")]);
    let mut senses = machine.senses();
    let vitals = senses.look();
    let problem = &vitals.problems[0];
    assert_eq!(
        (problem.code.as_str(), problem.light),
        ("power-low", Some(Says::WarningPower))
    );
    assert_eq!(problem.severity, Severity::Serious);
    assert!(problem.to_string().contains("power supply"), "{problem}");
    assert_eq!(vitals.sensors.under_voltage, Some(true));

    machine.write(CHIP, "0\n");
    let vitals = senses.look();
    assert!(codes(&vitals).contains("power-dipped"), "{:?}", vitals.problems);
    assert_eq!(vitals.sensors.under_voltage, Some(false));
    assert_eq!(vitals.sensors.under_voltage_ago_s, Some(0));
}

#[test]
fn the_card_is_measured_once_in_its_life() {
    let machine = Machine::new(&[]);
    let measured = measure_card(&machine.senses().config).unwrap();
    let found = measure_card(&machine.senses().config).unwrap();
    assert_eq!(
        (found.writes, found.p50.as_micros()),
        (measured.writes, measured.p50.as_micros())
    );
    assert!(kept(&machine.state.path().join(CARD_SPEED), Some("another card")).is_none());
}

#[test]
fn a_virtual_pi_without_files_of_its_own_has_neither_card_nor_warnings() {
    let machine = Machine::new(&[]);
    let mut senses = machine.senses_below("/".into());
    assert!(measure_card(&senses.config).is_none());
    let vitals = senses.look();
    assert!(vitals.problems.is_empty() && vitals.sensors.is_empty());
    assert!(vitals.uptime_s > 0 && vitals.memory_available > Memory::ZERO);
}

#[tokio::test]
async fn a_dip_of_two_seconds_is_seen_whenever_it_comes() {
    const CHIP: &str = "sys/class/hwmon/hwmon1/in0_lcrit_alarm";
    let machine = Machine::new(&[("sys/class/hwmon/hwmon1/name", "rpi_volt\n"), (CHIP, "0\n")]);
    let senses = machine.senses();
    keep(
        &machine.state.path().join(CARD_SPEED),
        None,
        &CardSpeed {
            writes: 1,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
        },
    );
    let shared = Arc::new(Shared::new());
    let stop = CancellationToken::new();
    let looking = tokio::spawn(run(senses, Arc::clone(&shared), stop.clone()));
    let mut vitals = shared.vitals.subscribe();
    // Right after a look, when the next one is as far away as can be.
    vitals.changed().await.unwrap();
    machine.write(CHIP, "1\n");
    sleep(Duration::from_secs(2)).await;
    machine.write(CHIP, "0\n");
    let told = tokio::time::timeout(
        Duration::from_secs(60),
        vitals.wait_for(|vitals| vitals.sensors.under_voltage_ago_s.is_some()),
    );
    assert!(told.await.unwrap().is_ok());
    stop.cancel();
    looking.await.unwrap();
}
