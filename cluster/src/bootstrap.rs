//! Before a node is part of a bramble: whether it joins one, founds one, or waits to be admitted.
//!
//! ```text
//!   link up? ─┐                                     ┌─► Join    knock at this node, by the join protocol
//!   in sight ─┼─► Bootstrap ──── decide(now) ───────┼─► Found   make a bramble
//!   knocked  ─┤   (one candidate's memory)          ├─► Wait    hang on until a person admits us
//!   answers  ─┘                                     └─► Sleep   until a moment, or until something is told
//! ```
//!
//! A bramble that is ours is joined whenever one is in sight: with a join key, one of the same key; without, any, and
//! a person admits. Where none is, the candidate with the lowest id founds, and everyone else knocks at it until it
//! has. What makes that *one* bramble though cards boot minutes apart, links come up late and announcements get lost:
//!
//! - The window in which others are looked for begins when the link is up, not when the program starts.
//! - Knocking is a vote: it proves that the other lives, holds the key and takes us for the lowest. A founder needs
//!   the votes of all candidates that it sees, after some time of most. A vote binds: before it is given to another it is taken back, and if
//!   the first cannot be reached for that, there may be a bramble already, which is waited for a good while.
//! - Without votes it is alone, or cut off, and cannot tell which. It founds nevertheless, but only after a patience
//!   that is much longer than a switch takes to open its ports; meanwhile those who do have each other have founded,
//!   and it finds their bramble when the network heals.
//! - Where all that fails, for a network that stays split for longer, two brambles are founded. When they meet, the
//!   one in which no person has done anything yet dissolves into the other ([`meet`]).
//!
//! What is in sight is a hint from strangers. A candidate that cannot be reached, or does not prove the key, holds
//! nobody up for long; a stream of invented candidates holds a founder up for [`Pace::credulous`] at most.
//!
//! Pure: the shell looks (the agent's discovery), knocks (`transport::join`), and says what time it is.
//!
//! Not here: who is admitted by the bramble (the controller), what is said while knocking (`transport`).

mod meeting;
mod pace;
mod seen;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use api::{
    NodeId,
    join::{BrambleId, KeyTag, Role, Sighting, Standing},
};

pub use meeting::{InSight, Meeting, better, goes_over, meet};
pub use pace::Pace;

use crate::Moment;
use seen::Seen;

/// Candidates and members that are remembered at most: a bramble of the largest size that is tested for, twice. What
/// strangers invent beyond that is not looked at.
pub const MAX_IN_SIGHT: usize = 256;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Knock at this node, and tell [`Bootstrap::answered`] what came of it.
    Join {
        /// Which.
        node: NodeId,
        /// Where it may be reached, the best first; never empty.
        addresses: Vec<SocketAddr>,
        /// What it is to be told if it turns out to be a candidate: whether this node wants it to found. `false` takes
        /// back what it was told before.
        vote: bool,
    },
    /// Make a new bramble and be its first controller.
    Found,
    /// Keep the connections to these brambles open until a person admits this node at one of them.
    Wait {
        /// Where this node is on the list.
        at: BTreeSet<BrambleId>,
    },
    /// Nothing.
    Sleep,
}

/// What to do now, and when to ask again even if nothing was told meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub step: Step,
    /// When; `None` is "not before something is told".
    pub until: Option<Moment>,
}

/// What came of knocking at a node. Being admitted is not among them: it ends the time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is a candidate itself, of our key or keyless as we are, and has not founded yet.
    NotYet,
    /// We are on the list of those whom a person may admit; the connection stays open. When it ends otherwise than by
    /// being admitted, that is another answer.
    Waiting {
        /// Whose list.
        bramble: BrambleId,
    },
    /// It is a member and runs no controller; these do.
    Elsewhere(Vec<(NodeId, SocketAddr)>),
    /// It says no: it has enough to do, or a person refused us.
    Refused,
    /// It was not reached, or did not answer.
    Unreachable,
    /// It is not what it claims: another key, another authority, a damaged conversation.
    Distrusted,
}

