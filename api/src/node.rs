//! What a node says of itself: facts, which change seldom and are replicated, and vitals, which change all the
//! time and live only in the leader's memory.

use std::{collections::BTreeSet, fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    devices::Devices,
    sensors::{Sensors, Warning},
    units::{Cpu, Memory},
};

/// What a container image is made for and what a node can run: `linux/arm64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl Platform {
    /// A platform in Docker's words; an empty variant means the architecture's usual one.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        // Docker leaves out what is the only variant of an architecture, or spells it: one form for both.
        let variant = match (architecture, variant) {
            ("arm64", "v8") | ("amd64", "v1") => "",
            ("arm", "") => "v7",
            (_, variant) => variant,
        };
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// The architecture in Docker's words: `arm64`, `arm`, `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.variant)
        }
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant, None) if !os.is_empty() && !architecture.is_empty() => {
                Ok(Self::new(os, architecture, variant.unwrap_or_default()))
            }
            _ => Err(format!(
                "`{text}` is not a platform such as linux/arm64 or linux/arm/v7"
            )),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a node is: replicated, so that any controller can place on it; sent whole in every sync request and
/// proposed to Raft only when it differs from what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The node's name: board and end of its id, such as `pi-3b-plus-7f2a`.
    pub name: String,
    /// The board in people's words: `Raspberry Pi 3 Model B Plus`, or what machine this is when it is no Pi.
    pub board: String,
    /// Where this node's mutual-TLS port is reached, as the node sees itself.
    pub address: SocketAddr,
    /// Memory that the operating system sees.
    pub memory: Memory,
    /// All cores together.
    pub cpu: Cpu,
    /// Platforms whose images this node can run, the best first.
    pub platforms: Vec<Platform>,
    /// The operating system in people's words: `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Size of a memory page, in bytes; some images need 4096.
    pub page_bytes: u32,
    /// How replicas are run here: `docker` or `process`.
    pub engine: EngineKind,
    /// Version of the program that this node runs.
    pub version: String,
    /// The board's serial number, where it has one: by it a card that was flashed anew is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Devices that it could give to functions.
    #[serde(default, skip_serializing_if = "Devices::is_empty")]
    pub devices: Devices,
    /// What else is known of the board.
    #[serde(default, skip_serializing_if = "BoardDetails::is_empty")]
    pub details: BoardDetails,
}

/// What is known of a board besides its name, for people: nothing is decided by it. Absent where it does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoardDetails {
    /// The revision code in hexadecimal, as tables print it: `a020d3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Version of the board, of which the code tells: `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The system on a chip: `BCM2837`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Memory that was fitted; the operating system sees less.
    #[serde(rename = "memory_fitted_bytes", skip_serializing_if = "Option::is_none")]
    pub memory_fitted: Option<Memory>,
}

impl BoardDetails {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a node runs replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// As containers of Docker Engine.
    Docker,
    /// As child processes, for built-in functions only.
    Process,
    /// Not at all: pretends, for simulations.
    Fake,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Fake => "fake",
        })
    }
}

/// How a node is at this moment. Absent where the machine cannot tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeVitals {
    /// Time since the machine started, in seconds.
    pub uptime_s: u64,
    /// Runnable processes on average over the last minute.
    pub load: f64,
    /// Memory that could still be used without swapping.
    pub memory_available: Memory,
    /// Size of the file system that holds the node's state, in bytes.
    pub disk_total_bytes: u64,
    /// Free space of that file system, in bytes.
    pub disk_free_bytes: u64,
    /// Temperature of the processor, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// What is wrong with what runs on this node, in plain sentences, each with its cure.
    pub warnings: BTreeSet<String>,
    /// What its sensors tell.
    #[serde(default, skip_serializing_if = "Sensors::is_empty")]
    pub sensors: Sensors,
    /// What is wrong with the machine, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Warning>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_variant_is_the_same_platform_spelled_or_not() {
        assert_eq!(
            "linux/arm64/v8".parse::<Platform>().unwrap().to_string(),
            "linux/arm64"
        );
        assert_eq!(
            "linux/arm".parse::<Platform>().unwrap().to_string(),
            "linux/arm/v7"
        );
        assert_eq!(Platform::new("linux", "arm", "v6").to_string(), "linux/arm/v6");
        assert!("arm64".parse::<Platform>().is_err());
    }
}
