//! A list of places, where the network carries no multicast: each is asked in turn who is there.
//!
//! A place is an address or a name. What a name means is looked up each time, since addresses change and a network's name
//! server may come up later than a Pi.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use api::{
    NodeId,
    join::{Announcement, Sighting},
    settings::Peer,
};
use futures_util::future::join_all;
use tokio::{
    net::lookup_host,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};
use transport::{NodeKey, join::look};

use super::{Discovery, DiscoveryError, Event};

/// Misses after which whoever was there counts as gone.
const MISSES: u32 = 3;

/// How long one question may take.
const LOOK_LIMIT: Duration = Duration::from_secs(6);

/// How long looking a name up may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// Addresses of one name that are asked.
const MOST_ADDRESSES: usize = 8;

/// Longest time between two questions to a place where nobody answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Looks for nodes at given places. Says nothing by itself: whoever is asked is told by this node's listener, and asks
/// it in turn if its own list says so.
#[derive(Debug)]
pub struct Peers {
    heard: mpsc::Receiver<(usize, Vec<Sighting>)>,
    /// Who was found at each place.
    there: BTreeMap<usize, BTreeMap<NodeId, Sighting>>,
    events: VecDeque<Event>,
    me: NodeId,
    _looking: JoinSet<()>,
}

impl Peers {
    /// Begins to ask at `places`, each time `pause` after the last answer; one's own address may be among them. Needs a
    /// tokio runtime; ends when dropped.
    pub fn start(key: Arc<NodeKey>, places: impl IntoIterator<Item = Peer>, pause: Duration) -> Self {
        Self::start_with(key, places, pause, lookup)
    }

    fn start_with<L, F>(
        key: Arc<NodeKey>,
        places: impl IntoIterator<Item = Peer>,
        pause: Duration,
        lookup: L,
    ) -> Self
    where
        L: Fn(Peer) -> F + Clone + Send + 'static,
        F: Future<Output = io::Result<BTreeSet<SocketAddr>>> + Send + 'static,
    {
        let (tell, heard) = mpsc::channel(16);
        let me = key.id();
        let mut looking = JoinSet::new();
        for (number, peer) in places.into_iter().enumerate() {
            let place = Place {
                number,
                peer,
                found: BTreeMap::new(),
            };
            looking.spawn(place.ask_again_and_again(Arc::clone(&key), lookup.clone(), pause, tell.clone()));
        }
        Self {
            heard,
            there: BTreeMap::new(),
            events: VecDeque::new(),
            me,
            _looking: looking,
        }
    }

    /// What changes when these and no others are found at a place.
    fn found(&mut self, place: usize, sightings: Vec<Sighting>) {
        let mut now: BTreeMap<NodeId, Sighting> = BTreeMap::new();
        for sighting in sightings {
            let node = sighting.announcement.node;
            if node == self.me {
                continue;
            }
            now.entry(node)
                .and_modify(|same| same.addresses.extend(&sighting.addresses))
                .or_insert(sighting);
        }
        let before = self.there.insert(place, now.clone()).unwrap_or_default();
        for (node, sighting) in &now {
            if before.get(node) != Some(sighting) {
                self.events.push_back(Event::Sighted(sighting.clone()));
            }
        }
        for gone in before.keys().filter(|node| !now.contains_key(node)) {
            if !self.there.values().any(|there| there.contains_key(gone)) {
                self.events.push_back(Event::Lost(*gone));
            }
        }
    }
}

/// Where a place is at this moment.
async fn lookup(peer: Peer) -> io::Result<BTreeSet<SocketAddr>> {
    let found = timeout(LOOKUP_LIMIT, lookup_host((peer.place.as_str(), peer.port))).await;
    let found: BTreeSet<SocketAddr> = found.map_err(io::Error::from)??.collect();
    Ok(found.into_iter().take(MOST_ADDRESSES).collect())
}

/// One place of the list.
struct Place {
    number: usize,
    peer: Peer,
    /// Who was found, at which address, and how often nobody was since.
    found: BTreeMap<SocketAddr, (u32, Sighting)>,
}

