//! Where other nodes are reached, as far as this node knows, and where it is reached itself. Hints only: who answers
//! proves by its key who it is.
//!
//! Addresses change while a bramble is switched off, and then no controller can tell the others so: who is in sight
//! comes first, what was told before last.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use api::{
    NodeId,
    join::{BrambleId, Role, Sighting, Standing},
    sync::Routes,
};
use tokio::sync::watch;

use crate::discovery::Interfaces;

/// The address that a node tells others.
#[derive(Clone, Debug)]
pub enum OwnAddress {
    /// Always this one.
    Fixed(SocketAddr),
    /// Whatever these interfaces have at the moment, with this port.
    Of(Interfaces, u16),
}

impl OwnAddress {
    /// What it is now; loopback where the machine has no other address.
    pub fn now(&self) -> SocketAddr {
        match self {
            Self::Fixed(address) => *address,
            Self::Of(interfaces, port) => interfaces.best(*port),
        }
    }
}

/// Where other nodes are reached. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Contacts(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// This node itself, which never comes into sight of itself.
    me: Option<(NodeId, OwnAddress)>,
    /// Members of this bramble that are in sight.
    sighted: BTreeMap<NodeId, (SocketAddr, Role)>,
    /// What the replicated state says, at a node that has it.
    known: BTreeMap<NodeId, SocketAddr>,
    /// Controllers, as they were when this node joined.
    told: Vec<(NodeId, SocketAddr)>,
    /// Who leads, by the word of this node's own controller, which hears of it long before routes say so.
    leader: watch::Sender<Option<NodeId>>,
}

impl Contacts {
    /// The same for the node `me`, which is where `own` says, whatever others were told before.
    #[must_use]
    pub fn of(self, me: NodeId, own: OwnAddress) -> Self {
        self.write().me = Some((me, own));
        self
    }

