//! A member among others: says what it is, knows who is in sight, and answers for the bramble's name while it leads.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use agent::{
    Contacts,
    discovery::{Event, OneName},
};
use api::join::{Announcement, BrambleId, KeyTag, Role, Standing};
use gateway::Gateway;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use transport::NodeKey;

use super::{
    door::Said,
    look::{CALMLY, Looking, Ways},
    running::Running,
};

/// Time between looks whether this node has something else to say of itself.
const LOOK: Duration = Duration::from_millis(500);

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
            work: had_work || has_work || !self.gateway.routes().functions.is_empty(),
        }
    }

    /// Until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let began = Instant::now();
        let mut looking = Looking::start(&self.ways, &self.key, CALMLY);
        looking.announce(&self.announcement());
        let mut bramble_name = looking.bramble_name(&self.name, self.http_port);
        let mut one_name = OneName::new(self.bramble);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = looking.next() => match event {
                    Event::Sighted(sighting) => {
                        self.contacts.sighted(&sighting, self.bramble);
                        let node = sighting.announcement.node;
                        // What strangers claim does not count.
                        if self.gateway.routes().nodes.contains_key(&node) {
                            one_name.sighted(&sighting.announcement, began.elapsed());
                        }
                    }
                    Event::Lost(node) => {
                        self.contacts.lost(node);
                        one_name.lost(node);
                    }
                },
                _ = look.tick() => {}
            }
            let before = self.announcement();
            let standing = self.standing(before.standing);
            if standing != before.standing {
                let now = Announcement { standing, ..before };
                *self.said.write().unwrap_or_else(PoisonError::into_inner) = now.clone();
                looking.announce(&now);
            }
            let term = match standing {
                Standing::Member {
                    role: Role::Leader(term),
                    ..
                } => Some(term),
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

    fn announcement(&self) -> Announcement {
        self.said.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
