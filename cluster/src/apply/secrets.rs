//! Secrets, sealed: this room never sees a value.

use std::sync::Arc;

use api::NodeId;

use super::Change;
use crate::{
    command::Expect,
    outcome::Refusal,
    secrets::{Keyring, Sealed, Secret, SecretName},
};

impl Change<'_> {
    pub(super) fn put_secret(
        &mut self,
        name: SecretName,
        value: Sealed,
        expect: Expect,
    ) -> Result<(), Refusal> {
        let there = self.state.secrets.contains_key(&name);
        match (there, expect) {
            (true, Expect::Absent) => return Err(Refusal::SecretExists(name)),
            (false, Expect::Present) => return Err(Refusal::NoSuchSecret(name)),
            _ => {}
        }
        let secret = Secret {
            version: self.revision,
            value,
        };
        self.state.secrets.insert(name.clone(), Arc::new(secret));
        self.secret_changed(&name);
        let did = if there { "was changed" } else { "was created" };
        self.record(None, None, format!("The secret {name} {did}."));
        Ok(())
    }

    /// Also one that functions name: those that run keep what they were given.
    pub(super) fn remove_secret(&mut self, name: &SecretName) -> Result<(), Refusal> {
        if self.state.secrets.remove(name).is_none() {
            return Err(Refusal::NoSuchSecret(name.clone()));
        }
        self.record(None, None, format!("The secret {name} was removed."));
        Ok(())
    }

    /// The bramble's key, closed so that only the controller `node` can open it. A key that another one already
    /// brought is not replaced: secrets are sealed with it.
    pub(super) fn put_key(&mut self, node: NodeId, id: String, key: Sealed) -> Result<(), Refusal> {
        let keyring = &mut self.state.keyring;
        if !keyring.keys.is_empty() && keyring.id != id {
            return Err(Refusal::AnotherKey);
        }
        let keys = [(node, key)].into_iter().chain(keyring.keys.clone()).collect();
        *keyring = Keyring { id, keys };
        Ok(())
    }

    /// Nodes that run a function which names it are to be told.
    fn secret_changed(&mut self, name: &SecretName) {
        let names_it = |replica: &crate::state::Replica| {
            let function = self.state.function(&replica.function);
            let spec = function.and_then(|function| function.spec_of(replica.version));
            spec.is_some_and(|spec| {
                spec.name.namespace() == name.namespace() && spec.secrets.contains(name.name())
            })
        };
        let replicas = self.state.replicas.values();
        let nodes: Vec<NodeId> = replicas
            .filter(|r| names_it(r))
            .map(|replica| replica.node)
            .collect();
        for node in nodes {
            self.desired_changed(node);
        }
    }
}
