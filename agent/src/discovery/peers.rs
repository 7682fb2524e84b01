//! A list of addresses, where the network carries no multicast: each is asked in turn who is there.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use api::{
    NodeId,
    join::{Announcement, Sighting},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::debug;
use transport::{NodeKey, join::look};

use super::{Discovery, DiscoveryError, Event};

/// Misses after which whoever was there counts as gone.
const MISSES: u32 = 3;

/// How long one question may take.
const LOOK_LIMIT: Duration = Duration::from_secs(6);

/// Longest time between two questions to an address where nobody answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Looks for nodes at given addresses. Says nothing by itself: whoever is asked is told by this node's listener, and asks
/// it in turn if its own list says so.
#[derive(Debug)]
pub struct Peers {
    heard: mpsc::Receiver<(SocketAddr, Option<Sighting>)>,
    /// Who was found at which address.
    there: BTreeMap<SocketAddr, Sighting>,
    me: NodeId,
    _looking: JoinSet<()>,
}

impl Peers {
    /// Begins to ask at `addresses`, each time `pause` after the last answer; one's own address may be among them. Needs
    /// a tokio runtime; ends when dropped.
    pub fn start(
        key: Arc<NodeKey>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        pause: Duration,
    ) -> Self {
        let (tell, heard) = mpsc::channel(16);
        let me = key.id();
        let mut looking = JoinSet::new();
        for address in addresses {
            looking.spawn(ask_again_and_again(
                Arc::clone(&key),
                address,
                pause,
                tell.clone(),
            ));
        }
        Self {
            heard,
            there: BTreeMap::new(),
            me,
            _looking: looking,
        }
    }

    /// What changes when someone or nobody is found at `address`.
    fn found(&mut self, address: SocketAddr, sighting: Option<Sighting>) -> Option<Event> {
        let sighting = sighting.filter(|sighting| sighting.announcement.node != self.me);
        let Some(sighting) = sighting else {
            let gone = self.there.remove(&address)?.announcement.node;
            let elsewhere = self.there.values().any(|other| other.announcement.node == gone);
            return (!elsewhere).then_some(Event::Lost(gone));
        };
        let before = self.there.insert(address, sighting.clone());
        (before.as_ref() != Some(&sighting)).then_some(Event::Sighted(sighting))
    }
}

async fn ask_again_and_again(
    key: Arc<NodeKey>,
    address: SocketAddr,
    pause: Duration,
    tell: mpsc::Sender<(SocketAddr, Option<Sighting>)>,
) {
    let mut misses = 0;
    loop {
        let sighting = match timeout(LOOK_LIMIT, look(&key, address)).await {
            Ok(Ok(sighting)) => Some(sighting),
            Ok(Err(error)) => {
                debug!(%address, %error, "nobody of ours is there");
                None
            }
            Err(_) => None,
        };
        misses = if sighting.is_some() { 0 } else { misses + 1 };
        if (sighting.is_some() || misses == MISSES) && tell.send((address, sighting)).await.is_err() {
            return;
        }
        // Who is not there may be switched on at any time; who has not been there for long is not asked all the time.
        sleep(
            pause
                .saturating_mul(1 << misses.saturating_sub(MISSES).min(8))
                .min(LONGEST_PAUSE.max(pause)),
        )
        .await;
    }
}

impl Discovery for Peers {
    fn announce(&mut self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        self.me = announcement.node;
        Ok(())
    }

    async fn next(&mut self) -> Event {
        loop {
            match self.heard.recv().await {
                Some((address, sighting)) => {
                    if let Some(event) = self.found(address, sighting) {
                        return event;
                    }
                }
                // An empty list: there is nobody to ask.
                None => std::future::pending().await,
            }
        }
    }
}
