//! What a bramble's controllers replicate: the whole of it, as one value.
//!
//! Read through the getters; changed only by [`State::apply`] (module `apply`). Cloned for every applied batch, so
//! that readers keep the one they have: the values of the large maps are shared, and a clone copies pointers.
//!
//! Not here: anything that changes all the time (heartbeats, load, counters): [`crate::memory`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use api::{
    Cpu, Devices, FunctionName, FunctionSpec, Generation, Memory, NodeFacts, NodeId, ReplicaId, Revision,
    SessionId, Timestamp,
    images::{ImageFacts, built_in},
    join::BrambleId,
    light::LightSettings,
    sync::Phase,
    versioned::Versioned,
};
use serde::{Deserialize, Serialize};

use crate::{
    autopilot::Wish,
    command::Actor,
    permissions::Role,
    secrets::{Keyring, Sealed, Secret, SecretName},
    totals::FunctionTotals,
};

/// How many events are kept: some days of a quiet bramble, under 100 KB in a snapshot.
pub const MAX_EVENTS: usize = 400;

/// Most sessions that are kept: some classes with two devices each. `sessions::Uses` says which makes room.
pub const MAX_SESSIONS: usize = 256;

/// The replicated state of one bramble.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) revision: Revision,
    pub(crate) epoch: u64,
    pub(crate) name: String,
    pub(crate) leader: Option<NodeId>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<Node>>,
    pub(crate) removed: BTreeSet<NodeId>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) refused: BTreeSet<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) controllers_wanted: Option<u8>,
    pub(crate) functions: BTreeMap<FunctionName, Arc<Function>>,
    pub(crate) replicas: BTreeMap<ReplicaId, Arc<Replica>>,
    pub(crate) next_replica: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pushed: BTreeMap<String, Arc<ImageFacts>>,
    pub(crate) users: BTreeMap<String, User>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<SessionId, Arc<Session>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<SecretName, Arc<Secret>>,
    #[serde(default, skip_serializing_if = "Keyring::is_empty")]
    pub(crate) keyring: Keyring,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<Authority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_visit_code: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) worked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dissolved: Option<BrambleId>,
    #[serde(default, skip_serializing_if = "is_usual")]
    pub(crate) lights: LightSettings,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) identify: BTreeMap<NodeId, Timestamp>,
    pub(crate) totals: BTreeMap<FunctionName, Arc<FunctionTotals>>,
    pub(crate) activity: VecDeque<Arc<Event>>,
    pub(crate) routes_revision: u64,
}

impl Versioned for State {
    const NAME: &'static str = "state";
    const VERSION: u32 = 1;
}

/// What new nodes are certified with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Authority {
    /// The certificate, PEM. Nodes know their bramble by it.
    pub certificate: String,
    /// The key, sealed with the bramble's key.
    pub key: Sealed,
}

fn is_usual(lights: &LightSettings) -> bool {
    *lights == LightSettings::default()
}

/// One node, as the bramble knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it says it is.
    pub facts: NodeFacts,
    /// Whether it is heard of.
    pub phase: NodePhase,
    /// Whether it was never heard of: let in, and [`NodePhase::Down`] until its agent speaks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
    /// Whether it keeps what it has and takes nothing new.
    pub cordoned: bool,
    /// Whether it runs a controller.
    pub controller: bool,
    /// The name that somebody gave it, instead of the one that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// What somebody said of it as a controller.
    #[serde(default, skip_serializing_if = "Wish::is_none")]
    pub wish: Wish,
    /// Devices that an admin allowed functions to use on it, whether it has them or not.
    #[serde(default, skip_serializing_if = "Devices::is_empty")]
    pub devices_allowed: Devices,
    /// When it was admitted.
    pub joined: Timestamp,
    /// Revision at which its desired set changed last: the number of its [`Generation`].
    pub generation: u64,
    /// Revision at which it last changed whether and what it can take: phase, cordon, memory, cores, platforms,
    /// engine, devices. A placement that was planned on another one is stale.
    pub epoch: u64,
}

/// Whether a node is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodePhase {
    /// Its agent speaks to the leader.
    Up,
    /// Silent for longer than [`crate::liveness::SILENCE`]: its replicas run elsewhere.
    Down,
}

