//! The conversation with the leader: report and counters there, orders and routes back (`api::sync`).
//!
//! A request hangs for up to a second. When a replica's phase changes, or an invocation waits for a replica, the
//! hanging request is dropped and a new one is sent at once. A node that reaches no controller keeps what it runs.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use api::{
    Generation, NodeId, NodeVitals,
    images::Holdings,
    sync::{Orders, SYNC_PATH, SyncAnswer, SyncRequest},
    versioned,
};
use bytes::Bytes;
use gateway::Gateway;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use transport::{Body, Client, Peer, REMOVED};

use crate::{
    config::AgentConfig,
    light::{NodeLight, Stage},
    pulse::Pulse,
    report::Machine,
    shared::{Images, Report, Shared},
    sign::Sign,
};

/// Longest that an answer may take: a leader lets a request hang for a second. Who asks the next leader later than that and
/// `cluster::liveness::SILENCE` is taken for lost.
const ANSWER_LIMIT: Duration = Duration::from_millis(2500);

/// Pause before the next controller is tried; starts here and doubles.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A request is not dropped for news before it is this old: under a stream of news answers must still arrive.
const SHORTEST: Duration = Duration::from_millis(30);

/// Largest answer that is read: routes and orders of a thousand nodes stay far below.
const ANSWER_BYTES: usize = 32 << 20;

pub(crate) struct Sync {
    config: Arc<AgentConfig>,
    machine: Machine,
    shared: Arc<Shared>,
    gateway: Gateway,
    client: Client,
    light: NodeLight,
    sign: Sign,
    pulse: Pulse,
    incarnation: u64,
    routes: Option<Generation>,
    /// Version of this node's images that the leader has.
    leader_knows: Option<u64>,
    leader: Option<Peer>,
    /// Who did not answer last: others are asked first.
    missed: Option<NodeId>,
    /// The code for the first visit that was shown last.
    shown_code: Option<String>,
    next_controller: usize,
    /// Whether the last attempts failed: said once, since logs are written to the card.
    cut_off: bool,
    pause: Duration,
}

/// How one exchange came out.
enum Exchange {
    /// There is news to send: begin again at once.
    News,
    /// Go on at once.
    Heard,
    /// Try after a pause, perhaps somewhere else.
    Again,
    /// The bramble has ended, or goes on without this node.
    Last,
}

