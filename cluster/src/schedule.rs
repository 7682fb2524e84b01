//! Where one more replica goes.
//!
//! Feasible first, then best, and the reasons are kept: a refusal that names every node answers the question that
//! the user asks next.
//!
//! Not here: whether a replica is needed ([`mod@crate::plan`]), starting it (the agent). The answer is a proposal; if
//! the state moved on meanwhile, `apply` refuses it and we plan again.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use api::{
    Cpu, FunctionSpec, Memory, NodeId, Platform,
    node::EngineKind,
    spec::{Constraint, ConstraintKey},
};

use crate::{
    capacity::{self, Amounts},
    state::{Node, NodePhase, State},
};

/// Images that nodes make themselves, for whatever architecture they have.
const BUILT_IN: &str = "bramble/";

/// Why a node does not take a replica. Prints as a sentence to follow the node's name and a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The leader does not hear of it.
    OutOfReach,
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
    /// It is not what a constraint asks for.
    Constraint(String),
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
            Self::Cordoned => f.write_str("is cordoned"),
            Self::BuiltInOnly { engine, image } => write!(
                f,
                "its engine ({engine}) runs only built-in functions, not {image}; install Docker on it, or use an \
                 image of {BUILT_IN}"
            ),
            Self::Platform { node, image } => {
                let made_for = image
                    .iter()
                    .map(Platform::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                match node {
                    Some(node) if matches!(node.architecture(), "arm" | "386") => {
                        write!(f, "is 32-bit ({node}); the image is made for {made_for}")
                    }
                    Some(node) => write!(f, "is {node}; the image is made for {made_for}"),
                    None => write!(f, "runs no containers; the image is made for {made_for}"),
                }
            }
            Self::Constraint(text) => write!(f, "does not match the constraint {text}"),
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

    /// Chooses where one more replica of `spec` goes: among nodes that can run it the one with the fewest replicas
    /// of it (`counts`), then the most memory that nobody asked for, then the lowest id, so that equal inputs give
    /// equal answers.
    ///
    /// # Errors
    /// Why not, of every node.
    pub fn schedule(
        &self,
        spec: &FunctionSpec,
        counts: &BTreeMap<NodeId, u32>,
    ) -> Result<NodeId, BTreeMap<NodeId, Reason>> {
        let count = |id: &NodeId| counts.get(id).copied().unwrap_or(0);
        let able = self
            .state
            .nodes()
            .iter()
            .filter(|(id, node)| self.refusal(**id, node, spec).is_none());
        let best = able.min_by_key(|(id, node)| {
            let free = capacity::for_replicas(&node.facts).minus(self.requested(**id));
            (count(id), Reverse(free.memory), **id)
        });
        best.map(|(id, _)| *id).ok_or_else(|| self.refusals(spec))
    }

    /// Why not, of every node that cannot take one more replica of `spec`.
    pub fn refusals(&self, spec: &FunctionSpec) -> BTreeMap<NodeId, Reason> {
        let nodes = self.state.nodes().iter();
        nodes
            .filter_map(|(id, node)| Some((*id, self.refusal(*id, node, spec)?)))
            .collect()
    }

    fn refusal(&self, id: NodeId, node: &Node, spec: &FunctionSpec) -> Option<Reason> {
        closed(node)
            .or_else(|| unfit(self.state, node, spec))
            .or_else(|| no_room(node, self.requested(id), capacity::request(spec)))
    }
}

/// Why `node` takes nothing new at all, if so.
pub fn closed(node: &Node) -> Option<Reason> {
    match node {
        Node {
            phase: NodePhase::Down,
            ..
        } => Some(Reason::OutOfReach),
        Node { cordoned: true, .. } => Some(Reason::Cordoned),
        _ => None,
    }
}

/// Why `node` could not run `spec` even if it were empty, if so.
pub fn unfit(state: &State, node: &Node, spec: &FunctionSpec) -> Option<Reason> {
    let facts = &node.facts;
    let built_in = spec.image.starts_with(BUILT_IN);
    if facts.engine == EngineKind::Process && !built_in {
        return Some(Reason::BuiltInOnly {
            engine: facts.engine,
            image: spec.image.clone(),
        });
    }
    if let Some(made_for) = state
        .image_platforms(&spec.image)
        .filter(|platforms| !platforms.is_empty() && !built_in)
        && !facts.platforms.iter().any(|platform| made_for.contains(platform))
    {
        return Some(Reason::Platform {
            node: facts.platforms.first().cloned(),
            image: made_for.iter().cloned().collect(),
        });
    }
    let unmet = spec
        .constraints
        .iter()
        .find(|constraint| !meets(node, constraint));
    unmet.map(|constraint| Reason::Constraint(constraint.text.clone()))
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
