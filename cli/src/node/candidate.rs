//! A node that is part of no bramble: looks for one, founds one, or waits to be admitted.
//!
//! The deciding is `cluster::bootstrap`; here it is told what happens, and what it decides is carried out.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use agent::{AgentConfig, NodeLight, Pulse, Sign, Stage, Strangers, discovery::Event};
use anyhow::{Context, Result};
use api::{
    NodeId,
    join::{Announcement, BrambleId, Sighting, Standing},
    sync::{Stranger, Wanted},
};
use cluster::{
    Moment,
    bootstrap::{self, Bootstrap, Decision, Pace, Step},
    lights::LONGEST_IDENTIFY,
};
use futures_util::future::BoxFuture;
use tokio::{net::TcpListener, sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use transport::{
    Authority, Identity, NodeKey,
    join::{
        Admission, Admitted, Answer, Attempt, Decision as Decided, HostSelf, Introduction, JoinHost,
        JoinRequest, JoinSecret, Knock, knock, serve_candidate,
    },
};

use super::{
    home::{Contact, Home, Membership},
    look::{Looking, Ways},
};

/// Time between looks at the link, and between questions to the addresses of the list.
const LOOK: Duration = Duration::from_secs(1);

/// What a node needs to become part of a bramble.
pub(super) struct Candidate<'a> {
    pub(super) home: &'a Home,
    pub(super) key: Arc<NodeKey>,
    pub(super) secret: Option<Arc<JoinSecret>>,
    pub(super) ways: &'a Ways,
    pub(super) config: &'a AgentConfig,
    /// Name of the bramble, should this node found it.
    pub(super) bramble: &'a str,
    /// Whether all nodes start at once on one machine.
    pub(super) brisk: bool,
    /// What visitors are shown meanwhile.
    pub(super) shown: Arc<Mutex<String>>,
    /// What people in front of this Pi are shown.
    pub(super) sign: Sign,
    /// Beats while this node looks.
    pub(super) pulse: Pulse,
    /// The node's light.
    pub(super) light: NodeLight,
    /// Whom this node turns away: people are told once it is part of a bramble.
    pub(super) strangers: Strangers,
    /// The bramble that this node was part of before, while this program runs.
    pub(super) formerly: Option<BrambleId>,
    /// Whether it was removed from a bramble: then it asks to be let in, and founds none that others would join.
    pub(super) was_removed: bool,
}

/// What becomes known meanwhile.
enum News {
    Knocked(Sighting, bool),
    Answered(NodeId, bootstrap::Answer),
    Admitted(Box<Admitted>),
    Shows(String),
    Identify(Duration),
}

/// Whom people are told of.
pub(super) fn stranger(attempt: &Attempt) -> Stranger {
    Stranger {
        from: attempt.from.ip(),
        node: attempt.node,
        wanted: Wanted::In,
        why: attempt.why.clone(),
    }
}

/// Passes on what is heard from other candidates that knock.
struct Door {
    me: HostSelf,
    strangers: Strangers,
    news: mpsc::UnboundedSender<News>,
}

impl Admission for Door {
    fn host(&self) -> HostSelf {
        self.me.clone()
    }

    fn decide<'a>(&'a self, request: &'a JoinRequest) -> BoxFuture<'a, Decided> {
        // Candidates without a key found together as well; with one, only holders of the same one count.
        if request.proved || self.me.secret.is_none() {
            _ = self
                .news
                .send(News::Knocked(request.sighting.clone(), request.vote));
        }
        Box::pin(std::future::ready(Decided::NotYet))
    }

    fn refused(&self, attempt: &Attempt) {
        if self.strangers.note(stranger(attempt)) {
            info!(from = %attempt.from, why = attempt.why, "turned away");
        }
    }

    fn waits_no_longer(&self, _: NodeId) {}
}

/// How patient a node is: less where all start at once on one machine.
pub(super) fn pace(brisk: bool) -> Pace {
    if brisk { Pace::brisk() } else { Pace::usual() }
}

