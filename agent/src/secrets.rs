//! The secrets of the functions that run here: asked of the leader, kept as files in memory, changed in place.
//!
//! ```text
//! <home>/env.openfaas-fn/api-key   what every replica of `env` here finds as /var/openfaas/secrets/api-key
//! ```
//!
//! Nothing is written to the card. What was fetched outlives the agent, as containers do, and is gone with the power.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{
    FunctionName, NodeId,
    secrets::{MAX_SECRET_BYTES, OpenSecret, SECRETS_PATH, SecretsAnswer, SecretsRequest, check_name},
    sync::DesiredReplica,
    versioned::{decode, encode},
};
use bytes::Bytes;
use gateway::Gateway;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use transport::{Body, Client, Peer};

use crate::engine::EngineError;

/// Longest answer that is read: some secrets as long as may be, each byte as two digits.
const MAX_ANSWER_BYTES: usize = 16 * MAX_SECRET_BYTES;

/// How long the leader may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Pause before what could not be fetched is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// Functions with secrets, and which versions of them are wanted.
pub(crate) type Wanted = BTreeMap<FunctionName, BTreeMap<String, u64>>;

/// Where the secrets of the functions on `node` are kept: a directory in memory where the system has one.
pub fn home(node: NodeId) -> PathBuf {
    let in_memory = [Path::new("/run"), Path::new("/dev/shm")];
    let usable = |base: &&Path| rustix::fs::access(*base, rustix::fs::Access::WRITE_OK).is_ok();
    let base = in_memory.into_iter().find(usable);
    let base = base.map_or_else(std::env::temp_dir, Path::to_path_buf);
    base.join(format!("bramble-{node}")).join("secrets")
}

/// Which secrets the replicas that are desired name.
pub(crate) fn wanted<'a>(desired: impl Iterator<Item = &'a DesiredReplica>) -> Wanted {
    let mut wanted = Wanted::new();
    for replica in desired.filter(|replica| !replica.spec.secrets.is_empty()) {
        let of_function = wanted.entry(replica.spec.name.clone()).or_default();
        for (name, version) in &replica.secrets {
            let newest = of_function.entry(name.clone()).or_default();
            *newest = (*newest).max(*version);
        }
    }
    wanted
}

/// The secrets of this node. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Secrets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: PathBuf,
    client: Client,
    gateway: Gateway,
    /// Versions of what the files hold. Empty at the start: what an earlier agent left is fetched again.
    have: Mutex<Wanted>,
}

impl Secrets {
    pub(crate) fn new(home: PathBuf, client: Client, gateway: Gateway) -> Self {
        Self(Arc::new(Inner {
            home,
            client,
            gateway,
            have: Mutex::default(),
        }))
    }

    /// Has everything that `desired` names in its files.
    ///
    /// # Errors
    /// Where a secret was removed, or its value cannot be had at present.
    pub(crate) async fn ensure(&self, desired: &DesiredReplica) -> Result<(), EngineError> {
        if desired.spec.secrets.is_empty() {
            return Ok(());
        }
        if let Some(gone) = desired
            .spec
            .secrets
            .iter()
            .find(|name| !desired.secrets.contains_key(*name))
        {
            return Err(EngineError::Refused(format!(
                "the secret {gone} was removed; create it again, or deploy the function without it"
            )));
        }
        self.fetch(&desired.spec.name, &desired.secrets).await
    }

