//! What the leader has a node's light say; the agent adds what only it knows.
//!
//! Not here: rhythms and colours (`hardware`), what is said when (`cluster`, `agent`).

use serde::{Deserialize, Serialize};

use crate::ids::FunctionName;

mod quiet;

pub use quiet::{ParseQuietHoursError, QuietHours};

/// What a light can say on the leader's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// A node of the bramble, at rest.
    #[default]
    Joined,
    /// The master, at rest.
    Master,
    /// A node that answers invocations.
    Working,
    /// The master, answering invocations.
    MasterWorking,
    /// A replica is on its way.
    Starting,
    /// Trouble with the card.
    WarningCard,
    /// Too hot.
    WarningHeat,
    /// The power supply is too weak.
    WarningPower,
    /// Somebody asked which board this is.
    Identify,
}

/// What a node's light should say, as far as the leader knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Light {
    /// The one thing that matters most.
    pub says: Says,
    /// Invocations that this node answers in a second.
    pub calls_per_second: f64,
    /// How bright, in percent; zero is dark.
    pub brightness: u8,
    /// Replicas on this node, in the order of the pixels of a strip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaLight>,
}

impl Default for Light {
    fn default() -> Self {
        Self {
            says: Says::default(),
            calls_per_second: 0.0,
            brightness: LightSettings::BRIGHTNESS,
            replicas: Vec::new(),
        }
    }
}

/// A replica on a strip of pixels, in its function's colour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaLight {
    /// Whose it is.
    pub function: FunctionName,
    /// What it does.
    pub glow: Glow,
}

/// What a replica does, as far as a light shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Glow {
    /// Answers.
    Ready,
    /// Is on its way.
    Starting,
    /// Sleeps until it is called.
    Asleep,
}

/// How all lights of a bramble shine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LightSettings {
    /// How bright, in percent; zero is dark. Identify shows all the same.
    pub brightness: u8,
    /// Hours of every day in which lights stay dark, by the master's local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietHours>,
}

impl LightSettings {
    /// How bright lights are unless somebody wants them otherwise, in percent.
    pub const BRIGHTNESS: u8 = 50;

    /// How bright lights are at this minute of the day, in percent.
    pub fn brightness_at(self, minute_of_day: u16) -> u8 {
        match self.quiet {
            Some(quiet) if quiet.contain(minute_of_day) => 0,
            _ => self.brightness.min(100),
        }
    }
}

impl Default for LightSettings {
    fn default() -> Self {
        Self {
            brightness: Self::BRIGHTNESS,
            quiet: None,
        }
    }
}
