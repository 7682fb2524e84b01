//! Secrets: their names, what clients write and read of them (contract section 1.9), and how a node that runs a
//! function is given their values.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ids::FunctionName, versioned::Versioned};

/// Where on the node-to-node port the leader takes a [`SecretsRequest`].
pub const SECRETS_PATH: &str = "/v1/secrets";

/// Longest value, in bytes.
pub const MAX_SECRET_BYTES: usize = 1 << 20;

/// Longest name, in characters.
const MAX_NAME: usize = 253;

/// A secret that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The name is none.
    #[error(
        "secret name `{0}` must be lower-case letters, digits, `-` and `.`, and begin and end with a letter or digit"
    )]
    Name(String),
    /// The value is too long.
    #[error(
        "the secret's value has more than 1 MiB; secrets are read by functions as a whole, so keep them small"
    )]
    TooLong,
}

/// Checks the name of a secret: it becomes the name of a file.
///
/// # Errors
/// [`SecretError::Name`].
pub fn check_name(name: &str) -> Result<(), SecretError> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    let good = bytes.len() <= MAX_NAME
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().copied().all(inside)
        && !name.contains("..");
    good.then_some(())
        .ok_or_else(|| SecretError::Name(name.to_owned()))
}

/// A secret as clients see it: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretListing {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// What a node asks the leader: the secrets that a function names. Answered only to a node that has to run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsRequest {
    /// The function.
    pub function: FunctionName,
}

impl Versioned for SecretsRequest {
    const NAME: &'static str = "secrets request";
    const VERSION: u32 = 1;
}

/// The secrets of one function, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsAnswer {
    /// Each with its value. One that was deleted is missing.
    pub secrets: BTreeMap<String, OpenSecret>,
}

impl Versioned for SecretsAnswer {
    const NAME: &'static str = "secrets answer";
    const VERSION: u32 = 1;
}

/// Where on the node-to-node port the leader takes a [`KeyRequest`].
pub const KEY_PATH: &str = "/v1/key";

/// What a controller asks the leader: the key that secrets are sealed with. Answered only to a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {}

impl Versioned for KeyRequest {
    const NAME: &'static str = "key request";
    const VERSION: u32 = 1;
}

/// The key that secrets are sealed with, on its way to a controller that lacks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAnswer {
    /// Which key it is.
    pub id: String,
    /// The key.
    pub key: SecretBytes,
}

impl Versioned for KeyAnswer {
    const NAME: &'static str = "key answer";
    const VERSION: u32 = 1;
}

/// A secret's value, on its way to the node that runs the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSecret {
    /// Which value it is; grows when it is changed.
    pub version: u64,
    /// The value.
    pub value: SecretBytes,
}

/// Bytes that are not for everyone's eyes: hexadecimal as JSON, nothing in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(pub Vec<u8>);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        let hex: String = self
            .0
            .iter()
            .flat_map(|b| [digit(b >> 4), digit(b & 15)])
            .collect();
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let damaged = || serde::de::Error::custom("a secret's value is damaged");
        let digit = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.filter(|_| rest.is_empty()).map(Self).ok_or_else(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_files_so_they_lead_nowhere_else() {
        for good in ["a", "api-key", "db.password", "0"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            ".a",
            "a/b",
            "..",
            "a..b",
            "A",
            "ä",
            "a b",
            &"a".repeat(254),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_travel_whole_and_are_never_shown() {
        let secret = OpenSecret {
            version: 3,
            value: SecretBytes((0..=255).collect()),
        };
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(serde_json::from_str::<OpenSecret>(&json).unwrap(), secret);
        assert_eq!(format!("{:?}", SecretBytes(b"hunter2".to_vec())), "(7 bytes)");
        assert!(serde_json::from_str::<SecretBytes>("\"abc\"").is_err());
    }
}