impl Candidate<'_> {
    /// Looks until this node is part of a bramble, or `stop`. Answers the listener, for the member that it becomes.
    pub(super) async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<Option<TcpListener>> {
        let began = Instant::now();
        let now = || Moment::new(began.elapsed());
        let pace = pace(self.brisk);
        let tag = self.secret.as_ref().map(|secret| secret.tag());
        let mut candidate = Bootstrap::new(self.key.id(), tag, pace);
        let facts = self.config.facts();
        let me = Announcement {
            node: self.key.id(),
            standing: candidate.standing(),
            board: facts.board.clone(),
            memory: facts.memory,
            version: facts.version.clone(),
        };
        let introduction = Arc::new(Introduction {
            announcement: me.clone(),
            port: self.ways.port,
            serial: facts.serial.clone(),
            facts,
            formerly: self.formerly,
        });
        info!(
            join_key = self.secret.is_some(),
            "part of no bramble yet: looks for one"
        );

        let (tell, mut news) = mpsc::unbounded_channel();
        let door = Door {
            me: HostSelf {
                announcement: me.clone(),
                authority: None,
                secret: self.secret.clone(),
            },
            strangers: self.strangers.clone(),
            news: tell.clone(),
        };
        let host = JoinHost::of_candidate(&self.key, Arc::new(door)).context("failed to open the door")?;
        let stop_listening = stop.child_token();
        let listening = tokio::spawn({
            let (was_removed, stop) = (self.was_removed, stop_listening.clone());
            async move {
                match was_removed {
                    true => turn_away(listener, stop).await,
                    false => serve_candidate(listener, host, stop).await,
                }
            }
        });
        let pause = if self.brisk { LOOK / 4 } else { LOOK * 3 };
        let mut looking = Looking::start(self.ways, &self.key, pause);
        if !self.was_removed {
            looking.announce(&me);
        }

        loop {
            self.pulse.beat();
            candidate.link(self.link_is_up(), now());
            let decision = candidate.decide(now());
            match self.carry_out(&decision, &introduction, &tell) {
                Carried::On => {}
                Carried::Again => continue,
                Carried::Founds => {
                    stop_listening.cancel();
                    self.found()?;
                    break;
                }
            }
            let until = decision.until.map_or(LOOK, |until| until.since(now()));
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                event = looking.next() => match event {
                    Event::Sighted(sighting) => {
                        self.compare_keys(&sighting.announcement);
                        candidate.sighted(&sighting, now());
                    }
                    Event::Lost(node) => candidate.lost(node),
                },
                Some(news) = news.recv() => match news {
                    News::Knocked(sighting, vote) => candidate.knocked(&sighting, vote, now()),
                    News::Answered(node, answer) => candidate.answered(node, &answer, now()),
                    News::Shows(words) => self.show(words),
                    News::Identify(long) => self.light.identify(long.min(LONGEST_IDENTIFY)),
                    News::Admitted(admitted) => {
                        stop_listening.cancel();
                        self.join(*admitted)?;
                        break;
                    }
                },
                () = sleep(until.min(LOOK)) => {}
            }
        }
        Ok(Some(listening.await.context("the door broke down")?))
    }

    fn link_is_up(&self) -> bool {
        self.ways
            .multicast
            .as_ref()
            .is_none_or(agent::discovery::Interfaces::link_is_up)
    }

    /// Says so where a bramble is in sight that this node's key does not fit: one of the two may be mistyped.
    fn compare_keys(&self, seen: &Announcement) {
        let Some(secret) = &self.secret else { return };
        if let Standing::Member { key, .. } = seen.standing
            && key != Some(secret.tag())
        {
            let has = if key.is_some() {
                "another join key"
            } else {
                "no join key"
            };
            self.tell(format!(
                "A bramble is in sight that has {has} and is left alone. If this Pi belongs to it, compare join_key in the two bramble.toml."
            ));
        }
    }

    /// Shows what a bramble said that this node waits for.
    fn show(&self, words: String) {
        self.light.stage(Stage::Waiting);
        self.tell(words);
    }

    /// Tells whoever looks at this Pi, and the log.
    fn tell(&self, words: String) {
        self.sign.say(Some(&words));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Said once, since logs are written to the card.
        if *shown != words {
            info!("{words}");
        }
        *shown = words;
    }

    fn carry_out(
        &self,
        decision: &Decision,
        introduction: &Arc<Introduction>,
        tell: &mpsc::UnboundedSender<News>,
    ) -> Carried {
        match &decision.step {
            Step::Join {
                node,
                addresses,
                vote,
            } => {
                tokio::spawn(try_door(
                    Arc::clone(&self.key),
                    self.secret.clone(),
                    Arc::clone(introduction),
                    Knocking {
                        node: *node,
                        addresses: addresses.clone(),
                        vote: *vote,
                    },
                    self.strangers.clone(),
                    tell.clone(),
                ));
                Carried::Again
            }
            Step::Found if self.was_removed => Carried::On,
            Step::Found => Carried::Founds,
            Step::Sleep | Step::Wait { .. } => Carried::On,
        }
    }

    /// Makes the bramble. What is written down comes first what a restart needs first.
    fn found(&self) -> Result<()> {
        let authority = match self.home.founding()? {
            Some(authority) => authority,
            None => Authority::create().context("failed to make the bramble's authority")?,
        };
        self.home.begin_founding(&authority)?;
        let request = self.key.request().context("failed to use the node's key")?;
        let (_, certificate) = authority.issue(&request).context("failed to certify this node")?;
        let identity = Identity::new((*self.key).clone(), certificate, authority.certificate().clone())?;
        let membership = Membership {
            name: self.bramble.to_owned(),
            work: false,
            node_name: None,
            controllers: Vec::new(),
        };
        self.home.join(&identity, &membership)?;
        info!(
            bramble = self.bramble,
            "nobody else is there first: founds a bramble"
        );
        Ok(())
    }

    fn join(&self, admitted: Admitted) -> Result<()> {
        let identity = Identity::new((*self.key).clone(), admitted.certificate, admitted.authority)?;
        let controllers = admitted.controllers.into_iter();
        let membership = Membership {
            name: admitted.name,
            work: false,
            node_name: None,
            controllers: controllers.map(|(id, address)| Contact { id, address }).collect(),
        };
        self.home.join(&identity, &membership)?;
        info!(bramble = membership.name, "was admitted");
        Ok(())
    }
}

