//! Carries out what [`crate::replicas`] plans, on a real engine.
//!
//! One task owns all of it: it looks, plans, starts steps and probes in tasks of their own, and takes their results
//! back. It is woken by orders, by the engine's events, by results and by a timer, and does the same each time.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use api::{ReplicaId, spec::Probe};
use gateway::Gateway;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    engine::{Abilities, Engine, EngineError, Progress},
    plan::Step,
    prober,
    replicas::Question,
    secrets::Secrets,
    shared::{Images, Report, Shared},
};

/// Time between looks when nothing seems to have changed, so that a missed event or a container removed by hand heals
/// by itself. One look is one `list`.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Time between looks at how many invocations a draining replica still has.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);

/// Longest that a look may take before the engine counts as lost.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Pause before an engine that does not answer is asked again; starts here and doubles.
const REOPEN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Results that wait to be taken in.
const RESULTS: usize = 256;

/// What a task of the reconciler tells it.
#[derive(Debug)]
pub(crate) enum Told {
    /// How far a start is.
    Progress {
        task: u64,
        replica: ReplicaId,
        words: String,
    },
    /// A step ended.
    Ended {
        task: u64,
        step: Step,
        result: Result<(), EngineError>,
    },
    /// A replica answered, or did not.
    Answered {
        replica: ReplicaId,
        run: String,
        question: Question,
        answer: Result<(), String>,
    },
}

/// Which probes a replica's prober follows: with others it is replaced.
type Probed = (SocketAddr, String, Probe, Probe);

pub(crate) struct Reconciler<E> {
    engine: Arc<E>,
    shared: Arc<Shared>,
    gateway: Gateway,
    secrets: Secrets,
    abilities: Option<Abilities>,
    /// What was last said of an engine that does not answer: said once, since logs are written to the card.
    complaint: Option<String>,
    pause: Duration,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    tasks: BTreeMap<ReplicaId, (u64, AbortHandle)>,
    next_task: u64,
    probers: BTreeMap<ReplicaId, (Probed, AbortHandle)>,
    addresses: BTreeMap<ReplicaId, SocketAddr>,
    /// Whether the images are to be looked at: some may have come or gone.
    look_at_images: bool,
}

impl<E: Engine> Reconciler<E> {
    pub(crate) fn new(engine: Arc<E>, shared: Arc<Shared>, gateway: Gateway, secrets: Secrets) -> Self {
        let (tell, told) = mpsc::channel(RESULTS);
        Self {
            engine,
            shared,
            gateway,
            secrets,
            abilities: None,
            complaint: None,
            pause: REOPEN.0,
            tell,
            told,
            tasks: BTreeMap::new(),
            next_task: 0,
            probers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            look_at_images: true,
        }
    }