/// One function, as it is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// What to run now.
    pub spec: Arc<FunctionSpec>,
    /// Version of `spec`: the revision at which it was deployed, so that a function that is removed and deployed
    /// again never has an earlier version's number.
    pub version: u64,
    /// Replicas that are wanted.
    pub wanted: u32,
    /// When it was deployed first.
    pub created: Timestamp,
    /// When it was deployed last.
    pub updated: Timestamp,
    /// What the image's name means for this version; `None` until it was looked up, and for built-in images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Arc<ImageFacts>>,
    /// Specs of older versions that still have replicas which are not draining.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub older: BTreeMap<u64, Arc<FunctionSpec>>,
    /// What the image's name means for each of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub older_images: BTreeMap<u64, Arc<ImageFacts>>,
}

impl Function {
    /// The spec of `version`, while anything runs it.
    pub fn spec_of(&self, version: u64) -> Option<&Arc<FunctionSpec>> {
        if version == self.version {
            Some(&self.spec)
        } else {
            self.older.get(&version)
        }
    }

    /// What the image's name means for `version`, where that is known.
    pub fn image_of(&self, version: u64) -> Option<&Arc<ImageFacts>> {
        if version == self.version {
            self.image.as_ref()
        } else {
            self.older_images.get(&version)
        }
    }

    /// Whether its image still has to be found before a replica can be placed.
    pub fn lacks_image(&self) -> bool {
        let found = |facts: &Arc<ImageFacts>| facts.problem.is_none();
        built_in(&self.spec.image).is_none() && !self.image.as_ref().is_some_and(found)
    }
}

/// One replica: where it was placed, and what its node last said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Whose it is.
    pub function: FunctionName,
    /// Version of the function that it runs.
    pub version: u64,
    /// Where it is.
    pub node: NodeId,
    /// Memory that it counts with on its node.
    pub memory: Memory,
    /// CPU that it counts with on its node.
    pub cpu: Cpu,
    /// Where it stands; [`Phase::Draining`] is for good.
    pub phase: Phase,
    /// Why, in a plain sentence; empty where the phase says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How often its node started it again.
    #[serde(default)]
    pub restarts: u32,
    /// Since when it is in its phase.
    pub since: Timestamp,
}

impl Replica {
    /// Whether it is on its way out: no longer desired, but its node has not yet said that it is gone.
    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }
}

/// Someone who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Hash of the password, as a PHC string; opaque here.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
}

/// Somebody who signed in to the portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub user: String,
    /// When: there is no clock that all controllers share.
    pub opened: Revision,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The function it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionName>,
    /// The node it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// What, as a sentence.
    pub text: String,
}

impl State {
    /// How many commands were applied.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How often the bramble was founded, recovered or restored; 0 before it is founded.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The bramble's name; empty before it is founded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the bramble exists yet.
    pub fn is_founded(&self) -> bool {
        self.epoch > 0
    }

    /// Whether a person has ever changed anything: a bramble without that dissolves into another without loss. Never
    /// turns back.
    pub fn has_work(&self) -> bool {
        // The rest is for states that earlier versions of this program kept.
        self.worked || !self.functions.is_empty() || !self.secrets.is_empty() || !self.pushed.is_empty()
    }

    /// The bramble that this one has dissolved into: every node goes over to it.
    pub fn dissolved(&self) -> Option<BrambleId> {
        self.dissolved
    }