/// One candidate's memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bootstrap {
    me: NodeId,
    key: Option<KeyTag>,
    pace: Pace,
    link_since: Option<Moment>,
    seen: BTreeMap<NodeId, Seen>,
    waiting_at: BTreeMap<BrambleId, NodeId>,
    /// Who may found with this node's vote, and when it was told so last.
    voted: Option<(NodeId, Moment)>,
    /// When somebody lower was last in the running.
    outranked: Option<Moment>,
    /// When a candidate last knocked here.
    last_knock: Option<Moment>,
}

impl Bootstrap {
    /// The candidate `me`, which holds the join key with this tag or none. Its link counts as down until
    /// [`link`](Self::link) says otherwise.
    pub fn new(me: NodeId, key: Option<KeyTag>, pace: Pace) -> Self {
        Self {
            me,
            key,
            pace,
            link_since: None,
            seen: BTreeMap::new(),
            waiting_at: BTreeMap::new(),
            voted: None,
            outranked: None,
            last_knock: None,
        }
    }

    /// What this node is to others meanwhile, to be announced.
    pub fn standing(&self) -> Standing {
        Standing::Candidate { key: self.key }
    }

    /// Whether any interface on which others could be in sight is up and has an address.
    pub fn link(&mut self, up: bool, now: Moment) {
        self.link_since = match up {
            true => self.link_since.or(Some(now)),
            false => None,
        };
    }

    /// Someone is in sight, or says something else of itself than before.
    pub fn sighted(&mut self, sighting: &Sighting, now: Moment) {
        let node = sighting.announcement.node;
        if node == self.me {
            return;
        }
        let standing = sighting.announcement.standing;
        if let Some(seen) = self.seen.get_mut(&node) {
            seen.says(standing, &sighting.addresses, now);
        } else if self.seen.len() < MAX_IN_SIGHT || self.forget_the_least() {
            let seen = Seen::new(standing, sighting.addresses.clone(), now);
            self.seen.insert(node, seen);
        }
    }

    /// Someone is in sight no longer: it said goodbye, or its announcement ran out.
    pub fn lost(&mut self, node: NodeId) {
        self.seen.remove(&node);
    }

    /// Another candidate knocked here, and proved that it holds our key (or none, where we have none). `sighting` is
    /// what it said, with the address it came from; `vote` whether it wants this node to found.
    pub fn knocked(&mut self, sighting: &Sighting, vote: bool, now: Moment) {
        self.sighted(sighting, now);
        if let Some(seen) = self.seen.get_mut(&sighting.announcement.node) {
            seen.lives();
            seen.voted = Some(now).filter(|_| vote);
            self.last_knock = Some(now);
        }
    }

    /// What came of knocking at `node`.
    pub fn answered(&mut self, node: NodeId, answer: &Answer, now: Moment) {
        self.waiting_at.retain(|_, at| *at != node);
        let others = self.seen.len();
        let Some(seen) = self.seen.get_mut(&node) else {
            return;
        };
        seen.asking = false;
        match answer {
            Answer::NotYet => {
                seen.lives();
                if !seen.asked_for {
                    self.voted = self.voted.filter(|(founder, _)| *founder != node);
                }
                seen.next_try = now.after(self.pace.knock_among(others));
            }
            Answer::Waiting { bramble } => {
                seen.lives();
                self.waiting_at.insert(*bramble, node);
            }
            Answer::Elsewhere(controllers) => {
                seen.lives();
                seen.next_try = now.after(self.pace.again_after_refusal);
                let standing = seen.standing;
                self.learn(standing, controllers, now);
            }
            Answer::Refused => {
                seen.lives();
                seen.next_try = now.after(self.pace.again_after_refusal);
            }
            Answer::Unreachable => {
                let since = *seen.failing_since.get_or_insert(now);
                seen.next_try = now.after(self.pace.knock_among(others));
                let patience = match seen.standing {
                    Standing::Candidate { .. } if seen.verified => self.pace.promised,
                    Standing::Candidate { .. } => self.pace.deaf,
                    Standing::Member { .. } => self.pace.forsake,
                };
                if now.since(since) >= patience {
                    seen.shun_until(now.after(self.pace.deaf_again));
                }
            }
            Answer::Distrusted => seen.shun_until(now.after(self.pace.distrust)),
        }
    }

