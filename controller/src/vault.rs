//! Seals secrets and opens them again: with the bramble's key, which each controller keeps closed with a key of its own.
//!
//! The bramble's key is random. In the replicated state it stands once for each controller, sealed with a key that
//! only that controller can derive, from the node key that never leaves its card. What this protects (backups, a
//! removed node) and what not (a controller's card in the wrong hands): docs/decisions.

use std::sync::{Arc, Mutex};

use api::{
    NodeId,
    secrets::{KeyAnswer, SecretBytes},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cluster::{
    Action, State,
    secrets::{Sealed, SecretName},
};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use transport::Authority;
use zeroize::Zeroizing;

use crate::images::credentials::OpenSecret;

/// What a sealed bramble's key is about, so that nothing else can stand in its place.
const KEY_PURPOSE: &str = "the key of this bramble";

/// What the sealed key of the bramble's authority is about.
const AUTHORITY_PURPOSE: &str = "the authority of this bramble";

/// Why something cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The state holds no key for this controller.
    #[error("this controller was not given the bramble's key yet; try again in a moment")]
    NoKey,
    /// It was sealed with another key, for another name, or is damaged.
    #[error("what is stored cannot be opened with this bramble's key")]
    Sealed,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Opens and seals. Clones share the opened key.
#[derive(Clone)]
pub(crate) struct Vault {
    node: NodeId,
    own: Arc<LessSafeKey>,
    /// The bramble's key and which one it is, once it was needed.
    opened: Arc<Mutex<Option<Opened>>>,
}

/// The bramble's key, and which one it is.
type Opened = (String, Arc<LessSafeKey>);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault of the controller on `node`; `own` is derived from that node's key.
    pub(crate) fn new(node: NodeId, own: &[u8; 32]) -> Self {
        Self {
            node,
            own: Arc::new(key(own)),
            opened: Arc::default(),
        }
    }

    /// What to propose so that this controller has the bramble's key: a new one where there is none at all. Only for
    /// a leader; any other asks the leader for it.
    pub(crate) fn missing(&self, state: &State) -> Result<Option<Action>, VaultError> {
        if !state.keyring().keys.is_empty() {
            return Ok(None);
        }
        let mut bramble = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bramble).map_err(|_| VaultError::Random)?;
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| VaultError::Random)?;
        Ok(Some(Action::PutKey {
            node: self.node,
            id: STANDARD_NO_PAD.encode(id),
            key: seal(&self.own, &*bramble, KEY_PURPOSE)?,
        }))
    }

    /// The bramble's key, for a controller that lacks it.
    pub(crate) fn hand_over(&self, state: &State) -> Result<KeyAnswer, VaultError> {
        let keyring = state.keyring();
        let closed = keyring.keys.get(&self.node).ok_or(VaultError::NoKey)?;
        let key = open(&self.own, closed, KEY_PURPOSE)?;
        Ok(KeyAnswer {
            id: keyring.id.clone(),
            key: SecretBytes(key.to_vec()),
        })
    }

    /// What to propose so that this controller keeps the key that the leader handed over.
    pub(crate) fn keep(&self, handed: &KeyAnswer) -> Result<Action, VaultError> {
        let key = <&[u8; 32]>::try_from(handed.key.0.as_slice()).map_err(|_| VaultError::Sealed)?;
        Ok(Action::PutKey {
            node: self.node,
            id: handed.id.clone(),
            key: seal(&self.own, key, KEY_PURPOSE)?,
        })
    }

    /// What to propose so that the bramble keeps its authority.
    pub(crate) fn seal_authority(&self, state: &State, authority: &Authority) -> Result<Action, VaultError> {
        let key = Zeroizing::new(authority.key_pem());
        Ok(Action::PutAuthority {
            certificate: authority.certificate_pem().to_owned(),
            key: seal(&*self.key(state)?, key.as_bytes(), AUTHORITY_PURPOSE)?,
        })
    }

    /// What new nodes are certified with.
    pub(crate) fn authority(&self, state: &State) -> Result<Authority, VaultError> {
        let kept = state.authority().ok_or(VaultError::NoKey)?;
        let key = open(&*self.key(state)?, &kept.key, AUTHORITY_PURPOSE)?;
        let key = std::str::from_utf8(&key).map_err(|_| VaultError::Sealed)?;
        Authority::from_pem(&kept.certificate, key).map_err(|_| VaultError::Sealed)
    }

    /// Seals the value of the secret `name`.
    pub(crate) fn seal(&self, state: &State, name: &SecretName, value: &[u8]) -> Result<Sealed, VaultError> {
        seal(&*self.key(state)?, value, &name.to_string())
    }

    /// The value of the secret `name`; `None` where there is no such secret.
    pub(crate) fn open(
        &self,
        state: &State,
        name: &SecretName,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let Some(secret) = state.secret(name) else {
            return Ok(None);
        };
        open(&*self.key(state)?, &secret.value, &name.to_string()).map(Some)
    }

    fn key(&self, state: &State) -> Result<Arc<LessSafeKey>, VaultError> {
        let keyring = state.keyring();
        let mut opened = self.opened.lock().expect("no panic while held");
        if let Some((id, key)) = &*opened
            && *id == keyring.id
        {
            return Ok(Arc::clone(key));
        }
        let closed = keyring.keys.get(&self.node).ok_or(VaultError::NoKey)?;
        let bytes = open(&self.own, closed, KEY_PURPOSE)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| VaultError::Sealed)?;
        let key = Arc::new(key(bytes));
        *opened = Some((keyring.id.clone(), Arc::clone(&key)));
        Ok(key)
    }
}