/// Nobody is to reckon with this node: whoever knocks is not answered. Gives the listener back after `stop`.
async fn turn_away(listener: TcpListener, stop: CancellationToken) -> TcpListener {
    loop {
        tokio::select! {
            () = stop.cancelled() => return listener,
            taken = listener.accept() => if taken.is_err() {
                sleep(LOOK).await;
            },
        }
    }
}

enum Carried {
    On,
    Again,
    Founds,
}

struct Knocking {
    node: NodeId,
    addresses: Vec<SocketAddr>,
    vote: bool,
}

/// Knocks, and tells what came of it; while a person is awaited that takes long.
async fn try_door(
    key: Arc<NodeKey>,
    secret: Option<Arc<JoinSecret>>,
    introduction: Arc<Introduction>,
    knocking: Knocking,
    strangers: Strangers,
    tell: mpsc::UnboundedSender<News>,
) {
    let node = knocking.node;
    let mut answer = bootstrap::Answer::Unreachable;
    for to in &knocking.addresses {
        let knocked = knock(Knock {
            key: &key,
            to: *to,
            meant: Some(node),
            secret: secret.clone(),
            introduction: &introduction,
            vote: knocking.vote,
        })
        .await;
        let knocked = match knocked {
            Ok(Answer::Waiting(line)) => {
                let fingerprint = line.fingerprint();
                let bramble = line.bramble();
                debug!(%fingerprint, %bramble, "waits until somebody admits this node in the portal");
                _ = tell.send(News::Shows(format!(
                    "This Pi waits to be admitted. Compare in the portal: {fingerprint}"
                )));
                _ = tell.send(News::Answered(node, bootstrap::Answer::Waiting { bramble }));
                line.decided(|long| _ = tell.send(News::Identify(long))).await
            }
            knocked => knocked,
        };
        answer = match knocked {
            Ok(Answer::Admitted(mut admitted)) => {
                // Whoever admits runs a controller, and was reached here.
                if !admitted.controllers.iter().any(|(id, _)| *id == node) {
                    admitted.controllers.push((node, *to));
                }
                _ = tell.send(News::Admitted(admitted));
                return;
            }
            Ok(Answer::NotYet(_)) => bootstrap::Answer::NotYet,
            Ok(Answer::Elsewhere(controllers)) => bootstrap::Answer::Elsewhere(controllers),
            Ok(Answer::Refused(refusal)) => {
                _ = tell.send(News::Shows(format!("This Pi was not let in: {refusal}.")));
                bootstrap::Answer::Refused
            }
            // Said once more after a decision that was none.
            Ok(Answer::Waiting(_)) => bootstrap::Answer::Unreachable,
            Err(error) if error.is_distrust() => {
                warn!(%error, address = %to, "does not trust who answers");
                strangers.note(Stranger {
                    from: to.ip(),
                    node: Some(node),
                    wanted: Wanted::Trust,
                    why: error.to_string(),
                });
                bootstrap::Answer::Distrusted
            }
            Err(error) => {
                debug!(%error, address = %to, "could not knock");
                bootstrap::Answer::Unreachable
            }
        };
        if answer != bootstrap::Answer::Unreachable {
            break;
        }
    }
    _ = tell.send(News::Answered(node, answer));
}
