//! Where one more replica goes.
//!
//! Feasible first, then best, and the reasons are kept: a refusal that names every node answers the question that
//! the user asks next.
//!
//! Not here: whether a replica is needed ([`mod@crate::plan`]), starting it (the agent). The answer is a proposal; if
//! the state moved on meanwhile, `apply` refuses it and we plan again.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use api::{
    Cpu, Devices, FunctionSpec, Memory, NodeId, Platform,
    images::{ImageFacts, built_in},
    node::EngineKind,
    spec::{Constraint, ConstraintKey},
};

use crate::{
    capacity::{self, Amounts},
    state::{Function, Node, NodePhase, State},
};

/// What is to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// What to run.
    pub spec: &'a FunctionSpec,
    /// What its image's name means, where that is known.
    pub image: Option<&'a ImageFacts>,
}

impl<'a> Wish<'a> {
    /// The present version of `function`.
    pub fn of(function: &'a Function) -> Self {
        Self {
            spec: &function.spec,
            image: function.image.as_deref(),
        }
    }

    /// This version of `function`, while anything runs it.
    pub fn of_version(function: &'a Function, version: u64) -> Option<Self> {
        Some(Self {
            spec: function.spec_of(version)?,
            image: function.image_of(version).map(AsRef::as_ref),
        })
    }

    fn is_built_in(self) -> bool {
        built_in(&self.spec.image).is_some()
    }

    /// The image, once it was found.
    fn found(self) -> Option<&'a ImageFacts> {
        self.image.filter(|facts| facts.problem.is_none())
    }
}

/// Why a node does not take a replica. Prints as a sentence to follow the node's name and a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The leader does not hear of it.
    OutOfReach,
    /// It was let in, and was not heard of yet.
    Joining,
    /// Someone wants it to take nothing new.
    Cordoned,
    /// It runs only built-in functions.
    BuiltInOnly {
        /// How it runs replicas.
        engine: EngineKind,
        /// What it was asked to run.
        image: String,
    },
    /// It cannot run what the image is made for.
    Platform {
        /// The best platform that the node runs, if it says.
        node: Option<Platform>,
        /// The image's.
        image: Vec<Platform>,
    },
    /// Its memory pages are too large for the image's program.
    PageSize {
        /// The node's, in bytes.
        node: u32,
        /// The largest that the program can run with, in bytes.
        image: u32,
    },
    /// Nobody knows yet what the image's name means.
    ImageUnknown,
    /// The image was not found.
    NoImage(String),
    /// It is not what a constraint asks for.
    Constraint(String),
    /// It does not offer devices that the function asks for.
    NoDevices {
        /// How it runs replicas.
        engine: EngineKind,
        /// Which it lacks.
        lacking: Devices,
    },
    /// No admin has allowed functions to use devices there that the function asks for.
    DevicesNotAllowed {
        /// The node's name, for the command that allows it.
        node: String,
        /// Which are not allowed.
        refused: Devices,
        /// What would have to be allowed in all.
        wanted: Devices,
    },
    /// Not enough memory is left.
    Memory {
        /// What one replica asks for.
        wanted: Memory,
        /// What no replica on it asks for.
        free: Memory,
        /// What it has for replicas.
        of: Memory,
    },
    /// Not enough CPU is left.
    Cpu {
        /// What one replica asks for.
        wanted: Cpu,
        /// What no replica on it asks for.
        free: Cpu,
        /// What it has for replicas.
        of: Cpu,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfReach => f.write_str("is unplugged or out of reach"),
            Self::Joining => f.write_str("was let in, and was not heard of yet"),
            Self::Cordoned => f.write_str("is cordoned"),
            Self::BuiltInOnly { engine, image } => write!(
                f,
                "its engine ({engine}) runs only built-in functions, not {image}; install Docker on it, or use an \
                 image of bramble/"
            ),
            Self::Platform { node, image } => {
                let made_for = image
                    .iter()
                    .map(Platform::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                match node {
                    Some(node) if matches!(node.architecture(), "arm" | "386") => write!(
                        f,
                        "this image has no {node}, which this 32-bit node needs; it is made for {made_for}"
                    ),
                    Some(node) => write!(
                        f,
                        "this image has no {node}, which this node needs; it is made for {made_for}"
                    ),
                    None => write!(f, "runs no containers; the image is made for {made_for}"),
                }
            }
            Self::PageSize { node, image } => write!(
                f,
                "its memory pages have {} KiB, and the image's program is linked for {} KiB; link it with \
                 -z max-page-size=65536, or start the node with a kernel of smaller pages (kernel=kernel8.img in \
                 config.txt)",
                node / 1024,
                image / 1024
            ),
            Self::ImageUnknown => f.write_str("waits until the image is found"),
            Self::NoImage(problem) => f.write_str(problem),
            Self::Constraint(text) => write!(f, "does not match the constraint {text}"),
            Self::NoDevices {
                engine: EngineKind::Process,
                lacking,
            } => write!(
                f,
                "its engine (process) gives functions no devices, and the function asks for {lacking}; install Docker \
                 on it"
            ),
            Self::NoDevices { lacking, .. } => {
                write!(f, "has no {lacking} to offer, which the function asks for")
            }
            Self::DevicesNotAllowed {
                node,
                refused,
                wanted,
            } => write!(
                f,
                "has {refused}, but nobody has allowed functions to use that; an admin does by `bramble nodes devices \
                 {node} --allow {}`",
                wanted.typed()
            ),
            Self::Memory { wanted, free, of } => {
                write!(f, "no memory left: {wanted} wanted, {free} of {of} free")
            }
            Self::Cpu { wanted, free, of } => {
                write!(f, "no CPU left: {wanted} wanted, {free} of {of} free")
            }
        }
    }
}

