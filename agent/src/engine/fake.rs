//! An engine that only pretends, for tests of plan and sync and for simulations.
//!
//! Synchronous and without a clock of its own: a started replica runs at once, and the test decides what dies.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use api::{ReplicaId, images::HeldImage};
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Notify;

use crate::{
    engine::{Abilities, Ending, Engine, EngineError, LogsWanted, Progress, Seen, State, Written},
    plan::Step,
};

/// Replicas that are only in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeEngine {
    replicas: BTreeMap<ReplicaId, Seen>,
    starts: u64,
    address: Option<SocketAddr>,
}

impl FakeEngine {
    /// An engine without replicas.
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine all of whose replicas answer at `address`.
    pub fn answering_at(address: SocketAddr) -> Self {
        Self {
            address: Some(address),
            ..Self::default()
        }
    }

    /// All that is there.
    pub fn list(&self) -> BTreeMap<ReplicaId, Seen> {
        self.replicas.clone()
    }

    /// Carries out one step at once.
    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Start {
                replica,
                desired,
                generation,
            } => {
                let same = |seen: &Seen| {
                    seen.version == desired.version && matches!(seen.state, State::Running { .. })
                };
                if self.replicas.get(replica).is_some_and(same) {
                    return;
                }
                self.starts += 1;
                let port = u16::try_from(1024 + self.starts % 60_000).unwrap_or(1024);
                let made_up = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let seen = Seen {
                    function: desired.spec.name.clone(),
                    version: desired.version,
                    generation: *generation,
                    grace: desired.spec.stop_grace(),
                    run: self.starts.to_string(),
                    state: State::Running {
                        address: self.address.unwrap_or(made_up),
                    },
                };
                self.replicas.insert(*replica, seen);
            }
            Step::Stop { replica, .. } => _ = self.replicas.remove(replica),
            Step::Freeze { replica } => self.change(*replica, |state| match state {
                State::Running { address } => State::Frozen { address },
                other => other,
            }),
            Step::Thaw { replica } => self.change(*replica, |state| match state {
                State::Frozen { address } => State::Running { address },
                other => other,
            }),
        }
    }

    /// Lets a replica die, if it is there.
    pub fn kill(&mut self, replica: ReplicaId, ending: Ending) {
        self.change(replica, |_| State::Ended(ending));
    }

    fn change(&mut self, replica: ReplicaId, how: impl FnOnce(State) -> State) {
        if let Some(seen) = self.replicas.get_mut(&replica) {
            seen.state = how(seen.state.clone());
        }
    }
}

/// The same behind a lock, for tests of the parts that run by themselves.
#[derive(Clone, Debug, Default)]
pub struct SharedFakeEngine(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    engine: Mutex<FakeEngine>,
    unreachable: Mutex<bool>,
    changed: Notify,
}

impl SharedFakeEngine {
    /// `engine`, shared.
    pub fn new(engine: FakeEngine) -> Self {
        Self(Arc::new(Inner {
            engine: Mutex::new(engine),
            ..Inner::default()
        }))
    }

    /// The engine itself.
    pub fn lock(&self) -> MutexGuard<'_, FakeEngine> {
        self.0.engine.lock().expect("no panic while held")
    }

    /// Lets the engine answer or not.
    pub fn set_reachable(&self, reachable: bool) {
        *self.0.unreachable.lock().expect("no panic while held") = !reachable;
        self.0.changed.notify_one();
    }

    /// Says that something happened to a replica.
    pub fn notify(&self) {
        self.0.changed.notify_one();
    }

    fn reach(&self) -> Result<MutexGuard<'_, FakeEngine>, EngineError> {
        if *self.0.unreachable.lock().expect("no panic while held") {
            return Err(EngineError::Unreachable {
                what: "the fake engine does not answer".to_owned(),
                source: "as the test wants it".into(),
            });
        }
        Ok(self.lock())
    }
}

impl Engine for SharedFakeEngine {
    async fn open(&self) -> Result<Abilities, EngineError> {
        self.reach().map(|_| Abilities::default())
    }

    async fn list(&self) -> Result<BTreeMap<ReplicaId, Seen>, EngineError> {
        self.reach().map(|engine| engine.list())
    }

    async fn run(&self, step: &Step, _progress: &Progress) -> Result<(), EngineError> {
        self.reach()?.run(step);
        self.0.changed.notify_one();
        Ok(())
    }

    async fn images(&self) -> Result<Vec<HeldImage>, EngineError> {
        self.reach().map(|_| Vec::new())
    }

    async fn images_changed(&self) {
        std::future::pending().await
    }

    async fn logs(&self, _: ReplicaId, _: LogsWanted) -> Result<BoxStream<'static, Written>, EngineError> {
        self.reach().map(|_| stream::empty().boxed())
    }

    async fn has_lock_file(&self, _: ReplicaId) -> bool {
        false
    }

    async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
