//! Other brambles in sight: which of them this node goes over to, with its whole bramble or alone, and about which
//! people are asked.
//!
//! Level-triggered: what is in sight is looked at as a whole, now and then. The deciding is `cluster::bootstrap::meet`;
//! before anything comes of it the other one has to prove the join key, where there is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    NodeId,
    join::{BrambleId, Sighting},
    v1,
};
use cluster::bootstrap::{InSight, Meeting, Pace, goes_over, meet};
use controller::Controller;
use tokio::task::JoinSet;
use tracing::{info, warn};
use transport::{
    NodeKey,
    join::{JoinSecret, look, prove},
};

/// Nodes of other brambles that are remembered at most. What strangers invent beyond that is not looked at.
const MAX_IN_SIGHT: usize = 64;

/// Other brambles of which one is asked for a proof in one look.
const MAX_ASKED: usize = 4;

/// The nodes of other brambles that are in sight.
#[derive(Debug)]
pub(super) struct Meetings {
    key: Arc<NodeKey>,
    secret: Option<Arc<JoinSecret>>,
    http_port: u16,
    in_sight: BTreeMap<NodeId, Sighting>,
    /// The bramble that was asked last, here and in the look that is under way: the next look begins behind it, so that
    /// invented ones do not keep a real one from its turn.
    asked_last: Arc<Mutex<Option<BrambleId>>>,
}

/// What this node knows of its own bramble when it looks at others.
pub(super) struct Own {
    /// What others see of it.
    pub(super) bramble: InSight,
    /// How long its leader has been silent.
    pub(super) silence: Duration,
    /// Its controller here, if it leads.
    pub(super) leader: Option<Controller>,
    /// How patient this node is.
    pub(super) pace: Pace,
}

/// A look at other brambles that is under way: ends with whether this node is to go over to one of them alone.
pub(super) type Look = JoinSet<bool>;

impl Meetings {
    pub(super) fn new(key: Arc<NodeKey>, secret: Option<Arc<JoinSecret>>, http_port: u16) -> Self {
        Self {
            key,
            secret,
            http_port,
            in_sight: BTreeMap::new(),
            asked_last: Arc::default(),
        }
    }

    /// Somebody is in sight; `own` is the bramble of this node.
    pub(super) fn sighted(&mut self, sighting: &Sighting, own: BrambleId) {
        let node = sighting.announcement.node;
        match InSight::of(&sighting.announcement.standing) {
            Some(theirs) if theirs.bramble != own => {
                if self.in_sight.len() < MAX_IN_SIGHT || self.in_sight.contains_key(&node) {
                    self.in_sight.insert(node, sighting.clone());
                }
            }
            _ => self.lost(node),
        }
    }

    /// Somebody is in sight no longer.
    pub(super) fn lost(&mut self, node: NodeId) {
        self.in_sight.remove(&node);
    }

    /// Begins to look at all of them.
    pub(super) fn look(&self, own: Own) -> Look {
        let mut brambles: BTreeMap<BrambleId, Vec<Sighting>> = BTreeMap::new();
        for sighting in self.in_sight.values() {
            if let Some(theirs) = InSight::of(&sighting.announcement.standing) {
                brambles.entry(theirs.bramble).or_default().push(sighting.clone());
            }
        }
        let (key, secret, http_port) = (Arc::clone(&self.key), self.secret.clone(), self.http_port);
        let asked_last = Arc::clone(&self.asked_last);
        let mut look = JoinSet::new();
        look.spawn(async move {
            let (mut asks, mut asked) = (Vec::new(), 0);
            let last = *lock(&asked_last);
            for (bramble, sightings) in in_turn(brambles, last) {
                let claims = sightings.iter().filter_map(|one| InSight::of(&one.announcement.standing));
                // One of its nodes may not know yet that somebody has worked with it.
                let Some(theirs) = claims.max_by_key(|claim| claim.work) else {
                    continue;
                };
                let meeting = own.leader.as_ref().map(|_| meet(own.bramble, theirs));
                let alone = own.leader.is_none() && goes_over(own.bramble, own.silence, theirs, &own.pace);
                if !alone && !matches!(meeting, Some(Meeting::Dissolve | Meeting::Ask)) {
                    continue;
                }
                if asked == MAX_ASKED {
                    break;
                }
                asked += 1;
                *lock(&asked_last) = Some(bramble);
                if !is_there(&key, secret.as_ref(), bramble, &sightings).await {
                    continue;
                }
                match (&own.leader, meeting) {
                    (Some(controller), Some(Meeting::Dissolve)) => {
                        info!(%bramble, "another bramble of the same join key is in sight, and nobody has used this one");
                        if let Err(error) = controller.dissolve(bramble).await {
                            info!(%bramble, error, "this bramble stays for now");
                        }
                    }
                    (Some(_), _) => asks.push(entry(bramble, &sightings, http_port)),
                    (None, _) => {
                        warn!(%bramble, "nothing was heard of this node's bramble for long: goes over to another one of the same join key");
                        return true;
                    }
                }
            }
            if let Some(controller) = &own.leader {
                controller.meets(asks);
            }
            false
        });
        look
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of them, those behind `last` first.
fn in_turn<T>(mut brambles: BTreeMap<BrambleId, T>, last: Option<BrambleId>) -> Vec<(BrambleId, T)> {
    let behind = match last {
        Some(last) => brambles.extract_if(.., |id, _| *id > last).collect(),
        None => Vec::new(),
    };
    behind.into_iter().chain(brambles).collect()
}

/// Whether a node of this bramble is there, and holds our join key where we have one.
async fn is_there(
    key: &NodeKey,
    secret: Option<&Arc<JoinSecret>>,
    bramble: BrambleId,
    sightings: &[Sighting],
) -> bool {
    for sighting in sightings {
        let node = sighting.announcement.node;
        for to in &sighting.addresses {
            let said = match secret {
                Some(secret) => prove(key, *to, Some(node), Arc::clone(secret)).await,
                None => look(key, *to).await.map(|sighting| sighting.announcement),
            };
            let said = said.ok().filter(|said| said.node == node);
            if said
                .and_then(|said| InSight::of(&said.standing))
                .is_some_and(|it| it.bramble == bramble)
            {
                return true;
            }
        }
    }
    false
}

/// What people are shown of a bramble.
fn entry(bramble: BrambleId, sightings: &[Sighting], http_port: u16) -> v1::Meeting {
    let places: BTreeSet<_> = sightings
        .iter()
        .filter_map(|one| Some((one.addresses.first()?.ip(), &one.announcement.board)))
        .collect();
    let address = places.first().map(|(ip, _)| SocketAddr::new(*ip, http_port));
    v1::Meeting {
        bramble,
        boards: places.into_iter().map(|(_, board)| board.clone()).collect(),
        address: address.map_or_else(String::new, |address| address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_however_many_are_invented() {
        let ids = |numbers: &[u128]| -> Vec<BrambleId> {
            numbers.iter().copied().map(BrambleId::from_number).collect()
        };
        let brambles: BTreeMap<_, _> = ids(&[1, 2, 3]).into_iter().map(|id| (id, ())).collect();
        let turn = |last: Option<u128>| -> Vec<BrambleId> {
            let all = in_turn(brambles.clone(), last.map(BrambleId::from_number));
            all.into_iter().map(|(id, ())| id).collect()
        };
        assert_eq!(turn(None), ids(&[1, 2, 3]));
        assert_eq!(turn(Some(1)), ids(&[2, 3, 1]));
        assert_eq!(turn(Some(3)), ids(&[1, 2, 3]));
    }
}
