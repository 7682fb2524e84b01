//! What a light says, and how it says it.
//!
//! ```text
//! LightStatus ──► frame(status, time): pure ──► Lamp: one LED, three colours, eight pixels, a terminal
//! ```
//!
//! A pattern alone tells what is said, so that one LED is enough and nobody needs to see colours: dark with blips for
//! a node that is not in the bramble, lit with gaps for one that is, long and short for a warning, even blinking for
//! what is on its way. Colours and pixels only say more. Nothing flashes more than three times in any second, nothing
//! looks like the codes with which a Pi's own firmware reports that it cannot start (groups of short flashes after
//! two seconds of darkness), and nothing stands still for more than two seconds: a light that does is dead.
//!
//! Not here: who decides what a node should say (the leader, and the agent for what only it knows).

mod calm;
mod colour;
mod config;
mod frame;
pub mod lamp;
mod pattern;
mod player;
mod says;
pub mod svg;

pub use self::{
    colour::Rgb,
    config::{LightConfig, ParseLightConfigError},
    frame::{Frame, PIXELS, changes_in, frame},
    lamp::{Lamp, LightError},
    player::Player,
    says::{Says, Trouble},
};

/// All that a light shows of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct LightStatus {
    /// The one thing that matters most.
    pub says: Says,
    /// Replicas on this node, in the order of the pixels; those beyond the pixels are not shown.
    pub replicas: Vec<ReplicaLight>,
    /// How bright, in percent; zero is dark, for bedrooms and exams. Identify shows all the same.
    pub brightness: u8,
}

impl LightStatus {
    /// This, without replicas, half as bright as can be.
    pub fn of(says: Says) -> Self {
        Self {
            says,
            replicas: Vec::new(),
            brightness: Self::BRIGHTNESS,
        }
    }

    /// How bright lights are unless somebody wants them otherwise, in percent.
    pub const BRIGHTNESS: u8 = 50;
}

/// A replica on a strip of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLight {
    /// The function's colour: [`Rgb::of_function`].
    pub colour: Rgb,
    /// What the replica does.
    pub glow: Glow,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glow {
    /// Answers.
    Ready,
    /// Is on its way.
    Starting,
    /// Sleeps until it is called.
    Asleep,
}