    /// What to do at this moment. A [`Step::Join`] is said once; its answer is awaited before there is another for
    /// the same node.
    pub fn decide(&mut self, now: Moment) -> Decision {
        self.seen.values_mut().for_each(|seen| seen.forgive(now));
        let Some(link_since) = self.link_since else {
            return Decision {
                step: Step::Sleep,
                until: None,
            };
        };
        if self.a_bramble_is_in_sight() {
            return self.towards_a_bramble(now);
        }
        if let Some(until) = self.keyed_candidates_hold_up(now) {
            return sleep(until);
        }
        self.elect(link_since, now)
    }

    /// Members of brambles that this node could be part of.
    fn hosts(&self) -> impl Iterator<Item = (NodeId, BrambleId, Role, &Seen)> {
        self.seen.iter().filter_map(|(id, seen)| match seen.standing {
            Standing::Member {
                bramble, key, role, ..
            } if (self.key.is_none() || key == self.key) && !seen.is_shunned() => {
                Some((*id, bramble, role, seen))
            }
            _ => None,
        })
    }

    fn a_bramble_is_in_sight(&self) -> bool {
        self.hosts().next().is_some() || !self.waiting_at.is_empty()
    }

    /// Knocks: with a key at the best of the brambles that have it, without at each.
    fn towards_a_bramble(&mut self, now: Moment) -> Decision {
        let best = self
            .hosts()
            .filter_map(|(_, _, _, seen)| InSight::of(&seen.standing))
            .reduce(better);
        let target = self
            .hosts()
            .filter(|(_, bramble, ..)| match self.key {
                Some(_) => best.is_some_and(|best| best.bramble == *bramble),
                None => !self.waiting_at.contains_key(bramble) && !self.is_asking_at(*bramble),
            })
            .filter(|(_, _, _, seen)| !seen.asking && !seen.addresses.is_empty())
            // The first that may be asked at all, and of those the one that is most likely to decide.
            .min_by_key(|(id, _, role, seen)| (seen.next_try.max(now), *role, *id))
            .map(|(id, _, _, seen)| (id, seen.next_try));
        match target {
            Some((node, due)) if due <= now && !self.keyed_and_asking() => self.join(node, false, now),
            Some((_, due)) if due > now => Decision {
                step: self.waiting(),
                until: Some(due),
            },
            _ => Decision {
                step: self.waiting(),
                until: None,
            },
        }
    }

    /// Whether a node with a key is at a door already: one is enough, since the first that proves the key admits.
    fn keyed_and_asking(&self) -> bool {
        self.key.is_some() && self.hosts().any(|(_, _, _, seen)| seen.asking)
    }

    fn is_asking_at(&self, bramble: BrambleId) -> bool {
        self.hosts().any(|(_, of, _, seen)| of == bramble && seen.asking)
    }

    fn waiting(&self) -> Step {
        match self.waiting_at.is_empty() {
            true => Step::Sleep,
            false => Step::Wait {
                at: self.waiting_at.keys().copied().collect(),
            },
        }
    }

    fn join(&mut self, node: NodeId, vote: bool, now: Moment) -> Decision {
        let seen = self.seen.get_mut(&node).expect("chosen among those seen");
        seen.asking = true;
        seen.asked_for = vote;
        if vote {
            self.voted = Some((node, now));
        }
        Decision {
            step: Step::Join {
                node,
                addresses: seen.addresses.clone(),
                vote,
            },
            until: Some(now.after(self.pace.knock)),
        }
    }

    /// Without a key, this node leaves founding to candidates that have one, for as long as founding can take.
    fn keyed_candidates_hold_up(&self, now: Moment) -> Option<Moment> {
        if self.key.is_some() {
            return None;
        }
        let keyed = |seen: &&Seen| matches!(seen.standing, Standing::Candidate { key: Some(_) });
        let until = self
            .seen
            .values()
            .filter(keyed)
            .map(|seen| seen.first.after(self.pace.credulous));
        until.max().filter(|until| *until > now)
    }

