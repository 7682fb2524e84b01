//! Blinkt!: eight APA102 pixels on two pins, clocked by hand, since they are not those of the SPI bus.

use super::{Lamp, LightError, Pins};
use crate::light::{Frame, PIXELS, Rgb};

/// GPIO number of the data line.
pub const DATA: u8 = 23;
/// GPIO number of the clock line.
pub const CLOCK: u8 = 24;

/// The pixels' own dimmer, of 31, on top of their colours: all of them at full white would blind, and draw 0.4 A.
const DIMMER: u8 = 7;
/// Clocks after the last pixel that carry its colours to it. One variant of the pixels needs more than four bytes.
pub const END_CLOCKS: usize = 36;

/// A Blinkt! on the header. Whether one is there cannot be known.
pub struct Blinkt {
    pins: Box<dyn Pins>,
    shown: Option<[Rgb; PIXELS]>,
}

impl Blinkt {
    /// A Blinkt! on these pins: data, then clock.
    pub fn new(pins: Box<dyn Pins>) -> Self {
        Self { pins, shown: None }
    }

    fn clock_out(&mut self, bit: bool) -> Result<(), LightError> {
        self.pins.set(&[bit, false])?;
        // The pixels take the bit when the clock rises.
        self.pins.set(&[bit, true])
    }
}

impl Lamp for Blinkt {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        if self.shown == Some(frame.strip) {
            return Ok(());
        }
        // What fails half way leaves something that nobody knows.
        self.shown = None;
        for byte in encode(&frame.strip, DIMMER) {
            for bit in (0..8).rev() {
                self.clock_out(byte >> bit & 1 == 1)?;
            }
        }
        for _ in 0..END_CLOCKS {
            self.clock_out(false)?;
        }
        self.pins.set(&[false, false])?;
        self.shown = Some(frame.strip);
        Ok(())
    }
}

impl Drop for Blinkt {
    fn drop(&mut self) {
        let _ = self.show(&Frame::DARK);
    }
}

impl std::fmt::Debug for Blinkt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blinkt")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

/// The bytes that carry these colours: four of zero, then for each pixel its dimmer (of 31), blue, green and red.
/// [`END_CLOCKS`] bits of zero follow.
pub fn encode(pixels: &[Rgb; PIXELS], dimmer: u8) -> [u8; 4 + 4 * PIXELS] {
    let mut bytes = [0; 4 + 4 * PIXELS];
    for (group, pixel) in bytes[4..].chunks_exact_mut(4).zip(pixels) {
        group.copy_from_slice(&[0b1110_0000 | dimmer.min(31), pixel.blue, pixel.green, pixel.red]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{super::pins::tests::Recorder, *};

    fn first_pixel(colour: Rgb) -> [Rgb; PIXELS] {
        let mut strip = [Rgb::OFF; PIXELS];
        strip[0] = colour;
        strip
    }

    /// What the pixels take: the data line whenever the clock rises.
    fn clocked(levels: &[Vec<bool>]) -> Vec<bool> {
        levels
            .windows(2)
            .filter(|pair| !pair[0][1] && pair[1][1])
            .map(|pair| {
                assert_eq!(pair[0][0], pair[1][0], "data changes while the clock rises");
                pair[1][0]
            })
            .collect()
    }

    fn bits(bytes: &[u8]) -> Vec<bool> {
        bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
            .collect()
    }

    #[test]
    fn colours_become_the_bytes_of_the_data_sheet() {
        let bytes = encode(&first_pixel(Rgb::new(255, 0, 16)), 3);
        let mut wanted = vec![0, 0, 0, 0, 0xe3, 0x10, 0x00, 0xff];
        for _ in 1..PIXELS {
            wanted.extend([0xe3, 0, 0, 0]);
        }
        assert_eq!(bytes.to_vec(), wanted);
        assert_eq!(encode(&[Rgb::OFF; PIXELS], 200)[4], 0xff);
    }

    #[test]
    fn the_wire_carries_the_bytes_highest_bit_first_and_36_more_clocks() {
        let pins = Recorder::default();
        let mut lamp = Blinkt::new(Box::new(pins.clone()));
        let strip = first_pixel(Rgb::new(255, 0, 16));
        lamp.show(&Frame { strip, ..Frame::DARK }).unwrap();
        let levels = pins.taken();
        let mut wanted = bits(&encode(&strip, DIMMER));
        wanted.extend([false; END_CLOCKS]);
        assert_eq!(wanted.len(), 324);
        assert_eq!(clocked(&levels), wanted);
        assert_eq!(levels.last().unwrap(), &[false, false], "the clock rests low");
    }

    #[test]
    fn what_is_shown_already_is_not_sent_again() {
        let pins = Recorder::default();
        let mut lamp = Blinkt::new(Box::new(pins.clone()));
        lamp.show(&Frame::DARK).unwrap();
        assert!(!pins.taken().is_empty());
        lamp.show(&Frame {
            level: 9,
            ..Frame::DARK
        })
        .unwrap();
        assert!(pins.taken().is_empty());
    }

    #[test]
    fn the_pixels_are_dark_in_the_end() {
        let pins = Recorder::default();
        let mut lamp = Blinkt::new(Box::new(pins.clone()));
        let strip = [Rgb::new(9, 9, 9); PIXELS];
        lamp.show(&Frame { strip, ..Frame::DARK }).unwrap();
        pins.taken();
        drop(lamp);
        assert_eq!(
            clocked(&pins.taken())[..288],
            bits(&encode(&[Rgb::OFF; PIXELS], DIMMER))
        );
    }
}