    /// The node that leads, or led last.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// All admitted nodes.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Arc<Node>> {
        &self.nodes
    }

    /// The admitted node `id`.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id).map(Arc::as_ref)
    }

    /// Name of the node `id`; its id where it is not known.
    pub fn node_name(&self, id: NodeId) -> String {
        self.node(id)
            .map_or_else(|| id.to_string(), |node| node.facts.name.clone())
    }

    /// Whether the node `id` was removed: it stays out until someone admits it again.
    pub fn is_removed(&self, id: NodeId) -> bool {
        self.removed.contains(&id)
    }

    /// All nodes that were removed and not admitted again.
    pub fn removed(&self) -> &BTreeSet<NodeId> {
        &self.removed
    }

    /// Whether somebody refused to let the node `id` in.
    pub fn is_refused(&self, id: NodeId) -> bool {
        self.refused.contains(&id)
    }

    /// How many controllers somebody wants; `None` is as many as fit the number of nodes.
    pub fn controllers_wanted(&self) -> Option<u8> {
        self.controllers_wanted
    }

    /// What new nodes are certified with, once the bramble has it.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// With this code the first admin password is chosen; `None` once somebody can sign in.
    pub fn first_visit_code(&self) -> Option<&str> {
        self.first_visit_code.as_deref()
    }

    /// How all lights shine.
    pub fn lights(&self) -> LightSettings {
        self.lights
    }

    /// Until when the node `id` identifies itself, if somebody asked it to.
    pub fn identify_until(&self, id: NodeId) -> Option<Timestamp> {
        self.identify.get(&id).copied()
    }

    /// All functions.
    pub fn functions(&self) -> &BTreeMap<FunctionName, Arc<Function>> {
        &self.functions
    }

    /// The function `name`.
    pub fn function(&self, name: &FunctionName) -> Option<&Function> {
        self.functions.get(name).map(Arc::as_ref)
    }

    /// All replicas, also draining ones.
    pub fn replicas(&self) -> &BTreeMap<ReplicaId, Arc<Replica>> {
        &self.replicas
    }

    /// The replica `id`.
    pub fn replica(&self, id: ReplicaId) -> Option<&Replica> {
        self.replicas.get(&id).map(Arc::as_ref)
    }

    /// The replicas of `function`, also draining ones.
    pub fn replicas_of<'a>(
        &'a self,
        function: &'a FunctionName,
    ) -> impl Iterator<Item = (ReplicaId, &'a Replica)> {
        let replicas = self.replicas.iter().map(|(id, replica)| (*id, replica.as_ref()));
        replicas.filter(move |(_, replica)| replica.function == *function)
    }

    /// The replicas on `node`, also draining ones.
    pub fn replicas_on(&self, node: NodeId) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        let replicas = self.replicas.iter().map(|(id, replica)| (*id, replica.as_ref()));
        replicas.filter(move |(_, replica)| replica.node == node)
    }

    /// Whether `replica` can take invocations: ready, on a node that is heard of.
    pub fn is_serving(&self, replica: &Replica) -> bool {
        let up = self
            .node(replica.node)
            .is_some_and(|node| node.phase == NodePhase::Up);
        up && replica.phase == Phase::Ready
    }

    /// Images that somebody sent to this bramble, by name as people write it.
    pub fn pushed_images(&self) -> &BTreeMap<String, Arc<ImageFacts>> {
        &self.pushed
    }

    /// Everyone who may sign in, by name.
    pub fn users(&self) -> &BTreeMap<String, User> {
        &self.users
    }

    /// Who signed in to the portal.
    pub fn sessions(&self) -> &BTreeMap<SessionId, Arc<Session>> {
        &self.sessions
    }

    /// All secrets, sealed.
    pub fn secrets(&self) -> &BTreeMap<SecretName, Arc<Secret>> {
        &self.secrets
    }

    /// The secret `name`, sealed.
    pub fn secret(&self, name: &SecretName) -> Option<&Secret> {
        self.secrets.get(name).map(Arc::as_ref)
    }

    /// The key that secrets are sealed with, closed for each controller.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Invocations of each function, as they were checkpointed last.
    pub fn totals(&self) -> &BTreeMap<FunctionName, Arc<FunctionTotals>> {
        &self.totals
    }

    /// What happened lately, the oldest first; at most [`MAX_EVENTS`].
    pub fn activity(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.activity.iter().map(Arc::as_ref)
    }

    /// Version of the set of things that `node` should run.
    pub fn generation(&self, node: NodeId) -> Option<Generation> {
        self.node(node).map(|node| Generation {
            epoch: self.epoch,
            number: node.generation,
        })
    }

    /// Version of the routes: grows whenever [`crate::routes::routes`] may give another answer.
    pub fn routes_revision(&self) -> Generation {
        Generation {
            epoch: self.epoch,
            number: self.routes_revision,
        }
    }
}