/// The state with what is being planned on top of it.
#[derive(Debug)]
pub struct Draft<'a> {
    /// What the plan is made from.
    pub state: &'a State,
    requested: BTreeMap<NodeId, Amounts>,
}

impl<'a> Draft<'a> {
    /// Nothing planned yet.
    pub fn new(state: &'a State) -> Self {
        Self {
            state,
            requested: capacity::requested(state),
        }
    }

    /// What the replicas on `node` ask for together, with those that are planned.
    pub fn requested(&self, node: NodeId) -> Amounts {
        self.requested.get(&node).copied().unwrap_or_default()
    }

    /// Counts one more replica on `node`.
    pub fn add(&mut self, node: NodeId, request: Amounts) {
        let sum = self.requested.entry(node).or_default();
        *sum = sum.plus(request);
    }

    /// Chooses where one more replica of `wish` goes: among nodes that can run it the one with the fewest replicas
    /// of it (`counts`), then the most memory that nobody asked for, then the lowest id, so that equal inputs give
    /// equal answers.
    ///
    /// # Errors
    /// Why not, of every node.
    pub fn schedule(
        &self,
        wish: Wish<'_>,
        counts: &BTreeMap<NodeId, u32>,
    ) -> Result<NodeId, BTreeMap<NodeId, Reason>> {
        let count = |id: &NodeId| counts.get(id).copied().unwrap_or(0);
        let able = self
            .state
            .nodes()
            .iter()
            .filter(|(id, node)| self.refusal(**id, node, wish).is_none());
        let best = able.min_by_key(|(id, node)| {
            let free = capacity::for_replicas(&node.facts).minus(self.requested(**id));
            (count(id), Reverse(free.memory), **id)
        });
        best.map(|(id, _)| *id).ok_or_else(|| self.refusals(wish))
    }

    /// Why not, of every node that cannot take one more replica of `wish`.
    pub fn refusals(&self, wish: Wish<'_>) -> BTreeMap<NodeId, Reason> {
        let nodes = self.state.nodes().iter();
        nodes
            .filter_map(|(id, node)| Some((*id, self.refusal(*id, node, wish)?)))
            .collect()
    }

    fn refusal(&self, id: NodeId, node: &Node, wish: Wish<'_>) -> Option<Reason> {
        closed(node)
            .or_else(|| unfit(node, wish))
            .or_else(|| not_found(wish))
            .or_else(|| no_room(node, self.requested(id), capacity::request(wish.spec)))
    }
}

