//! Secrets as the state holds them: sealed with the bramble's key, which is closed for each controller. Opaque here;
//! sealing and opening is the controller's.

use std::{collections::BTreeMap, fmt, str::FromStr};

use api::{NodeId, secrets::check_name};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state::{Function, State};

/// Namespace and name of a secret; `namespace/name` as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    namespace: String,
    name: String,
}

impl SecretName {
    /// Of a namespace that exists and a name that was checked (`api::secrets::check_name`).
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once('/').ok_or("a secret's name has no namespace")?;
        check_name(name).map_err(|error| error.to_string())?;
        Ok(Self::new(namespace, name))
    }
}

impl Serialize for SecretName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Something sealed, as text. Safe to store and to show, but not worth showing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sealed)")
    }
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Revision at which it was changed last.
    pub version: u64,
    /// Its value.
    pub value: Sealed,
}

/// The bramble's key, closed once for each controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// Which key it is: told by its owners, says nothing about it.
    pub id: String,
    /// The key, for each controller.
    pub keys: BTreeMap<NodeId, Sealed>,
}

impl Keyring {
    /// Whether `node` could lead as far as the key goes: it has it, or there is none yet.
    pub fn serves(&self, node: NodeId) -> bool {
        self.is_empty() || self.keys.contains_key(&node)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Versions of the secrets that `function` names, as far as they exist, by name.
pub(crate) fn versions(state: &State, function: &Function, version: u64) -> BTreeMap<String, u64> {
    let Some(spec) = function.spec_of(version) else {
        return BTreeMap::new();
    };
    let versions = spec.secrets.iter().filter_map(|name| {
        let secret = state.secret(&SecretName::new(spec.name.namespace(), name))?;
        Some((name.clone(), secret.version))
    });
    versions.collect()
}

/// The secrets that the functions of this name on `node` may know: those that a replica there names which is to run.
pub fn granted(state: &State, node: NodeId, function: &api::FunctionName) -> Vec<SecretName> {
    let Some(found) = state.function(function) else {
        return Vec::new();
    };
    let its = state
        .replicas_of(function)
        .filter(|(_, replica)| replica.node == node && !replica.is_draining());
    let specs = its.filter_map(|(_, replica)| found.spec_of(replica.version));
    let mut names: Vec<_> = specs
        .flat_map(|spec| {
            spec.secrets
                .iter()
                .map(|name| SecretName::new(spec.name.namespace(), name))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