    /// Nobody is a bramble yet: the lowest founds, the others knock at it.
    fn elect(&mut self, link_since: Moment, now: Moment) -> Decision {
        let credulous = now < link_since.after(self.pace.credulous);
        let ours = self.standing();
        let rivals = self.seen.iter().filter(|(_, seen)| {
            seen.standing == ours
                && !seen.is_shunned()
                && !seen.addresses.is_empty()
                && (seen.verified || credulous)
        });
        let (mut others, mut votes) = (0, 0);
        let mut lowest = None;
        let mut newest = link_since;
        let fresh = self.pace.fresh_among(self.seen.len());
        let mut votes_until = None;
        for (id, seen) in rivals {
            others += 1;
            lowest = lowest.or(Some(*id).filter(|id| *id < self.me));
            newest = newest.max(seen.first);
            if let Some(voted) = seen.voted.filter(|voted| now.since(*voted) < fresh) {
                votes += 1;
                let until = voted.after(fresh);
                votes_until = Some(votes_until.unwrap_or(until).min(until));
            }
        }
        if let Some(lower) = lowest {
            self.outranked = Some(now);
            let bound = self.bound_to(lower, now);
            let door = bound.unwrap_or(lower);
            let seen = &self.seen[&door];
            return match seen.asking {
                true => sleep(now.after(self.pace.knock)),
                false if seen.next_try <= now => self.join(door, bound.is_none(), now),
                false => sleep(seen.next_try),
            };
        }
        let window = link_since.after(self.pace.discovery);
        let settled = newest.after(self.pace.settle);
        // Cards that trickle in for minutes do not hold up the founding.
        let looked = settled.max(window).min(window.after(self.pace.discovery));
        let outranked = self.outranked.unwrap_or(link_since).max(link_since);
        let ready = if others > 0 && votes == others {
            looked
        } else if (1 + votes) * 2 > 1 + others && others > 0 {
            // Whoever does not vote may be bound by a vote that it gave to somebody out of sight.
            looked.max(outranked.after(self.pace.promised))
        } else {
            let voted = self.last_knock.filter(|_| votes == 0);
            outranked.max(voted.unwrap_or(outranked)).after(self.pace.lone)
        };
        if ready <= now {
            return Decision {
                step: Step::Found,
                until: None,
            };
        }
        // A vote that runs out changes what is needed.
        sleep(votes_until.map_or(ready, |until| until.min(ready)))
    }

    /// The candidate other than `lowest` that may still found with this node's vote.
    fn bound_to(&self, lowest: NodeId, now: Moment) -> Option<NodeId> {
        let (founder, voted) = self.voted?;
        let seen = self.seen.get(&founder)?;
        let may_found = founder != lowest
            && now.since(voted) < self.pace.promised
            && matches!(seen.standing, Standing::Candidate { .. })
            && !seen.is_shunned();
        may_found.then_some(founder)
    }

    /// A member told where its bramble's controllers are.
    fn learn(&mut self, teller: Standing, controllers: &[(NodeId, SocketAddr)], now: Moment) {
        let Standing::Member {
            bramble, key, work, ..
        } = teller
        else {
            return;
        };
        // More controllers than a bramble can have are not worth a visit.
        for (node, address) in controllers.iter().take(9) {
            let known = self
                .seen
                .get(node)
                .is_some_and(|seen| matches!(seen.standing, Standing::Member { .. }));
            if *node != self.me && !known && self.seen.len() < MAX_IN_SIGHT {
                let standing = Standing::Member {
                    bramble,
                    key,
                    role: Role::Controller,
                    work,
                };
                self.seen.insert(*node, Seen::new(standing, vec![*address], now));
            }
        }
    }

    /// Makes room for one more in sight; `false` where everyone here has proved something.
    fn forget_the_least(&mut self) -> bool {
        let least = self
            .seen
            .iter()
            .filter(|(_, seen)| !seen.verified && !seen.asking)
            .min_by_key(|(_, seen)| seen.first)
            .map(|(id, _)| *id);
        least.is_some_and(|id| self.seen.remove(&id).is_some())
    }
}

fn sleep(until: Moment) -> Decision {
    Decision {
        step: Step::Sleep,
        until: Some(until),
    }
}
