//! What a light can say.

use super::{colour::Rgb, pattern::Pattern};

/// What a light says of a node. Later ones matter more: of several that are true, show the greatest.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Says {
    /// The board starts.
    Booting,
    /// The node looks for its bramble.
    Looking,
    /// The node was found, and waits until somebody presses *Admit*.
    Waiting,
    /// A node of the bramble, at rest.
    Joined,
    /// The master, at rest.
    Master,
    /// A node that answers invocations.
    Working {
        /// Whether it is the master, too.
        master: bool,
        /// Invocations answered in a second: the light grows brighter with them.
        calls_per_second: f32,
    },
    /// A replica is on its way.
    Starting,
    /// Something is wrong with this board.
    Warning(Trouble),
    /// The node does not reach the others. It goes on with what it runs.
    CutOff,
    /// The node stops, and must not be unplugged yet.
    ShuttingDown,
    /// Somebody asked which board this is.
    Identify,
}

/// What is wrong with a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The card.
    Card,
    /// Heat.
    Heat,
    /// The power supply.
    Power,
}

impl Says {
    /// One of each, for tables, demos and tests; work at ten calls a second.
    pub const ALL: [Self; 14] = [
        Self::Booting,
        Self::Looking,
        Self::Waiting,
        Self::Joined,
        Self::Master,
        Self::Working {
            master: false,
            calls_per_second: 10.0,
        },
        Self::Working {
            master: true,
            calls_per_second: 10.0,
        },
        Self::Starting,
        Self::Warning(Trouble::Power),
        Self::Warning(Trouble::Heat),
        Self::Warning(Trouble::Card),
        Self::CutOff,
        Self::ShuttingDown,
        Self::Identify,
    ];

