//! What reconciler and sync share: the replicas, and what the engine said.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use api::{
    Generation, NodeVitals, ReplicaId,
    images::HeldImage,
    join::BrambleId,
    sync::{DesiredReplica, ReplicaReport},
};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};

use crate::{
    engine::Abilities,
    images::sources::HoldersByDigest,
    plan::Now,
    replicas::{OlderGeneration, Replicas},
    secrets::{Wanted, wanted},
};

/// What reconciler and sync share. Locks are held for a few lines and never over an await.
#[derive(Debug)]
pub(crate) struct Shared {
    began: Instant,
    replicas: Mutex<Replicas>,
    /// New orders came.
    pub(crate) ordered: Notify,
    /// What sync tells the leader of this node's replicas; it sends at once when this changes.
    pub(crate) report: watch::Sender<Report>,
    /// The bridge's address for functions that call the gateway.
    pub(crate) bridge: watch::Sender<Option<IpAddr>>,
    /// Who holds the images that this node needs, as the leader last said.
    pub(crate) holders: watch::Sender<HoldersByDigest>,
    /// How this node is, as it was seen last.
    pub(crate) vitals: watch::Sender<NodeVitals>,
    /// What the leader said of the bramble.
    pub(crate) told: watch::Sender<Told>,
    /// The secrets that desired replicas name; `None` until the first orders.
    pub(crate) secrets: watch::Sender<Option<Wanted>>,
}

/// What the leader last said of the bramble as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it gave orders last; when the agent began, as long as it has not.
    pub heard: Instant,
    /// Whether a person has ever changed anything in the bramble, as far as that was told.
    pub work: bool,
    /// The bramble that this one has dissolved into. No further orders come then.
    pub dissolved: Option<BrambleId>,
    /// Whether this node was removed from the bramble. No further orders come then.
    pub removed: bool,
    /// What the bramble calls this node, once that was told.
    pub name: Option<String>,
}

impl Told {
    fn nothing() -> Self {
        Self {
            heard: Instant::now(),
            work: false,
            dissolved: None,
            removed: false,
            name: None,
        }
    }
}

/// What is told about the engine and what it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) replicas: Option<BTreeMap<ReplicaId, ReplicaReport>>,
    /// `None` while nobody has looked.
    pub(crate) images: Option<Arc<Images>>,
    pub(crate) abilities: Abilities,
}

/// The images that the engine holds, with a number that differs for others.
#[derive(Debug, PartialEq)]
pub(crate) struct Images {
    pub(crate) version: u64,
    pub(crate) held: Vec<HeldImage>,
}

impl Images {
    pub(crate) fn new(held: Vec<HeldImage>) -> Self {
        // The same number for the same images, also after a restart: they need not be sent again.
        let digest = Sha256::digest(serde_json::to_vec(&held).expect("plain texts and numbers"));
        let version = u64::from_be_bytes(*digest.first_chunk().expect("32 bytes are more than 8"));
        Self { version, held }
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            replicas: Mutex::new(Replicas::new()),
            ordered: Notify::new(),
            report: watch::Sender::default(),
            bridge: watch::Sender::new(None),
            holders: watch::Sender::default(),
            vitals: watch::Sender::default(),
            told: watch::Sender::new(Told::nothing()),
            secrets: watch::Sender::default(),
        }
    }

    /// Time since this agent began.
    pub(crate) fn now(&self) -> Now {
        self.began.elapsed()
    }

    pub(crate) fn replicas(&self) -> MutexGuard<'_, Replicas> {
        self.replicas.lock().expect("no panic while held")
    }

    /// This node was removed from the bramble: nothing of it is to run here any more.
    pub(crate) fn leave(&self) {
        self.stop_all();
        self.told.send_modify(|told| told.removed = true);
    }

    /// Nothing is to run here any more, whatever may be ordered from now on.
    pub(crate) fn stop_all(&self) {
        let last = Generation {
            epoch: u64::MAX,
            number: u64::MAX,
        };
        self.order(last, BTreeMap::new()).expect("newer than any other");
    }

    /// Takes over new orders and wakes the reconciler.
    pub(crate) fn order(
        &self,
        generation: Generation,
        desired: BTreeMap<ReplicaId, DesiredReplica>,
    ) -> Result<(), OlderGeneration> {
        let secrets = wanted(desired.values());
        self.replicas().order(generation, desired, self.now())?;
        self.secrets.send_if_modified(|wanted| {
            let secrets = Some(secrets);
            let changed = *wanted != secrets;
            *wanted = secrets;
            changed
        });
        self.ordered.notify_one();
        Ok(())
    }
}
