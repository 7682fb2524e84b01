//! What the room is generic over: the replicated [`Machine`], and the types that openraft gets for it.

use std::{fmt, marker::PhantomData};

use api::{NodeId, versioned::Versioned};
use openraft::{Entry, EntryPayload, RaftTypeConfig, impls};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// A replicated state: what a command does to it must depend on nothing but the state and the command, because
/// every controller applies the same commands and must arrive at the same state.
///
/// `Versioned` is its form in snapshots, on disk and between controllers. `Clone` is called when a command is
/// applied while somebody still reads the state of before.
pub trait Machine: Versioned + Clone + Default + Send + Sync + 'static {
    /// One change; its `Versioned` form goes into the log.
    type Command: Versioned + Clone + fmt::Debug + Send + Sync + 'static;
    /// What became of a command; told to the one who proposed it.
    type Outcome: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;

    /// Applies one committed command.
    fn apply(&mut self, command: Self::Command) -> Self::Outcome;
}

/// What Raft knows of a member beside its id: nothing, as members are found by id and addresses may change. A
/// struct, so that a field with a default can be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {}

/// A value inside another's stored form, in an envelope of its own: the layout of the log can keep its version
/// while that of the commands changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enveloped<T>(pub T);

#[derive(Serialize, Deserialize)]
struct Envelope<B> {
    v: u32,
    body: B,
}

impl<T: Versioned> Serialize for Enveloped<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Envelope {
            v: T::VERSION,
            body: &self.0,
        }
        .serialize(serializer)
    }
}

impl<'de, T: Versioned> Deserialize<'de> for Enveloped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Raw, so that a body of another version is not read before the version is.
        let envelope = Envelope::<Box<serde_json::value::RawValue>>::deserialize(deserializer)?;
        if envelope.v != T::VERSION {
            return Err(serde::de::Error::custom(format_args!(
                "the {} has version {}; this program reads version {}: update this node",
                T::NAME,
                envelope.v,
                T::VERSION
            )));
        }
        serde_json::from_str(envelope.body.get())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

impl<T: Versioned> fmt::Display for Enveloped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }
}

/// What applying an entry gave: an outcome for a command, nothing for the entries that Raft writes for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answer<O>(pub Option<O>);

/// openraft's types for the machine `M`. `N` is the id of a member; anything else than [`NodeId`] is for openraft's
/// own test suite, which wants to count.
pub struct Types<M, N = NodeId>(PhantomData<fn() -> (M, N)>);

/// A member id that Raft can use.
pub trait MemberId: openraft::NodeId + Copy + Send + Sync {}
impl<N: openraft::NodeId + Copy + Send + Sync> MemberId for N {}

impl<M: Machine, N: MemberId> RaftTypeConfig for Types<M, N> {
    type D = Enveloped<M::Command>;
    type R = Answer<M::Outcome>;
    type NodeId = N;
    type Node = Member;
    type Term = u64;
    type LeaderId = impls::leader_id_adv::LeaderId<u64, N>;
    type Vote = impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Self::D, N, Member>;
    type Entry = Entry<Self::LeaderId, Self::Payload>;
    type AsyncRuntime = impls::TokioRuntime;
    type Responder<T>
        = impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = impls::BoxedErrorSource;
}

// `derive` would ask the same of `M` and `N`, which are only named, never held.
impl<M, N> Clone for Types<M, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, N> Copy for Types<M, N> {}
impl<M, N> Default for Types<M, N> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<M, N> fmt::Debug for Types<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<M, N> PartialEq for Types<M, N> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<M, N> Eq for Types<M, N> {}
impl<M, N> PartialOrd for Types<M, N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<M, N> Ord for Types<M, N> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}
