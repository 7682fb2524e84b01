//! Looking for other nodes: by multicast, by a list of addresses, or by both at once.

use std::{sync::Arc, time::Duration};

use agent::discovery::{BrambleName, Discovery as _, Event, Interfaces, Mdns, Peers};
use api::{join::Announcement, settings::Peer};
use tracing::warn;
use transport::NodeKey;

/// Time between two questions to an address of the list, once this node is part of a bramble.
pub(super) const CALMLY: Duration = Duration::from_secs(10);

/// How a node looks for others.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// The interfaces for multicast; `None` is without multicast.
    pub(super) multicast: Option<Interfaces>,
    /// Places to ask at.
    pub(super) peers: Vec<Peer>,
    /// This node's own name, which it answers for.
    pub(super) name: String,
    /// Its node-to-node port.
    pub(super) port: u16,
}

/// Sources of who is in sight.
pub(super) struct Looking {
    mdns: Option<Mdns>,
    peers: Peers,
}

impl Looking {
    /// Begins to look. A machine without multicast goes on with the list.
    pub(super) fn start(ways: &Ways, key: &Arc<NodeKey>, pause: Duration) -> Self {
        let mdns = ways.multicast.clone().and_then(|interfaces| {
            Mdns::start(interfaces, &ways.name, ways.port)
                .inspect_err(|error| warn!(%error, "no multicast on this machine"))
                .ok()
        });
        Self {
            mdns,
            peers: Peers::start(Arc::clone(key), ways.peers.iter().cloned(), pause),
        }
    }

    /// From now on, says this.
    pub(super) fn announce(&mut self, announcement: &Announcement) {
        if let Some(mdns) = &mut self.mdns
            && let Err(error) = mdns.announce(announcement)
        {
            warn!(%error, "this node cannot be announced");
        }
    }

    /// From now on, this node answers for this name instead of the one that it had.
    pub(super) fn rename(&mut self, name: &str) {
        if let Some(mdns) = &mut self.mdns {
            mdns.rename(name);
        }
    }

    /// Publishes the bramble's name when told to, where there is multicast.
    pub(super) fn bramble_name(&self, name: &str, port: u16) -> Option<BrambleName> {
        self.mdns.as_ref().map(|mdns| BrambleName::new(mdns, name, port))
    }

    /// The next thing that happens. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Event {
        let Some(mdns) = &mut self.mdns else {
            return self.peers.next().await;
        };
        tokio::select! {
            event = mdns.next() => event,
            event = self.peers.next() => event,
        }
    }
}
