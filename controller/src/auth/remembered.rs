//! Passwords: argon2id once, then a keyed MAC of the credentials in memory.
//!
//! argon2id takes 19 MiB and some hundred milliseconds on a Pi, which is its purpose and far too much for every
//! request of a script. After one success the MAC of (user, password, hash) under a key drawn at start is kept; a changed
//! password has another hash, so its old MAC no longer fits.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Checks under way and waiting: each takes 19 MiB for some hundred milliseconds, one after the other.
const MAX_CHECKS: usize = 8;

/// A password that could not be checked or hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many are being checked.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// It cannot be hashed.
    #[error(transparent)]
    Hash(#[from] password::HashError),
}

/// Checks passwords and remembers which were right.
pub(super) struct PasswordCheck {
    key: [u8; 32],
    /// By user, the MAC of the last credentials that were right.
    known: Mutex<HashMap<String, [u8; 32]>>,
    one_at_a_time: Semaphore,
    waiting: Semaphore,
}

impl std::fmt::Debug for PasswordCheck {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordCheck").finish_non_exhaustive()
    }
}

impl Default for PasswordCheck {
    fn default() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the kernel has random numbers");
        Self {
            key,
            known: Mutex::default(),
            one_at_a_time: Semaphore::new(1),
            waiting: Semaphore::new(MAX_CHECKS),
        }
    }
}

impl PasswordCheck {
    fn mac(&self, user: &str, password: &str, hash: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in [user, password, hash] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `password` is that of `user`, whose hash is `hash`; a user without hash is unknown and takes as long.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] where too many are being checked.
    pub(super) async fn check(
        &self,
        user: &str,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mac = hash.as_ref().map(|hash| self.mac(user, &password, hash));
        if let (Some(mac), Some(kept)) = (mac, known().get(user))
            && bool::from(mac.ct_eq(kept))
        {
            return Ok(true);
        }
        let _place = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let _turn = self
            .one_at_a_time
            .acquire()
            .await
            .map_err(|_| PasswordError::Busy)?;
        let right = tokio::task::spawn_blocking(move || match hash {
            Some(hash) => password::is(&password, &hash),
            None => {
                _ = password::hash(&password);
                false
            }
        })
        .await
        .map_err(|_| password::HashError)?;
        if let (true, Some(mac)) = (right, mac) {
            known().insert(user.to_owned(), mac);
        }
        Ok(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_right_also_the_second_time() {
        let check = PasswordCheck::default();
        let hash = password::hash("correct horse").unwrap();
        for _ in 0..2 {
            assert_eq!(
                check
                    .check("admin", "correct horse".to_owned(), Some(hash.clone()))
                    .await,
                Ok(true)
            );
            assert_eq!(
                check
                    .check("admin", "wrong horse".to_owned(), Some(hash.clone()))
                    .await,
                Ok(false)
            );
        }
    }

    #[tokio::test]
    async fn a_changed_password_makes_the_old_one_wrong_at_once() {
        let check = PasswordCheck::default();
        let (old, new) = (password::hash("old").unwrap(), password::hash("new").unwrap());
        assert_eq!(check.check("admin", "old".to_owned(), Some(old)).await, Ok(true));
        assert_eq!(check.check("admin", "old".to_owned(), Some(new)).await, Ok(false));
    }

    #[tokio::test]
    async fn an_unknown_user_is_refused() {
        assert_eq!(
            PasswordCheck::default()
                .check("nobody", "x".to_owned(), None)
                .await,
            Ok(false)
        );
    }
}
