//! What a machine's sensors tell, and what is wrong with it.
//!
//! Not here: reading sensors and judging them (`hardware`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::light::Says;

/// What a machine's sensors tell besides load and memory. Absent where the machine cannot tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sensors {
    /// How fast the first core runs, in MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_mhz: Option<u32>,
    /// Whether the voltage is too low at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_voltage: Option<bool>,
    /// Seconds since the voltage was last too low, as far as this node's program saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_voltage_ago_s: Option<u64>,
    /// Whether the voltage was too low at some time between the machine's start and the first look, and not since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub under_voltage_before: bool,
    /// Whether the cores are slowed at this moment, against low voltage or heat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Seconds since the cores were last slowed, as far as this node's program saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_ago_s: Option<u64>,
    /// Whether the cores were slowed at some time between the machine's start and the first look, and not since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub throttled_before: bool,
    /// How much of the last minute some program waited for memory, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_pressure_percent: Option<f64>,
    /// Whether memory limits of functions are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limits: Option<bool>,
    /// The card or disk that holds the node's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// Sockets and radios.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Whether the time of day is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_set: Option<bool>,
    /// Whether the root file system cannot be written to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub root_read_only: bool,
}

impl Sensors {
    /// Whether they tell nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A card or disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// The kernel's name for it: `mmcblk0`.
    pub device: String,
    /// What it is.
    pub kind: CardKind,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who made it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Month and year in which it was made: `09/2023`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// Bytes written to it since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_since_boot_bytes: Option<u64>,
    /// Bytes ever written to its file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_ever_bytes: Option<u64>,
    /// Time until a small write is safe, in microseconds: half of them take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_p50_us: Option<u64>,
    /// The same: all but one in a hundred take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_p99_us: Option<u64>,
}

/// What holds a node's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardKind {
    /// An SD card.
    Sd,
    /// Flash memory that is soldered to the board.
    Emmc,
    /// A disk, a stick, or something that the machine only makes up.
    #[default]
    Disk,
}

/// A network socket or radio.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// The kernel's name for it: `eth0`.
    pub name: String,
    /// Whether it is connected.
    pub up: bool,
    /// Whether it is a radio.
    pub wireless: bool,
    /// How fast a cable is, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mbit: Option<u32>,
    /// How strong a radio's signal is, in dBm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i32>,
}

/// Something that is wrong with a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// What it is, as a word that never changes: `power-low`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter, in one sentence.
    pub sentence: String,
    /// What to do about it.
    pub cure: String,
    /// What a light says for it; absent for what nobody needs to see from afar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<Says>,
}

/// The whole of it in people's words: the sentence, then the cure.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sentence, self.cure)
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Should be seen to.
    Warning,
    /// Something breaks, or is about to.
    Serious,
}