    /// With the controllers that a node was told of when it joined.
    pub fn new(told: Vec<(NodeId, SocketAddr)>) -> Self {
        let contacts = Self::default();
        contacts.write().told = told;
        contacts
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is in sight; counts only as a member of `bramble`.
    pub fn sighted(&self, sighting: &Sighting, bramble: BrambleId) {
        let node = sighting.announcement.node;
        match (sighting.announcement.standing, sighting.addresses.first()) {
            (
                Standing::Member {
                    bramble: of, role, ..
                },
                Some(address),
            ) if of == bramble => {
                self.write().sighted.insert(node, (*address, role));
            }
            _ => self.lost(node),
        }
    }

    /// Somebody is in sight no longer.
    pub fn lost(&self, node: NodeId) {
        self.write().sighted.remove(&node);
    }

    /// What the replicated state says of all nodes.
    pub fn know(&self, addresses: BTreeMap<NodeId, SocketAddr>) {
        self.write().known = addresses;
    }

    /// This node's own controller says who leads; `None` where it does not know, or is no more.
    pub fn led_by(&self, leader: Option<NodeId>) {
        self.read()
            .leader
            .send_if_modified(|last| std::mem::replace(last, leader) != leader);
    }

    /// Who leads, by the word of this node's own controller alone, now and whenever it changes.
    pub(crate) fn leadership(&self) -> watch::Receiver<Option<NodeId>> {
        self.read().leader.subscribe()
    }

    /// Who leads, as far as is known here.
    pub fn leader(&self, routes: &Routes) -> Option<NodeId> {
        let own = *self.read().leader.borrow();
        own.or(routes.leader)
    }

    /// Where `node` is at this moment, which is surer than what anybody else says: it is in sight, or is this node.
    pub fn seen(&self, node: NodeId) -> Option<SocketAddr> {
        let inner = self.read();
        match &inner.me {
            Some((me, own)) if *me == node => Some(own.now()),
            _ => inner.sighted.get(&node).map(|(address, _)| *address),
        }
    }

    /// Where `node` is reached.
    pub fn address(&self, node: NodeId, routes: &Routes) -> Option<SocketAddr> {
        if let Some(address) = self.seen(node) {
            return Some(address);
        }
        let inner = self.read();
        let told = || {
            inner
                .told
                .iter()
                .find(|(id, _)| *id == node)
                .map(|(_, address)| *address)
        };
        let routed = routes.nodes.get(&node).copied();
        routed.or_else(|| inner.known.get(&node).copied()).or_else(told)
    }

    /// The controllers, and where they are reached: the leader first.
    pub fn controllers(&self, routes: &Routes) -> Vec<(NodeId, SocketAddr)> {
        let inner = self.read();
        let in_sight = |leads: bool| {
            let of_role = move |role: &Role| match role {
                Role::Leader(_) => leads,
                Role::Controller => !leads,
                Role::Node => false,
            };
            inner
                .sighted
                .iter()
                .filter(move |(_, (_, role))| of_role(role))
                .map(|(id, _)| *id)
        };
        let own = *inner.leader.borrow();
        let named = own
            .into_iter()
            .chain(routes.leader)
            .chain(routes.controllers.iter().copied());
        let told = inner.told.iter().map(|(id, _)| *id);
        let mut ids: Vec<NodeId> = Vec::new();
        for id in named.chain(in_sight(true)).chain(in_sight(false)).chain(told) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        drop(inner);
        ids.into_iter()
            .filter_map(|id| Some((id, self.address(id, routes)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use api::{Memory, join::Announcement};

    use super::*;

    const BRAMBLE: BrambleId = BrambleId::from_number(1);

    fn id(number: u128) -> NodeId {
        NodeId::from_number(number)
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 168, 1, last], 7443))
    }

    fn sighting(node: u128, bramble: BrambleId, role: Role, address: SocketAddr) -> Sighting {
        Sighting {
            announcement: Announcement {
                node: id(node),
                standing: Standing::Member {
                    bramble,
                    key: None,
                    role,
                    work: false,
                },
                board: String::new(),
                memory: Memory::from_mib(1),
                version: String::new(),
            },
            addresses: vec![address],
        }
    }

    #[test]
    fn who_is_in_sight_is_where_it_is_seen_whatever_was_told_before() {
        let contacts = Contacts::new(vec![(id(1), at(1))]);
        let mut routes = Routes::default();
        assert_eq!(contacts.address(id(1), &routes), Some(at(1)));
        contacts.know([(id(1), at(2))].into());
        assert_eq!(contacts.address(id(1), &routes), Some(at(2)));
        routes.nodes.insert(id(1), at(3));
        assert_eq!(contacts.address(id(1), &routes), Some(at(3)));
        contacts.sighted(&sighting(1, BRAMBLE, Role::Node, at(4)), BRAMBLE);
        assert_eq!(contacts.address(id(1), &routes), Some(at(4)));
        contacts.lost(id(1));
        assert_eq!(contacts.address(id(1), &routes), Some(at(3)));
    }

    #[test]
    fn a_node_knows_itself_where_it_is_whatever_the_state_says() {
        let contacts = Contacts::new(Vec::new()).of(id(1), OwnAddress::Fixed(at(9)));
        let mut routes = Routes::default();
        contacts.know([(id(1), at(1)), (id(2), at(2))].into());
        routes.nodes.insert(id(1), at(1));
        assert_eq!(contacts.address(id(1), &routes), Some(at(9)));
        assert_eq!(contacts.address(id(2), &routes), Some(at(2)));
    }

    #[test]
    fn the_leader_is_asked_first_and_members_of_other_brambles_never() {
        let contacts = Contacts::new(vec![(id(1), at(1))]);
        contacts.sighted(&sighting(2, BRAMBLE, Role::Controller, at(2)), BRAMBLE);
        contacts.sighted(&sighting(3, BRAMBLE, Role::Leader(4), at(3)), BRAMBLE);
        contacts.sighted(
            &sighting(4, BrambleId::from_number(2), Role::Leader(9), at(4)),
            BRAMBLE,
        );
        let routes = Routes::default();
        assert_eq!(
            contacts.controllers(&routes),
            [(id(3), at(3)), (id(2), at(2)), (id(1), at(1))]
        );
    }
}
