//! Identical cards that are switched on together, simulated: links that come up late, announcements and knocks that get
//! lost, networks that fall apart and heal, and somebody who makes up candidates.
//!
//! What decides is the real [`Bootstrap`] of each card and the real [`meet`] of each bramble. In the end there is exactly
//! one bramble and every card is part of it; where the network never fell apart, no second one was ever founded.
//!
//! Not here: what is said while knocking (tested in `transport`), and real multicast (tested in `agent`).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use api::{
    Memory, NodeId,
    join::{Announcement, BrambleId, KeyTag, Role, Sighting, Standing},
};
use cluster::{
    Moment,
    bootstrap::{Answer, Bootstrap, InSight, Meeting, Pace, Step, meet},
};

use super::Violation;

const KEY: KeyTag = KeyTag::from_bytes([7; 8]);

/// When multicast DNS asks who is there, in milliseconds after the link is up; every minute after that.
const QUERIES_MS: [u64; 7] = [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000];

/// How long a knock at a door that cannot be reached takes, in milliseconds.
const KNOCK_LIMIT_MS: u64 = 5_000;

/// Time in which everything has to come right once nothing breaks any more, in milliseconds.
const PATIENCE_MS: u64 = 400_000;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Founding {
    /// Everything follows from it.
    pub seed: u64,
    /// How many cards there are.
    pub cards: usize,
    /// Whether they hold a join key.
    pub keyed: bool,
    /// The latest start of a card, in milliseconds.
    pub booted_within_ms: u64,
    /// The latest moment at which a link comes up, in milliseconds after its card's start.
    pub link_within_ms: u64,
    /// The share of announcements and knocks that get lost.
    pub loss: f64,
    /// How often the network falls apart in two, at random moments for up to three minutes.
    pub splits: u32,
    /// Whether a person uses the bramble that was founded last, before the network heals.
    pub used: bool,
    /// Whether somebody makes up a candidate with a low id every second.
    pub rogue: bool,
    /// A mistake that the simulation has to find.
    pub bug: Option<FoundingBug>,
}

impl Founding {
    /// A classroom's cards on one power strip.
    pub fn new(seed: u64, cards: usize) -> Self {
        Self {
            seed,
            cards,
            keyed: true,
            booted_within_ms: 120_000,
            link_within_ms: 90_000,
            loss: 0.1,
            splits: 0,
            used: false,
            rogue: false,
            bug: None,
        }
    }
}

/// A mistake that is made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundingBug {
    /// The link counts as up before it is.
    LinkIsNotAsked,
    /// A founder does not wait for the votes of the others.
    NoPatience,
    /// Brambles dissolve though a person has used them.
    WorkIsNotAsked,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Founded {
    /// How many brambles were ever founded.
    pub brambles: usize,
    /// From the first card's link being up to the first founding, in milliseconds.
    pub first_founded_ms: u64,
    /// From the last card's link being up (or the network being whole) to everybody being in the one bramble, in
    /// milliseconds.
    pub complete_after_ms: u64,
}

#[derive(Debug)]
enum Life {
    Off,
    Candidate(Box<Bootstrap>),
    Member(BrambleId),
}

#[derive(Debug)]
struct Card {
    id: NodeId,
    life: Life,
    link: bool,
    /// Grows with every new life, so that what was meant for the last one is not taken for this one's.
    number: u64,
    next_decision: u64,
    /// What it has heard of each other's standing.
    heard: BTreeMap<usize, Standing>,
}

#[derive(Clone, Debug)]
enum Event {
    Boot(usize),
    LinkUp(usize),
    /// A card asks who is there.
    Query {
        card: usize,
        nth: usize,
    },
    Hears {
        card: usize,
        about: Sighting,
    },
    Decides {
        card: usize,
        number: u64,
    },
    KnockArrives {
        from: usize,
        number: u64,
        at: usize,
        vote: bool,
    },
    Answered {
        card: usize,
        number: u64,
        from: NodeId,
        answer: Answer,
    },
    LetIn {
        card: usize,
        number: u64,
        bramble: BrambleId,
    },
    /// A member asks its founder how things are; a bramble's founder looks at whom it has heard of.
    Syncs(usize),
    Splits {
        until: u64,
    },
    MakesUp,
}

