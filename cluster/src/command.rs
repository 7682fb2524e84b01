//! Everything that can happen to the state, as one enum: what is proposed, stored and applied.
//!
//! A command says what was decided, by whom and when, and carries whatever deciding needed (capacities, requests),
//! so that applying it needs no rule that another version of this program might have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use api::{
    Cpu, Devices, FunctionName, FunctionSpec, Memory, NodeFacts, NodeId, Platform, ReplicaId, SessionId,
    Timestamp,
    images::{Cleaned, ImageFacts},
    join::BrambleId,
    light::LightSettings,
    sync::Phase,
    versioned::Versioned,
};
use serde::{Deserialize, Serialize};

use crate::{
    autopilot::Wish,
    permissions::Role,
    secrets::{Sealed, SecretName},
    state::NodePhase,
    totals::FunctionTotals,
};

/// One change of the state, as it goes into the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// When it was proposed, by the proposer's clock.
    pub at: Timestamp,
    /// Who wants it.
    pub actor: Actor,
    /// What.
    pub action: Action,
}

impl Versioned for Command {
    const NAME: &'static str = "command";
    const VERSION: u32 = 1;
}

impl Command {
    /// What the bramble itself decided at `at`.
    pub fn by_bramble(at: Timestamp, action: Action) -> Self {
        Self {
            at,
            actor: Actor::Bramble,
            action,
        }
    }

    /// What the user `name` asked for at `at`.
    pub fn by_user(name: &str, at: Timestamp, action: Action) -> Self {
        Self {
            at,
            actor: Actor::User(name.to_owned()),
            action,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.action, self.actor)
    }
}

/// Who wants a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Someone who signed in, by name.
    User(String),
    /// The bramble itself.
    Bramble,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Bramble => f.write_str("bramble"),
        }
    }
}

