//! How a password is kept: which ones are taken, and the hash that stands for one.
//!
//! The one place that says how, for controllers, which check passwords, and for `bramble-image`, which writes a hash onto
//! cards. May touch: the kernel's random numbers, for salts.
//!
//! Not here: remembering which were right, and how many are checked at once (`controller`); the form of a hash on a card
//! (`api::settings`).

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

/// Shortest password, in characters.
pub const SHORTEST: usize = 8;

/// Longest, in bytes.
pub const LONGEST: usize = 1024;

/// Memory, passes and lanes of argon2id: OWASP's first recommendation.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Anybody would guess it.
    #[error("the password needs at least {SHORTEST} characters")]
    Short,
    /// A file that was taken for a password.
    #[error("the password may have {LONGEST} characters at the most")]
    Long,
}

/// argon2 refused, which happens only when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashError;

/// Whether somebody may choose `password`.
///
/// # Errors
/// [`Refusal`] where not.
pub fn check(password: &str) -> Result<(), Refusal> {
    if password.chars().count() < SHORTEST {
        return Err(Refusal::Short);
    }
    if password.len() > LONGEST {
        return Err(Refusal::Long);
    }
    Ok(())
}

/// The hash of `password` in PHC form, with a fresh salt. Takes 19 MiB and some hundred milliseconds on a Pi: call it where
/// blocking is allowed.
///
/// # Errors
/// [`HashError`] where memory runs out.
pub fn hash(password: &str) -> Result<String, HashError> {
    let hash = argon2()
        .hash_password(password.as_bytes())
        .map_err(|_| HashError)?;
    Ok(hash.to_string())
}

/// Whether `hash` is one of `password`. Takes as long as [`hash()`].
pub fn is(password: &str, hash: &str) -> bool {
    argon2().verify_password(password.as_bytes(), hash).is_ok()
}

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_never_contains_the_password_and_has_a_fresh_salt() {
        let (one, two) = (hash("s3cret").unwrap(), hash("s3cret").unwrap());
        assert!(one.starts_with("$argon2id$") && !one.contains("s3cret"));
        assert_ne!(one, two);
        assert!(is("s3cret", &one) && is("s3cret", &two) && !is("S3cret", &one));
    }

    #[test]
    fn what_anybody_would_guess_is_not_taken_and_no_file_is() {
        assert_eq!(check("1234567"), Err(Refusal::Short));
        assert_eq!(check("schlüssel"), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(Refusal::Long));
    }
}
