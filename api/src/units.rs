//! Amounts with their units in the type: memory in bytes, CPU in thousandths of a core, points in time in
//! milliseconds since 1970.
//!
//! [`Memory`] and [`Cpu`] read the Kubernetes quantity strings that OpenFaaS clients send (`128Mi`, `0.5`, `20m`).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(u64);

impl Memory {
    /// No memory at all.
    pub const ZERO: Self = Self(0);

    /// `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `mib` times 1024 times 1024 bytes.
    pub const fn from_mib(mib: u32) -> Self {
        Self(mib as u64 * 1024 * 1024)
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// What is left after taking `other` away; never below zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Both together; stops at the largest number instead of overflowing.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Memory {
    /// Whole mebibytes where the amount is that large (`128 MiB`), else bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1024 * 1024;
        if self.0 >= MIB {
            write!(f, "{} MiB", self.0 / MIB)
        } else {
            write!(f, "{} bytes", self.0)
        }
    }
}

/// A quantity string that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not an amount of memory.
    #[error("`{0}` is not an amount of memory; write for example 128Mi, 1Gi, 64M or a number of bytes")]
    Memory(String),
    /// Not an amount of CPU.
    #[error("`{0}` is not an amount of CPU; write for example 100m (a tenth of a core), 0.5 or 2")]
    Cpu(String),
}

/// Splits `text` into thousandths of its number and its suffix; `None` where there is no number, where it is
/// negative, or where it is too large.
fn split_quantity(text: &str) -> Option<(u128, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 20 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Three digits after the point are all that a thousandth can hold; Kubernetes rounds smaller parts up.
    let mut thousandths: u128 = 0;
    for place in 0..3 {
        let digit = fraction.as_bytes().get(place).map_or(0, |b| u128::from(b - b'0'));
        thousandths = thousandths * 10 + digit;
    }
    if fraction.bytes().skip(3).any(|b| b != b'0') {
        thousandths += 1;
    }
    Some((whole * 1000 + thousandths, suffix))
}

impl FromStr for Memory {
    type Err = QuantityError;

    /// Reads a Kubernetes quantity: a number of bytes, with a decimal (`k M G T`) or binary (`Ki Mi Gi Ti`) suffix.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || QuantityError::Memory(text.to_owned());
        let (thousandths, suffix) = split_quantity(text.trim()).ok_or_else(refuse)?;
        let factor: u128 = match suffix {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return Err(refuse()),
        };
        let bytes = (thousandths * factor).div_ceil(1000);
        u64::try_from(bytes).map(Self).map_err(|_| refuse())
    }
}

/// An amount of CPU, in thousandths of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpu(u32);

impl Cpu {
    /// No CPU at all.
    pub const ZERO: Self = Self(0);

    /// `millis` thousandths of a core.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// `cores` whole cores.
    pub const fn from_cores(cores: u16) -> Self {
        Self(cores as u32 * 1000)
    }

    /// The amount in thousandths of a core.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// What is left after taking `other` away; never below zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Both together; stops at the largest number instead of overflowing.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Cpu {
    /// In cores, with as many decimals as needed: `0.05 cores`, `2 cores`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            write!(f, "{whole} cores")
        } else {
            let decimals = format!("{rest:03}");
            write!(f, "{whole}.{} cores", decimals.trim_end_matches('0'))
        }
    }
}

impl FromStr for Cpu {
    type Err = QuantityError;

    /// Reads a Kubernetes quantity: cores (`2`, `0.5`) or thousandths (`100m`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || QuantityError::Cpu(text.to_owned());
        let (thousandths, suffix) = split_quantity(text.trim()).ok_or_else(refuse)?;
        let millis = match suffix {
            "" => thousandths,
            "m" => thousandths.div_ceil(1000),
            _ => return Err(refuse()),
        };
        u32::try_from(millis).map(Self).map_err(|_| refuse())
    }
}

/// A point in time: milliseconds since 1970-01-01 UTC, by the clock of the node that made it.
///
/// For showing to people and for ordering what one leader did. Pis have no clock at boot, so nothing is decided
/// by comparing timestamps of different nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// `ms` milliseconds after 1970-01-01 UTC.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This point, `by` later.
    pub fn after(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Reads RFC 3339 in any time zone; `None` where the text is something else. Before 1970 counts as 1970.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Self(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }

    /// As RFC 3339 in UTC, the way OpenFaaS clients expect it: `2026-11-21T10:20:30Z`.
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
    }
}

/// A value that clients want back exactly as they wrote it, and that we want checked: the text is kept, the
/// meaning is read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    text: String,
    /// What the text means.
    pub value: T,
}

impl<T> Written<T> {
    /// The text as the client wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<T: FromStr> FromStr for Written<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            value: text.parse()?,
            text: text.to_owned(),
        })
    }
}

impl<T> Serialize for Written<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Written<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_every_suffix_of_the_contract() {
        let bytes = |text: &str| text.parse::<Memory>().unwrap().bytes();
        assert_eq!(bytes("128Mi"), 128 << 20);
        assert_eq!(bytes("1Gi"), 1 << 30);
        assert_eq!(bytes("64M"), 64_000_000);
        assert_eq!(bytes("134217728"), 134_217_728);
        assert_eq!(bytes("1.5Ki"), 1536);
        assert_eq!(bytes("0.5"), 1);
    }

    #[test]
    fn memory_that_makes_no_sense_is_refused_with_examples() {
        for text in [
            "",
            "Mi",
            "-1Mi",
            "12MB",
            "1.2.3",
            "1e9",
            "99999999999999999999Ti",
            "lots",
        ] {
            let error = text.parse::<Memory>().unwrap_err().to_string();
            assert!(error.contains("128Mi"), "{text}: {error}");
        }
    }

    #[test]
    fn cpu_reads_cores_and_thousandths() {
        let millis = |text: &str| text.parse::<Cpu>().unwrap().millis();
        assert_eq!(millis("20m"), 20);
        assert_eq!(millis("100m"), 100);
        assert_eq!(millis("0.5"), 500);
        assert_eq!(millis("1"), 1000);
        assert_eq!(millis("0.0001"), 1);
        assert!("one".parse::<Cpu>().is_err());
    }

    #[test]
    fn amounts_are_shown_as_people_say_them() {
        assert_eq!(Memory::from_mib(128).to_string(), "128 MiB");
        assert_eq!(Cpu::from_millis(50).to_string(), "0.05 cores");
        assert_eq!(Cpu::from_cores(4).to_string(), "4 cores");
        assert_eq!(Timestamp::from_millis(0).to_rfc3339(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_written_value_goes_back_as_it_came() {
        let memory: Written<Memory> = serde_json::from_str("\"0.5Gi\"").unwrap();
        assert_eq!(memory.value, Memory::from_mib(512));
        assert_eq!(serde_json::to_string(&memory).unwrap(), "\"0.5Gi\"");
    }
}
