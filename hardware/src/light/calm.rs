//! Never more than three flashes in a second, whatever is shown after what: more of them harm people who have epilepsy.
//!
//! A flash is what people see as one: something that has become clearly darker becomes clearly brighter. Each LED of a
//! frame is watched by itself, and the strip as a whole, too. Pure: time comes in.

use std::time::Duration;

use super::{Frame, PIXELS};

/// What of a frame can flash: one LED, one with colours, the whole strip, each of its pixels.
const PARTS: usize = 3 + PIXELS;
const SECOND: Duration = Duration::from_secs(1);

/// What flashed when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calm([Part; PARTS]);

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Whether it was last seen to become brighter; else darker.
    rises: bool,
    /// How bright it was at most since it rises, or at least since it falls.
    extreme: u32,
    /// When it last flashed, three times, the longest ago first.
    flashed: [Option<Duration>; 3],
}

impl Calm {
    /// For how long `frame` must not be shown yet, at `now`; `None` where it may.
    pub(super) fn holds_back(&self, frame: &Frame, now: Duration) -> Option<Duration> {
        let parts = self.0.iter().zip(brightness(frame));
        parts
            .filter(|(part, value)| part.would_flash(*value))
            .filter_map(|(part, _)| (part.flashed[0]? + SECOND).checked_sub(now))
            .filter(|wait| !wait.is_zero())
            .max()
    }

    /// Notes what is shown from `now` on.
    pub(super) fn note(&mut self, frame: &Frame, now: Duration) {
        for (part, value) in self.0.iter_mut().zip(brightness(frame)) {
            part.note(value, now);
        }
    }
}

impl Part {
    fn would_flash(&self, value: u32) -> bool {
        !self.rises && is_clearly_more(value, self.extreme)
    }

    fn note(&mut self, value: u32, now: Duration) {
        if self.would_flash(value) {
            let [_, second, third] = self.flashed;
            *self = Self {
                rises: true,
                extreme: value,
                flashed: [second, third, Some(now)],
            };
        } else if !self.rises {
            self.extreme = self.extreme.min(value);
        } else if is_clearly_more(self.extreme, value) {
            (self.rises, self.extreme) = (false, value);
        } else {
            self.extreme = self.extreme.max(value);
        }
    }
}

/// By a quarter: eyes see in ratios.
fn is_clearly_more(one: u32, other: u32) -> bool {
    one * 4 > other * 5
}

/// How bright each part is.
fn brightness(frame: &Frame) -> [u32; PARTS] {
    let mut parts = [0; PARTS];
    let (leds, pixels) = parts.split_at_mut(PARTS - PIXELS);
    for (part, pixel) in pixels.iter_mut().zip(frame.strip) {
        *part = pixel.luminance();
    }
    leds.copy_from_slice(&[frame.level.into(), frame.colour.luminance(), pixels.iter().sum()]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::Rgb;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn level(level: u8) -> Frame {
        Frame { level, ..Frame::DARK }
    }

    #[test]
    fn the_fourth_flash_of_a_second_waits_for_the_first_to_be_a_second_ago() {
        let mut calm = Calm::default();
        for start in [0, 100, 200] {
            assert_eq!(calm.holds_back(&level(255), ms(start)), None);
            calm.note(&level(255), ms(start));
            calm.note(&level(0), ms(start + 50));
        }
        assert_eq!(calm.holds_back(&level(255), ms(300)), Some(ms(700)));
        assert_eq!(calm.holds_back(&level(0), ms(300)), None, "darkness is no flash");
        assert_eq!(calm.holds_back(&level(255), ms(1000)), None);
    }

    #[test]
    fn becoming_clearly_brighter_is_a_flash_though_it_was_not_dark() {
        let mut calm = Calm::default();
        for (time, value) in [(0, 100), (50, 40), (100, 100), (150, 40), (200, 100), (250, 40)] {
            calm.note(&level(value), ms(time));
        }
        assert!(calm.holds_back(&level(100), ms(300)).is_some());
        assert!(calm.holds_back(&level(45), ms(300)).is_none(), "hardly brighter");
    }

    #[test]
    fn a_pixel_is_held_back_by_its_own_flashes_and_the_strip_by_those_of_all() {
        let mut calm = Calm::default();
        let lit = |pixel: usize| {
            let mut strip = [Rgb::OFF; PIXELS];
            strip[pixel] = Rgb::new(255, 255, 255);
            Frame { strip, ..Frame::DARK }
        };
        for (n, time) in [(0, 0), (1, 100), (2, 200)] {
            calm.note(&lit(n), ms(time));
            calm.note(&Frame::DARK, ms(time + 50));
        }
        assert!(calm.holds_back(&lit(3), ms(300)).is_some(), "the strip flashes");
        let mut steady = Calm::default();
        for n in 0..8 {
            assert_eq!(
                steady.holds_back(&lit(n), ms(n as u64 * 100)),
                None,
                "it only moves"
            );
            steady.note(&lit(n), ms(n as u64 * 100));
        }
    }
}
