//! Colours.

/// Red, green and blue, of 255 each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

/// Colours of functions: those that differ most for all eyes. No pair differs by red and green alone.
const FUNCTIONS: [Rgb; 8] = [
    Rgb::new(0, 40, 255),
    Rgb::new(255, 120, 0),
    Rgb::new(0, 200, 255),
    Rgb::new(255, 0, 150),
    Rgb::new(255, 220, 0),
    Rgb::new(150, 60, 255),
    Rgb::new(0, 255, 150),
    Rgb::new(255, 190, 255),
];

impl Rgb {
    /// Dark.
    pub const OFF: Self = Self::new(0, 0, 0);

    /// A colour.
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// The colour of the function with this name: always the same, on every node and in every version.
    pub fn of_function(name: &str) -> Self {
        // FNV-1a with its bits mixed once more: short, and fixed for ever.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        FUNCTIONS[(hash ^ (hash >> 13)) as usize % FUNCTIONS.len()]
    }

    /// How bright it looks, from 0 to 25,500.
    pub(super) fn luminance(self) -> u32 {
        u32::from(self.red) * 30 + u32::from(self.green) * 59 + u32::from(self.blue) * 11
    }

    /// The same colour with `percent` of its brightness, at most 100; what glows goes on glowing.
    pub fn dimmed(self, percent: u8) -> Self {
        Self::new(
            dimmed(self.red, percent),
            dimmed(self.green, percent),
            dimmed(self.blue, percent),
        )
    }

    /// `#ff8200`, for the web.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// A share of a brightness, in percent; at least 1 where there was any and some is wanted.
pub(super) fn dimmed(value: u8, percent: u8) -> u8 {
    let share = u16::from(value) * u16::from(percent.min(100)) / 100;
    let least = u16::from(value > 0 && percent > 0);
    u8::try_from(share.max(least)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_functions_colour_never_changes() {
        assert_eq!(Rgb::of_function("figlet").hex(), "#00c8ff");
        assert_eq!(Rgb::of_function("hello").hex(), "#ffbeff");
        assert_eq!(Rgb::of_function("").hex(), "#ff7800");
    }

    #[test]
    fn names_spread_over_all_colours() {
        let used: BTreeSet<String> = (0..100)
            .map(|n| Rgb::of_function(&format!("function-{n}")).hex())
            .collect();
        assert_eq!(used.len(), FUNCTIONS.len());
    }

    #[test]
    fn no_two_functions_differ_by_red_and_green_alone() {
        for (n, one) in FUNCTIONS.iter().enumerate() {
            for other in &FUNCTIONS[n + 1..] {
                // Brightness or blue tells them apart where red and green look alike.
                let lightness =
                    |c: &Rgb| i32::from(c.red) * 30 + i32::from(c.green) * 59 + i32::from(c.blue) * 11;
                let blue = i32::from(one.blue).abs_diff(i32::from(other.blue));
                assert!(
                    blue >= 90 || lightness(one).abs_diff(lightness(other)) >= 3500,
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn dimming_never_puts_a_colour_out() {
        assert_eq!(Rgb::new(200, 1, 0).dimmed(10), Rgb::new(20, 1, 0));
        assert_eq!(Rgb::new(200, 1, 0).dimmed(0), Rgb::OFF);
        assert_eq!(Rgb::new(200, 1, 0).dimmed(255), Rgb::new(200, 1, 0));
    }
}