    /// Follows what is wanted until `stop`: new values replace old ones, and what no replica names any more goes.
    /// Nothing goes before it is known what is wanted: replicas of an earlier agent have its directories mounted.
    pub(crate) async fn follow(self, mut wanted: watch::Receiver<Option<Wanted>>, stop: CancellationToken) {
        loop {
            let now = wanted.borrow_and_update().clone();
            let mut all = true;
            if let Some(now) = now {
                all = self.forget_all_but(&now).await;
                for (function, versions) in &now {
                    all &= self.fetch(function, versions).await.is_ok();
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = wanted.changed() => if changed.is_err() { return },
                () = sleep(AGAIN), if !all => {}
            }
        }
    }

    async fn fetch(
        &self,
        function: &FunctionName,
        wanted: &BTreeMap<String, u64>,
    ) -> Result<(), EngineError> {
        let mut have = self.0.have.lock().await;
        let current = |name: &String, version: &u64| {
            let here = have.get(function).and_then(|versions| versions.get(name));
            here.is_some_and(|here| here >= version)
        };
        if wanted.iter().all(|(name, version)| current(name, version)) {
            return Ok(());
        }
        let secrets = timeout(ANSWER_LIMIT, self.ask(function)).await;
        let secrets = secrets.ok().flatten().ok_or_else(|| {
            EngineError::Refused("its secrets cannot be had: no controller answers; trying again".to_owned())
        })?;
        let versions = secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.version));
        let versions: BTreeMap<_, _> = versions.collect();
        let directory = self.0.home.join(function.to_string());
        let written = tokio::task::spawn_blocking(move || write(&directory, &secrets));
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|source| EngineError::Failed {
            doing: format!("keep secrets in {}", self.0.home.display()),
            source: source.into(),
        })?;
        let missing = wanted.keys().find(|name| !versions.contains_key(*name)).cloned();
        have.insert(function.clone(), versions);
        match missing {
            Some(name) => Err(EngineError::Refused(format!(
                "the secret {name} is not given to this node yet; trying again"
            ))),
            None => Ok(()),
        }
    }

    /// What the leader says the secrets of `function` are.
    async fn ask(&self, function: &FunctionName) -> Option<BTreeMap<String, OpenSecret>> {
        let routes = self.0.gateway.routes();
        let id = routes.leader?;
        let peer = Peer {
            id,
            address: *routes.nodes.get(&id)?,
        };
        let question = SecretsRequest {
            function: function.clone(),
        };
        let request = Request::post(SECRETS_PATH)
            .body(Body::from(Bytes::from(encode(&question))))
            .ok()?;
        let answer = self.0.client.request(peer, request).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let bytes = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .ok()?;
        Some(decode::<SecretsAnswer>(&bytes.to_bytes()).ok()?.secrets)
    }

    /// Removes the secrets of functions that do not run here any more; whether that worked.
    async fn forget_all_but(&self, wanted: &Wanted) -> bool {
        self.0
            .have
            .lock()
            .await
            .retain(|function, _| wanted.contains_key(function));
        let keep: BTreeSet<String> = wanted.keys().map(ToString::to_string).collect();
        let home = self.0.home.clone();
        let removed = tokio::task::spawn_blocking(move || remove_all_but(&home, &keep)).await;
        match removed {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(%error, home = %self.0.home.display(), "failed to remove secrets");
                false
            }
            Err(_) => false,
        }
    }
}

/// Makes `directory` hold `secrets` and nothing else. The directory stays the same one, as running replicas have it
/// mounted; each file is whole at any moment. Only root comes to the directory above; whoever a replica runs as
/// may read what is in it.
fn write(directory: &Path, secrets: &BTreeMap<String, OpenSecret>) -> io::Result<()> {
    if let Some(home) = directory.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    for (name, secret) in secrets {
        check_name(name).map_err(io::Error::other)?;
        let unfinished = directory.join(format!(".{name}"));
        _ = fs::remove_file(&unfinished);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&unfinished)?;
        io::Write::write_all(&mut file, &secret.value.0)?;
        fs::rename(&unfinished, directory.join(name))?;
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| secrets.contains_key(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_all_but(home: &Path, keep: &BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| keep.contains(name)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use api::secrets::SecretBytes;

    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, OpenSecret> {
        let secret = |(name, value): &(&str, &str)| {
            let value = SecretBytes(value.as_bytes().to_vec());
            ((*name).to_owned(), OpenSecret { version: 1, value })
        };
        pairs.iter().map(secret).collect()
    }

    #[test]
    fn a_directory_holds_what_is_wanted_and_stays_the_one_that_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("secrets/env.openfaas-fn");
        write(&directory, &secrets(&[("a", "1"), ("b", "2")])).unwrap();
        let inode = fs::metadata(&directory).unwrap().ino();
        write(&directory, &secrets(&[("a", "other")])).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().ino(), inode);
        assert_eq!(fs::read_to_string(directory.join("a")).unwrap(), "other");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn only_the_owner_comes_to_the_secrets_of_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("secrets");
        write(&home.join("env.openfaas-fn"), &secrets(&[("a", "1")])).unwrap();
        assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("env");
        assert!(write(&directory, &secrets(&[("../../evil", "1")])).is_err());
    }

    #[test]
    fn secrets_of_functions_that_left_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for function in ["env.openfaas-fn", "sh.openfaas-fn"] {
            write(&folder.path().join(function), &secrets(&[("a", "1")])).unwrap();
        }
        remove_all_but(folder.path(), &["sh.openfaas-fn".to_owned()].into()).unwrap();
        assert!(!folder.path().join("env.openfaas-fn").exists());
        assert!(folder.path().join("sh.openfaas-fn/a").exists());
        remove_all_but(&folder.path().join("nowhere"), &BTreeSet::new()).unwrap();
    }
}
