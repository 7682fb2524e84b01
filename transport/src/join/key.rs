//! The join key that is on the cards of one bramble, stretched.

use api::join::KeyTag;
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Shorter keys are refused. Whoever speaks to a controller learns enough to try keys at home, at the price of one
/// stretching each: 16 characters of any kind are out of reach for that.
const SHORTEST: usize = api::settings::SHORTEST_JOIN_KEY;

/// Longer keys are a file that was pasted by mistake.
const LONGEST: usize = api::settings::LONGEST_JOIN_KEY;

/// Memory, in KiB, and passes for stretching: the least that OWASP recommends for argon2id. About a quarter of a
/// second on a Pi 3, once at start.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// The same everywhere, since a joiner knows nothing of the bramble but the key. It keeps tables made for other
/// programs from being of use.
const SALT: &[u8] = b"bramble join key 1";

/// A join key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinKeyError {
    /// Too short.
    #[error(
        "the join key has {0} characters and needs at least {SHORTEST}: take five random words, for example"
    )]
    Short(usize),
    /// Too long.
    #[error("the join key has {0} characters and may have at most {LONGEST}")]
    Long(usize),
    /// The stretching failed.
    #[error("failed to stretch the join key: {0}")]
    Stretch(String),
}

/// A join key as both sides use it. The text itself is not kept.
#[derive(Clone)]
pub struct JoinSecret {
    mac_key: Zeroizing<[u8; 32]>,
    tag: KeyTag,
}

impl std::fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinSecret")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

impl JoinSecret {
    /// Stretches the join key `text`; white space around it does not count. Takes 19 MiB and, on a small Pi, a good part
    /// of a second: not to be called where others wait.
    ///
    /// # Errors
    /// [`JoinKeyError`], in words for the person who wrote the key.
    pub fn stretch(text: &str) -> Result<Self, JoinKeyError> {
        let text = text.trim();
        match text.chars().count() {
            short if short < SHORTEST => return Err(JoinKeyError::Short(short)),
            long if long > LONGEST => return Err(JoinKeyError::Long(long)),
            _ => {}
        }
        let fail = |error: argon2::Error| JoinKeyError::Stretch(error.to_string());
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(fail)?;
        let mut stretched = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(text.as_bytes(), SALT, &mut *stretched)
            .map_err(fail)?;
        let mac_key = Zeroizing::new(derive(&stretched, b"proof"));
        let mut tag = [0; 8];
        tag.copy_from_slice(&derive(&stretched, b"tag")[..8]);
        Ok(Self {
            mac_key,
            tag: KeyTag::from_bytes(tag),
        })
    }

    /// By which holders of the same key recognise each other in sight.
    pub fn tag(&self) -> KeyTag {
        self.tag
    }

    /// A MAC that takes what is to be proved.
    pub(super) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&*self.mac_key).expect("HMAC takes keys of any length")
    }
}

fn derive(stretched: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(stretched).expect("HMAC takes keys of any length");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_tag_and_another_key_another() {
        let tag = |text| JoinSecret::stretch(text).unwrap().tag();
        assert_eq!(tag("correct horse battery"), tag(" correct horse battery\n"));
        assert_ne!(tag("correct horse battery"), tag("correct horse batterz"));
        // Nodes of different versions have to agree on it.
        assert_eq!(
            tag("correct horse battery").to_string(),
            include_str!("../../tests/golden/join-key-tag").trim()
        );
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused_in_words() {
        let error = JoinSecret::stretch("class4b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the join key has 7 characters and needs at least 16: take five random words, for example"
        );
        assert!(JoinSecret::stretch(&"a".repeat(257)).is_err());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = JoinSecret::stretch("correct horse battery").unwrap();
        assert_eq!(
            format!("{secret:?}"),
            format!("JoinSecret {{ tag: {:?}, .. }}", secret.tag())
        );
    }
}