/// Why `node` takes nothing new at all, if so.
pub fn closed(node: &Node) -> Option<Reason> {
    match node {
        Node { awaited: true, .. } => Some(Reason::Joining),
        Node {
            phase: NodePhase::Down,
            ..
        } => Some(Reason::OutOfReach),
        Node { cordoned: true, .. } => Some(Reason::Cordoned),
        _ => None,
    }
}

/// Why nobody can run `wish` yet, if so: its image was not found.
pub fn not_found(wish: Wish<'_>) -> Option<Reason> {
    if wish.is_built_in() || wish.found().is_some() {
        return None;
    }
    let problem = wish.image.and_then(|facts| facts.problem.clone());
    Some(problem.map_or(Reason::ImageUnknown, Reason::NoImage))
}

/// Why `node` could not run `wish` even if it were empty, if so.
pub fn unfit(node: &Node, wish: Wish<'_>) -> Option<Reason> {
    let (facts, spec) = (&node.facts, wish.spec);
    if facts.engine == EngineKind::Process && !wish.is_built_in() {
        return Some(Reason::BuiltInOnly {
            engine: facts.engine,
            image: spec.image.clone(),
        });
    }
    if let Some(image) = wish.found() {
        let Some((_, variant)) = image.variant_for(&facts.platforms) else {
            return Some(Reason::Platform {
                node: facts.platforms.first().cloned(),
                image: image.variants.keys().cloned().collect(),
            });
        };
        if let Some(largest) = variant.page_bytes.filter(|largest| *largest < facts.page_bytes) {
            return Some(Reason::PageSize {
                node: facts.page_bytes,
                image: largest,
            });
        }
    }
    let unmet = spec
        .constraints
        .iter()
        .find(|constraint| !meets(node, constraint));
    unmet
        .map(|constraint| Reason::Constraint(constraint.text.clone()))
        .or_else(|| no_devices(node, wish))
        .or_else(|| forbidden(node, wish))
}

fn no_devices(node: &Node, wish: Wish<'_>) -> Option<Reason> {
    let lacking = wish.spec.devices().without(&node.facts.devices);
    (!lacking.is_empty()).then_some(Reason::NoDevices {
        engine: node.facts.engine,
        lacking,
    })
}

/// Why `wish` must not run on `node`, if so, though it could: nobody has allowed it the devices that it asks for.
pub fn forbidden(node: &Node, wish: Wish<'_>) -> Option<Reason> {
    let asked = wish.spec.devices();
    let refused = asked.without(&node.devices_allowed);
    (!refused.is_empty()).then(|| Reason::DevicesNotAllowed {
        node: node.facts.name.clone(),
        refused,
        wanted: asked.either(&node.devices_allowed),
    })
}

fn meets(node: &Node, constraint: &Constraint) -> bool {
    let facts = &node.facts;
    let value = constraint.value.as_str();
    match constraint.key {
        ConstraintKey::Arch => facts
            .platforms
            .iter()
            .any(|platform| platform.architecture() == value),
        ConstraintKey::Os => {
            let os = |platform: &Platform| platform.to_string().split('/').next() == Some(value);
            facts.platforms.iter().any(os)
        }
        ConstraintKey::Node => facts.name == value,
        // A node's name is its board and the end of its id.
        ConstraintKey::Board => facts
            .name
            .rsplit_once('-')
            .is_some_and(|(board, _)| board == value),
    }
}

/// Why `node`, on which replicas ask for `requested` already, has no room for `wanted` more, if so.
pub fn no_room(node: &Node, requested: Amounts, wanted: Amounts) -> Option<Reason> {
    let of = capacity::for_replicas(&node.facts);
    let free = of.minus(requested);
    if wanted.memory > free.memory {
        return Some(Reason::Memory {
            wanted: wanted.memory,
            free: free.memory,
            of: of.memory,
        });
    }
    (wanted.cpu > free.cpu).then_some(Reason::Cpu {
        wanted: wanted.cpu,
        free: free.cpu,
        of: of.cpu,
    })
}

#[cfg(test)]
mod tests;