struct World {
    scene: Founding,
    luck: fastrand::Rng,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    counted: u64,
    cards: Vec<Card>,
    /// Who is on the other side of the gap, and until when.
    apart: (BTreeSet<usize>, u64),
    founders: BTreeMap<BrambleId, usize>,
    used: BTreeSet<BrambleId>,
    dissolved: BTreeSet<BrambleId>,
    first_link: Option<u64>,
    first_founded: Option<u64>,
}

/// Simulates the founding of one bramble.
///
/// # Errors
/// The [`Violation`], if there is one.
pub fn found(scene: &Founding) -> Result<Founded, Violation> {
    let mut world = World::new(*scene);
    world.live().map_err(|what| Violation {
        seed: scene.seed,
        at_ms: world.now,
        what,
    })
}

impl World {
    fn new(scene: Founding) -> Self {
        let mut luck = fastrand::Rng::with_seed(scene.seed);
        let mut ids: Vec<u128> = (0..scene.cards).map(|_| luck.u128(1 << 32..)).collect();
        luck.shuffle(&mut ids);
        let cards = ids.into_iter().map(|id| Card {
            id: NodeId::from_number(id),
            life: Life::Off,
            link: false,
            number: 0,
            next_decision: u64::MAX,
            heard: BTreeMap::new(),
        });
        Self {
            cards: cards.collect(),
            scene,
            luck,
            now: 0,
            events: BTreeMap::new(),
            counted: 0,
            apart: (BTreeSet::new(), 0),
            founders: BTreeMap::new(),
            used: BTreeSet::new(),
            dissolved: BTreeSet::new(),
            first_link: None,
            first_founded: None,
        }
    }

    fn live(&mut self) -> Result<Founded, String> {
        let mut calm = 0;
        for card in 0..self.cards.len() {
            let boot = self.luck.u64(0..=self.scene.booted_within_ms);
            let link = boot + self.luck.u64(0..=self.scene.link_within_ms);
            calm = calm.max(link);
            self.at(boot, Event::Boot(card));
            self.at(link, Event::LinkUp(card));
            self.at(link + 1_000, Event::Syncs(card));
        }
        for _ in 0..self.scene.splits {
            let from = self.luck.u64(0..=calm);
            let until = from + self.luck.u64(1_000..180_000);
            calm = calm.max(until);
            self.at(from, Event::Splits { until });
        }
        if self.scene.rogue {
            self.at(0, Event::MakesUp);
        }
        while self.now < calm + PATIENCE_MS {
            let Some(((at, _), event)) = self.events.pop_first() else {
                break;
            };
            self.now = at;
            self.happens(event);
            if self.now > calm && self.is_complete() {
                return self.conclude(calm);
            }
        }
        let brambles: BTreeSet<_> = self.members().map(|(_, bramble)| bramble).collect();
        Err(format!(
            "{} of {} cards are members, of {} brambles; {} were founded",
            self.members().count(),
            self.cards.len(),
            brambles.len(),
            self.founders.len()
        ))
    }

    fn conclude(&self, calm: u64) -> Result<Founded, String> {
        let founded = self.founders.len();
        if self.scene.splits == 0 && founded != 1 {
            return Err(format!(
                "{founded} brambles were founded on a network that was never split"
            ));
        }
        if let Some(lost) = self.used.intersection(&self.dissolved).next() {
            return Err(format!("bramble {lost} dissolved though a person had used it"));
        }
        let first = self.first_founded.unwrap_or_default();
        Ok(Founded {
            brambles: founded,
            first_founded_ms: first.saturating_sub(self.first_link.unwrap_or_default()),
            complete_after_ms: self.now - calm,
        })
    }

    fn members(&self) -> impl Iterator<Item = (usize, BrambleId)> {
        self.cards
            .iter()
            .enumerate()
            .filter_map(|(place, card)| match card.life {
                Life::Member(bramble) => Some((place, bramble)),
                _ => None,
            })
    }