/// What can be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Begin a bramble, once.
    Found {
        /// Its name.
        name: String,
    },
    /// Take a node in, also one that was removed.
    AdmitNode {
        /// Who it is.
        id: NodeId,
        /// What it is.
        facts: Box<NodeFacts>,
        /// Whether it runs a controller.
        controller: bool,
        /// Whether its agent has yet to be heard for the first time: it was let in, and takes part from then on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        awaited: bool,
    },
    /// Do not let a node in that waits to be admitted, also when it asks again.
    RefuseNode {
        /// Who it is.
        id: NodeId,
        /// What it calls itself.
        name: String,
    },
    /// Keep for people what happened at the door.
    NoteAttempt {
        /// Who was not let in, and why: a sentence.
        text: String,
    },
    /// Have a node run a controller, or no longer.
    SetController {
        /// Who it is.
        id: NodeId,
        /// Whether it runs one from now on.
        controller: bool,
    },
    /// Say that a node should be a controller, or should be none.
    WishController {
        /// Who it is.
        id: NodeId,
        /// What is wished.
        wish: Wish,
    },
    /// Say how many controllers there should be.
    WantControllers {
        /// How many; `None` is as many as fit the number of nodes.
        count: Option<u8>,
    },
    /// Give a node another name.
    NameNode {
        /// Who it is.
        id: NodeId,
        /// Its name from now on.
        name: String,
    },
    /// A node is not what it was: new address, more memory, another version.
    UpdateFacts {
        /// Who it is.
        id: NodeId,
        /// What it is now.
        facts: Box<NodeFacts>,
    },
    /// A node fell silent or is heard again.
    MarkNode {
        /// Who it is.
        id: NodeId,
        /// Whether it is heard of.
        phase: NodePhase,
    },
    /// Let a node take nothing new, or lift that.
    Cordon {
        /// Who it is.
        id: NodeId,
        /// Whether it takes nothing new from now on.
        cordoned: bool,
    },
    /// Say which devices of a node functions may use.
    AllowDevices {
        /// Who it is.
        id: NodeId,
        /// All that they may use from now on; none takes all back.
        devices: Devices,
    },
    /// Put a node out of the bramble for good.
    RemoveNode {
        /// Who it is.
        id: NodeId,
    },
    /// A card was flashed anew: a node goes on as what another one was, which is put out of the bramble.
    ReplaceNode {
        /// Who goes on.
        id: NodeId,
        /// Who it was.
        old: NodeId,
    },
    /// A node begins to lead.
    Lead {
        /// Who it is.
        id: NodeId,
    },
    /// Deploy a function, or deploy it again: always replaces its replicas, because the same image name may mean
    /// a newer image.
    PutFunction {
        /// What to run.
        spec: Arc<FunctionSpec>,
        /// What must be there.
        expect: Expect,
    },
    /// Remove a function and its replicas.
    RemoveFunction {
        /// Which.
        name: FunctionName,
    },
    /// Run so many replicas of a function, within what its labels allow.
    ScaleFunction {
        /// Which.
        name: FunctionName,
        /// How many; 0 is allowed.
        replicas: u32,
    },
    /// Place replicas and begin to drain others, if what the planner relied on still holds.
    Assign {
        /// What the planner relied on.
        relies_on: Relies,
        /// New replicas.
        place: Vec<Placement>,
        /// Replicas that are no longer wanted where they are.
        drain: BTreeSet<ReplicaId>,
    },
    /// What a node says of its replicas, as far as it differs from what is known.
    ReplicaPhases {
        /// Whose report it is; says nothing of replicas that are elsewhere.
        node: NodeId,
        /// Phases that changed.
        changes: BTreeMap<ReplicaId, PhaseChange>,
        /// Draining replicas that are there no more.
        gone: BTreeSet<ReplicaId>,
    },
    /// What earlier versions of this program knew of images. Changes nothing any more.
    PutImageFacts {
        /// The image, as functions name it.
        image: String,
        /// Platforms that it is made for.
        platforms: BTreeSet<Platform>,
    },
    /// The image of a function was looked up.
    PinImage {
        /// Whose.
        function: FunctionName,
        /// Version of the function; another one is looked up anew.
        version: u64,
        /// What its name means, or why it was not found.
        facts: Arc<ImageFacts>,
    },
    /// Somebody sent an image to this bramble.
    PutImage {
        /// Its name, as people write it.
        name: String,
        /// What the name means from now on.
        facts: Arc<ImageFacts>,
    },
    /// Forget an image that somebody sent.
    RemoveImage {
        /// Its name, as people write it.
        name: String,
    },
    /// A node removed images to make room.
    CleanImages {
        /// Which node.
        node: NodeId,
        /// What it removed.
        cleaned: Cleaned,
    },
    /// Keep a secret, or change it.
    PutSecret {
        /// Namespace and name.
        name: SecretName,
        /// The value, sealed with the bramble's key.
        value: Sealed,
        /// What must be there.
        expect: Expect,
    },
    /// Forget a secret.
    RemoveSecret {
        /// Namespace and name.
        name: SecretName,
    },
    /// Give a controller the key that secrets are sealed with.
    PutKey {
        /// The controller.
        node: NodeId,
        /// Which key.
        id: String,
        /// The key, closed for that controller alone.
        key: Sealed,
    },
    /// Keep what new nodes are certified with.
    PutAuthority {
        /// Certificate of the bramble's authority, PEM.
        certificate: String,
        /// Its key, sealed with the bramble's key.
        key: Sealed,
    },
    /// Let whoever knows this code choose the first admin password.
    PutFirstVisitCode {
        /// The code.
        code: String,
    },
    /// Have a node's light show which board it is, or end that.
    Identify {
        /// Who it is.
        id: NodeId,
        /// Until when, by the proposer's clock; `None` ends it.
        until: Option<Timestamp>,
    },
    /// Say how all lights shine.
    SetLights {
        /// How.
        settings: LightSettings,
    },
    /// Let someone sign in, or change their password or role.
    PutUser {
        /// The name they sign in with.
        name: String,
        /// Hash of the password, as a PHC string.
        password_hash: String,
        /// What they may do.
        role: Role,
    },
    /// Keep who signed in to the portal.
    OpenSession {
        /// Which session.
        id: SessionId,
        /// Whose.
        user: String,
    },
    /// Forget sessions: somebody signed out, or was away for long.
    CloseSessions {
        /// Which.
        ids: BTreeSet<SessionId>,
    },
    /// End this bramble: its nodes go over to another one.
    Dissolve {
        /// Which.
        into: BrambleId,
        /// Whether a person agreed to lose what this bramble holds; it is refused otherwise where there is anything.
        give_up: bool,
    },
    /// Keep how often functions were invoked.
    CheckpointTotals {
        /// The functions whose totals changed, whole.
        totals: BTreeMap<FunctionName, FunctionTotals>,
    },
}

/// What must be there when a function is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// No function of this name.
    Absent,
    /// A function of this name.
    Present,
    /// Either.
    Any,
}

/// What a plan relied on. If any of it changed, the plan is stale; nothing else makes it so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relies {
    /// The functions whose replicas are placed or drained.
    pub functions: BTreeMap<FunctionName, FunctionRelied>,
    /// The nodes that take new replicas.
    pub nodes: BTreeMap<NodeId, NodeRelied>,
}

/// What a plan relied on of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRelied {
    /// [`crate::state::Function::version`].
    pub version: u64,
    /// [`crate::state::Function::wanted`].
    pub wanted: u32,
}

/// What a plan relied on of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRelied {
    /// [`crate::state::Node::epoch`].
    pub epoch: u64,
    /// Memory that all replicas on it may ask for together. It follows from the node's facts by a rule that may
    /// change from version to version of this program, so the planner's result is what counts.
    pub memory: Memory,
    /// CPU that all replicas on it may ask for together.
    pub cpu: Cpu,
}

