//! An LED that the kernel lists below `/sys/class/leds`: the board's own, or one on a pin that
//! `dtoverlay=gpio-led` put there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Lamp, LightError};
use crate::{files, light::Frame};

/// Names of the board's own LEDs, the best first: older kernels call them `led0` and `led1`, and the 400 has only the
/// one for power.
const ONBOARD: &[&str] = &["ACT", "led0", "PWR", "led1"];
/// Those who may use LEDs on Raspberry Pi OS.
const GROUP: &str = "gpio";

/// An LED of the kernel's.
#[derive(Debug)]
pub struct Led {
    name: String,
    directory: PathBuf,
    /// Brightness that is as bright as it can; 1 where it only knows on and off.
    most: u32,
    inverted: bool,
    /// Where what made it blink before us is kept, so that also the program that follows a crash can give it back.
    memo: PathBuf,
    before: String,
}

impl Led {
    /// The board's own LED.
    pub(super) fn onboard(root: &Path, inverted: bool) -> Result<Self, LightError> {
        let leds = root.join("sys/class/leds");
        match ONBOARD
            .iter()
            .find(|name| leds.join(name).join("brightness").exists())
        {
            Some(name) => Self::named(root, name, inverted),
            None => Err(no_led("ACT or led0".to_owned(), &leds)),
        }
    }

    /// The LED with this name.
    pub(super) fn named(root: &Path, name: &str, inverted: bool) -> Result<Self, LightError> {
        let leds = root.join("sys/class/leds");
        let directory = leds.join(name);
        if !directory.join("brightness").exists() {
            return Err(no_led(format!("`{name}`"), &leds));
        }
        let memo = root.join("run/bramble").join(format!("light-{name}"));
        let triggers = files::text(&directory.join("trigger")).unwrap_or_default();
        let now = triggers
            .split_whitespace()
            .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
            .unwrap_or("none");
        // What a program left behind that could not clear up is not what was there before.
        let before = files::text(&memo).unwrap_or_else(|| now.to_owned());
        let led = Self {
            name: name.to_owned(),
            most: files::number(&directory.join("max_brightness")).unwrap_or(1),
            directory,
            inverted,
            memo,
            before,
        };
        // Worth having, but no reason to do without light.
        let _ = fs::create_dir_all(root.join("run/bramble")).and_then(|()| fs::write(&led.memo, &led.before));
        if led.directory.join("trigger").exists() {
            led.write("trigger", "none")?;
        }
        led.write_level(0)?;
        Ok(led)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), LightError> {
        // The file is the kernel's: it is there already, or the LED is gone.
        fs::OpenOptions::new()
            .write(true)
            .open(self.directory.join(file))
            .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(|source| LightError::from_io(format!("the LED `{}`", self.name), GROUP, source))
    }

    fn write_level(&self, level: u8) -> Result<(), LightError> {
        let share = (u64::from(self.most) * u64::from(level)).div_ceil(255);
        let share = if self.inverted {
            u64::from(self.most).saturating_sub(share)
        } else {
            share
        };
        self.write("brightness", &share.to_string())
    }
}

impl Lamp for Led {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        self.write_level(frame.level)
    }
}

/// Dark, and then the kernel's again.
impl Drop for Led {
    fn drop(&mut self) {
        let given_back = self
            .write_level(0)
            .and_then(|()| match self.directory.join("trigger").exists() {
                true => self.write("trigger", &self.before),
                false => Ok(()),
            });
        if given_back.is_ok() {
            let _ = fs::remove_file(&self.memo);
        }
    }
}

