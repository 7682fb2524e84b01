//! What reconciler and sync share: the replicas, and what the engine said.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use api::{Generation, Platform, ReplicaId, sync::DesiredReplica, sync::ReplicaReport};
use tokio::sync::{Notify, watch};

use crate::{
    engine::Abilities,
    plan::Now,
    replicas::{OlderGeneration, Replicas},
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
}

/// What is told about the engine and what it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) replicas: Option<BTreeMap<ReplicaId, ReplicaReport>>,
    pub(crate) images: BTreeMap<String, BTreeSet<Platform>>,
    pub(crate) abilities: Abilities,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            replicas: Mutex::new(Replicas::new()),
            ordered: Notify::new(),
            report: watch::Sender::default(),
            bridge: watch::Sender::new(None),
        }
    }

    /// Time since this agent began.
    pub(crate) fn now(&self) -> Now {
        self.began.elapsed()
    }

    pub(crate) fn replicas(&self) -> MutexGuard<'_, Replicas> {
        self.replicas.lock().expect("no panic while held")
    }

    /// Takes over new orders and wakes the reconciler.
    pub(crate) fn order(
        &self,
        generation: Generation,
        desired: BTreeMap<ReplicaId, DesiredReplica>,
    ) -> Result<(), OlderGeneration> {
        self.replicas().order(generation, desired, self.now())?;
        self.ordered.notify_one();
        Ok(())
    }
}
