//! The one line that says which light a node has.

use std::{fmt, str::FromStr};

use super::lamp;

/// Which light a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LightConfig {
    /// None.
    None,
    /// The board's own LED: `onboard`.
    #[default]
    Onboard,
    /// The board's own LED, on a kernel that has its polarity wrong: `onboard,inverted`.
    OnboardInverted,
    /// Any LED that the kernel lists: `led:NAME`.
    Led {
        /// Its name below `/sys/class/leds`.
        name: String,
        /// Whether it is lit when the kernel calls it dark.
        inverted: bool,
    },
    /// An LED on a pin: `gpio:17`.
    Gpio {
        /// The pin, by the number that Raspberry Pi gives it (GPIO 17 is pin 11 of the header).
        pin: u8,
        /// Whether it is lit when the pin is low.
        inverted: bool,
    },
    /// Red, green and blue on three pins: `rgb:17,27,22`.
    Rgb {
        /// The pins.
        pins: [u8; 3],
        /// Whether they are lit when the pins are low (a common anode).
        inverted: bool,
    },
    /// A Blinkt! on the header: `blinkt`.
    Blinkt,
    /// Colours in the terminal: `terminal`.
    Terminal,
}

impl LightConfig {
    /// Pins of the header that it takes, by number.
    pub fn pins(&self) -> &[u8] {
        match self {
            Self::Gpio { pin, .. } => std::slice::from_ref(pin),
            Self::Rgb { pins, .. } => pins,
            Self::Blinkt => &[lamp::BLINKT_DATA, lamp::BLINKT_CLOCK],
            Self::None | Self::Onboard | Self::OnboardInverted | Self::Led { .. } | Self::Terminal => &[],
        }
    }
}

/// The text names no light.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLightConfigError {
    /// No light has that name.
    #[error(
        "there is no light named `{0}`: write `onboard`, `led:NAME`, `gpio:17`, `rgb:17,27,22`, `blinkt`, `terminal` or `none`"
    )]
    Unknown(String),
    /// There is no LED with such a name.
    #[error("`{0}` is no name of an LED: use one that `ls /sys/class/leds` prints, such as `led:ACT`")]
    BadName(String),
    /// Not a number, or too few or too many.
    #[error("`{text}` must name {wanted} of the header by GPIO numbers, such as `{example}`")]
    BadPins {
        /// What was written.
        text: String,
        /// How many pins are needed.
        wanted: &'static str,
        /// What could have been written.
        example: &'static str,
    },
    /// A pin that must be left alone.
    #[error("GPIO {pin} {why}: use one of 5, 6, 12, 13, 16, 17, 22 to 27")]
    Taken {
        /// The pin.
        pin: u8,
        /// What it is for.
        why: &'static str,
    },
    /// One pin was named twice.
    #[error("GPIO {0} is named twice: every colour needs a pin of its own, such as `rgb:17,27,22`")]
    Twice(u8),
}

const INVERTED: &str = ",inverted";

impl FromStr for LightConfig {
    type Err = ParseLightConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (plain, inverted) = match text.strip_suffix(INVERTED) {
            Some(plain) => (plain, true),
            None => (text, false),
        };
        let light = match plain.split_once(':') {
            Some(("led", name)) => Self::Led {
                name: led_name(name)?,
                inverted,
            },
            Some(("gpio", pins)) => {
                let [pin] = numbers(text, pins, "one pin", "gpio:17")?;
                Self::Gpio { pin, inverted }
            }
            Some(("rgb", pins)) => Self::Rgb {
                pins: numbers(text, pins, "three pins", "rgb:17,27,22")?,
                inverted,
            },
            None if plain == "onboard" && inverted => Self::OnboardInverted,
            None if plain == "onboard" => Self::Onboard,
            None if text == "blinkt" => Self::Blinkt,
            None if text == "terminal" => Self::Terminal,
            None if text == "none" => Self::None,
            _ => return Err(ParseLightConfigError::Unknown(text.to_owned())),
        };
        Ok(light)
    }
}

/// Names are looked up below a directory, and must not lead out of it.
fn led_name(name: &str) -> Result<String, ParseLightConfigError> {
    let name = name.trim();
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(ParseLightConfigError::BadName(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn numbers<const N: usize>(
    text: &str,
    pins: &str,
    wanted: &'static str,
    example: &'static str,
) -> Result<[u8; N], ParseLightConfigError> {
    let bad = || ParseLightConfigError::BadPins {
        text: text.to_owned(),
        wanted,
        example,
    };
    let pins: Vec<u8> = pins
        .split(',')
        .map(|pin| pin.trim().parse().ok().filter(|pin| *pin <= 27))
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    for (n, pin) in pins.iter().copied().enumerate() {
        let why = match pin {
            0 | 1 => "belongs to boards that are put on top, such as PoE boards",
            2 | 3 => "is always pulled up, for I2C, so that an LED on it never goes out",
            14 | 15 => "is the serial console",
            _ if pins[..n].contains(&pin) => return Err(ParseLightConfigError::Twice(pin)),
            _ => continue,
        };
        return Err(ParseLightConfigError::Taken { pin, why });
    }
    pins.try_into().map_err(|_| bad())
}

impl fmt::Display for LightConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = |inverted: &bool| if *inverted { INVERTED } else { "" };
        match self {
            Self::None => f.write_str("none"),
            Self::Onboard => f.write_str("onboard"),
            Self::OnboardInverted => write!(f, "onboard{INVERTED}"),
            Self::Led { name, inverted } => write!(f, "led:{name}{}", suffix(inverted)),
            Self::Gpio { pin, inverted } => write!(f, "gpio:{pin}{}", suffix(inverted)),
            Self::Rgb {
                pins: [red, green, blue],
                inverted,
            } => write!(f, "rgb:{red},{green},{blue}{}", suffix(inverted)),
            Self::Blinkt => f.write_str("blinkt"),
            Self::Terminal => f.write_str("terminal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads_back_as_it_was_written() {
        for text in [
            "none",
            "onboard",
            "onboard,inverted",
            "led:ACT",
            "led:mmc0::",
            "led:bramble,inverted",
            "gpio:17",
            "gpio:5,inverted",
            "rgb:17,27,22",
            "rgb:17,27,22,inverted",
            "blinkt",
            "terminal",
        ] {
            assert_eq!(text.parse::<LightConfig>().unwrap().to_string(), text);
        }
        assert_eq!(
            " gpio: 17 ".parse(),
            Ok(LightConfig::Gpio {
                pin: 17,
                inverted: false
            })
        );
    }

    #[test]
    fn every_refusal_names_the_cure() {
        for (text, cure) in [
            ("", "`onboard`"),
            (
                "disco",
                "there is no light named `disco`: write `onboard`, `led:NAME`",
            ),
            ("blinkt,inverted", "there is no light named `blinkt,inverted`"),
            ("led:", "such as `led:ACT`"),
            ("led:../../etc", "ls /sys/class/leds"),
            (
                "gpio:",
                "`gpio:` must name one pin of the header by GPIO numbers, such as `gpio:17`",
            ),
            ("gpio:28", "such as `gpio:17`"),
            ("gpio:17,27", "such as `gpio:17`"),
            ("gpio:-1", "such as `gpio:17`"),
            ("gpio:1", "GPIO 1 belongs to boards that are put on top"),
            ("gpio:3", "use one of 5, 6, 12"),
            ("gpio:14", "GPIO 14 is the serial console"),
            ("rgb:17,27", "must name three pins"),
            ("rgb:17,27,17", "GPIO 17 is named twice"),
        ] {
            let error = text.parse::<LightConfig>().unwrap_err().to_string();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
}