    /// Runs until `stop`. Replicas are left as they are.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut look = true;
        let mut looked_at = Instant::now();
        loop {
            if look || self.abilities.is_none() || looked_at.elapsed() >= LOOK_INTERVAL {
                look = !self.look().await;
                looked_at = Instant::now();
            }
            self.act();
            self.refresh_images().await;
            self.publish();
            let wait = if look { self.pause } else { self.next_pass() };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.ordered.notified() => {}
                () = self.engine.changed() => look = true,
                () = self.engine.images_changed() => self.look_at_images = true,
                Some(told) = self.told.recv() => look |= self.take_in(told),
                () = sleep(wait) => {}
            }
            while let Ok(told) = self.told.try_recv() {
                look |= self.take_in(told);
            }
        }
        let tasks = self.tasks.into_values().map(|(_, task)| task);
        tasks
            .chain(self.probers.into_values().map(|(_, task)| task))
            .for_each(|task| task.abort());
    }

    /// Looks at what is there; opens the engine first where that is due. Says whether it worked.
    async fn look(&mut self) -> bool {
        match self.try_look().await {
            Ok(()) => {
                self.pause = REOPEN.0;
                self.complaint = None;
                true
            }
            Err(error) => {
                let words = error.in_words();
                if self.complaint.as_ref() != Some(&words) {
                    warn!(error = words, "the engine does not answer");
                    self.complaint = Some(words.clone());
                }
                self.shared.replicas().lost_sight();
                self.abilities = None;
                self.shared
                    .report
                    .send_modify(|report| report.abilities.warnings = [words].into());
                self.pause = (self.pause * 2).min(REOPEN.1);
                false
            }
        }
    }

    async fn try_look(&mut self) -> Result<(), EngineError> {
        if self.abilities.is_none() {
            let abilities = self.engine.open().await?;
            info!(?abilities, "the engine is ready");
            self.shared.bridge.send_if_modified(|bridge| {
                let changed = *bridge != abilities.gateway;
                *bridge = abilities.gateway;
                changed
            });
            self.abilities = Some(abilities);
            self.look_at_images = true;
        }
        let seen = timeout(LOOK_LIMIT, self.engine.list())
            .await
            .unwrap_or_else(|_| {
                Err(EngineError::Unreachable {
                    what: "the engine takes too long to say what runs".to_owned(),
                    source: format!("no answer within {} s", LOOK_LIMIT.as_secs()).into(),
                })
            })?;
        let now = self.shared.now();
        self.shared.replicas().observe(seen, now);
        Ok(())
    }

    /// Begins the steps that are due, and asks those that run.
    fn act(&mut self) {
        let shared = self.shared.clone();
        let now = shared.now();
        let mut replicas = shared.replicas();
        if replicas.is_draining() {
            let running = replicas.running().into_keys();
            let counts = running
                .map(|replica| (replica, self.gateway.local_in_flight(replica)))
                .collect();
            replicas.in_flight(&counts);
        }
        let steps = replicas.steps(now);
        let running = replicas.running();
        let probed: BTreeMap<ReplicaId, Probed> = running
            .into_iter()
            .map(|(replica, (address, run))| {
                let (ready, alive) = replicas.probes(replica);
                (replica, (address, run, ready, alive))
            })
            .collect();
        drop(replicas);
        for step in steps {
            self.begin(step);
        }
        self.probe(probed);
    }

    fn begin(&mut self, step: Step) {
        info!(replica = %step.replica(), function = step.function().map(tracing::field::display), step = step.name());
        self.next_task += 1;
        let (task, replica) = (self.next_task, step.replica());
        let (engine, secrets, tell) = (self.engine.clone(), self.secrets.clone(), self.tell.clone());
        let handle = tokio::spawn(async move {
            let progress: Progress = {
                let tell = tell.clone();
                // Words that find no room are no loss: more will come, or the end.
                Arc::new(move |words| _ = tell.try_send(Told::Progress { task, replica, words }))
            };
            let ready = match &step {
                Step::Start { desired, .. } => secrets.ensure(desired).await,
                _ => Ok(()),
            };
            let result = match ready {
                Ok(()) => engine.run(&step, &progress).await,
                Err(error) => Err(error),
            };
            // Nobody takes it in once the agent ends.
            _ = tell.send(Told::Ended { task, step, result }).await;
        });
        // A start that is given up ends here, wherever it is.
        if let Some((_, earlier)) = self.tasks.insert(replica, (task, handle.abort_handle())) {
            earlier.abort();
        }
    }

    fn probe(&mut self, probed: BTreeMap<ReplicaId, Probed>) {
        self.probers.retain(|replica, (known, task)| {
            let stays = probed.get(replica) == Some(known);
            if !stays {
                task.abort();
            }
            stays
        });
        for (replica, probed) in probed {
            self.probers.entry(replica).or_insert_with(|| {
                let (address, run, ready, alive) = probed.clone();
                let prober = prober::run(
                    self.engine.clone(),
                    self.tell.clone(),
                    replica,
                    address,
                    run,
                    ready,
                    alive,
                );
                (probed, tokio::spawn(prober).abort_handle())
            });
        }
    }

    /// Takes in what a task says; tells whether it is time to look again.
    fn take_in(&mut self, told: Told) -> bool {
        let now = self.shared.now();
        let mut replicas = self.shared.replicas();
        let is_current = |task: u64, replica| {
            self.tasks
                .get(&replica)
                .is_some_and(|(current, _)| *current == task)
        };
        match told {
            Told::Progress { task, replica, words } => {
                if is_current(task, replica) {
                    replicas.progress(replica, words);
                }
                false
            }
            Told::Ended { task, step, result } => {
                if !is_current(task, step.replica()) {
                    return false;
                }
                let result = result.map_err(|error| {
                    let words = error.in_words();
                    warn!(replica = %step.replica(), step = step.name(), error = words, "a step failed");
                    words
                });
                replicas.ended(&step, result, now);
                drop(replicas);
                self.tasks.remove(&step.replica());
                self.look_at_images = true;
                true
            }
            Told::Answered {
                replica,
                run,
                question,
                answer,
            } => {
                replicas.answered(replica, &run, question, answer, now);
                false
            }
        }
    }

    async fn refresh_images(&mut self) {
        if self.abilities.is_none() || !self.look_at_images {
            return;
        }
        // Where this fails the next look will tell why.
        if let Ok(held) = self.engine.images().await {
            self.look_at_images = false;
            let images = Some(Arc::new(Images::new(held)));
            self.shared.report.send_if_modified(|report| {
                let changed = report.images != images;
                report.images = images;
                changed
            });
        }
    }

    /// Tells gateway and sync how it stands, where that changed.
    fn publish(&mut self) {
        let replicas = self.shared.replicas();
        let (addresses, report) = (replicas.addresses(), replicas.report(self.shared.now()));
        let knows = replicas.has_looked();
        drop(replicas);
        // An engine that does not answer for a while may still run everything.
        if knows && addresses != self.addresses {
            self.gateway.set_local(&addresses);
            self.addresses = addresses;
        }
        self.shared.report.send_if_modified(|known| {
            let new = Report {
                replicas: report,
                images: known.images.clone(),
                abilities: self.abilities.clone().unwrap_or_else(|| known.abilities.clone()),
            };
            let changed = *known != new;
            *known = new;
            changed
        });
    }

    fn next_pass(&self) -> Duration {
        let replicas = self.shared.replicas();
        let now = self.shared.now();
        let due = replicas
            .due(now)
            .map_or(LOOK_INTERVAL, |due| due.saturating_sub(now));
        let longest = if replicas.is_draining() {
            DRAIN_INTERVAL
        } else {
            LOOK_INTERVAL
        };
        due.clamp(Duration::from_millis(1), longest)
    }
}
