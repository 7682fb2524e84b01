//! A member among others: says what it is, knows who is in sight, answers for the bramble's name while it leads, and
//! notices when its bramble has ended.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use agent::{
    Contacts, Leave, Told,
    discovery::{Event, OneName},
};
use api::join::{Announcement, BrambleId, KeyTag, Role, Standing};
use cluster::bootstrap::{InSight, Pace};
use futures_util::future::BoxFuture;
use gateway::Gateway;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use transport::NodeKey;

use super::{
    door::Said,
    home::Home,
    look::{CALMLY, Looking, Ways},
    meetings::{self, Meetings},
    running::Running,
};

/// Time between looks whether this node has something else to say of itself.
const LOOK: Duration = Duration::from_millis(500);

/// Time between looks at other brambles.
const MEET_EVERY: Duration = Duration::from_secs(5);

/// How long a node that leaves waits until the others have been told, too: they hear it from the leader, and the
/// leader needs the other controllers for that.
const LEADER_STAYS: Duration = Duration::from_secs(5);
const CONTROLLER_STAYS: Duration = Duration::from_secs(3);

/// How long stopping what still runs may take then.
const STOPPING: Duration = Duration::from_secs(30);

/// What a member says and hears.
pub(super) struct Presence {
    pub(super) key: Arc<NodeKey>,
    pub(super) ways: Ways,
    pub(super) bramble: BrambleId,
    pub(super) key_tag: Option<KeyTag>,
    /// The `.local` name that the leader answers for.
    pub(super) name: String,
    /// The port that people use.
    pub(super) http_port: u16,
    pub(super) said: Said,
    pub(super) running: Running,
    pub(super) gateway: Gateway,
    pub(super) contacts: Contacts,
    /// What the leader says of the bramble.
    pub(super) told: watch::Receiver<Told>,
    /// Has what runs here stopped, where this node leaves alone.
    pub(super) leave: Leave,
    /// Ends when nothing runs here any more.
    pub(super) empty: BoxFuture<'static, ()>,
    pub(super) meetings: Meetings,
    pub(super) home: Home,
    /// Whether it is kept that somebody worked with this bramble.
    pub(super) work_noted: bool,
    pub(super) pace: Pace,
}

impl Presence {
    /// What this node says of itself at this moment.
    fn standing(&self, before: Standing) -> Standing {
        let controller = self.running.controller();
        let leadership = controller
            .as_ref()
            .map(|controller| *controller.leadership().borrow());
        let role = match leadership {
            Some(leadership) if leadership.is_me => Role::Leader(leadership.term),
            Some(_) => Role::Controller,
            None => Role::Node,
        };
        let had_work = matches!(before, Standing::Member { work: true, .. });
        let has_work = controller.is_some_and(|controller| controller.has_work());
        Standing::Member {
            bramble: self.bramble,
            key: self.key_tag,
            role,
            work: had_work || has_work || self.told.borrow().work,
        }
    }

