//! `blink`: switches a pin of the header on and off a few times. For an LED, and for who wants to see a function touch
//! the world.
//!
//! Pins go by the GPIO character device, which a replica only has where its function asked for it and an admin allowed
//! it; the kernel keeps others off the pin meanwhile.

use std::time::Duration;

use gpiocdev::{
    Request,
    chip::{Chip, chips},
    line::Value,
};
use tokio::time::sleep;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// Labels of the chips behind the header, over all boards and kernels: their numbers differ.
const LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// How it is deployed so that it has pins.
const NO_PINS: &str = "this function was given no pins of a Raspberry Pi. Deploy it with the annotation \
                       bramble.devices=gpio, as the store does, and have an admin say of a Pi: \
                       bramble nodes devices NAME --allow gpio";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    pin: u32,
    times: u32,
    /// How long it is on, and how long off.
    pause: Duration,
}

pub(crate) async fn answer(call: Call) -> Reply {
    let asked = Asked::read(&call.with_form())?;
    let mut pin = match Pin::open(asked.pin) {
        Ok(pin) => pin,
        // Whoever tries it without pins has done nothing wrong.
        Err(trouble @ (Trouble::NoPins | Trouble::Closed(_))) => {
            return Ok(Answer::text(format!("{}\n", trouble.told(asked.pin).sentence)));
        }
        Err(trouble) => return Err(trouble.told(asked.pin)),
    };
    asked
        .blink(&mut |high| pin.set(high))
        .await
        .map_err(|trouble| trouble.told(asked.pin))?;
    Ok(Answer::text(asked.done()))
}

impl Asked {
    fn read(call: &Call) -> Result<Self, Refusal> {
        Ok(Self {
            // The first two are for boards that tell who they are.
            pin: call.number("pin", 2..=27, 17)?,
            times: call.number("times", 1..=20, 3)?,
            pause: Duration::from_millis(call.number("ms", 50..=1000, 250)?),
        })
    }

    async fn blink(&self, set: &mut impl FnMut(bool) -> Result<(), Trouble>) -> Result<(), Trouble> {
        for turn in 0..self.times {
            if turn > 0 {
                sleep(self.pause).await;
            }
            set(true)?;
            sleep(self.pause).await;
            set(false)?;
        }
        Ok(())
    }

    fn done(&self) -> String {
        match self.times {
            1 => format!("GPIO {} blinked once.\n", self.pin),
            times => format!("GPIO {} blinked {times} times.\n", self.pin),
        }
    }
}

/// Why a pin does not blink.
#[derive(Debug)]
enum Trouble {
    /// There are none.
    NoPins,
    /// There is a chip that it may not look at.
    Closed(gpiocdev::Error),
    /// The kernel says no.
    Kernel(gpiocdev::Error),
}

impl From<gpiocdev::Error> for Trouble {
    fn from(error: gpiocdev::Error) -> Self {
        Self::Kernel(error)
    }
}

impl Trouble {
    fn told(&self, pin: u32) -> Refusal {
        let why = match self {
            Self::NoPins => NO_PINS.to_owned(),
            Self::Closed(error) | Self::Kernel(error) => kernel_says(&error.to_string()),
        };
        Refusal::with_status(503, format!("GPIO {pin} did not blink: {why}."))
    }
}

/// The library tells the kernel's reasons in its texts alone.
fn kernel_says(text: &str) -> String {
    if text.contains("(os error 16)") {
        "the pin is in use, by another replica, by this node's light or by a driver; take another one with ?pin=…"
            .to_owned()
    } else if text.contains("(os error 1)") || text.contains("(os error 13)") {
        "on its node the chip is root's alone; give it to a group there with a udev rule such as \
         SUBSYSTEM==\"gpio\", GROUP=\"plugdev\", MODE=\"0660\""
            .to_owned()
    } else {
        text.to_owned()
    }
}

/// A pin, low in the beginning and in the end.
struct Pin {
    request: Request,
    number: u32,
}

impl Pin {
    fn open(number: u32) -> Result<Self, Trouble> {
        let mut refused = None;
        for path in chips().map_err(|_| Trouble::NoPins)? {
            match Chip::from_path(&path).and_then(|chip| chip.info()) {
                Ok(info) if LABELS.contains(&info.label.as_str()) && info.num_lines > number => {
                    let request = Request::builder()
                        .on_chip(path)
                        .with_consumer("blink")
                        .with_line(number)
                        .as_output(Value::Inactive)
                        .request()?;
                    return Ok(Self { request, number });
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or(Trouble::NoPins, Trouble::Closed))
    }

    fn set(&mut self, high: bool) -> Result<(), Trouble> {
        self.request.set_value(self.number, Value::from(high))?;
        Ok(())
    }
}

/// The kernel may leave it as it was, and whoever asked may hang up while it is on.
impl Drop for Pin {
    fn drop(&mut self) {
        _ = self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_the_address_or_in_a_form() {
        let read = |call: Call| Asked::read(&call.with_form());
        let usual = Asked {
            pin: 17,
            times: 3,
            pause: Duration::from_millis(250),
        };
        assert_eq!(read(Call::of(b"", "")).unwrap(), usual);
        let other = Asked {
            pin: 27,
            times: 5,
            pause: Duration::from_millis(100),
        };
        assert_eq!(read(Call::of(b"", "pin=27&times=5&ms=100")).unwrap(), other);
        assert_eq!(read(Call::of(b"pin=27&times=5&ms=100", "")).unwrap(), other);
        assert_eq!(
            read(Call::of(b"times=9", "pin=27&times=5&ms=100")).unwrap(),
            other
        );
        let refusal = read(Call::of(b"", "pin=0")).unwrap_err();
        assert_eq!(
            refusal.sentence,
            "pin is `0`; it has to be a number from 2 to 27."
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_blinks_as_often_as_asked_and_ends_dark() {
        let asked = Asked {
            pin: 17,
            times: 2,
            pause: Duration::from_millis(100),
        };
        let began = tokio::time::Instant::now();
        let mut seen = Vec::new();
        let mut set = |high| {
            seen.push((began.elapsed().as_millis(), high));
            Ok(())
        };
        asked.blink(&mut set).await.unwrap();
        assert_eq!(seen, [(0, true), (100, false), (200, true), (300, false)]);
        assert_eq!(asked.done(), "GPIO 17 blinked 2 times.\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_that_fails_ends_it() {
        let asked = Asked {
            pin: 17,
            times: 20,
            pause: Duration::from_millis(100),
        };
        let mut calls = 0;
        let mut set = |_| {
            calls += 1;
            Err(Trouble::NoPins)
        };
        assert!(asked.blink(&mut set).await.is_err());
        assert_eq!(calls, 1);
    }

    #[test]
    fn the_kernels_reasons_become_sentences_with_a_cure() {
        let said = |errno| {
            let error = gpiocdev::Error::from(std::io::Error::from_raw_os_error(errno));
            Trouble::from(error).told(17).sentence
        };
        assert!(
            said(16).starts_with("GPIO 17 did not blink: the pin is in use"),
            "{}",
            said(16)
        );
        assert!(said(13).contains("udev rule"), "{}", said(13));
        assert!(said(5).contains("(os error 5)"), "{}", said(5));
    }
}