fn no_led(wanted: String, leds: &Path) -> LightError {
    let there: Vec<String> = files::entries(leds).into_iter().map(|(name, _)| name).collect();
    LightError::NoLed {
        wanted,
        there: if there.is_empty() {
            "none".to_owned()
        } else {
            there.join(", ")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    fn leds(names: &[&str], most: &str) -> tempfile::TempDir {
        let root = tree(&[]);
        for name in names {
            let directory = root.path().join("sys/class/leds").join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("brightness"), "1").unwrap();
            fs::write(directory.join("max_brightness"), most).unwrap();
            fs::write(directory.join("trigger"), "none timer [mmc0] heartbeat").unwrap();
        }
        root
    }

    /// What was written last. The fake files are not the kernel's: longer texts are overwritten from the left.
    fn said(root: &tempfile::TempDir, led: &str, file: &str) -> String {
        fs::read_to_string(root.path().join("sys/class/leds").join(led).join(file)).unwrap()
    }

    fn show(led: &mut Led, level: u8) {
        led.show(&Frame { level, ..Frame::DARK }).unwrap();
    }

    #[test]
    fn the_boards_own_led_is_found_by_its_new_name_its_old_name_or_the_power_leds() {
        for (names, chosen) in [
            (&["ACT", "PWR", "led0", "mmc0::"][..], "ACT"),
            (&["default-on", "led0", "led1"], "led0"),
            (&["PWR", "mmc0::"], "PWR"),
        ] {
            let root = leds(names, "255");
            assert_eq!(Led::onboard(root.path(), false).unwrap().name, chosen);
        }
    }

    #[test]
    fn a_board_without_one_is_told_which_there_are() {
        let root = leds(&["mmc0::", "r8169-0::lan"], "1");
        let error = Led::onboard(root.path(), false).unwrap_err().to_string();
        assert!(error.contains("it has: mmc0::, r8169-0::lan"), "{error}");
        let error = Led::named(root.path(), "bramble", false).unwrap_err().to_string();
        assert!(error.contains("no LED named `bramble`"), "{error}");
    }

    #[test]
    fn no_trigger_of_the_kernel_blinks_while_the_program_has_the_led() {
        let root = leds(&["ACT"], "1");
        let _led = Led::onboard(root.path(), false).unwrap();
        assert!(said(&root, "ACT", "trigger").starts_with("none"));
    }

    #[test]
    fn levels_are_shares_of_the_leds_own_brightness() {
        let root = leds(&["ACT"], "100");
        let mut led = Led::onboard(root.path(), false).unwrap();
        for (level, written) in [(255, "100"), (128, "510"), (1, "110"), (0, "010")] {
            show(&mut led, level);
            assert_eq!(said(&root, "ACT", "brightness"), written);
        }
    }

    #[test]
    fn an_led_that_knows_only_on_and_off_is_on_at_any_level() {
        let root = leds(&["ACT"], "1");
        let mut led = Led::onboard(root.path(), false).unwrap();
        for (level, written) in [(255, "1"), (3, "1"), (0, "0")] {
            show(&mut led, level);
            assert_eq!(said(&root, "ACT", "brightness"), written);
        }
    }

    #[test]
    fn an_inverted_led_is_lit_by_zero() {
        let root = leds(&["ACT"], "1");
        let mut led = Led::onboard(root.path(), true).unwrap();
        assert_eq!(said(&root, "ACT", "brightness"), "1");
        show(&mut led, 255);
        assert_eq!(said(&root, "ACT", "brightness"), "0");
    }

    #[test]
    fn the_kernel_gets_its_led_back_even_from_the_program_after_a_crash() {
        let root = leds(&["ACT"], "1");
        let mut led = Led::onboard(root.path(), false).unwrap();
        show(&mut led, 255);
        // Killed: nothing is cleared up, and the trigger stays as we set it.
        std::mem::forget(led);
        fs::write(
            root.path().join("sys/class/leds/ACT/trigger"),
            "[none] timer mmc0",
        )
        .unwrap();
        drop(Led::onboard(root.path(), false).unwrap());
        assert!(said(&root, "ACT", "trigger").starts_with("mmc0"));
        assert_eq!(said(&root, "ACT", "brightness"), "0");
        assert!(!root.path().join("run/bramble/light-ACT").exists());
    }

    #[test]
    fn an_led_that_knows_no_triggers_is_driven_all_the_same() {
        let root = leds(&["ACT"], "1");
        fs::remove_file(root.path().join("sys/class/leds/ACT/trigger")).unwrap();
        let mut led = Led::onboard(root.path(), false).unwrap();
        show(&mut led, 255);
        assert_eq!(said(&root, "ACT", "brightness"), "1");
        drop(led);
        assert_eq!(said(&root, "ACT", "brightness"), "0");
        assert!(!root.path().join("sys/class/leds/ACT/trigger").exists());
    }

    #[test]
    fn an_led_that_went_away_is_an_error_and_no_new_file() {
        let root = leds(&["ACT"], "1");
        let mut led = Led::onboard(root.path(), false).unwrap();
        fs::remove_file(root.path().join("sys/class/leds/ACT/brightness")).unwrap();
        assert!(led.show(&Frame::DARK).is_err());
        assert!(!root.path().join("sys/class/leds/ACT/brightness").exists());
    }
}
