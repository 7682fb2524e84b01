//! Identical cards that are switched on together, simulated: links that come up late, announcements and knocks that get
//! lost, networks that fall apart and heal, and somebody who makes up candidates.
//!
//! What decides is the real [`Bootstrap`](cluster::bootstrap::Bootstrap) of each card and the real [`meet`](cluster::bootstrap::meet) of each bramble. In the end there is exactly
//! one bramble and every card is part of it; where the network never fell apart, no second one was ever founded.
//!
//! Not here: what is said while knocking (tested in `transport`), and real multicast (tested in `agent`).

mod world;

use super::Violation;
use world::World;

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

/// Simulates the founding of one bramble.
///
/// # Errors
/// The [`Violation`], if there is one.
pub fn found(scene: &Founding) -> Result<Founded, Violation> {
    World::new(*scene).run()
}