    fn is_complete(&self) -> bool {
        let one: BTreeSet<_> = self.members().map(|(_, bramble)| bramble).collect();
        self.members().count() == self.cards.len() && one.len() == 1
    }

    fn at(&mut self, at: u64, event: Event) {
        self.counted += 1;
        self.events.insert((at.max(self.now), self.counted), event);
    }

    fn soon(&mut self, event: Event) {
        let at = self.now + self.luck.u64(2..300);
        self.at(at, event);
    }

    fn moment(&self) -> Moment {
        Moment::new(Duration::from_millis(self.now))
    }

    fn lost(&mut self) -> bool {
        self.luck.f64() < self.scene.loss
    }

    fn connected(&self, one: usize, other: usize) -> bool {
        let (apart, until) = &self.apart;
        let split = self.now < *until && apart.contains(&one) != apart.contains(&other);
        self.cards[one].link && self.cards[other].link && !split
    }

    fn sighting(&self, card: usize) -> Option<Sighting> {
        let standing = match &self.cards[card].life {
            Life::Off => return None,
            Life::Candidate(candidate) => candidate.standing(),
            Life::Member(bramble) => Standing::Member {
                bramble: *bramble,
                key: self.scene.keyed.then_some(KEY),
                role: match self.founders[bramble] == card {
                    true => Role::Leader(1),
                    false => Role::Node,
                },
                work: self.used.contains(bramble),
            },
        };
        Some(sighting(self.cards[card].id, standing))
    }

    /// Tells everyone who listens what this card is now, as multicast does: twice, and hoping for the best.
    fn announces(&mut self, card: usize) {
        let Some(about) = self.sighting(card) else { return };
        for repeat in [0, 1_000] {
            for other in 0..self.cards.len() {
                if other != card && self.connected(card, other) && !self.lost() {
                    let at = self.now + repeat + self.luck.u64(1..100);
                    let about = about.clone();
                    self.at(at, Event::Hears { card: other, about });
                }
            }
        }
    }

    fn begins(&mut self, card: usize) {
        let key = self.scene.keyed.then_some(KEY);
        let mut pace = Pace::usual();
        if self.scene.bug == Some(FoundingBug::NoPatience) {
            pace.lone = pace.discovery;
            pace.promised = pace.discovery;
        }
        let now = self.moment();
        let this = &mut self.cards[card];
        let mut candidate = Bootstrap::new(this.id, key, pace);
        candidate.link(
            this.link || self.scene.bug == Some(FoundingBug::LinkIsNotAsked),
            now,
        );
        this.life = Life::Candidate(Box::new(candidate));
        this.number += 1;
        this.heard.clear();
        self.wake(card);
        if self.cards[card].link {
            self.announces(card);
            self.at(self.now, Event::Query { card, nth: 0 });
        }
    }

    fn becomes(&mut self, card: usize, bramble: BrambleId) {
        self.cards[card].life = Life::Member(bramble);
        self.cards[card].number += 1;
        self.announces(card);
    }

    /// Lets a candidate decide at once, unless that is about to happen anyway.
    fn wake(&mut self, card: usize) {
        self.wake_at(card, self.now);
    }

    fn wake_at(&mut self, card: usize, at: u64) {
        if at < self.cards[card].next_decision || self.cards[card].next_decision < self.now {
            self.cards[card].next_decision = at;
            let number = self.cards[card].number;
            self.at(at, Event::Decides { card, number });
        }
    }

