//! Multicast DNS: `_bramble._tcp`, one instance for each node, named by its id.
//!
//! Names are not probed for: an instance's name is an id and taken by nobody else, and a hostname that two boards share
//! (board and four digits of the id) must not be renamed behind anybody's back.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use api::{
    NodeId,
    join::{Announcement, Sighting},
};
use mdns_sd::{
    IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::debug;

use super::{Discovery, DiscoveryError, Event, Interfaces, txt};

/// The service by which nodes find each other.
const SERVICE: &str = "_bramble._tcp.local.";

/// How often it is looked whether this machine's addresses have changed.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(3);

/// How often everything is said again after that. A new IPv6 address cannot be spoken from in its first two seconds,
/// and what it should have said then is not asked for again by those who know the rest.
const SAY_AGAIN: u8 = 2;

/// Time between a goodbye and what is said instead: a goodbye is repeated after 120 ms.
const GOODBYE: Duration = Duration::from_millis(300);

/// How long a node that ends waits for its goodbyes to be sent.
const ENDING: Duration = Duration::from_millis(500);

/// Nodes that are kept track of; beyond, somebody is making them up.
const MAX_IN_SIGHT: usize = 1024;

/// Looks for nodes by multicast DNS, and says that this one is there. Says goodbye when it is dropped.
pub struct Mdns {
    daemon: ServiceDaemon,
    browser: Receiver<ServiceEvent>,
    interfaces: Interfaces,
    hostname: String,
    port: u16,
    said: Option<Announcement>,
    /// The addresses under which that was said, and how often it is to be said again.
    addresses: (BTreeSet<IpAddr>, u8),
    look: Interval,
    /// When everything is to be said under another name.
    renamed: Option<Instant>,
    in_sight: BTreeMap<NodeId, Sighting>,
}

impl std::fmt::Debug for Mdns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mdns")
            .field("said", &self.said)
            .field("in_sight", &self.in_sight)
            .finish_non_exhaustive()
    }
}

impl Mdns {
    /// Begins to look. `name` is this node's: it answers for `name.local`. `port` is its node-to-node port.
    ///
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// [`DiscoveryError::Mdns`] where the machine has no multicast sockets to give.
    pub fn start(interfaces: Interfaces, name: &str, port: u16) -> Result<Self, DiscoveryError> {
        let daemon = daemon(&interfaces)?;
        let browser = daemon.browse(SERVICE).map_err(DiscoveryError::Mdns)?;
        let mut look = interval(LOOK_AT_ADDRESSES);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.reset();
        Ok(Self {
            daemon,
            browser,
            interfaces,
            hostname: format!("{name}.local."),
            port,
            said: None,
            addresses: (BTreeSet::new(), 0),
            look,
            renamed: None,
            in_sight: BTreeMap::new(),
        })
    }

    /// What the service's name server is told to do, for [`BrambleName`](super::BrambleName).
    pub(super) fn daemon(&self) -> &ServiceDaemon {
        &self.daemon
    }

    /// From now on this node answers for `name.local`, and no longer for the name that it had.
    pub fn rename(&mut self, name: &str) {
        let hostname = format!("{name}.local.");
        if hostname == self.hostname {
            return;
        }
        if let Some(me) = self.me() {
            // Takes back the addresses of the old name along with everything else.
            _ = self.daemon.unregister(&format!("{me}.{SERVICE}"));
            self.renamed = Some(Instant::now() + GOODBYE);
        }
        self.hostname = hostname;
    }

    fn say_under_new_name(&mut self) {
        self.renamed = None;
        if let Some(announcement) = &self.said
            && let Err(error) = self.say(announcement)
        {
            debug!(%error, "cannot be said under another name");
        }
    }

    fn me(&self) -> Option<NodeId> {
        self.said.as_ref().map(|announcement| announcement.node)
    }

    fn say(&self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        let info = ServiceInfo::new(
            SERVICE,
            &announcement.node.to_string(),
            &self.hostname,
            (),
            self.port,
            txt::write(announcement).as_slice(),
        );
        register(&self.daemon, info).map(|_| ())
    }

    /// Says everything again if this machine's addresses have changed.
    fn look_at_addresses(&mut self) {
        let addresses = self.interfaces.addresses();
        let (known, again) = &mut self.addresses;
        if *known != addresses {
            (*known, *again) = (addresses, SAY_AGAIN);
        }
        if *again > 0 {
            *again -= 1;
            if let Some(announcement) = &self.said
                && self.renamed.is_none()
                && let Err(error) = self.say(announcement)
            {
                debug!(%error, "cannot be said again");
            }
        }
    }

    fn resolved(&mut self, service: &ResolvedService) -> Option<Event> {
        let announcement = txt::read(|key| service.get_property_val_str(key))?;
        let node = announcement.node;
        // A record that speaks for another node than its name says could never be taken back.
        if self.me() == Some(node) || instance(&service.fullname)? != node {
            return None;
        }
        let mut addresses: Vec<SocketAddr> = service
            .addresses
            .iter()
            .filter_map(|address| reached(address, service.port))
            .filter(|address| self.interfaces.loopback || !address.ip().is_loopback())
            .collect();
        addresses.sort_by_key(|address| (preference(address), *address));
        addresses.dedup();
        let sighting = Sighting {
            announcement,
            addresses,
        };
        if self.in_sight.get(&node) == Some(&sighting) {
            return None;
        }
        if self.in_sight.len() >= MAX_IN_SIGHT && !self.in_sight.contains_key(&node) {
            debug!(%node, "too many nodes in sight");
            return None;
        }
        self.in_sight.insert(node, sighting.clone());
        Some(Event::Sighted(sighting))
    }
}

