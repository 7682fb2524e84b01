//! The one conversation between agent and leader: a hanging request of at most a second.
//!
//! ```text
//! agent ── report + phases + counters + last generation and route revision seen ──► leader
//! agent ◄── desired set (whole), routes (whole), light ───────────────────────────── leader
//! ```
//!
//! Heartbeat, report and work order in one. The answer comes at once when there is news for this node, else after
//! [`MAX_WAIT`]. What the node has seen already (by generation or route revision) is left out; what is there is
//! always whole, never a difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    devices::Devices,
    ids::{FunctionName, Generation, NodeId, ReplicaId},
    images::{Holdings, ImageFacts},
    join::BrambleId,
    light::Light,
    node::{NodeFacts, NodeVitals},
    spec::FunctionSpec,
    versioned::Versioned,
};

/// Where on the node-to-node port the leader takes a [`SyncRequest`].
pub const SYNC_PATH: &str = "/v1/sync";

/// Longest that a sync request hangs without news: a quarter of the silence after which a node counts as down.
pub const MAX_WAIT: Duration = Duration::from_secs(1);

/// Longest sync request that is read, in bytes: a node with hundreds of replicas and functions stays far below.
pub const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Placed; its image is being fetched, or it was started and has not answered yet.
    Starting,
    /// Answers its readiness question: takes invocations.
    Ready,
    /// Paused: keeps its memory, uses no CPU.
    Frozen,
    /// Kept but not running.
    Stopped,
    /// Cannot run, or keeps dying; the reason says why. The agent tries again with growing pauses.
    Failing,
    /// Finishes what it has and is then removed.
    Draining,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::Failing => "failing",
            Self::Draining => "draining",
        })
    }
}

/// What an agent tells the leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Drawn when this process began, so that totals which start again from zero are not mistaken for a mistake.
    pub incarnation: u64,
    /// What this node is.
    pub facts: NodeFacts,
    /// How it is.
    pub vitals: NodeVitals,
    /// The last generation that this agent took over; `None` since its start.
    pub generation: Option<Generation>,
    /// The last route revision that this agent took over; `None` since its start.
    pub routes: Option<Generation>,
    /// Every replica that is on this node, whole. `None` while the agent has not yet looked (its engine is not
    /// reachable): then nothing is concluded from what is missing.
    pub replicas: Option<BTreeMap<ReplicaId, ReplicaReport>>,
    /// What this node's gateway counted since this process began.
    pub counters: Vec<FunctionCounters>,
    /// Images that the node's engine holds.
    #[serde(default)]
    pub holdings: Holdings,
    /// Strangers that this node turned away lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Stranger>,
}

impl Versioned for SyncRequest {
    const NAME: &'static str = "sync request";
    const VERSION: u32 = 1;
}

/// Somebody whom a node turned away: worth a line for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stranger {
    /// Where it was.
    pub from: IpAddr,
    /// Who, if that was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// What it wanted.
    #[serde(default)]
    pub wanted: Wanted,
    /// Why it was turned away, as half a sentence.
    pub why: String,
}

/// What a stranger wanted of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// To be let in.
    #[default]
    In,
    /// To be taken for a bramble that the node could join.
    Trust,
}

/// One replica as its node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// Whose replica it is.
    pub function: FunctionName,
    /// Where it stands.
    pub phase: Phase,
    /// Why, in a plain sentence; empty where the phase says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How often it was started again after it died.
    #[serde(default)]
    pub restarts: u32,
    /// Where it takes HTTP, seen from its own node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
}

/// What one gateway counted of one function since its process began. Totals, not differences, so that a lost
/// message loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCounters {
    /// The function.
    pub function: FunctionName,
    /// Invocations that began.
    pub started: u64,
    /// Invocations that ended, by HTTP status.
    pub finished: BTreeMap<u16, u64>,
    /// Invocations under way at this moment.
    pub in_flight: u32,
    /// Invocations that wait for a replica at this moment.
    pub waiting: u32,
    /// Invocations under way at this moment, by replica.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<ReplicaId, u32>,
}

impl FunctionCounters {
    /// Invocations that ended, whatever their status.
    pub fn ended(&self) -> u64 {
        let finished = self.finished.values();
        finished.fold(0, |sum, ended| sum.saturating_add(*ended))
    }
}

/// What the leader answers, or why it does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made at a time, and sent at once"
)]
pub enum SyncAnswer {
    /// The work order.
    Orders(Orders),
    /// Ask the leader, if it is known.
    NotLeader {
        /// Who leads and where it is reached.
        leader: Option<(NodeId, SocketAddr)>,
    },
    /// The node is not (or no longer) part of this bramble.
    NotAdmitted,
}

impl Versioned for SyncAnswer {
    const NAME: &'static str = "sync answer";
    const VERSION: u32 = 1;
}

/// What one node should run and know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// Version of this node's desired set. An agent refuses one that is older than what it has.
    pub generation: Generation,
    /// All that the node should run; `None` where the agent has this generation already.
    pub desired: Option<BTreeMap<ReplicaId, DesiredReplica>>,
    /// All routes; `None` where the agent has this revision already.
    pub routes: Option<Routes>,
    /// What the node should show.
    pub light: Light,
    /// Version of this node's holdings that the leader knows; with another one the node sends them whole.
    #[serde(default)]
    pub holdings: Option<u64>,
    /// With this code, which every node shows, the first visitor chooses the admin password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_visit_code: Option<String>,
    /// Whether a person has ever changed anything in this bramble.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub work: bool,
    /// The bramble has ended in favour of this one: the node stops what it runs, and goes over to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dissolved: Option<BrambleId>,
    /// What the bramble calls this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which other nodes hold the images that this node needs, by [`ImageFacts::digest`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holders: BTreeMap<String, BTreeSet<NodeId>>,
}

/// One replica that a node should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredReplica {
    /// Version of the function; a replica of another version is another replica.
    pub version: u64,
    /// What to run.
    pub spec: FunctionSpec,
    /// What the image's name meant when this version was deployed; `None` for built-in images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Arc<ImageFacts>>,
    /// Versions of the secrets that it is to be given, by name; their values are asked for (`api::secrets`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, u64>,
    /// Devices that it is to be given: those that it asks for, as far as an admin allowed them on this node.
    #[serde(default, skip_serializing_if = "Devices::is_empty")]
    pub devices: Devices,
}

/// Where every function is answered: all that a gateway needs to carry invocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Version of the routes (epoch, then revision of the state that they are of); a gateway refuses one that is older than what it has.
    pub revision: Generation,
    /// Admitted nodes and where they are reached.
    pub nodes: BTreeMap<NodeId, SocketAddr>,
    /// Nodes that were removed: nobody speaks with them, though they have certificates.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<NodeId>,
    /// The nodes that run a controller, for passing on the management API.
    pub controllers: BTreeSet<NodeId>,
    /// The leader.
    pub leader: Option<NodeId>,
    /// Every function, also those without a ready replica.
    pub functions: BTreeMap<FunctionName, FunctionRoute>,
}

/// Where one function is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRoute {
    /// Its ready replicas and their nodes.
    pub ready: BTreeMap<ReplicaId, NodeId>,
}
