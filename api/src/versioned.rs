//! The envelope in which every stored or sent value travels: `{"v":1,"body":…}`.
//!
//! Brambles are upgraded node by node, and a card may hold what an older program wrote. A field that is added with
//! `#[serde(default)]` keeps the version; anything else raises it, and a reader that meets a version it does not
//! know says so instead of guessing. Unknown fields are passed over.
//!
//! One codec, JSON, for everything: it is read by people, needs no schema to skip a field, and the values are small
//! (docs/decisions/0004-one-codec.md).

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A value whose stored or sent form has a version.
pub trait Versioned: Serialize + DeserializeOwned {
    /// What the value is, for errors: "sync request".
    const NAME: &'static str;
    /// The version that this program writes.
    const VERSION: u32;
}

/// A stored or received value that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON that the version promises.
    #[error("the {name} is damaged or not one")]
    Malformed {
        /// What was to be read.
        name: &'static str,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// Written by a newer program.
    #[error("the {name} has version {found}; this program reads version {known}: update this node")]
    Version {
        /// What was to be read.
        name: &'static str,
        /// The version it has.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
}

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    v: u32,
    body: &'a T,
}

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    v: u32,
    #[serde(borrow)]
    body: &'a serde_json::value::RawValue,
}

/// The stored or sent form of `value`.
pub fn encode<T: Versioned>(value: &T) -> Vec<u8> {
    serde_json::to_vec(&EnvelopeOut {
        v: T::VERSION,
        body: value,
    })
    .expect("our own types have string keys and no failing serializers")
}

/// Reads what [`encode`] made, here or in another program version.
///
/// # Errors
/// [`DecodeError`] where the bytes are damaged or of a version that this program does not know.
pub fn decode<T: Versioned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let malformed = |source| DecodeError::Malformed {
        name: T::NAME,
        source,
    };
    let envelope: EnvelopeIn<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
    if envelope.v != T::VERSION {
        return Err(DecodeError::Version {
            name: T::NAME,
            found: envelope.v,
            known: T::VERSION,
        });
    }
    serde_json::from_str(envelope.body.get()).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wish {
        text: String,
    }

    impl Versioned for Wish {
        const NAME: &'static str = "wish";
        const VERSION: u32 = 3;
    }

    #[test]
    fn a_value_comes_back_from_its_envelope() {
        let wish = Wish {
            text: "snow".to_owned(),
        };
        let bytes = encode(&wish);
        assert_eq!(bytes, br#"{"v":3,"body":{"text":"snow"}}"#);
        assert_eq!(decode::<Wish>(&bytes).unwrap(), wish);
    }

    #[test]
    fn a_field_from_the_future_is_passed_over() {
        let bytes = br#"{"v":3,"body":{"text":"snow","flakes":12}}"#;
        assert_eq!(decode::<Wish>(bytes).unwrap().text, "snow");
    }

    #[test]
    fn an_unknown_version_is_named_and_not_guessed() {
        let error = decode::<Wish>(br#"{"v":4,"body":{"text":"snow"}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the wish has version 4; this program reads version 3: update this node"
        );
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = encode(&Wish {
            text: "snow".to_owned(),
        });
        for cut in 0..whole.len() {
            assert!(decode::<Wish>(&whole[..cut]).is_err());
        }
    }
}
