//! A light for laptops and demos: one line of a terminal, written over and over.

use std::io::Write;

use super::{Lamp, LightError};
use crate::light::{Frame, Rgb};

/// A line of a terminal that knows colours: the LED, then the strip.
pub struct Terminal<W: Write + Send> {
    to: W,
}

impl<W: Write + Send> Terminal<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to }
    }

    fn write(&mut self, line: &str) -> Result<(), LightError> {
        self.to
            .write_all(line.as_bytes())
            .and_then(|()| self.to.flush())
            .map_err(|source| LightError::from_io("the terminal", "tty", source))
    }
}

impl<W: Write + Send> Lamp for Terminal<W> {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        self.write(&format!("\r{}", line(frame)))
    }
}

/// The line is left to whatever is written next.
impl<W: Write + Send> Drop for Terminal<W> {
    fn drop(&mut self) {
        let _ = self.write("\r\x1b[K");
    }
}

impl<W: Write + Send> std::fmt::Debug for Terminal<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

/// A frame as a line of text with colours, for any terminal; without line end.
fn line(frame: &Frame) -> String {
    let dot = |character: char, colour: Rgb| {
        // Terminals show small numbers as black, where an LED still glows.
        let seen = |part: u8| {
            if part == 0 {
                0
            } else {
                55 + u16::from(part) * 200 / 255
            }
        };
        match colour {
            Rgb::OFF => format!("\x1b[38;5;238m{character}"),
            Rgb { red, green, blue } => {
                format!(
                    "\x1b[38;2;{};{};{}m{character}",
                    seen(red),
                    seen(green),
                    seen(blue)
                )
            }
        }
    };
    let strip: Vec<String> = frame.strip.iter().map(|pixel| dot('■', *pixel)).collect();
    format!("{}  {}\x1b[0m\x1b[K", dot('●', frame.colour), strip.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_that_is_written_over() {
        let mut text = Vec::new();
        let mut lamp = Terminal::new(&mut text);
        let mut frame = Frame {
            colour: Rgb::new(255, 0, 0),
            ..Frame::DARK
        };
        frame.strip[7] = Rgb::new(0, 0, 1);
        lamp.show(&frame).unwrap();
        drop(lamp);
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with("\r\x1b[38;2;255;0;0m●  \x1b[38;5;238m■ "),
            "{text:?}"
        );
        assert!(text.contains("\x1b[38;2;0;0;55m■\x1b[0m"), "{text:?}");
        assert!(!text.contains('\n'));
        assert!(text.ends_with("\r\x1b[K"));
    }
}