    /// Until `stop`, or until this node is to leave its bramble: then `true`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => return false,
            alone = self.take_part() => if alone {
                // Nobody else asks for it.
                self.leave.leave();
                return self.stopped().await;
            },
        }
        if self.told.borrow().removed {
            // Before the certificate is gone: a node that was interrupted here hears it again.
            if let Err(error) = self.home.note_removed(&self.name) {
                warn!(%error, "this node cannot keep that it was removed");
            }
            return self.stopped().await;
        }
        info!("the bramble has ended in favour of another one");
        let controller = self.running.controller();
        let leads = controller
            .as_ref()
            .is_some_and(|controller| controller.leadership().borrow().is_me);
        let stays = match (&controller, leads) {
            (_, true) => LEADER_STAYS,
            (Some(_), false) => CONTROLLER_STAYS,
            (None, false) => Duration::ZERO,
        };
        sleep(stays).await;
        self.stopped().await
    }

    /// Once nothing runs here any more, or cannot be stopped.
    async fn stopped(self) -> bool {
        if timeout(STOPPING, self.empty).await.is_err() {
            warn!("not everything that runs here could be stopped");
        }
        true
    }

    /// What this node's bramble looks like at this moment.
    fn own(&self, standing: Standing) -> Option<meetings::Own> {
        let controller = self.running.controller();
        Some(meetings::Own {
            bramble: InSight::of(&standing)?,
            silence: self.told.borrow().heard.elapsed(),
            leader: controller.filter(|controller| controller.leadership().borrow().is_me),
            pace: self.pace,
        })
    }

    /// Until the bramble has ended or goes on without this node; `true` where this node leaves it alone.
    async fn take_part(&mut self) -> bool {
        let began = Instant::now();
        let mut looking = Looking::start(&self.ways, &self.key, CALMLY);
        looking.announce(&self.announcement());
        let mut bramble_name = looking.bramble_name(&self.name, self.http_port);
        let mut one_name = OneName::new(self.bramble);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut meet = interval(MEET_EVERY);
        meet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut meeting = meetings::Look::new();
        loop {
            tokio::select! {
                event = looking.next() => match event {
                    Event::Sighted(sighting) => {
                        self.contacts.sighted(&sighting, self.bramble);
                        self.meetings.sighted(&sighting, self.bramble);
                        let node = sighting.announcement.node;
                        // What strangers claim does not count.
                        if self.gateway.routes().nodes.contains_key(&node) {
                            one_name.sighted(&sighting.announcement, began.elapsed());
                        }
                    }
                    Event::Lost(node) => {
                        self.contacts.lost(node);
                        self.meetings.lost(node);
                        one_name.lost(node);
                    }
                },
                Some(goes_over) = meeting.join_next() => if goes_over.unwrap_or(false) {
                    return true;
                },
                _ = meet.tick(), if meeting.is_empty() => {
                    if let Some(own) = self.own(self.announcement().standing) {
                        meeting = self.meetings.look(own);
                    }
                }
                _ = look.tick() => {}
            }
            let told = self.told.borrow().clone();
            if told.dissolved.is_some() || told.removed {
                return false;
            }
            if let Some(name) = told.name.filter(|name| *name != self.ways.name) {
                info!(name, "has another name now");
                looking.rename(&name);
                if let Err(error) = self.home.note_name(&name) {
                    warn!(%error, "this node cannot keep its name");
                }
                self.ways.name = name;
            }
            let before = self.announcement();
            let standing = self.standing(before.standing);
            if matches!(standing, Standing::Member { work: true, .. })
                && !std::mem::replace(&mut self.work_noted, true)
                && let Err(error) = self.home.note_work()
            {
                warn!(%error, "this node cannot keep that somebody worked with its bramble");
            }
            if standing != before.standing {
                let now = Announcement { standing, ..before };
                *self.said.write().unwrap_or_else(PoisonError::into_inner) = now.clone();
                looking.announce(&now);
            }
            let term = match standing {
                Standing::Member {
                    role: Role::Leader(term),
                    ..
                } if self.is_followed() => Some(term),
                _ => None,
            };
            one_name.leads(term);
            let step = one_name.decide(began.elapsed());
            if let Some(name) = &mut bramble_name
                && let Err(error) = name.carry_out(step)
            {
                debug!(%error, "the bramble's name cannot be published");
            } else if matches!(step, agent::discovery::NameStep::Publish(_)) {
                info!(name = %format!("{}.local", self.name), "answers for the bramble's name");
            }
        }
    }

    /// Whether the bramble's name is this node's: a leader that hears nobody is not the leader any more, though it
    /// does not know.
    fn is_followed(&self) -> bool {
        let controller = self.running.controller();
        controller.is_some_and(|controller| controller.is_followed())
    }

    fn announcement(&self) -> Announcement {
        self.said.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
