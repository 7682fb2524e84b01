//! The power supply, and what the firmware does when it is too weak or the processor too hot.
//!
//! Two ways to know: the kernel's sensor chip `rpi_volt` (both kernel families; under-voltage only), and the
//! firmware's own word (Raspberry Pi's kernels; everything). Chips are found by name, since their numbers change. The
//! firmware's file is deprecated: its first read after a start puts a warning into the kernel's log, and no more.

use std::path::Path;

use crate::files;

/// The power supply at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Whether the voltage was too low within about the last two seconds, by the kernel's sensor.
    pub alarm: Option<bool>,
    /// What the firmware says.
    pub throttled: Option<Throttled>,
}

/// The firmware's word on power and heat: what is now, and what was at any time since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled(u32);

impl Throttled {
    /// From the firmware's bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Reads `throttled=0x50005`, `0x50005` or `50005`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        files::hexadecimal(text.strip_prefix("throttled=").unwrap_or(text)).map(Self)
    }

    /// The voltage is too low.
    pub const fn under_voltage(self) -> bool {
        self.0 & 0x1 != 0
    }

    /// The cores run slower, against low voltage or heat.
    pub const fn slowed(self) -> bool {
        self.0 & 0x6 != 0
    }

    /// The soft limit of temperature is passed: a little slower, and nothing is harmed (3 B+ and 3 A+).
    pub const fn soft_limit(self) -> bool {
        self.0 & 0x8 != 0
    }

    /// The voltage was too low at some time since the start, or since the kernel last asked.
    pub const fn was_under_voltage(self) -> bool {
        self.0 & 0x1_0000 != 0
    }

    /// The cores ran slower at some time since the start, or since the kernel last asked.
    pub const fn was_slowed(self) -> bool {
        self.0 & 0x6_0000 != 0
    }
}

impl Power {
    /// Reads it from the files below `root`: a few small ones, quick enough to be looked at every second.
    pub fn read(root: &Path) -> Self {
        let alarm = files::entries(&root.join("sys/class/hwmon"))
            .into_iter()
            .filter(|(_, chip)| files::text(&chip.join("name")).as_deref() == Some("rpi_volt"))
            .filter_map(|(_, chip)| files::number::<u8>(&chip.join("in0_lcrit_alarm")))
            .map(|alarm| alarm != 0)
            .reduce(|one, other| one || other);
        // The firmware's device sits below another parent on each family of boards; its driver lists it anywhere.
        let by_driver = files::entries(&root.join("sys/bus/platform/drivers/raspberrypi-firmware"));
        let throttled = by_driver
            .into_iter()
            .map(|(_, device)| device)
            .chain([root.join("sys/devices/platform/soc/soc:firmware")])
            .find_map(|device| Throttled::parse(&files::text(&device.join("get_throttled"))?));
        Self { alarm, throttled }
    }

    /// Whether the voltage is too low.
    pub fn is_low(self) -> bool {
        self.alarm == Some(true) || self.throttled.is_some_and(Throttled::under_voltage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    /// What the firmware says: low now, slowed now, soft limit now, was low, was slowed.
    fn meaning(text: &str) -> [bool; 5] {
        let bits = Throttled::parse(text).unwrap();
        [
            bits.under_voltage(),
            bits.slowed(),
            bits.soft_limit(),
            bits.was_under_voltage(),
            bits.was_slowed(),
        ]
    }

    #[test]
    fn the_firmwares_bits_mean_what_its_makers_say() {
        assert_eq!(meaning("throttled=0x0"), [false; 5]);
        assert_eq!(meaning("0x50000"), [false, false, false, true, true]);
        assert_eq!(meaning("throttled=0x50005\n"), [true, true, false, true, true]);
        assert_eq!(meaning("80008"), [false, false, true, false, false]);
        assert_eq!(meaning("0xe0008"), [false, false, true, false, true]);
        assert_eq!(Throttled::parse("error"), None);
    }

    #[test]
    fn the_voltage_sensor_is_found_by_its_name_whatever_its_number() {
        for number in [0, 2, 7] {
            let chip = format!("sys/class/hwmon/hwmon{number}");
            let root = tree(&[
                ("sys/class/hwmon/hwmon1/name", "cpu_thermal\n"),
                (&format!("{chip}/name"), "rpi_volt\n"),
                (&format!("{chip}/in0_lcrit_alarm"), "1\n"),
            ]);
            let power = Power::read(root.path());
            assert_eq!((power.alarm, power.is_low()), (Some(true), true));
        }
    }

    #[test]
    fn the_firmware_is_asked_wherever_it_sits() {
        for device in [
            "sys/bus/platform/drivers/raspberrypi-firmware/soc@107c000000:firmware",
            "sys/devices/platform/soc/soc:firmware",
        ] {
            let root = tree(&[(&format!("{device}/get_throttled"), "50005\n")]);
            assert!(Power::read(root.path()).is_low(), "{device}");
        }
    }
}