    fn happens(&mut self, event: Event) {
        let now = self.moment();
        match event {
            Event::Boot(card) => self.begins(card),
            Event::LinkUp(card) => {
                self.first_link.get_or_insert(self.now);
                self.cards[card].link = true;
                if let Life::Candidate(candidate) = &mut self.cards[card].life {
                    candidate.link(true, now);
                }
                self.wake(card);
                self.announces(card);
                self.at(self.now, Event::Query { card, nth: 0 });
            }
            Event::Query { card, nth } => self.asks(card, nth),
            Event::Hears { card, about } => self.hears(card, &about),
            Event::Decides { card, number } => {
                if self.cards[card].number == number && self.cards[card].next_decision <= self.now {
                    self.cards[card].next_decision = u64::MAX;
                    self.decides(card);
                }
            }
            Event::KnockArrives {
                from,
                number,
                at,
                vote,
            } => self.knocked(from, number, at, vote),
            Event::Answered {
                card,
                number,
                from,
                answer,
            } => {
                if self.cards[card].number == number
                    && let Life::Candidate(candidate) = &mut self.cards[card].life
                {
                    candidate.answered(from, &answer, now);
                    self.wake(card);
                }
            }
            Event::LetIn {
                card,
                number,
                bramble,
            } => {
                if self.cards[card].number == number && !self.dissolved.contains(&bramble) {
                    self.becomes(card, bramble);
                }
            }
            Event::Syncs(card) => self.syncs(card),
            Event::Splits { until } => {
                let apart = (0..self.cards.len()).filter(|_| self.luck.bool()).collect();
                self.apart = (apart, until);
                if self.scene.used
                    && let Some((bramble, _)) = self.founders.last_key_value()
                    && self.used.is_empty()
                    && !self.dissolved.contains(bramble)
                {
                    self.used.insert(*bramble);
                }
            }
            Event::MakesUp => {
                let made_up = NodeId::from_number(self.luck.u128(0..1 << 32));
                let standing = Standing::Candidate {
                    key: self.scene.keyed.then_some(KEY),
                };
                for card in 0..self.cards.len() {
                    if self.cards[card].link {
                        self.soon(Event::Hears {
                            card,
                            about: sighting(made_up, standing),
                        });
                    }
                }
                self.at(self.now + 1_000, Event::MakesUp);
            }
        }
    }

    fn asks(&mut self, card: usize, nth: usize) {
        for other in 0..self.cards.len() {
            let there = other != card && self.connected(card, other) && !self.lost();
            if let (true, Some(about)) = (there, self.sighting(other)) {
                self.soon(Event::Hears { card, about });
            }
        }
        let next = match (QUERIES_MS.get(nth), QUERIES_MS.get(nth + 1)) {
            (Some(this), Some(next)) => next - this,
            _ => 60_000,
        };
        self.at(self.now + next, Event::Query { card, nth: nth + 1 });
    }

    fn hears(&mut self, card: usize, about: &Sighting) {
        let now = self.moment();
        if let Some(other) = self.place(about.announcement.node) {
            self.cards[card].heard.insert(other, about.announcement.standing);
        }
        if let Life::Candidate(candidate) = &mut self.cards[card].life {
            candidate.sighted(about, now);
            self.wake(card);
        }
    }

    fn place(&self, id: NodeId) -> Option<usize> {
        self.cards.iter().position(|card| card.id == id)
    }

    fn decides(&mut self, card: usize) {
        let now = self.moment();
        // Several doors at a time are for those without a key; the shell asks until there is nothing more to do.
        for _ in 0..1_000 {
            let Life::Candidate(candidate) = &mut self.cards[card].life else {
                return;
            };
            let decision = candidate.decide(now);
            match decision.step {
                Step::Join { node, vote, .. } => self.knocks(card, node, vote),
                Step::Found => {
                    let bramble = BrambleId::from_number(u128::from(u64::MAX) - self.founders.len() as u128);
                    self.founders.insert(bramble, card);
                    self.first_founded.get_or_insert(self.now);
                    self.becomes(card, bramble);
                    return;
                }
                Step::Wait { at } => {
                    // The person presses Admit after a while.
                    if let Some(bramble) = at.first().copied() {
                        let number = self.cards[card].number;
                        self.at(
                            self.now + 3_000,
                            Event::LetIn {
                                card,
                                number,
                                bramble,
                            },
                        );
                    }
                    return;
                }
                Step::Sleep => {
                    if let Some(until) = decision.until {
                        let wait = until.since(now).as_millis();
                        self.wake_at(card, self.now + u64::try_from(wait).unwrap_or(u64::MAX).max(1));
                    }
                    return;
                }
            }
        }
    }

