//! What users do to functions.

use std::{collections::BTreeMap, sync::Arc};

use api::{FunctionName, FunctionSpec, spec::MAX_REPLICAS};

use super::Change;
use crate::{
    command::Expect,
    outcome::Refusal,
    secrets::SecretName,
    state::{Function, State},
};

impl Change<'_> {
    /// Environment, labels and all else are replaced by what the new spec says; the number of replicas only where
    /// it says how many it begins with (OpenFaaS contract 4.10).
    pub(super) fn put_function(&mut self, spec: Arc<FunctionSpec>, expect: Expect) -> Result<(), Refusal> {
        let name = spec.name.clone();
        let secret = |secret: &String| SecretName::new(name.namespace(), secret);
        if let Some(missing) = spec
            .secrets
            .iter()
            .map(secret)
            .find(|name| self.state.secret(name).is_none())
        {
            return Err(Refusal::NoSuchSecret(missing));
        }
        let function = match (self.state.functions.get(&name), expect) {
            (Some(_), Expect::Absent) => return Err(Refusal::AlreadyExists(name)),
            (None, Expect::Present) => return Err(Refusal::NoSuchFunction(name)),
            (None, _) => Function {
                wanted: clamp(&spec, spec.scale_min().unwrap_or(1)),
                version: self.revision,
                created: self.at,
                updated: self.at,
                image: None,
                older: BTreeMap::new(),
                older_images: BTreeMap::new(),
                spec,
            },
            (Some(old), _) => {
                let mut older = old.older.clone();
                older.insert(old.version, Arc::clone(&old.spec));
                let mut older_images = old.older_images.clone();
                older_images.extend(old.image.clone().map(|image| (old.version, image)));
                let in_use = |version: &u64| has_version(self.state, &name, *version);
                older.retain(|version, _| in_use(version));
                older_images.retain(|version, _| in_use(version));
                let wanted = match spec.scale_min() {
                    Some(min) => min,
                    None => old.wanted,
                };
                Function {
                    wanted: clamp(&spec, wanted),
                    version: self.revision,
                    created: old.created,
                    updated: self.at,
                    // The name may mean a newer image by now.
                    image: None,
                    older,
                    older_images,
                    spec,
                }
            }
        };
        let image = function.spec.image.clone();
        let text = if self
            .state
            .functions
            .insert(name.clone(), Arc::new(function))
            .is_none()
        {
            self.routes_changed();
            format!("{name} was deployed: {image}.")
        } else {
            format!("{name} was deployed again: {image}.")
        };
        self.record(Some(name), None, text);
        Ok(())
    }

    pub(super) fn remove_function(&mut self, name: &FunctionName) -> Result<(), Refusal> {
        if self.state.functions.remove(name).is_none() {
            return Err(Refusal::NoSuchFunction(name.clone()));
        }
        self.state.totals.remove(name);
        let its: Vec<_> = self.state.replicas_of(name).map(|(id, _)| id).collect();
        for id in its {
            self.drain(id);
        }
        self.routes_changed();
        self.record(Some(name.clone()), None, format!("{name} was removed."));
        Ok(())
    }

    pub(super) fn scale_function(&mut self, name: &FunctionName, replicas: u32) -> Result<(), Refusal> {
        let Some(function) = self.state.functions.get_mut(name) else {
            return Err(Refusal::NoSuchFunction(name.clone()));
        };
        let function = Arc::make_mut(function);
        let wanted = match replicas {
            0 => 0,
            some => clamp(&function.spec, some.max(function.spec.scale_min().unwrap_or(1))),
        };
        let before = std::mem::replace(&mut function.wanted, wanted);
        if before != wanted {
            self.record(
                Some(name.clone()),
                None,
                format!("{name} was scaled from {before} to {wanted}."),
            );
        }
        Ok(())
    }

    /// Drops specs of older versions that nothing runs any more.
    pub(super) fn forget_old_versions(&mut self, name: &FunctionName) {
        let Some(function) = self.state.functions.get(name) else {
            return;
        };
        let unused = |version: &&u64| !has_version(self.state, name, **version);
        let unused: Vec<u64> = function.older.keys().filter(unused).copied().collect();
        if !unused.is_empty() {
            let function = self.state.functions.get_mut(name).expect("found above");
            let function = Arc::make_mut(function);
            function.older.retain(|version, _| !unused.contains(version));
            function
                .older_images
                .retain(|version, _| !unused.contains(version));
        }
    }
}

/// Whether a replica that is not on its way out runs this version.
fn has_version(state: &State, name: &FunctionName, version: u64) -> bool {
    state
        .replicas_of(name)
        .any(|(_, replica)| replica.version == version && !replica.is_draining())
}

/// A label that allows no replica at all is passed over: the function could never be woken.
fn clamp(spec: &FunctionSpec, replicas: u32) -> u32 {
    replicas
        .min(spec.scale_max().filter(|max| *max > 0).unwrap_or(MAX_REPLICAS))
        .min(MAX_REPLICAS)
}