#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("no answer within {ANSWER_LIMIT:?}")]
    Late,
    #[error(transparent)]
    Client(#[from] transport::ClientError),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("it says that this node was removed from the bramble")]
    Removed,
    #[error("the answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + std::marker::Sync>),
    #[error(transparent)]
    Unreadable(#[from] versioned::DecodeError),
}

impl Sync {
    pub(crate) fn new(
        config: Arc<AgentConfig>,
        shared: Arc<Shared>,
        gateway: Gateway,
        client: Client,
        light: NodeLight,
        sign: Sign,
        pulse: Pulse,
    ) -> Self {
        Self {
            machine: Machine::read(&config.root),
            config,
            light,
            sign,
            pulse,
            shared,
            gateway,
            client,
            // Different for each run of the program, which is all that is asked of it.
            incarnation: RandomState::new().hash_one(()),
            routes: None,
            leader_knows: None,
            leader: None,
            missed: None,
            shown_code: None,
            next_controller: 0,
            cut_off: false,
            pause: RETRY.0,
        }
    }

    /// Talks until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut news = self.shared.report.subscribe();
        loop {
            self.pulse.beat();
            let exchange = tokio::select! {
                () = stop.cancelled() => return,
                exchange = self.exchange(&mut news) => exchange,
            };
            match exchange {
                Exchange::News => {}
                Exchange::Heard => self.pause = RETRY.0,
                Exchange::Last => return stop.cancelled().await,
                Exchange::Again => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(self.pause) => {}
                    }
                    self.pause = (self.pause * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn exchange(&mut self, news: &mut watch::Receiver<Report>) -> Exchange {
        let Some(peer) = self.leader.or_else(|| self.controller()) else {
            return Exchange::Again;
        };
        let report = news.borrow_and_update().clone();
        let request = versioned::encode(&self.request(report));
        let began = Instant::now();
        let has_news = async {
            tokio::select! {
                // The sender lives as long as this.
                _ = news.changed() => {}
                () = self.gateway.woken() => {}
            }
            sleep_until(began + SHORTEST).await;
        };
        let mut leadership = self.config.contacts.leadership();
        let another_leads = async {
            while leadership.changed().await.is_ok() {
                if leadership.borrow().is_some_and(|leader| leader != peer.id) {
                    return;
                }
            }
            std::future::pending().await
        };
        let answer = tokio::select! {
            answer = ask(&self.client, peer, request) => answer,
            () = has_news => return Exchange::News,
            () = another_leads => {
                (self.leader, self.next_controller) = (None, 0);
                return Exchange::News;
            }
        };
        match answer {
            Ok(SyncAnswer::Orders(orders)) => {
                (self.leader, self.missed) = (Some(peer), None);
                if std::mem::take(&mut self.cut_off) {
                    info!(leader = %peer.id, "the leader answers again");
                }
                self.light.told(orders.light.clone());
                let ended = orders.dissolved.is_some();
                self.shared.told.send_modify(|told| {
                    told.heard = Instant::now().into_std();
                    told.work |= orders.work;
                    told.dissolved = orders.dissolved;
                    if told.name != orders.name && orders.name.is_some() {
                        told.name.clone_from(&orders.name);
                    }
                });
                match self.follow(orders) {
                    _ if ended => Exchange::Last,
                    true => Exchange::Heard,
                    false => Exchange::Again,
                }
            }
            Ok(SyncAnswer::NotLeader {
                leader: Some((id, address)),
            }) => {
                // Members know best: somebody has let it in again, and nobody but itself could tell this node so.
                if self.is_member(peer) {
                    self.client.pardon(id);
                }
                // It may say where the leader was before all addresses changed.
                let address = self.config.contacts.seen(id).unwrap_or(address);
                self.turn_to(Peer { id, address }, peer)
            }
            Ok(SyncAnswer::NotLeader { leader: None }) => self.try_next(),
            Ok(SyncAnswer::NotAdmitted) => {
                self.light.stage(Stage::Waiting);
                self.complain(peer, "this node is not part of the bramble");
                self.try_next()
            }
            Err(ExchangeError::Removed) if self.is_member(peer) => {
                warn!(
                    by = %peer.id,
                    "this node was removed from the bramble: it stops what it runs, and stays out until somebody admits it again"
                );
                self.light.stage(Stage::Waiting);
                self.shared.leave();
                Exchange::Last
            }
            Err(error) => {
                self.complain(peer, &in_words(&error));
                self.missed = Some(peer.id);
                self.try_next()
            }
        }
    }

    /// Whether `peer` is of the bramble, as far as this node was told: one that was removed itself still has a
    /// certificate, and might say anything.
    fn is_member(&self, peer: Peer) -> bool {
        let routes = self.gateway.routes();
        routes.nodes.is_empty() || routes.nodes.contains_key(&peer.id)
    }

    /// The controller whose turn it is.
    fn controller(&self) -> Option<Peer> {
        let mut all = self.config.contacts.controllers(&self.gateway.routes());
        if all.len() > 1 {
            all.retain(|(id, _)| Some(*id) != self.missed);
        }
        let (id, address) = *all.get(self.next_controller % all.len().max(1))?;
        Some(Peer { id, address })
    }

    fn try_next(&mut self) -> Exchange {
        if self.leader.take().is_none() {
            self.next_controller = self.next_controller.wrapping_add(1);
        }
        Exchange::Again
    }

    /// Follows a hint at once, unless it leads in a circle.
    fn turn_to(&mut self, leader: Peer, asked: Peer) -> Exchange {
        if leader == asked || self.leader == Some(leader) {
            return self.try_next();
        }
        // A hint that came from a hint waits, so that two controllers that name each other are not asked in a storm.
        let was_hint = self.leader.is_some();
        self.leader = Some(leader);
        if was_hint { Exchange::Again } else { Exchange::News }
    }

    fn request(&self, report: Report) -> SyncRequest {
        SyncRequest {
            incarnation: self.incarnation,
            facts: self.machine.facts(&self.config, &report.abilities),
            vitals: NodeVitals {
                warnings: report.abilities.warnings,
                ..self.shared.vitals.borrow().clone()
            },
            generation: self.shared.replicas().generation(),
            routes: self.routes,
            replicas: report.replicas,
            counters: self.gateway.counters(),
            holdings: self.holdings(report.images),
            strangers: self.config.strangers.to_tell(),
        }
    }

    /// What the engine holds; whole only where the leader does not know it.
    fn holdings(&self, images: Option<Arc<Images>>) -> Holdings {
        images.map_or_else(Holdings::default, |images| Holdings {
            version: images.version,
            images: (self.leader_knows != Some(images.version)).then(|| images.held.clone()),
        })
    }

    fn complain(&mut self, peer: Peer, words: &str) {
        if !std::mem::replace(&mut self.cut_off, true) {
            warn!(controller = %peer.id, address = %peer.address, error = words, "no orders; this node keeps what it runs");
        }
    }

    /// Takes over orders; `false` where they are refused.
    fn follow(&mut self, orders: Orders) -> bool {
        if let Some(routes) = orders.routes {
            self.routes = Some(routes.revision);
            self.gateway.set_routes(routes);
        }
        if orders.first_visit_code != self.shown_code {
            if let Some(code) = &orders.first_visit_code {
                info!(
                    "nobody has signed in yet: open the portal and choose the admin password with the code {code}"
                );
            }
            let words =
                |code: &String| format!("First visit: choose the admin password with the code {code}.");
            self.sign
                .say(orders.first_visit_code.as_ref().map(words).as_deref());
            self.shown_code.clone_from(&orders.first_visit_code);
        }
        self.leader_knows = orders.holdings;
        // Before the orders that need them.
        self.shared.holders.send_if_modified(|holders| {
            let changed = *holders != orders.holders;
            *holders = orders.holders;
            changed
        });
        let Some(desired) = orders.desired else {
            return true;
        };
        let replicas = desired.len();
        match self.shared.order(orders.generation, desired) {
            Ok(()) => {
                info!(generation = %orders.generation, replicas, "new orders");
                true
            }
            Err(error) => {
                warn!(%error, "refused orders");
                false
            }
        }
    }
}

async fn ask(client: &Client, peer: Peer, request: Vec<u8>) -> Result<SyncAnswer, ExchangeError> {
    let request = Request::post(SYNC_PATH)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(Bytes::from(request)))
        .expect("a constant path and a plain header");
    let exchange = async {
        let answer = client.request(peer, request).await?;
        if answer.status() == REMOVED {
            return Err(ExchangeError::Removed);
        }
        if answer.status() != StatusCode::OK {
            return Err(ExchangeError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .map_err(ExchangeError::Broken)?;
        Ok(versioned::decode(&body.to_bytes())?)
    };
    timeout(ANSWER_LIMIT, exchange)
        .await
        .unwrap_or(Err(ExchangeError::Late))
}

fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