/// One new replica. Its id is given when the command is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Whose replica.
    pub function: FunctionName,
    /// Version of the function: the one relied on.
    pub version: u64,
    /// Where.
    pub node: NodeId,
    /// Memory that it counts with there.
    pub memory: Memory,
    /// CPU that it counts with there.
    pub cpu: Cpu,
}

/// How a replica changed, says its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// Where it stands.
    pub phase: Phase,
    /// Why, in a plain sentence; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How often it was started again after it died.
    #[serde(default)]
    pub restarts: u32,
}

impl fmt::Display for Action {
    /// One line for logs and errors; never secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { name } => write!(f, "found the bramble {name}"),
            Self::AdmitNode { facts, .. } => write!(f, "admit {}", facts.name),
            Self::RefuseNode { name, .. } => write!(f, "refuse {name}"),
            Self::NoteAttempt { text } => write!(f, "note: {text}"),
            Self::SetController { id, controller: true } => write!(f, "node {id} runs a controller"),
            Self::SetController {
                id,
                controller: false,
            } => write!(f, "node {id} runs no controller"),
            Self::WishController {
                id,
                wish: Wish::Pinned,
            } => write!(f, "pin node {id} as a controller"),
            Self::WishController {
                id,
                wish: Wish::Excluded,
            } => write!(f, "keep node {id} from being a controller"),
            Self::WishController { id, wish: Wish::None } => {
                write!(f, "let node {id} be a controller or not")
            }
            Self::WantControllers { count: Some(count) } => write!(f, "want {count} controllers"),
            Self::WantControllers { count: None } => write!(f, "want as many controllers as fit"),
            Self::NameNode { id, name } => write!(f, "name node {id} {name}"),
            Self::UpdateFacts { facts, .. } => write!(f, "update facts of {}", facts.name),
            Self::MarkNode { id, phase } => match phase {
                NodePhase::Up => write!(f, "mark node {id} as up"),
                NodePhase::Down => write!(f, "mark node {id} as down"),
            },
            Self::Cordon { id, cordoned: true } => write!(f, "cordon node {id}"),
            Self::Cordon { id, cordoned: false } => write!(f, "uncordon node {id}"),
            Self::AllowDevices { id, devices } if devices.is_empty() => {
                write!(f, "allow no devices on node {id}")
            }
            Self::AllowDevices { id, devices } => write!(f, "allow {devices} on node {id}"),
            Self::RemoveNode { id } => write!(f, "remove node {id}"),
            Self::ReplaceNode { id, old } => write!(f, "node {id} goes on as node {old}"),
            Self::Lead { id } => write!(f, "node {id} leads"),
            Self::PutFunction { spec, .. } => write!(f, "put function {}", spec.name),
            Self::RemoveFunction { name } => write!(f, "remove function {name}"),
            Self::ScaleFunction { name, replicas } => write!(f, "scale {name} to {replicas}"),
            Self::Assign { place, drain, .. } => write!(f, "place {} and drain {}", place.len(), drain.len()),
            Self::ReplicaPhases { node, changes, gone } => {
                write!(
                    f,
                    "node {node}: {} replicas changed, {} gone",
                    changes.len(),
                    gone.len()
                )
            }
            Self::PutImageFacts { image, .. } => write!(f, "put facts of image {image}"),
            Self::PinImage { function, facts, .. } => match &facts.problem {
                Some(_) => write!(f, "the image of {function} is not found"),
                None => write!(f, "the image of {function} is {}", facts.digest),
            },
            Self::PutImage { name, facts } => write!(f, "put image {name}: {}", facts.digest),
            Self::RemoveImage { name } => write!(f, "remove image {name}"),
            Self::CleanImages { node, cleaned } => {
                write!(f, "node {node} removed {} images", cleaned.images.len())
            }
            Self::PutSecret { name, .. } => write!(f, "put secret {name}"),
            Self::RemoveSecret { name } => write!(f, "remove secret {name}"),
            Self::PutKey { node, .. } => write!(f, "give node {node} the bramble's key"),
            Self::PutAuthority { .. } => f.write_str("keep the bramble's authority"),
            Self::PutFirstVisitCode { .. } => f.write_str("keep the code for the first visit"),
            Self::Identify { id, until: Some(_) } => write!(f, "node {id} identifies itself"),
            Self::Identify { id, until: None } => write!(f, "node {id} identifies itself no longer"),
            Self::SetLights { settings } => write!(f, "lights shine at {} %", settings.brightness),
            Self::PutUser { name, .. } => write!(f, "put user {name}"),
            Self::OpenSession { user, .. } => write!(f, "open a session for {user}"),
            Self::CloseSessions { ids } => write!(f, "close {} sessions", ids.len()),
            Self::Dissolve { into, .. } => write!(f, "dissolve into the bramble {into}"),
            Self::CheckpointTotals { totals } => write!(f, "keep totals of {} functions", totals.len()),
        }
    }
}
