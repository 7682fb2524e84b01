//! The network, the clock, and what happens when.

mod cards;

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
    bootstrap::{Answer, Bootstrap},
};

use super::{super::Violation, Founded, Founding};

const KEY: KeyTag = KeyTag::from_bytes([7; 8]);

/// When multicast DNS asks who is there, in milliseconds after the link is up; every minute after that.
const QUERIES_MS: [u64; 7] = [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000];

/// How long a knock at a door that cannot be reached takes, in milliseconds.
const KNOCK_LIMIT_MS: u64 = 5_000;

/// Time in which everything has to come right once nothing breaks any more, in milliseconds.
const PATIENCE_MS: u64 = 400_000;

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

pub(super) struct World {
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

impl World {
    pub(super) fn new(scene: Founding) -> Self {
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

    pub(super) fn run(mut self) -> Result<Founded, Violation> {
        self.live().map_err(|what| Violation {
            seed: self.scene.seed,
            at_ms: self.now,
            what,
        })
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

    fn place(&self, id: NodeId) -> Option<usize> {
        self.cards.iter().position(|card| card.id == id)
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
