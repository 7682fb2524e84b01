//! What OpenFaaS has no place for: the JSON under `/api/v1/`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    devices::Devices,
    ids::{NodeId, ReplicaId},
    join::BrambleId,
    light::Light,
    node::BoardDetails,
    openfaas::FunctionStatus,
    sensors::{Sensors, Warning},
    sync::Phase,
};

/// One node in GET `/api/v1/nodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// The node's id.
    pub id: NodeId,
    /// The board in people's words.
    pub board: String,
    /// `up`, `down`, `joining` or `cordoned`.
    pub phase: NodePhase,
    /// Whether it leads the bramble.
    pub leader: bool,
    /// Whether it runs a controller.
    pub controller: bool,
    /// What somebody said of it as a controller: `pinned`, `excluded` or `none`.
    #[serde(default)]
    pub wish: String,
    /// Whether it takes nothing new; its phase says so only while it is up.
    #[serde(default)]
    pub cordoned: bool,
    /// Memory that its operating system sees.
    pub memory_bytes: u64,
    /// Memory that is promised to replicas, as requests.
    pub memory_requested_bytes: u64,
    /// Memory that replicas may ask for in all: what the operating system sees, less the reserve.
    pub memory_for_replicas_bytes: u64,
    /// Memory that could still be used; absent while the node has not been heard by this leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Cores.
    pub cores: u32,
    /// Runnable processes on average over the last minute; absent while the node has not been heard.
    pub load: Option<f64>,
    /// Degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// Free space where the node keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Time since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// The best platform that it runs.
    pub platform: String,
    /// All platforms that it runs.
    pub platforms: Vec<String>,
    /// The operating system in people's words.
    pub os: String,
    /// `docker` or `process`.
    pub engine: String,
    /// Where its node-to-node port is reached.
    pub address: String,
    /// Version of the program it runs.
    pub version: String,
    /// Replicas on it, in any phase.
    pub replicas: u32,
    /// What is wrong with it, in plain sentences, each with its cure; the worst first.
    pub warnings: Vec<String>,
    /// What is wrong with the machine, in parts for programs.
    #[serde(default)]
    pub problems: Vec<Warning>,
    /// What its sensors tell; absent while the node has not been heard by this leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensors: Option<Sensors>,
    /// Name of the silent node that it seems to have been before its card was flashed anew: same board, same serial
    /// number. POST `/api/v1/nodes/{name}/replace` has it go on as that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What its light was last told to say; absent while this leader has told it nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<Light>,
    /// The board's serial number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// What else is known of the board.
    #[serde(default, skip_serializing_if = "BoardDetails::is_empty")]
    pub details: BoardDetails,
    /// Size of a memory page, in bytes.
    #[serde(default)]
    pub page_bytes: u32,
    /// Devices that it could give to functions.
    #[serde(default)]
    pub devices: Devices,
    /// Devices that an admin allowed functions to use there, whether it has them at this moment or not.
    #[serde(default)]
    pub devices_allowed: Devices,
}

/// GET `/api/v1/nodes/{name}`: a node with all that is known of it in people's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInWords {
    /// The node, as in the list of all.
    #[serde(flatten)]
    pub node: Node,
    /// What board it is and how it is, to be shown in this order.
    pub about: Vec<Fact>,
}

/// One thing that is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about: `Power supply`.
    pub title: String,
    /// What is known: `too weak 3 min ago`.
    pub words: String,
}

/// Body of PUT `/api/v1/nodes/{name}/devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowDevices {
    /// Names of all devices that functions may use on this node from now on; none takes all back.
    pub allow: Vec<String>,
}

/// Body of POST `/api/v1/nodes/{name}/identify` and `/api/v1/waiting/{id}/identify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identify {
    /// For how long, in seconds; absent is a minute, 0 ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// One node in GET `/api/v1/waiting`: it knocked and may be admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingNode {
    /// Its id.
    pub id: NodeId,
    /// What it calls itself.
    pub name: String,
    /// The board in people's words.
    pub board: String,
    /// Memory that its operating system sees.
    pub memory_bytes: u64,
    /// What the node shows, too, and a person compares: `k7q2-m9fd`.
    pub fingerprint: String,
    /// Where it knocks from.
    pub address: String,
    /// Whole minutes since it knocked first.
    pub waiting_minutes: u64,
    /// Whether it was part of this bramble and was removed.
    pub removed: bool,
    /// Whether its light shows at this moment which board it is.
    #[serde(default)]
    pub identifies: bool,
    /// Name of the node that it seems to be, with a card that was flashed anew: same board, same serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// One bramble in GET `/api/v1/meetings`: it has the same join key as this one, and both hold what people made. Their
/// nodes stay apart until somebody ends one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// Which.
    pub bramble: BrambleId,
    /// Boards of those of its nodes that are in sight, in people's words, in the order of their addresses.
    pub boards: Vec<String>,
    /// Where their portal is: one of their nodes.
    pub address: String,
}

/// Body of POST `/api/v1/dissolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dissolve {
    /// The bramble that the nodes go over to.
    pub into: BrambleId,
}

