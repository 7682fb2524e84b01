//! What the cards do: announce, listen, knock, found, and settle which of two brambles remains.

use api::{
    NodeId,
    join::{BrambleId, Sighting},
};
use cluster::bootstrap::{Answer, Bootstrap, InSight, Meeting, Pace, Step, meet};

use super::{super::FoundingBug, Event, KEY, KNOCK_LIMIT_MS, Life, QUERIES_MS, World, address};

impl World {
    /// Tells everyone who listens what this card is now, as multicast does: twice, and hoping for the best.
    pub(super) fn announces(&mut self, card: usize) {
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

    pub(super) fn begins(&mut self, card: usize) {
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

    pub(super) fn becomes(&mut self, card: usize, bramble: BrambleId) {
        self.cards[card].life = Life::Member(bramble);
        self.cards[card].number += 1;
        self.announces(card);
    }

    /// Lets a candidate decide at once, unless that is about to happen anyway.
    pub(super) fn wake(&mut self, card: usize) {
        self.wake_at(card, self.now);
    }

    pub(super) fn wake_at(&mut self, card: usize, at: u64) {
        if at < self.cards[card].next_decision || self.cards[card].next_decision < self.now {
            self.cards[card].next_decision = at;
            let number = self.cards[card].number;
            self.at(at, Event::Decides { card, number });
        }
    }

    pub(super) fn asks(&mut self, card: usize, nth: usize) {
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

    pub(super) fn hears(&mut self, card: usize, about: &Sighting) {
        let now = self.moment();
        if let Some(other) = self.place(about.announcement.node) {
            self.cards[card].heard.insert(other, about.announcement.standing);
        }
        if let Life::Candidate(candidate) = &mut self.cards[card].life {
            candidate.sighted(about, now);
            self.wake(card);
        }
    }

    pub(super) fn decides(&mut self, card: usize) {
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

    pub(super) fn knocks(&mut self, card: usize, node: NodeId, vote: bool) {
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

    pub(super) fn knocked(&mut self, from: usize, number: u64, at: usize, vote: bool) {
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

    pub(super) fn syncs(&mut self, card: usize) {
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

    pub(super) fn in_sight(&self, bramble: BrambleId) -> InSight {
        InSight {
            bramble,
            key: self.scene.keyed.then_some(KEY),
            work: self.used.contains(&bramble) && self.scene.bug != Some(FoundingBug::WorkIsNotAsked),
        }
    }
}