impl Place {
    async fn ask_again_and_again<L, F>(
        mut self,
        key: Arc<NodeKey>,
        lookup: L,
        pause: Duration,
        tell: mpsc::Sender<(usize, Vec<Sighting>)>,
    ) where
        L: Fn(Peer) -> F,
        F: Future<Output = io::Result<BTreeSet<SocketAddr>>>,
    {
        let (mut misses, mut nowhere) = (0_u32, 0_u32);
        loop {
            let addresses = lookup(self.peer.clone()).await;
            nowhere = self.say_whether_it_leads_anywhere(&addresses, nowhere);
            let addresses = addresses.unwrap_or_default();
            let answers = join_all(addresses.iter().map(|address| ask(&key, *address))).await;
            let sightings: Vec<_> = answers.into_iter().flatten().collect();
            misses = if sightings.is_empty() { misses + 1 } else { 0 };
            let were_there = !self.found.is_empty();
            self.take(sightings);
            if (were_there || !self.found.is_empty())
                && tell.send((self.number, self.sightings())).await.is_err()
            {
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

    /// Says, once, that a name leads nowhere, and that it does now; answers how often it led nowhere.
    fn say_whether_it_leads_anywhere(
        &self,
        addresses: &io::Result<BTreeSet<SocketAddr>>,
        nowhere: u32,
    ) -> u32 {
        let place = &self.peer.place;
        let why = match addresses {
            Ok(addresses) if !addresses.is_empty() => {
                if nowhere >= MISSES {
                    info!(peer = place, "this peer's name leads somewhere now");
                }
                return 0;
            }
            Ok(_) => "it has no address".to_owned(),
            Err(error) => error.to_string(),
        };
        if nowhere + 1 == MISSES {
            warn!(
                peer = place,
                why,
                "this peer's name leads nowhere; it is looked up again and again: compare `peers` in bramble.toml with the name of that Pi"
            );
        }
        nowhere.saturating_add(1)
    }

    fn take(&mut self, sightings: Vec<Sighting>) {
        for (misses, _) in self.found.values_mut() {
            *misses += 1;
        }
        for sighting in sightings {
            if let Some(address) = sighting.addresses.first() {
                self.found.insert(*address, (0, sighting));
            }
        }
        self.found.retain(|_, (misses, _)| *misses < MISSES);
    }

    fn sightings(&self) -> Vec<Sighting> {
        self.found
            .values()
            .map(|(_, sighting)| sighting.clone())
            .collect()
    }
}

/// Who is at an address.
async fn ask(key: &NodeKey, address: SocketAddr) -> Option<Sighting> {
    match timeout(LOOK_LIMIT, look(key, address)).await {
        Ok(Ok(sighting)) => Some(sighting),
        Ok(Err(error)) => {
            debug!(%address, %error, "nobody of ours is there");
            None
        }
        Err(_) => None,
    }
}

impl Discovery for Peers {
    fn announce(&mut self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        self.me = announcement.node;
        Ok(())
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match self.heard.recv().await {
                Some((place, sightings)) => self.found(place, sightings),
                // An empty list: there is nobody to ask.
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use api::{Memory, join::Standing};
    use futures_util::future::BoxFuture;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use transport::join::{Admission, Attempt, Decision, HostSelf, JoinHost, JoinRequest, serve_candidate};

    use super::*;

    struct Nobody(HostSelf);

    impl Admission for Nobody {
        fn host(&self) -> HostSelf {
            self.0.clone()
        }

        fn decide<'a>(&'a self, _: &'a JoinRequest) -> BoxFuture<'a, Decision> {
            Box::pin(std::future::ready(Decision::NotYet))
        }

        fn refused(&self, _: &Attempt) {}

        fn waits_no_longer(&self, _: NodeId) {}
    }

    /// A node that is there until the token is cancelled.
    async fn listens() -> (NodeId, SocketAddr, CancellationToken) {
        let key = NodeKey::generate().unwrap();
        let host = HostSelf {
            announcement: Announcement {
                node: key.id(),
                standing: Standing::Candidate { key: None },
                board: String::new(),
                memory: Memory::from_mib(1),
                version: String::new(),
            },
            authority: None,
            secret: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let host = JoinHost::of_candidate(&key, Arc::new(Nobody(host))).unwrap();
        tokio::spawn(serve_candidate(listener, host, stop.clone()));
        (key.id(), at, stop)
    }

    async fn soon(peers: &mut Peers) -> Event {
        let next = timeout(Duration::from_secs(20), peers.next()).await;
        next.expect("something happens")
    }

    #[tokio::test]
    async fn a_name_is_looked_up_each_time_so_that_who_comes_late_or_moves_is_found() {
        let (one, here, stop) = listens().await;
        let (other, there, _keep) = listens().await;
        let asked = Arc::new(AtomicU32::new(0));
        let means: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let lookup = {
            let (asked, means) = (asked.clone(), means.clone());
            move |peer: Peer| {
                assert_eq!(peer.place, "window.local");
                asked.fetch_add(1, Ordering::Relaxed);
                let found = *means.lock().unwrap();
                std::future::ready(found.map(|at| [at].into()).ok_or(io::ErrorKind::NotFound.into()))
            }
        };
        let place = Peer::parse("window.local").unwrap();
        let key = Arc::new(NodeKey::generate().unwrap());
        let mut peers = Peers::start_with(key, [place], Duration::from_millis(20), lookup);
        while asked.load(Ordering::Relaxed) < MISSES + 1 {
            sleep(Duration::from_millis(10)).await;
        }
        *means.lock().unwrap() = Some(here);
        let Event::Sighted(sighting) = soon(&mut peers).await else {
            panic!("nobody was there to be lost");
        };
        assert_eq!(
            (sighting.announcement.node, sighting.addresses),
            (one, vec![here])
        );

        *means.lock().unwrap() = Some(there);
        stop.cancel();
        assert!(matches!(soon(&mut peers).await, Event::Sighted(it) if it.announcement.node == other));
        assert_eq!(soon(&mut peers).await, Event::Lost(one));
    }

    #[tokio::test]
    async fn all_that_a_name_leads_to_are_asked() {
        let (one, here, _keep) = listens().await;
        let (other, there, _keep_too) = listens().await;
        let lookup = move |_| std::future::ready(Ok([here, there].into()));
        let place = Peer::parse("pis.school.example").unwrap();
        let key = Arc::new(NodeKey::generate().unwrap());
        let mut peers = Peers::start_with(key, [place], Duration::from_millis(20), lookup);
        let mut found = BTreeSet::new();
        while found.len() < 2 {
            if let Event::Sighted(sighting) = soon(&mut peers).await {
                found.insert(sighting.announcement.node);
            }
        }
        assert_eq!(found, [one, other].into());
    }
}
