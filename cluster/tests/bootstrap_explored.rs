//! Founding, explored exhaustively for few nodes: every order in which cards boot, announcements are heard and cables
//! fail, up to a number of steps. A step is a second of a pace that is shortened accordingly.
//!
//! From every state that can be reached, the network is then left in peace, and exactly one bramble has to remain.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeSet, VecDeque},
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

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const PACE: Pace = Pace {
    discovery: seconds(3),
    settle: seconds(2),
    lone: seconds(8),
    knock: seconds(1),
    deaf: seconds(2),
    promised: seconds(9),
    deaf_again: seconds(5),
    forsake: seconds(3),
    again_after_refusal: seconds(2),
    distrust: seconds(60),
    stray: seconds(1_000),
    credulous: seconds(30),
};

const KEY: KeyTag = KeyTag::from_bytes([7; 8]);

/// What is explored.
#[derive(Clone, Copy)]
struct Scene {
    nodes: usize,
    key: Option<KeyTag>,
    pace: Pace,
    /// Steps in which something may happen.
    steps: u64,
    /// Cards that have not booted by then boot now.
    all_booted_by: u64,
    /// For how many steps an announcement may stay unheard, by each listener on its own.
    unheard: u64,
    /// How often one node's cable may fail without its link going down, and for how long.
    cuts: u8,
    cut_at_most: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Life {
    Off,
    Candidate(Box<Bootstrap>),
    Member { bramble: BrambleId, founder: bool },
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct World {
    at: u64,
    lives: Vec<Life>,
    /// What each has heard of each, and for how long there has been something to hear.
    heard: Vec<Vec<(Option<Standing>, u64)>>,
    /// Until when a node is cut off.
    cut_until: Vec<u64>,
    cuts: u8,
    /// When a bramble was founded, and by whom.
    founded: Vec<(u64, usize)>,
    /// When a cable failed, and whose.
    failed: Vec<(u64, usize)>,
    dissolved: BTreeSet<BrambleId>,
}

/// Answers to "does this happen?", every combination once.
#[derive(Default)]
struct Choices {
    made: Vec<bool>,
    next: usize,
}

impl Choices {
    fn choose(&mut self) -> bool {
        if self.next == self.made.len() {
            self.made.push(false);
        }
        self.next += 1;
        self.made[self.next - 1]
    }

    /// Turns to the next combination; `false` after the last.
    fn advance(&mut self) -> bool {
        self.made.truncate(self.next);
        self.next = 0;
        while let Some(last) = self.made.pop() {
            if !last {
                self.made.push(true);
                return true;
            }
        }
        false
    }
}

fn id(node: usize) -> NodeId {
    NodeId::from_number(node as u128 + 1)
}

fn number(id: NodeId) -> usize {
    (0..9).find(|node| self::id(*node) == id).unwrap()
}

fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node).unwrap()], 7443))
}

