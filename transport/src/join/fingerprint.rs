//! What a person compares before admitting a node that has no join key.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::proof::{Bytes32, Channel};

/// Digits without those that look alike (Crockford's base 32, lower case).
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Eight characters that both ends of one join conversation compute, and nobody between them can arrange: `k7q2-m9fd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    pub(super) fn of(channel: &Channel, authority: &Bytes32, joiner: &Bytes32, host: &Bytes32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"bramble join 1: fingerprint");
        for part in [
            &channel.exporter,
            &channel.host_key,
            &channel.joiner_key,
            authority,
            joiner,
            host,
        ] {
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut bits = digest
            .iter()
            .take(5)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut digits = [0; 8];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[usize::from((bits & 31) as u8)];
            bits >>= 5;
        }
        Self(digits)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(4);
        let text = |digits| std::str::from_utf8(digits).map_err(|_| fmt::Error);
        write!(f, "{}-{}", text(first)?, text(second)?)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        match <[u8; 8]>::try_from(digits) {
            Ok(digits) if digits.iter().all(|digit| DIGITS.contains(digit)) => Ok(Self(digits)),
            _ => Err(format!("`{text}` is not a fingerprint such as k7q2-m9fd")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_everything_and_reads_back() {
        let of = |parts: [u8; 6]| {
            let [exporter, host_key, joiner_key, authority, joiner, host] = parts.map(|part| [part; 32]);
            let channel = Channel {
                exporter,
                host_key,
                joiner_key,
            };
            Fingerprint::of(&channel, &authority, &joiner, &host)
        };
        let whole = of([0; 6]);
        for place in 0..6 {
            let mut parts = [0; 6];
            parts[place] = 1;
            assert_ne!(of(parts), whole);
        }
        assert_eq!(whole.to_string().len(), 9);
        assert_eq!(Fingerprint::try_from(whole.to_string()), Ok(whole));
        assert!(Fingerprint::try_from("k7q2-m9fü".to_owned()).is_err());
    }
}