impl OpenSecret for Vault {
    fn open(&self, state: &State, namespace: &str, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        Self::open(self, state, &SecretName::new(namespace, name))
            .ok()
            .flatten()
    }
}

fn key(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("32 bytes are a key"))
}

/// Nonce, then the sealed value with its tag. A random nonce of 96 bits is safe for the billions of values that no
/// bramble ever seals.
fn seal(key: &LessSafeKey, value: &[u8], purpose: &str) -> Result<Sealed, VaultError> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
    // Room for the tag as well: what grows leaves a copy behind.
    let mut sealed = Vec::with_capacity(value.len() + CHACHA20_POLY1305.tag_len());
    sealed.extend_from_slice(value);
    let purpose = Aad::from(purpose.as_bytes());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), purpose, &mut sealed)
        .map_err(|_| VaultError::Sealed)?;
    Ok(Sealed(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())))
}

fn open(key: &LessSafeKey, sealed: &Sealed, purpose: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let bytes = STANDARD_NO_PAD
        .decode(&sealed.0)
        .map_err(|_| VaultError::Sealed)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Sealed)?;
    let mut value = Zeroizing::new(sealed.to_vec());
    let opened = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(purpose.as_bytes()),
            &mut value,
        )
        .map_err(|_| VaultError::Sealed)?;
    let length = opened.len();
    value.truncate(length);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use api::Timestamp;
    use cluster::{Command, command::Expect};

    use super::*;

    const NODE: NodeId = NodeId::from_number(1);

    fn apply(state: &mut State, action: Action) {
        let outcome = state.apply(Command::by_bramble(Timestamp::default(), action));
        outcome.into_result().unwrap();
    }

    fn with_key() -> (Vault, State) {
        let vault = Vault::new(NODE, &[7; 32]);
        let mut state = State::default();
        let action = vault.missing(&state).unwrap().unwrap();
        apply(&mut state, action);
        (vault, state)
    }

    fn put(state: &mut State, name: &SecretName, value: Sealed) {
        let expect = Expect::Any;
        let name = name.clone();
        apply(state, Action::PutSecret { name, value, expect });
    }

    #[test]
    fn what_is_sealed_is_opened_again_also_after_a_restart() {
        let (vault, mut state) = with_key();
        assert_eq!(vault.missing(&state).unwrap(), None, "one key is enough");
        let name = SecretName::new("openfaas-fn", "api-key");
        let sealed = vault.seal(&state, &name, b"hunter2").unwrap();
        put(&mut state, &name, sealed);
        let again = Vault::new(NODE, &[7; 32]);
        assert_eq!(again.open(&state, &name).unwrap().unwrap().as_slice(), b"hunter2");
        assert_eq!(
            again
                .open(&state, &SecretName::new("openfaas-fn", "other"))
                .unwrap(),
            None
        );
    }

    #[test]
    fn another_controller_is_handed_the_key_and_opens_what_was_sealed_before() {
        let (vault, mut state) = with_key();
        let name = SecretName::new("openfaas-fn", "api-key");
        let sealed = vault.seal(&state, &name, b"hunter2").unwrap();
        put(&mut state, &name, sealed);
        let authority = Authority::create().unwrap();
        let action = vault.seal_authority(&state, &authority).unwrap();
        apply(&mut state, action);
        let other = Vault::new(NodeId::from_number(2), &[8; 32]);
        assert_eq!(other.open(&state, &name), Err(VaultError::NoKey));
        let handed = vault.hand_over(&state).unwrap();
        apply(&mut state, other.keep(&handed).unwrap());
        assert_eq!(other.open(&state, &name).unwrap().unwrap().as_slice(), b"hunter2");
        assert_eq!(
            other.authority(&state).unwrap().certificate(),
            authority.certificate()
        );
        assert!(!serde_json::to_string(&state).unwrap().contains("PRIVATE KEY"));
    }

    #[test]
    fn the_state_shows_no_value_and_no_key() {
        let (vault, mut state) = with_key();
        let name = SecretName::new("openfaas-fn", "api-key");
        let sealed = vault.seal(&state, &name, b"hunter2hunter2").unwrap();
        put(&mut state, &name, sealed);
        let stored = serde_json::to_string(&state).unwrap();
        assert!(!stored.contains("hunter2"));
        assert!(!stored.contains(&STANDARD_NO_PAD.encode("hunter2hunter2")));
        assert!(!format!("{state:?}").contains("hunter2"));
    }

    #[test]
    fn another_node_another_name_or_a_changed_byte_opens_nothing() {
        let (vault, mut state) = with_key();
        let name = SecretName::new("openfaas-fn", "api-key");
        let sealed = vault.seal(&state, &name, b"hunter2").unwrap();
        put(&mut state, &name, sealed.clone());
        let stolen = Vault::new(NODE, &[8; 32]);
        assert_eq!(stolen.open(&state, &name), Err(VaultError::Sealed));
        let other = Vault::new(NodeId::from_number(2), &[7; 32]);
        assert_eq!(other.open(&state, &name), Err(VaultError::NoKey));
        let moved = SecretName::new("openfaas-fn", "other");
        put(&mut state, &moved, sealed.clone());
        assert_eq!(vault.open(&state, &moved), Err(VaultError::Sealed));
        let mut bytes = STANDARD_NO_PAD.decode(&sealed.0).unwrap();
        bytes[NONCE_LEN] ^= 1;
        put(&mut state, &name, Sealed(STANDARD_NO_PAD.encode(bytes)));
        assert_eq!(vault.open(&state, &name), Err(VaultError::Sealed));
    }
}
