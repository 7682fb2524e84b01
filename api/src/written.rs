//! How ids are written: as strings, also as a map's key, and most of them as hexadecimal digits.

/// Makes a type travel as the string that `Display` prints and `FromStr` reads, also as a map's key.
macro_rules! travels_as_string {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Text that is not the hexadecimal digits of an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} ({digits} hexadecimal digits)")]
pub struct NotAnIdentity {
    pub(crate) text: String,
    pub(crate) what: &'static str,
    pub(crate) digits: usize,
}

/// A number of bytes that is written as hexadecimal digits.
macro_rules! written_in_hexadecimal {
    ($type:ident, $bytes:literal, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::written::NotAnIdentity;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let refuse = || $crate::written::NotAnIdentity {
                    text: text.chars().take(64).collect(),
                    what: $what,
                    digits: 2 * $bytes,
                };
                if text.len() != 2 * $bytes || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(refuse());
                }
                let mut bytes = [0; $bytes];
                for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                    let digits = std::str::from_utf8(digits).map_err(|_| refuse())?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| refuse())?;
                }
                Ok(Self(bytes))
            }
        }

        travels_as_string!($type);
    };
}
