//! Who knocks at a member of a bramble: decided by the leader, here or elsewhere.

use std::sync::{Arc, PoisonError, RwLock};

use agent::Strangers;
use api::{NodeId, join::Announcement};
use controller::Controller;
use futures_util::future::BoxFuture;
use gateway::Gateway;
use rustls_pki_types::CertificateDer;
use tracing::info;
use transport::join::{Admission, Attempt, Decision, HostSelf, JoinRequest, JoinSecret, Refusal};

use super::{candidate::stranger, insiders::Insiders, running::Running};

/// What this node says of itself, as it is now.
pub(super) type Said = Arc<RwLock<Announcement>>;

/// A member's door.
pub(super) struct Door {
    pub(super) said: Said,
    pub(super) authority: CertificateDer<'static>,
    pub(super) secret: Option<Arc<JoinSecret>>,
    pub(super) running: Running,
    pub(super) gateway: Gateway,
    pub(super) contacts: agent::Contacts,
    pub(super) insiders: Insiders,
    /// Whom the leader is told of, where that is another node.
    pub(super) strangers: Strangers,
}

impl Door {
    /// The controller of this node, if it leads.
    fn leader(&self) -> Option<Controller> {
        let leads = |controller: &Controller| controller.leadership().borrow().is_me;
        self.running.controller().filter(leads)
    }
}

impl Admission for Door {
    fn host(&self) -> HostSelf {
        HostSelf {
            announcement: self.said.read().unwrap_or_else(PoisonError::into_inner).clone(),
            authority: Some(self.authority.clone()),
            secret: self.secret.clone(),
        }
    }

    fn decide<'a>(&'a self, request: &'a JoinRequest) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            if let Some(controller) = self.running.controller() {
                return controller.decide(request).await;
            }
            let controllers = self.contacts.controllers(&self.gateway.routes());
            match controllers.is_empty() {
                true => Decision::Refused(Refusal::Busy),
                false => Decision::Elsewhere(controllers),
            }
        })
    }

    fn refused(&self, attempt: &Attempt) {
        // A node that was let in a moment ago may come before this one has heard of it.
        let strange = |node: NodeId| !attempt.certified || self.insiders.is_removed(node);
        if !attempt.node.is_none_or(strange) {
            return;
        }
        match self.leader() {
            Some(leader) => leader.note_stranger(&stranger(attempt)),
            None => {
                if self.strangers.note(stranger(attempt)) {
                    info!(from = %attempt.from, why = attempt.why, "turned away");
                }
            }
        }
    }

    fn waits_no_longer(&self, node: NodeId) {
        if let Some(controller) = self.running.controller() {
            controller.waits_no_longer(node);
        }
    }
}
