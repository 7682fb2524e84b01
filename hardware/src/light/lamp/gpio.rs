//! LEDs on pins of the header: one, or three that make a colour. Pins only know on and off.

use super::{Lamp, LightError, Pins};
use crate::light::{Frame, Rgb};

/// One LED on a pin.
pub struct Gpio {
    pins: Box<dyn Pins>,
    inverted: bool,
}

impl Gpio {
    /// An LED on the only one of `pins`; `inverted` where low lights it.
    pub fn new(pins: Box<dyn Pins>, inverted: bool) -> Self {
        Self { pins, inverted }
    }
}

impl Lamp for Gpio {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        self.pins.set(&[(frame.level > 0) != self.inverted])
    }
}

impl Drop for Gpio {
    fn drop(&mut self) {
        let _ = self.show(&Frame::DARK);
    }
}

/// Red, green and blue on three pins, in this order.
pub struct ThreeColours {
    pins: Box<dyn Pins>,
    inverted: bool,
}

impl ThreeColours {
    /// An LED of three colours on the three `pins`; `inverted` where low lights them (a common anode).
    pub fn new(pins: Box<dyn Pins>, inverted: bool) -> Self {
        Self { pins, inverted }
    }
}

impl Lamp for ThreeColours {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        self.pins
            .set(&primaries(frame.colour).map(|lit| lit != self.inverted))
    }
}

impl Drop for ThreeColours {
    fn drop(&mut self) {
        let _ = self.show(&Frame::DARK);
    }
}

/// The nearest of the eight colours that three lights make: what shines at least half as bright as the brightest.
fn primaries(colour: Rgb) -> [bool; 3] {
    let parts = [colour.red, colour.green, colour.blue];
    let most = parts.into_iter().max().unwrap_or(0);
    parts.map(|part| part > 0 && part >= most / 2)
}

macro_rules! debug {
    ($($lamp:ident)*) => {$(
        impl std::fmt::Debug for $lamp {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($lamp)).field("inverted", &self.inverted).finish_non_exhaustive()
            }
        }
    )*};
}
debug!(Gpio ThreeColours);

#[cfg(test)]
mod tests {
    use super::{super::pins::tests::Recorder, *};
    use crate::light::Says;

    fn level(level: u8) -> Frame {
        Frame { level, ..Frame::DARK }
    }

    #[test]
    fn an_led_on_a_pin_is_on_at_any_level_and_dark_in_the_end() {
        let pins = Recorder::default();
        let mut lamp = Gpio::new(Box::new(pins.clone()), false);
        lamp.show(&level(3)).unwrap();
        lamp.show(&level(0)).unwrap();
        lamp.show(&level(255)).unwrap();
        drop(lamp);
        assert_eq!(pins.taken(), [[true], [false], [true], [false]]);

        let mut lamp = Gpio::new(Box::new(pins.clone()), true);
        lamp.show(&level(255)).unwrap();
        drop(lamp);
        assert_eq!(pins.taken(), [[false], [true]]);
    }

    #[test]
    fn three_pins_make_the_nearest_colour() {
        let pins = Recorder::default();
        let mut lamp = ThreeColours::new(Box::new(pins.clone()), false);
        for colour in [
            Rgb::new(255, 255, 255),
            Rgb::new(2, 1, 0),
            Rgb::new(0, 12, 51),
            Rgb::OFF,
        ] {
            lamp.show(&Frame {
                colour,
                ..Frame::DARK
            })
            .unwrap();
        }
        drop(lamp);
        assert_eq!(
            pins.taken(),
            [
                [true, true, true],
                [true, true, false],
                [false, false, true],
                [false; 3],
                [false; 3]
            ]
        );
    }

    #[test]
    fn a_common_anode_is_lit_by_low_pins() {
        let pins = Recorder::default();
        let mut lamp = ThreeColours::new(Box::new(pins.clone()), true);
        lamp.show(&Frame {
            colour: Rgb::new(0, 0, 9),
            ..Frame::DARK
        })
        .unwrap();
        assert_eq!(pins.taken(), [[true, true, false]]);
    }

    #[test]
    fn three_pins_never_show_plain_red_or_plain_green() {
        for says in Says::ALL {
            for percent in [100, 50, 20, 5] {
                let shown = primaries(says.colour().dimmed(percent));
                assert!(
                    shown != [true, false, false] && shown != [false, true, false],
                    "{says:?}"
                );
            }
        }
    }
}
