//! Devices of a node that functions may use: a small set with plain names.
//!
//! A function asks for some by the annotation [`ANNOTATION`], a node says which it offers
//! ([`crate::NodeFacts::devices`]), and an admin allows them, node by node. Without any of the three nothing is given.
//!
//! Not here: which files a device has (the `hardware` room), who gets it (`cluster`), how it is given (`agent`).

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The annotation by which a function asks for devices: `gpio,i2c`.
pub const ANNOTATION: &str = "bramble.devices";

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// The pins of the header.
    Gpio,
    /// The bus for sensors and small displays.
    I2c,
    /// The faster bus, for displays and converters.
    Spi,
    /// Cameras.
    Camera,
    /// Serial ports: microcontrollers on USB, and the port of the header.
    Serial,
}

impl Device {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Gpio, Self::I2c, Self::Spi, Self::Camera, Self::Serial];

    /// Its name, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpio => "gpio",
            Self::I2c => "i2c",
            Self::Spi => "spi",
            Self::Camera => "camera",
            Self::Serial => "serial",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no device `{0}`; there are {all}", all = Devices::all())]
pub struct UnknownDevice(pub String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|device| device.name() == text);
        known.ok_or_else(|| UnknownDevice(text.to_owned()))
    }
}

/// Some devices, each once.
///
/// Written as a list of names. Names that are not known are passed over when it is read: a newer version of the
/// program may know more, and says so to older ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices(BTreeSet<Device>);

impl Devices {
    /// All there are.
    pub fn all() -> Self {
        Device::ALL.into_iter().collect()
    }

    /// Whether it is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Device> {
        self.0.iter().copied()
    }

    /// Those of these that are not among `others`.
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).copied().collect())
    }

    /// Those that are among both.
    pub fn both(&self, others: &Self) -> Self {
        Self(self.0.intersection(&others.0).copied().collect())
    }

    /// Those that are among one of both.
    pub fn either(&self, others: &Self) -> Self {
        Self(self.0.union(&others.0).copied().collect())
    }

    /// As on a command line: `gpio,i2c`.
    pub fn typed(&self) -> String {
        self.joined(",")
    }

    fn joined(&self, between: &str) -> String {
        let names: Vec<_> = self.iter().map(Device::name).collect();
        names.join(between)
    }

    /// Those that are known of what is written in `text`, with commas in between.
    pub fn known_in(text: &str) -> Self {
        words(text).filter_map(|word| word.parse().ok()).collect()
    }
}

impl FromIterator<Device> for Devices {
    fn from_iter<T: IntoIterator<Item = Device>>(devices: T) -> Self {
        Self(devices.into_iter().collect())
    }
}

/// Names with commas in between; blanks around them do not count.
impl FromStr for Devices {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        words(text).map(Device::from_str).collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// `gpio, i2c`
impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(", "))
    }
}

impl Serialize for Devices {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Device::name))
    }
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_people_write_them() {
        let devices: Devices = " i2c,gpio ,gpio,".parse().unwrap();
        assert_eq!(devices.to_string(), "gpio, i2c");
        assert_eq!(devices.typed(), "gpio,i2c");
        assert!("".parse::<Devices>().unwrap().is_empty());
        assert_eq!(
            "gpio,GPU".parse::<Devices>().unwrap_err().to_string(),
            "there is no device `GPU`; there are gpio, i2c, spi, camera, serial"
        );
        for device in Device::ALL {
            assert_eq!(device.name().parse(), Ok(device));
        }
    }

    #[test]
    fn what_a_newer_version_knows_is_passed_over() {
        let devices: Devices = serde_json::from_str(r#"["gpio","teleporter"]"#).unwrap();
        assert_eq!(devices, [Device::Gpio].into_iter().collect());
        assert_eq!(serde_json::to_string(&devices).unwrap(), r#"["gpio"]"#);
        assert_eq!(Devices::known_in("gpio,teleporter"), devices);
    }
}
