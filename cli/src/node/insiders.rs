//! Who takes part in the bramble, as this node knows: by what its controller has applied, what the leader told its
//! gateway, and, until either says anything after a start, by what was known before.
//!
//! A certificate of the bramble's authority is not enough: whoever was removed has one, too.

use std::{collections::BTreeSet, time::Duration};

use api::{Generation, NodeId, versioned::Versioned};
use gateway::Gateway;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use transport::{Admittance, Client};

use super::{home::Home, running::Running};

/// Time between looks whether others take part now. A node that is removed is to be cut off within a second.
const LOOK: Duration = Duration::from_millis(200);

/// Who takes part, as it is kept for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The nodes of the bramble.
    pub(super) nodes: BTreeSet<NodeId>,
    /// Nodes that were removed from it.
    pub(super) removed: BTreeSet<NodeId>,
}

impl Versioned for Known {
    const NAME: &'static str = "list of nodes";
    const VERSION: u32 = 1;
}

/// Who takes part. Clones go by the same.
#[derive(Clone, Debug)]
pub(super) struct Insiders {
    gateway: Gateway,
    running: Running,
    home: Home,
    /// What was known when this node started; `None` where nothing was, because it has just been let in.
    before: Option<Known>,
}

impl Insiders {
    pub(super) fn new(gateway: Gateway, running: Running, home: Home) -> Self {
        let before = home.known().unwrap_or_else(|error| {
            warn!(error = %format!("{error:#}"), "who takes part in the bramble has to be told anew");
            None
        });
        Self {
            gateway,
            running,
            home,
            before,
        }
    }

    /// Whether a node that shows a certificate of the bramble may speak with this one.
    pub(super) fn admittance(&self, node: NodeId) -> Admittance {
        let routes = self.gateway.routes();
        let by_routes =
            (!routes.nodes.is_empty()).then(|| (routes.revision, routes.nodes.contains_key(&node)));
        let controller = self.running.controller();
        let by_state = controller.as_ref().and_then(|controller| controller.admits(node));
        let before = self.before.as_ref().map(|known| known.nodes.contains(&node));
        let controller = controller.as_ref();
        if is_admitted(by_state, by_routes, before)
            || controller.is_some_and(|controller| controller.is_member(node))
        {
            Admittance::Member
        } else if controller.is_some_and(|controller| controller.has_removed(node)) {
            Admittance::Removed
        } else {
            Admittance::Stranger
        }
    }

    /// Whether a node was removed, as far as this one knows.
    pub(super) fn is_removed(&self, node: NodeId) -> bool {
        let routes = self.gateway.routes();
        match &self.before {
            Some(before) if routes.nodes.is_empty() => before.removed.contains(&node),
            _ => routes.removed.contains(&node),
        }
    }

    /// Until `stop`: nobody who was removed is spoken with by these clients, and who takes part is kept for the next
    /// start. Written only when a node comes or goes.
    pub(super) async fn keep(self, clients: Vec<Client>, stop: CancellationToken) {
        if let Some(before) = &self.before {
            clients.iter().for_each(|client| client.shut_out(&before.removed));
        }
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut kept, mut seen) = (self.before.clone(), Generation::default());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            let routes = self.gateway.routes();
            if routes.nodes.is_empty() || routes.revision == seen {
                continue;
            }
            seen = routes.revision;
            clients.iter().for_each(|client| client.shut_out(&routes.removed));
            let known = Known {
                nodes: routes.nodes.keys().copied().collect(),
                removed: routes.removed.clone(),
            };
            if kept.as_ref() == Some(&known) {
                continue;
            }
            let (home, keep) = (self.home.clone(), known.clone());
            let written = tokio::task::spawn_blocking(move || home.keep_known(&keep)).await;
            let Ok(written) = written else { return };
            if let Err(error) = written {
                warn!(error = %format!("{error:#}"), "this node cannot keep who takes part in its bramble");
            }
            kept = Some(known);
        }
    }
}

/// Whether a node is let in, by the newer of what this node's controller has applied and what the leader told its
/// gateway: a controller that is behind knows less than its gateway, and must not shut out those who bring the rest.
/// Who has heard nothing since its start goes by what it knew `before`, and who never heard anything, because it was let
/// in a moment ago, by the certificate.
fn is_admitted(
    by_state: Option<(Generation, bool)>,
    by_routes: Option<(Generation, bool)>,
    before: Option<bool>,
) -> bool {
    let newer = match (by_state, by_routes) {
        (Some(state), Some(routes)) => Some(if routes.0 > state.0 { routes } else { state }),
        (state, routes) => state.or(routes),
    };
    newer.map(|(_, admitted)| admitted).or(before).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, admitted: bool) -> Option<(Generation, bool)> {
        Some((Generation { epoch: 1, number }, admitted))
    }

    #[test]
    fn a_controller_that_is_behind_lets_in_whom_the_leader_names() {
        assert!(is_admitted(at(7, false), at(9, true), None));
        assert!(
            !is_admitted(at(7, true), at(9, false), None),
            "and nobody who was removed meanwhile"
        );
    }

    #[test]
    fn a_controller_that_is_ahead_of_its_gateway_goes_by_its_state() {
        assert!(!is_admitted(at(9, false), at(7, true), None));
        assert!(!is_admitted(at(9, false), at(9, true), None));
        assert!(is_admitted(at(9, true), at(7, false), None));
    }

    #[test]
    fn who_has_heard_nothing_since_its_start_goes_by_what_it_knew_before() {
        assert!(is_admitted(None, None, Some(true)) && !is_admitted(None, None, Some(false)));
        assert!(is_admitted(None, at(1, true), Some(false)) && !is_admitted(None, at(1, false), Some(true)));
        assert!(is_admitted(at(1, true), None, Some(false)) && !is_admitted(at(1, false), None, Some(true)));
    }

    #[test]
    fn before_anything_was_ever_known_the_certificate_counts() {
        assert!(is_admitted(None, None, None));
    }
}
