//! Pins of the header, by whichever way this kernel offers.
//!
//! Raspberry Pi's kernels map the registers for programs (`/dev/gpiomem`, `/dev/gpiomem0` on a Pi 5): rppal uses
//! them. Mainline kernels do not, and no way through `/dev/mem` is tried: there and on boards that rppal does not
//! know, pins go by the GPIO character device, whose chips are found by label, since their numbers change between
//! kernels.

use std::path::Path;

use super::LightError;

/// A few output pins, at rest when they are got hold of and when they are given back.
pub trait Pins: Send {
    /// Sets all of them, in the order in which they were asked for; `true` is high.
    ///
    /// # Errors
    ///
    /// The pins cannot be reached any more.
    fn set(&mut self, levels: &[bool]) -> Result<(), LightError>;
}

/// Labels of the chips behind the header, over all boards and kernels.
const LABELS: &[&str] = &["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];
/// Pins of the header have numbers below this.
const HEADER: u32 = 28;
/// Those who may use pins on Raspberry Pi OS.
const GROUP: &str = "gpio";

/// The pins with these numbers; `rest` is the level at which they rest, high where that is what makes them dark.
pub(super) fn open(root: &Path, pins: &[u8], rest: bool) -> Result<Box<dyn Pins>, LightError> {
    // A tree of files has no pins, and those of the machine that it lies on are none of its business.
    if root != Path::new("/") {
        return Err(LightError::NoPins);
    }
    if has_registers(root)
        && let Ok(registers) = Registers::open(pins, rest)
    {
        return Ok(Box::new(registers));
    }
    if root.join("dev/gpiochip0").exists() || root.join("dev/gpiochip4").exists() {
        return Ok(Box::new(Lines::open(pins, rest)?));
    }
    Err(LightError::NoPins)
}

fn has_registers(root: &Path) -> bool {
    ["dev/gpiomem", "dev/gpiomem0"]
        .iter()
        .any(|file| root.join(file).exists())
}

/// `17,27,22`
pub(super) fn listed(pins: &[u8]) -> String {
    let pins: Vec<String> = pins.iter().map(u8::to_string).collect();
    pins.join(",")
}

/// Pins by the board's registers. What else they are used for is not noticed, and they stay as they are when the
/// program is killed.
struct Registers(Vec<rppal::gpio::OutputPin>);

impl Registers {
    fn open(pins: &[u8], rest: bool) -> Result<Self, rppal::gpio::Error> {
        let gpio = rppal::gpio::Gpio::new()?;
        let pins: Result<_, _> = pins
            .iter()
            .map(|pin| {
                let pin = gpio.get(*pin)?;
                Ok(if rest {
                    pin.into_output_high()
                } else {
                    pin.into_output_low()
                })
            })
            .collect();
        pins.map(Self)
    }
}

impl Pins for Registers {
    fn set(&mut self, levels: &[bool]) -> Result<(), LightError> {
        for (pin, level) in self.0.iter_mut().zip(levels) {
            pin.write((*level).into());
        }
        Ok(())
    }
}

/// Pins by the character device. The kernel keeps others off them.
struct Lines {
    request: gpiocdev::Request,
    pins: Vec<u8>,
    rest: bool,
}

impl Lines {
    fn open(pins: &[u8], rest: bool) -> Result<Self, LightError> {
        let mut chips = Vec::new();
        let mut refused = None;
        for path in gpiocdev::chip::chips().map_err(|error| trouble(pins, error))? {
            match gpiocdev::chip::Chip::from_path(&path).and_then(|chip| chip.info()) {
                Ok(info) => chips.push((path, info.label, info.num_lines)),
                Err(error) => refused = Some(error),
            }
        }
        let Some(chip) = header_chip(&chips) else {
            return Err(refused.map_or(LightError::NoPins, |error| trouble(pins, error)));
        };
        let offsets: Vec<u32> = pins.iter().map(|pin| u32::from(*pin)).collect();
        let request = gpiocdev::Request::builder()
            .on_chip(chip)
            .with_consumer("bramble")
            .with_lines(&offsets)
            .as_output(rest.into())
            .request()
            .map_err(|error| trouble(pins, error))?;
        Ok(Self {
            request,
            pins: pins.to_vec(),
            rest,
        })
    }
}

impl Pins for Lines {
    fn set(&mut self, levels: &[bool]) -> Result<(), LightError> {
        let values: gpiocdev::line::Values = self
            .pins
            .iter()
            .zip(levels)
            .map(|(pin, level)| (u32::from(*pin), gpiocdev::line::Value::from(*level)))
            .collect();
        self.request
            .set_values(&values)
            .map_err(|error| trouble(&self.pins, error))
    }
}

/// The kernel may leave lines as they were.
impl Drop for Lines {
    fn drop(&mut self) {
        let dark = vec![self.rest; self.pins.len()];
        let _ = self.set(&dark);
    }
}

/// The chip behind the header, of chips by path, label and number of lines.
fn header_chip<P>(chips: &[(P, String, u32)]) -> Option<&P> {
    chips
        .iter()
        .find(|(_, label, lines)| LABELS.contains(&label.as_str()) && *lines >= HEADER)
        .map(|(path, ..)| path)
}

/// The library tells the kernel's reasons in its texts alone.
fn trouble(pins: &[u8], error: gpiocdev::Error) -> LightError {
    let (what, text) = (format!("GPIO {}", listed(pins)), error.to_string());
    if text.contains("(os error 16)") {
        LightError::Busy { pins: listed(pins) }
    } else if text.contains("(os error 1)") || text.contains("(os error 13)") {
        LightError::Denied { what, group: GROUP }
    } else {
        LightError::Failed {
            what,
            source: Box::new(error),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::board::tests::tree;

    /// Pins that only remember what they were set to.
    #[derive(Clone, Debug, Default)]
    pub(in crate::light::lamp) struct Recorder(Arc<Mutex<Vec<Vec<bool>>>>);

    impl Recorder {
        /// All levels since the last time this was asked.
        pub(in crate::light::lamp) fn taken(&self) -> Vec<Vec<bool>> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Pins for Recorder {
        fn set(&mut self, levels: &[bool]) -> Result<(), LightError> {
            self.0.lock().unwrap().push(levels.to_vec());
            Ok(())
        }
    }

    #[test]
    fn the_headers_chip_is_found_by_its_label_on_every_board_and_kernel() {
        let chips = |chips: &[(&'static str, &str, u32)]| {
            let chips: Vec<_> = chips
                .iter()
                .map(|(path, label, n)| (*path, (*label).to_owned(), *n))
                .collect();
            header_chip(&chips).copied()
        };
        let expander = ("gpiochip1", "raspberrypi-exp-gpio", 8);
        assert_eq!(
            chips(&[("gpiochip0", "pinctrl-bcm2835", 54), expander]),
            Some("gpiochip0")
        );
        assert_eq!(
            chips(&[expander, ("gpiochip0", "pinctrl-bcm2711", 58)]),
            Some("gpiochip0")
        );
        let soc = ("gpiochip0", "gpio-brcmstb@107d508500", 32);
        assert_eq!(chips(&[soc, ("gpiochip4", "pinctrl-rp1", 54)]), Some("gpiochip4"));
        let soc = ("gpiochip10", "gpio-brcmstb@107d508500", 32);
        assert_eq!(chips(&[("gpiochip0", "pinctrl-rp1", 54), soc]), Some("gpiochip0"));
        assert_eq!(chips(&[expander, soc]), None);
    }

    #[test]
    fn registers_are_used_only_where_the_kernel_offers_them() {
        assert!(has_registers(tree(&[("dev/gpiomem", "")]).path()));
        assert!(has_registers(tree(&[("dev/gpiomem0", "")]).path()));
        assert!(!has_registers(
            tree(&[("dev/mem", ""), ("dev/gpiochip0", "")]).path()
        ));
    }

    #[test]
    fn the_kernels_reasons_become_sentences_with_a_cure() {
        let said = |errno: i32| {
            let error = gpiocdev::Error::from(io::Error::from_raw_os_error(errno));
            trouble(&[17, 27], error).to_string()
        };
        assert!(
            said(16).contains("GPIO 17,27 is in use by another program"),
            "{}",
            said(16)
        );
        assert!(said(13).contains("group `gpio`"), "{}", said(13));
        assert!(said(5).contains("failed to use GPIO 17,27"), "{}", said(5));
    }
}
