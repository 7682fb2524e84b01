//! Lamps: what frames are shown on.
//!
//! A lamp shows one frame at a time and knows no patterns, so that it stands still when its program does: no timer of
//! the kernel goes on blinking for a program that is dead. Dropping a lamp makes it dark, or gives it back to the
//! kernel.

use std::{error::Error, io, path::Path};

use super::{Frame, LightConfig};

mod blinkt;
mod gpio;
mod led;
mod memory;
mod pins;
mod terminal;

pub use self::{
    blinkt::{Blinkt, CLOCK as BLINKT_CLOCK, DATA as BLINKT_DATA, END_CLOCKS, encode},
    gpio::{Gpio, ThreeColours},
    led::Led,
    memory::Memory,
    pins::Pins,
    terminal::Terminal,
};

/// Something that shows frames.
pub trait Lamp: Send {
    /// Shows this frame until the next one. Takes a few milliseconds at most.
    ///
    /// # Errors
    ///
    /// The light cannot be reached, or no longer.
    fn show(&mut self, frame: &Frame) -> Result<(), LightError>;
}

/// Why a light does not work. The node is well all the same.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// The kernel lists no such LED.
    #[error(
        "this board has no LED named {wanted} (it has: {there}): name another with `light = \"led:NAME\"`, wire one \
         (docs/wiring), or write `light = \"none\"`"
    )]
    NoLed {
        /// What was looked for.
        wanted: String,
        /// What is there.
        there: String,
    },
    /// This machine has no pins.
    #[error(
        "this machine has no GPIO pins that programs can use: write `light = \"onboard\"` or `light = \"none\"`"
    )]
    NoPins,
    /// Only others may.
    #[error("no permission to use {what}: run bramble as root, or add its user to the group `{group}`")]
    Denied {
        /// What was to be used.
        what: String,
        /// The group that may, where Raspberry Pi OS made one.
        group: &'static str,
    },
    /// Some other program has it.
    #[error("GPIO {pins} is in use by another program or overlay: stop that, or use other pins")]
    Busy {
        /// The pins.
        pins: String,
    },
    /// The kernel refuses.
    #[error("failed to use {what}")]
    Failed {
        /// What was to be used.
        what: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl LightError {
    fn from_io(what: impl Into<String>, group: &'static str, source: io::Error) -> Self {
        let what = what.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { what, group }
            }
            _ => Self::Failed {
                what,
                source: Box::new(source),
            },
        }
    }
}

/// Opens the light that `config` names on the machine whose files are below `root`; `None` where it wants no light.
///
/// # Errors
///
/// There is no such light, or this program may not use it.
pub fn open(config: &LightConfig, root: &Path) -> Result<Option<Box<dyn Lamp>>, LightError> {
    open_with(config, root, &pins::open)
}

/// How pins are got hold of, and whether they rest high.
type OpenPins<'a> = &'a dyn Fn(&Path, &[u8], bool) -> Result<Box<dyn Pins>, LightError>;

fn open_with(
    config: &LightConfig,
    root: &Path,
    pins_at: OpenPins<'_>,
) -> Result<Option<Box<dyn Lamp>>, LightError> {
    Ok(Some(match config {
        LightConfig::None => return Ok(None),
        LightConfig::Onboard => Box::new(Led::onboard(root, false)?),
        LightConfig::OnboardInverted => Box::new(Led::onboard(root, true)?),
        LightConfig::Led { name, inverted } => Box::new(Led::named(root, name, *inverted)?),
        LightConfig::Gpio { pin, inverted } => {
            Box::new(Gpio::new(pins_at(root, &[*pin], *inverted)?, *inverted))
        }
        LightConfig::Rgb { pins, inverted } => {
            Box::new(ThreeColours::new(pins_at(root, pins, *inverted)?, *inverted))
        }
        LightConfig::Blinkt => Box::new(Blinkt::new(pins_at(root, &[blinkt::DATA, blinkt::CLOCK], false)?)),
        LightConfig::Terminal => Box::new(Terminal::new(io::stdout())),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{board::tests::tree, light::Rgb};

    #[test]
    fn each_line_of_configuration_opens_its_lamp_with_its_pins() {
        let root = tree(&[
            ("sys/class/leds/ACT/brightness", "0\n"),
            ("sys/class/leds/ACT/max_brightness", "255\n"),
            ("sys/class/leds/ACT/trigger", "none [mmc0]\n"),
        ]);
        for (text, wanted) in [
            ("none", None),
            ("onboard", Some("")),
            ("led:ACT", Some("")),
            ("gpio:17", Some("17")),
            ("rgb:17,27,22", Some("17,27,22")),
            ("blinkt", Some("23,24")),
        ] {
            let asked = std::sync::Mutex::new(String::new());
            let opened = open_with(&text.parse().unwrap(), root.path(), &|_, pins, _| {
                *asked.lock().unwrap() = pins::listed(pins);
                Ok(Box::new(pins::tests::Recorder::default()))
            });
            let lamp = opened.unwrap();
            assert_eq!(lamp.is_some(), wanted.is_some(), "{text}");
            assert_eq!(asked.into_inner().unwrap(), wanted.unwrap_or_default(), "{text}");
            if let Some(mut lamp) = lamp {
                lamp.show(&Frame {
                    level: 255,
                    colour: Rgb::new(1, 2, 3),
                    ..Frame::DARK
                })
                .unwrap();
            }
        }
    }

    #[test]
    fn a_machine_without_lights_is_told_what_to_write_instead() {
        let root = tree(&[]);
        for text in ["onboard", "led:bramble", "gpio:17", "rgb:17,27,22", "blinkt"] {
            let error = open(&text.parse().unwrap(), root.path())
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("light = \"none\""), "{text}: {error}");
        }
    }
}
