//! Names and numbers by which things are known.
//!
//! A [`NodeId`] derives from the node's key, never from its address or hostname. All ids order and print stably,
//! because ties in decisions end on them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An id or name that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a replica id.
    #[error("`{0}` is not a replica id (r and a number)")]
    Replica(String),
    /// Not a generation.
    #[error("`{0}` is not a generation (epoch.number)")]
    Generation(String),
    /// A name that OpenFaaS clients could not use.
    #[error(
        "`{0}` is not a valid name: use 1 to 63 lowercase letters, digits or `-`, beginning and ending with a letter or digit"
    )]
    Name(String),
}

/// The first 16 bytes of the SHA-256 of `bytes`: as hard to meet by chance or on purpose as ids need it.
pub(crate) fn short_digest(bytes: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(bytes)[..16]);
    id
}

/// Who a node is: the first 16 bytes of the SHA-256 of its public key (SubjectPublicKeyInfo, DER).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 16]);

impl NodeId {
    /// The id that belongs to this public key (SubjectPublicKeyInfo, DER).
    pub fn from_public_key(spki_der: &[u8]) -> Self {
        Self(short_digest(spki_der))
    }

    /// An id made of `number`, for tests and simulations.
    pub const fn from_number(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// The last four hexadecimal digits: the end of the node's name.
    pub fn tail(&self) -> String {
        format!("{:02x}{:02x}", self.0[14], self.0[15])
    }
}

written_in_hexadecimal!(NodeId, 16, "a node id");

/// A session of the portal: the first 16 bytes of the SHA-256 of the token in the browser's cookie, so that whoever
/// reads it cannot take the session over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The session with this token.
    pub fn from_token(token: &str) -> Self {
        Self(short_digest(token.as_bytes()))
    }
}

written_in_hexadecimal!(SessionId, 16, "the id of a session");

/// One running copy of a function; never used twice in the life of a bramble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl FromStr for ReplicaId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('r').and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| IdError::Replica(text.to_owned()))
    }
}

travels_as_string!(ReplicaId);

/// Version of the whole replicated state: grows by one with every applied command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Version of the set of things that one node should run. Orders by epoch first: the epoch grows when a bramble
/// is recovered or restored, so that no node mistakes the older state for a newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// How often the bramble was recovered or restored.
    pub epoch: u64,
    /// Grows whenever the node's set changes.
    pub number: u64,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl FromStr for Generation {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || IdError::Generation(text.to_owned());
        let (epoch, number) = text.split_once('.').ok_or_else(refuse)?;
        Ok(Self {
            epoch: epoch.parse().map_err(|_| refuse())?,
            number: number.parse().map_err(|_| refuse())?,
        })
    }
}

travels_as_string!(Generation);

/// Whether `text` may name a function or a namespace (a DNS label: Kubernetes' rule, which OpenFaaS clients share).
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A function's full name: its name within a namespace. Prints as `name.namespace`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName {
    namespace: String,
    name: String,
}

/// The namespace that is meant where a client names none (OpenFaaS' own default).
pub const DEFAULT_NAMESPACE: &str = "openfaas-fn";

impl FunctionName {
    /// The function `name` of `namespace`; an empty namespace means [`DEFAULT_NAMESPACE`].
    ///
    /// # Errors
    /// [`IdError::Name`] where either is not 1 to 63 lowercase letters, digits and inner `-`.
    pub fn new(name: &str, namespace: &str) -> Result<Self, IdError> {
        let namespace = if namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            namespace
        };
        for part in [name, namespace] {
            if !is_dns_label(part) {
                return Err(IdError::Name(part.to_owned()));
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The name within its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

impl FromStr for FunctionName {
    type Err = IdError;

    /// Reads `name` or `name.namespace`, split at the last dot as OpenFaaS does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once('.') {
            Some((name, namespace)) if !name.is_empty() => Self::new(name, namespace),
            _ => Self::new(text, ""),
        }
    }
}

travels_as_string!(FunctionName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_reads_back_what_it_prints() {
        let id = NodeId::from_public_key(b"some key");
        assert_eq!(id.to_string().parse::<NodeId>().unwrap(), id);
        assert_eq!(id.to_string().len(), 32);
        assert!(id.to_string().ends_with(&id.tail()));
    }

    #[test]
    fn an_id_of_the_wrong_shape_is_refused() {
        assert!("7f2a".parse::<NodeId>().is_err());
        assert!("+0000000000000000000000000000001".parse::<NodeId>().is_err());
        assert!("7".parse::<ReplicaId>().is_err());
        assert!("1".parse::<Generation>().is_err());
    }

    #[test]
    fn a_function_without_a_namespace_is_in_the_default_one() {
        let name: FunctionName = "env".parse().unwrap();
        assert_eq!(name.to_string(), "env.openfaas-fn");
        assert_eq!(
            "env.class-4b".parse::<FunctionName>().unwrap().namespace(),
            "class-4b"
        );
    }

    #[test]
    fn names_that_kubernetes_would_refuse_are_refused() {
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", &"a".repeat(64)] {
            assert!(FunctionName::new(bad, "").is_err(), "{bad}");
        }
        assert!(FunctionName::new(&"a".repeat(63), "").is_ok());
    }

    #[test]
    fn a_later_epoch_beats_any_number() {
        let restored = Generation { epoch: 2, number: 1 };
        assert!(
            restored
                > Generation {
                    epoch: 1,
                    number: 900
                }
        );
    }

    #[test]
    fn ids_work_as_keys_of_a_json_object() {
        let map = std::collections::BTreeMap::from([(ReplicaId(7), NodeId::from_number(1))]);
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(text, r#"{"r7":"00000000000000000000000000000001"}"#);
        assert_eq!(
            serde_json::from_str::<std::collections::BTreeMap<ReplicaId, NodeId>>(&text).unwrap(),
            map
        );
    }
}