impl Discovery for Mdns {
    fn announce(&mut self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        self.in_sight.remove(&announcement.node);
        // A goodbye that is under way would take it back.
        if self.renamed.is_none() {
            self.say(announcement)?;
        }
        self.said = Some(announcement.clone());
        Ok(())
    }

    async fn next(&mut self) -> Event {
        loop {
            let renamed = self.renamed;
            let goodbye = async {
                match renamed {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                () = goodbye => {
                    self.say_under_new_name();
                    continue;
                }
                heard = self.browser.recv_async() => heard,
                _ = self.look.tick() => {
                    self.look_at_addresses();
                    continue;
                }
            };
            match heard {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    if let Some(event) = self.resolved(&service) {
                        return event;
                    }
                }
                Ok(ServiceEvent::ServiceRemoved(_, fullname)) => {
                    let gone = instance(&fullname).filter(|node| self.in_sight.remove(node).is_some());
                    if let Some(node) = gone {
                        return Event::Lost(node);
                    }
                }
                Ok(_) => {}
                // Someone sends faster than we read, or the daemon is ending: look anew, from what it remembers.
                Err(_) => match self.daemon.browse(SERVICE) {
                    Ok(browser) => self.browser = browser,
                    Err(error) => {
                        debug!(%error, "multicast DNS has ended");
                        std::future::pending::<()>().await;
                    }
                },
            }
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        if let Some(me) = self.me() {
            _ = self.daemon.unregister(&format!("{me}.{SERVICE}"));
        }
        // Its thread is done within a millisecond; a program that ends before it would leave without a word.
        if let Ok(ended) = self.daemon.shutdown() {
            _ = ended.recv_timeout(ENDING);
        }
    }
}

/// A name server on the interfaces that count, now and when they change.
fn daemon(interfaces: &Interfaces) -> Result<ServiceDaemon, DiscoveryError> {
    let daemon = ServiceDaemon::new().map_err(DiscoveryError::Mdns)?;
    let interfaces = interfaces.clone();
    let counts = IfPredicate::new(move |interface| interfaces.counts(interface));
    daemon
        .disable_interface(IfKind::All)
        .map_err(DiscoveryError::Mdns)?;
    daemon
        .enable_interface(IfKind::Predicate(counts))
        .map_err(DiscoveryError::Mdns)?;
    // A cable that is plugged in late should not have to wait for the usual five seconds.
    daemon.set_ip_check_interval(2).map_err(DiscoveryError::Mdns)?;
    Ok(daemon)
}

/// Publishes a service with this machine's addresses, under exactly its name; answers the full name.
pub(super) fn register(
    daemon: &ServiceDaemon,
    info: Result<ServiceInfo, mdns_sd::Error>,
) -> Result<String, DiscoveryError> {
    let mut info = info.map_err(DiscoveryError::Mdns)?.enable_addr_auto();
    info.set_requires_probe(false);
    let fullname = info.get_fullname().to_owned();
    daemon.register(info).map_err(DiscoveryError::Mdns)?;
    Ok(fullname)
}

/// The node whose instance has this full name.
fn instance(fullname: &str) -> Option<NodeId> {
    fullname.split('.').next()?.parse().ok()
}

fn reached(address: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match address {
        ScopedIp::V4(v4) => Some(SocketAddr::V4(SocketAddrV4::new(*v4.addr(), port))),
        ScopedIp::V6(v6) => {
            let link_local = v6.addr().is_unicast_link_local();
            let scope = if link_local { v6.scope_id().index } else { 0 };
            // Without its interface, a link-local address leads nowhere.
            (!link_local || scope != 0).then(|| SocketAddr::V6(SocketAddrV6::new(*v6.addr(), port, 0, scope)))
        }
        _ => None,
    }
}

/// IPv4 first, since it is what people's networks are tried with; link-local last, but it works without a router.
fn preference(address: &SocketAddr) -> u8 {
    match address.ip() {
        IpAddr::V4(v4) if !v4.is_link_local() => 0,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_the_id_in_its_name() {
        let node = NodeId::from_number(0xabc);
        assert_eq!(instance(&format!("{node}.{SERVICE}")), Some(node));
        assert_eq!(instance("somebody.else._bramble._tcp.local."), None);
    }

    #[test]
    fn addresses_that_reach_furthest_come_first() {
        let mut addresses: Vec<SocketAddr> = [
            "[fe80::1%3]:1",
            "169.254.1.1:1",
            "[2001:db8::1]:1",
            "192.168.1.2:1",
        ]
        .into_iter()
        .map(|text| text.parse().unwrap())
        .collect();
        addresses.sort_by_key(|address| (preference(address), *address));
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "192.168.1.2:1",
                "[2001:db8::1]:1",
                "169.254.1.1:1",
                "[fe80::1%3]:1"
            ]
        );
    }
}