    /// A short name that never changes, for files and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Looking => "looking",
            Self::Waiting => "waiting",
            Self::Joined => "joined",
            Self::Master => "master",
            Self::Working { master: false, .. } => "working",
            Self::Working { master: true, .. } => "master-working",
            Self::Starting => "starting",
            Self::Warning(Trouble::Power) => "warning-power",
            Self::Warning(Trouble::Heat) => "warning-heat",
            Self::Warning(Trouble::Card) => "warning-card",
            Self::CutOff => "cut-off",
            Self::ShuttingDown => "shutting-down",
            Self::Identify => "identify",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Booting => "Starting. Wait a minute.",
            Self::Looking => "Looking for its bramble.",
            Self::Waiting => "Waiting to be admitted: press Admit in the portal.",
            Self::Joined => "Part of the bramble, at rest.",
            Self::Master => "The master, at rest.",
            Self::Working { master: false, .. } => "Answering calls; the brighter, the more.",
            Self::Working { master: true, .. } => "The master, answering calls; the brighter, the more.",
            Self::Starting => "A replica is starting.",
            Self::Warning(Trouble::Power) => "The power supply is too weak. The portal says more.",
            Self::Warning(Trouble::Heat) => "Too hot. The portal says more.",
            Self::Warning(Trouble::Card) => "Trouble with the card. The portal says more.",
            Self::CutOff => "Cut off from the others. Look at the network cable and the switch.",
            Self::ShuttingDown => "Shutting down. Do not unplug it before this has ended.",
            Self::Identify => "Here I am: somebody pressed Identify.",
        }
    }

    /// What one LED does, for people.
    pub const fn rhythm(self) -> &'static str {
        match self {
            Self::Booting => "one second lit, one second dark",
            Self::Looking => "a blip every second",
            Self::Waiting => "two blips every second, like a knock at the door",
            Self::Joined => "lit, with a short gap every two seconds",
            Self::Master => "lit, with two short gaps every two seconds",
            Self::Working { master: false, .. } => "lit, with a short gap every second",
            Self::Working { master: true, .. } => "lit, with two short gaps every second",
            Self::Starting => "short, longer, long, over and over",
            Self::Warning(Trouble::Power) => "one long, one short, over and over",
            Self::Warning(Trouble::Heat) => "one long, two short, over and over",
            Self::Warning(Trouble::Card) => "one long, three short, over and over",
            Self::CutOff => "blinking once a second",
            Self::ShuttingDown => "lit, with half a second of darkness every two seconds",
            Self::Identify => "blinking twice a second",
        }
    }

    pub(super) const fn pattern(self) -> Pattern {
        Pattern(match self {
            Self::Booting => &[1000, 1000],
            Self::Looking => &[100, 900],
            Self::Waiting => &[100, 200, 100, 600],
            Self::Joined => &[1850, 150],
            Self::Master => &[1550, 150, 150, 150],
            Self::Working { master: false, .. } => &[850, 150],
            Self::Working { master: true, .. } => &[550, 150, 150, 150],
            Self::Starting => &[200, 200, 400, 200, 800, 200],
            Self::Warning(Trouble::Power) => &[800, 200, 200, 600],
            Self::Warning(Trouble::Heat) => &[800, 200, 200, 200, 200, 600],
            Self::Warning(Trouble::Card) => &[800, 200, 200, 200, 200, 200, 200, 600],
            Self::CutOff => &[500, 500],
            Self::ShuttingDown => &[1500, 500],
            Self::Identify => &[250, 250],
        })
    }

    pub(super) const fn colour(self) -> Rgb {
        match self {
            Self::Booting | Self::ShuttingDown => Rgb::new(255, 255, 255),
            Self::Looking | Self::Waiting | Self::Joined | Self::Working { master: false, .. } => {
                Rgb::new(0, 60, 255)
            }
            Self::Master | Self::Working { master: true, .. } => Rgb::new(100, 220, 255),
            Self::Starting => Rgb::new(150, 60, 255),
            Self::Warning(_) => Rgb::new(255, 130, 0),
            Self::CutOff => Rgb::new(255, 200, 0),
            Self::Identify => Rgb::new(255, 0, 200),
        }
    }

    /// How strongly it is said, in percent: rest is quieter than work, and work grows with the calls.
    pub(super) fn strength(self) -> u8 {
        const REST: u8 = 40;
        match self {
            Self::Joined | Self::Master => REST,
            Self::Working { calls_per_second, .. } => {
                // Eyes see in ratios: each ten times as many calls look equally much brighter, up to a thousand.
                let tens = (1.0 + calls_per_second.max(0.0)).log10().min(3.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 60"
                )]
                let more = (tens * 20.0) as u8;
                REST + more
            }
            _ => 100,
        }
    }

    /// Whether a strip goes on showing the replicas beside this.
    pub(super) const fn leaves_room(self) -> bool {
        matches!(
            self,
            Self::Joined | Self::Master | Self::Working { .. } | Self::Starting | Self::Warning(_)
        )
    }

    /// Whether this goes on the rhythm that `other` began.
    pub(super) fn goes_on_from(self, other: Self) -> bool {
        self.pattern() == other.pattern()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_brighter_than_rest_and_the_brighter_the_more() {
        let strength = |calls_per_second| {
            Says::Working {
                master: false,
                calls_per_second,
            }
            .strength()
        };
        assert_eq!(strength(0.0), Says::Joined.strength());
        assert!(strength(1.0) < strength(10.0) && strength(10.0) < strength(100.0));
        assert_eq!(strength(f32::INFINITY), 100);
        assert_eq!(strength(f32::NAN), strength(0.0));
    }

    #[test]
    fn what_matters_more_is_greater() {
        assert!(Says::Identify > Says::CutOff);
        assert!(Says::Warning(Trouble::Power) > Says::Warning(Trouble::Card));
        assert!(Says::Warning(Trouble::Card) > Says::Starting);
        assert!(Says::Starting > Says::Master && Says::Master > Says::Joined);
    }
}