/// Body of PUT `/api/v1/nodes/{name}/name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// The new name.
    pub name: String,
}

/// Answer of GET and body of PUT `/api/v1/controllers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controllers {
    /// How many there should be: 1, 3 or 5; absent is as many as fit the number of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u8>,
}

/// Body of PUT `/api/v1/nodes/{name}/controller`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerWish {
    /// `pinned`, `excluded` or `none`.
    pub wish: String,
}

/// Body of POST `/api/v1/first-visit`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstVisit {
    /// The code that each node shows.
    pub code: String,
    /// The admin password that is chosen.
    pub password: String,
}

impl std::fmt::Debug for FirstVisit {
    /// Without code and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstVisit(…)")
    }
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodePhase {
    /// Heard of and taking replicas.
    Up,
    /// Not heard of for some seconds; its replicas run elsewhere.
    Down,
    /// Let in, and not heard of yet.
    Joining,
    /// Running what it has and taking nothing new.
    Cordoned,
}

/// Answer of GET `/api/v1/functions/{namespace}/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// What OpenFaaS clients see of it.
    #[serde(flatten)]
    pub status: FunctionStatus,
    /// Where its replicas are.
    pub placements: Vec<Placement>,
    /// Why more replicas cannot be placed, node by node; empty when nothing is refused.
    pub refusals: Vec<Refusal>,
    /// How it stands, in sentences: "2 of 6 replicas are ready."
    pub sentences: Vec<String>,
    /// Why it is as it is, in sentences, with what to do about it; the same as `sentences` and more.
    pub why: Vec<String>,
    /// What happened to it lately, the newest first.
    pub events: Vec<Event>,
    /// Invocations that ended, by HTTP status, since the leader began to count.
    pub invocations_by_code: BTreeMap<u16, u64>,
}

/// One function in GET `/api/v1/functions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionSummary {
    /// What OpenFaaS clients see of it.
    #[serde(flatten)]
    pub function: FunctionStatus,
    /// How it stands, in a word.
    pub status: FunctionPhase,
    /// How it stands, in a sentence.
    pub sentence: String,
    /// Replicas that take invocations.
    pub ready: u32,
    /// Names of the nodes that have a replica of it, each as often as it has one.
    pub nodes: Vec<String>,
    /// Its replicas, for who draws each one.
    pub placements: Vec<ReplicaAt>,
    /// Invocations that ended per second, over the last seconds.
    pub rate: f64,
}

/// One replica in few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaAt {
    /// Name of its node.
    pub node: String,
    /// Where it stands.
    pub phase: Phase,
}

/// How a function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionPhase {
    /// All wanted replicas take invocations.
    Ready,
    /// Some do.
    PartlyReady,
    /// None does yet; some are being started.
    Starting,
    /// None does, because there is no place, or no image yet.
    Waiting,
    /// None does, because they cannot run.
    Failing,
    /// None is wanted; the next invocation starts one.
    ScaledToZero,
}

/// Answer of GET `/api/v1/session`: who is asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user's name.
    pub user: String,
    /// The user's role: `admin`, `deployer`, `invoker` or `viewer`.
    pub role: String,
    /// What the user may do: `view_functions`, `change_functions`, `view_nodes`, `change_nodes`, `view_info`,
    /// `change_users`.
    pub permissions: Vec<String>,
}

/// One replica and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The replica.
    pub replica: ReplicaId,
    /// Name of its node.
    pub node: String,
    /// Id of its node.
    pub node_id: NodeId,
    /// Where it stands.
    pub phase: Phase,
    /// Why, in a plain sentence; empty where the phase says it all.
    pub reason: String,
    /// How often it was started again after it died.
    pub restarts: u32,
    /// Version of the function that it runs.
    pub version: u64,
    /// Where it takes HTTP, seen from its own node; absent while it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Why one node takes no more replicas of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Name of the node.
    pub node: String,
    /// The reason, as a sentence.
    pub reason: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339.
    pub time: String,
    /// Who did it: a user's name, or `bramble` itself.
    pub actor: String,
    /// What, as a sentence.
    pub text: String,
}

/// One image in GET `/api/v1/images`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name, as people write it: `ghcr.io/x/y:1`; its digest where it has none.
    pub name: String,
    /// What the name means at this moment: `sha256:…`.
    pub digest: String,
    /// What it is made for.
    pub platforms: Vec<String>,
    /// Its size, unpacked; the largest where it is made for several platforms.
    pub size_bytes: u64,
    /// Names of the nodes that hold it.
    pub nodes: Vec<String>,
    /// Names of the functions that use it.
    pub used_by: Vec<String>,
    /// Whether nodes make it themselves.
    pub built_in: bool,
}

/// Answer of POST `/api/v1/images`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedImages {
    /// Names of the images that were in the archive.
    pub images: Vec<String>,
    /// Name of the node that holds them now; the others fetch them from there when they need them.
    pub node: String,
}

/// Body of every error under `/api/v1/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What is wrong and how to mend it.
    pub error: String,
}