    fn knocks(&mut self, card: usize, node: NodeId, vote: bool) {
        let number = self.cards[card].number;
        match self.place(node) {
            Some(at) if self.connected(card, at) && !self.lost() => self.soon(Event::KnockArrives {
                from: card,
                number,
                at,
                vote,
            }),
            Some(_) => self.at(
                self.now + KNOCK_LIMIT_MS,
                Event::Answered {
                    card,
                    number,
                    from: node,
                    answer: Answer::Unreachable,
                },
            ),
            // Whoever was made up answers, and cannot prove anything.
            None => self.soon(Event::Answered {
                card,
                number,
                from: node,
                answer: Answer::Distrusted,
            }),
        }
    }

    fn knocked(&mut self, from: usize, number: u64, at: usize, vote: bool) {
        let now = self.moment();
        let door = self.cards[at].id;
        let Some(visitor) = self.sighting(from).filter(|_| self.cards[from].number == number) else {
            return;
        };
        let founder = match self.cards[at].life {
            Life::Member(bramble) => Some((bramble, self.founders[&bramble])),
            _ => None,
        };
        let answer = match (&mut self.cards[at].life, founder) {
            (Life::Off, _) => Answer::Unreachable,
            (Life::Candidate(candidate), _) => {
                candidate.knocked(&visitor, vote, now);
                self.wake(at);
                Answer::NotYet
            }
            (Life::Member(_), Some((bramble, founder))) if founder == at => {
                if self.scene.keyed {
                    self.soon(Event::LetIn {
                        card: from,
                        number,
                        bramble,
                    });
                    return;
                }
                Answer::Waiting { bramble }
            }
            (Life::Member(_), founder) => Answer::Elsewhere(
                founder
                    .map(|(_, founder)| (self.cards[founder].id, address()))
                    .into_iter()
                    .collect(),
            ),
        };
        if self.lost() {
            let at = self.now + KNOCK_LIMIT_MS;
            let answer = Answer::Unreachable;
            self.at(
                at,
                Event::Answered {
                    card: from,
                    number,
                    from: door,
                    answer,
                },
            );
        } else {
            self.soon(Event::Answered {
                card: from,
                number,
                from: door,
                answer,
            });
        }
    }

    fn syncs(&mut self, card: usize) {
        self.at(self.now + 1_000, Event::Syncs(card));
        let Life::Member(bramble) = self.cards[card].life else {
            return;
        };
        let founder = self.founders[&bramble];
        if founder == card && !self.dissolved.contains(&bramble) {
            let ours = self.in_sight(bramble);
            let met: Vec<(usize, BrambleId)> = self.cards[card]
                .heard
                .iter()
                .filter_map(|(other, standing)| Some((*other, InSight::of(standing)?.bramble)))
                .collect();
            let dissolves = met.into_iter().any(|(other, bramble)| {
                // It proves what it is before anything is dissolved.
                let there = self.connected(card, other)
                    && matches!(self.cards[other].life, Life::Member(now) if now == bramble);
                there
                    && !self.dissolved.contains(&bramble)
                    && meet(ours, self.in_sight(bramble)) == Meeting::Dissolve
            });
            if dissolves {
                self.dissolved.insert(bramble);
            }
        }
        if self.dissolved.contains(&bramble) && (founder == card || self.connected(card, founder)) {
            self.begins(card);
        }
    }

    fn in_sight(&self, bramble: BrambleId) -> InSight {
        InSight {
            bramble,
            key: self.scene.keyed.then_some(KEY),
            work: self.used.contains(&bramble) && self.scene.bug != Some(FoundingBug::WorkIsNotAsked),
        }
    }
}

fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7443))
}

fn sighting(node: NodeId, standing: Standing) -> Sighting {
    Sighting {
        announcement: Announcement {
            node,
            standing,
            board: String::new(),
            memory: Memory::from_mib(1024),
            version: String::new(),
        },
        addresses: vec![address()],
    }
}