impl World {
    fn new(scene: &Scene) -> Self {
        Self {
            at: 0,
            lives: vec![Life::Off; scene.nodes],
            heard: vec![vec![(None, 0); scene.nodes]; scene.nodes],
            cut_until: vec![0; scene.nodes],
            cuts: scene.cuts,
            founded: Vec::new(),
            failed: Vec::new(),
            dissolved: BTreeSet::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment::new(seconds(self.at))
    }

    fn connected(&self, a: usize, b: usize) -> bool {
        self.cut_until[a] <= self.at && self.cut_until[b] <= self.at
    }

    fn standing(&self, node: usize, scene: &Scene) -> Option<Standing> {
        match &self.lives[node] {
            Life::Off => None,
            Life::Candidate(candidate) => Some(candidate.standing()),
            Life::Member { bramble, founder } => Some(Standing::Member {
                bramble: *bramble,
                key: scene.key,
                role: if *founder { Role::Controller } else { Role::Node },
                work: false,
            }),
        }
    }

    fn sighting(&self, node: usize, standing: Standing) -> Sighting {
        Sighting {
            announcement: Announcement {
                node: id(node),
                standing,
                board: String::new(),
                memory: Memory::from_mib(1024),
                version: String::new(),
            },
            addresses: vec![address(node)],
        }
    }

    fn boot(&mut self, node: usize, scene: &Scene) {
        let mut candidate = Bootstrap::new(id(node), scene.key, scene.pace);
        candidate.link(true, self.now());
        // A program that starts has heard nothing, and others have to hear it anew.
        self.heard[node].fill((None, 0));
        self.lives[node] = Life::Candidate(Box::new(candidate));
    }

    /// One second, with everything that may happen in it left to `choices`.
    fn step(&mut self, scene: &Scene, choices: &mut Choices) {
        self.at += 1;
        let busy = self.at <= scene.steps;
        for node in 0..scene.nodes {
            if self.lives[node] == Life::Off && (self.at >= scene.all_booted_by || choices.choose()) {
                self.boot(node, scene);
            }
        }
        if busy && self.cuts > 0 {
            for node in 0..scene.nodes {
                if self.cuts > 0 && self.lives[node] != Life::Off && choices.choose() {
                    self.cuts -= 1;
                    self.failed.push((self.at, node));
                    self.cut_until[node] = self.at + scene.cut_at_most;
                }
            }
        }
        self.hear(scene, choices);
        let backwards = scene.nodes > 1 && busy && choices.choose();
        for place in 0..scene.nodes {
            let node = if backwards { scene.nodes - 1 - place } else { place };
            self.act(node, scene);
        }
        self.meet(scene);
    }

    fn hear(&mut self, scene: &Scene, choices: &mut Choices) {
        for listener in 0..scene.nodes {
            for speaker in 0..scene.nodes {
                let said = self.standing(speaker, scene);
                let (heard, waiting) = self.heard[listener][speaker];
                if listener == speaker || said == heard || self.lives[listener] == Life::Off {
                    continue;
                }
                // Nobody takes back what a speaker that is cut off said.
                if !self.connected(listener, speaker) {
                    continue;
                }
                if self.at <= scene.steps && waiting < scene.unheard && choices.choose() {
                    self.heard[listener][speaker].1 += 1;
                    continue;
                }
                self.heard[listener][speaker] = (said, 0);
                let (now, said) = (self.now(), said.map(|said| self.sighting(speaker, said)));
                if let (Life::Candidate(candidate), Some(said)) = (&mut self.lives[listener], said) {
                    candidate.sighted(&said, now);
                }
            }
        }
    }

    /// Lets a candidate do all that it wants to do in this second.
    fn act(&mut self, node: usize, scene: &Scene) {
        let now = self.now();
        for _ in 0..10 {
            let Life::Candidate(candidate) = &mut self.lives[node] else {
                return;
            };
            match candidate.decide(now).step {
                Step::Sleep => return,
                Step::Wait { at } => {
                    // The person presses Admit.
                    let bramble = *at.first().unwrap();
                    self.lives[node] = Life::Member {
                        bramble,
                        founder: false,
                    };
                    return;
                }
                Step::Found => {
                    let bramble = BrambleId::from_number(1_000 - self.founded.len() as u128);
                    self.founded.push((self.at, node));
                    self.lives[node] = Life::Member {
                        bramble,
                        founder: true,
                    };
                    return;
                }
                Step::Join { node: door, vote, .. } => {
                    let door = number(door);
                    let answer = self.knock(node, door, vote, scene);
                    let Life::Candidate(candidate) = &mut self.lives[node] else {
                        return;
                    };
                    match answer {
                        Ok(bramble) => {
                            self.lives[node] = Life::Member {
                                bramble,
                                founder: false,
                            };
                            return;
                        }
                        Err(answer) => candidate.answered(id(door), &answer, now),
                    }
                }
            }
        }
        panic!("node {node} never comes to rest: {self:?}");
    }

    fn knock(&mut self, node: usize, door: usize, vote: bool, scene: &Scene) -> Result<BrambleId, Answer> {
        let now = self.now();
        if !self.connected(node, door) {
            return Err(Answer::Unreachable);
        }
        let visitor = self.sighting(node, self.standing(node, scene).unwrap());
        match &mut self.lives[door] {
            Life::Off => Err(Answer::Unreachable),
            Life::Candidate(other) => {
                other.knocked(&visitor, vote, now);
                Err(Answer::NotYet)
            }
            Life::Member { bramble, founder } if *founder => match scene.key {
                Some(_) => Ok(*bramble),
                None => Err(Answer::Waiting { bramble: *bramble }),
            },
            Life::Member { bramble, .. } => {
                let bramble = *bramble;
                let founder = self.founder_of(bramble);
                Err(Answer::Elsewhere(
                    founder
                        .map(|founder| (id(founder), address(founder)))
                        .into_iter()
                        .collect(),
                ))
            }
        }
    }

    fn founder_of(&self, wanted: BrambleId) -> Option<usize> {
        self.lives
            .iter()
            .position(|life| matches!(life, Life::Member { bramble, founder: true } if *bramble == wanted))
    }

    /// Founders that have heard of each other's brambles settle which one stays.
    fn meet(&mut self, scene: &Scene) {
        for ours in 0..scene.nodes {
            let Some(
                standing @ Standing::Member {
                    bramble,
                    role: Role::Controller,
                    ..
                },
            ) = self.standing(ours, scene)
            else {
                continue;
            };
            let mine = InSight::of(&standing).unwrap();
            let dissolves = (0..scene.nodes).any(|other| {
                let theirs = self.heard[ours][other].0.as_ref().and_then(InSight::of);
                let there = self.connected(ours, other)
                    && theirs.is_some_and(|theirs| self.founder_of(theirs.bramble).is_some());
                there && theirs.is_some_and(|theirs| meet(mine, theirs) == Meeting::Dissolve)
            });
            if dissolves {
                self.dissolved.insert(bramble);
            }
        }
        // Whoever hears that its bramble is no more begins again.
        for node in 0..scene.nodes {
            if let Life::Member { bramble, founder } = self.lives[node]
                && self.dissolved.contains(&bramble)
                && (founder || self.cut_until[node] <= self.at)
            {
                self.boot(node, scene);
            }
        }
    }

    /// What must be true after every step.
    fn brambles(&self) -> BTreeSet<BrambleId> {
        let members = self.lives.iter().filter_map(|life| match life {
            Life::Member { bramble, .. } => Some(*bramble),
            _ => None,
        });
        members.collect()
    }

    /// Lets the network be in peace until everybody is in a bramble; says what is wrong if that does not come about.
    fn comes_right(mut self, scene: &Scene) -> Result<World, String> {
        for _ in 0..60 {
            self.step(scene, &mut Choices::default());
            let all = self.lives.iter().all(|life| matches!(life, Life::Member { .. }));
            if all && self.brambles().len() == 1 {
                return Ok(self);
            }
        }
        Err(format!("after a minute of peace: {self:#?}"))
    }
}

struct Explored {
    states: usize,
    /// The largest number of brambles that were ever founded on one path.
    founded: usize,
    /// How that came about.
    how: String,
}

/// Visits everything that can happen in `scene`.
fn explore(scene: &Scene) -> Result<Explored, String> {
    let start = World::new(scene);
    let mut explored = Explored {
        states: 0,
        founded: 0,
        how: String::new(),
    };
    let mut seen = BTreeSet::from([start.clone()]);
    let mut todo = VecDeque::from([start]);
    while let Some(world) = todo.pop_front() {
        explored.states += 1;
        if world.at == scene.steps {
            let end = world.comes_right(scene)?;
            if end.founded.len() > explored.founded {
                explored.founded = end.founded.len();
                explored.how = format!(
                    "founded {:?}, cut off {:?} (second, node)",
                    end.founded, end.failed
                );
            }
            continue;
        }
        let mut choices = Choices::default();
        loop {
            let mut next = world.clone();
            next.step(scene, &mut choices);
            if seen.insert(next.clone()) {
                todo.push_back(next);
            }
            if !choices.advance() {
                break;
            }
        }
        seen.remove(&world);
    }
    Ok(explored)
}

const SCENE: Scene = Scene {
    nodes: 2,
    key: Some(KEY),
    pace: PACE,
    steps: 9,
    all_booted_by: 6,
    unheard: 2,
    cuts: 0,
    cut_at_most: 0,
};

#[test]
fn two_nodes_found_one_bramble_whenever_they_boot_and_hear_each_other() {
    for key in [Some(KEY), None] {
        let explored = explore(&Scene { key, ..SCENE }).unwrap();
        assert_eq!(explored.founded, 1);
        assert!(explored.states > 200, "{}", explored.states);
    }
}

#[test]
fn three_nodes_found_one_bramble_whenever_they_boot_and_hear_each_other() {
    for key in [Some(KEY), None] {
        let scene = Scene {
            nodes: 3,
            key,
            steps: 8,
            all_booted_by: 3,
            unheard: 1,
            ..SCENE
        };
        assert_eq!(explore(&scene).unwrap().founded, 1);
    }
}

#[test]
fn four_nodes_found_one_bramble_whenever_they_boot() {
    let scene = Scene {
        nodes: 4,
        steps: 9,
        all_booted_by: 7,
        unheard: 0,
        ..SCENE
    };
    assert_eq!(explore(&scene).unwrap().founded, 1);
}

#[test]
fn a_node_whose_cable_fails_while_founding_founds_no_second_bramble() {
    for nodes in [2, 3, 4] {
        let scene = Scene {
            nodes,
            steps: 9,
            all_booted_by: 3,
            unheard: 0,
            cuts: 1,
            cut_at_most: 6,
            ..SCENE
        };
        let explored = explore(&scene).unwrap();
        assert_eq!(explored.founded, 1, "{nodes} nodes: {}", explored.how);
    }
}

#[test]
fn cables_that_fail_for_long_may_found_two_brambles_and_one_remains() {
    let scene = Scene {
        nodes: 3,
        steps: 8,
        all_booted_by: 2,
        unheard: 0,
        cuts: 2,
        cut_at_most: 20,
        ..SCENE
    };
    let explored = explore(&scene).unwrap();
    assert!(
        explored.founded >= 2,
        "the scene is too easy: {}",
        explored.founded
    );
}

/// The explorer finds mistakes: a founder that does not wait for the votes of the others.
#[test]
fn an_impatient_founder_is_found_out() {
    let scene = Scene {
        steps: 9,
        all_booted_by: 3,
        unheard: 0,
        cuts: 1,
        cut_at_most: 6,
        pace: Pace {
            lone: PACE.discovery,
            ..PACE
        },
        ..SCENE
    };
    assert!(explore(&scene).unwrap().founded > 1);
}
