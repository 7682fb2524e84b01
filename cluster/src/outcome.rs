//! What came of a command: applied, or refused in words that its sender can act on.

use std::{error::Error, fmt};

use api::{FunctionName, NodeId, Revision, join::BrambleId, versioned::Versioned};
use serde::{Deserialize, Serialize};

use crate::secrets::SecretName;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The state has this revision now.
    Applied(Revision),
    /// Nothing changed.
    Refused(Refusal),
}

impl Versioned for Outcome {
    const NAME: &'static str = "outcome";
    const VERSION: u32 = 1;
}

impl Outcome {
    /// The revision, or the refusal as an error.
    ///
    /// # Errors
    /// The [`Refusal`], where there is one.
    pub fn into_result(self) -> Result<Revision, Refusal> {
        match self {
            Self::Applied(revision) => Ok(revision),
            Self::Refused(refusal) => Err(refusal),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(revision) => write!(f, "applied as revision {}", revision.0),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

/// Why a command was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// This bramble was founded before.
    AlreadyFounded,
    /// A function of this name is there.
    AlreadyExists(FunctionName),
    /// No function of this name is there.
    NoSuchFunction(FunctionName),
    /// Another node has this name.
    NameTaken(String),
    /// No node of this id is in the bramble.
    NoSuchNode(NodeId),
    /// The node of this name is heard of: it was not flashed anew.
    StillThere(String),
    /// Nobody of this name can sign in.
    NoSuchUser(String),
    /// Nobody sent an image of this name.
    NoSuchImage(String),
    /// A secret of this name is there.
    SecretExists(SecretName),
    /// No secret of this name is there.
    NoSuchSecret(SecretName),
    /// Secrets are sealed with another key than this one.
    AnotherKey,
    /// A person has used this bramble: it does not end by itself.
    HasWork,
    /// This bramble has ended, in favour of that one.
    Dissolved(BrambleId),
    /// What the plan relied on has changed; the next one will do better.
    Stale(Stale),
}

/// What changed since a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stale {
    /// The function was removed, deployed again or scaled.
    Function(FunctionName),
    /// The node went, came back, was cordoned or changed.
    Node(NodeId),
    /// The node has no longer the room.
    Room(NodeId),
    /// A placement names a function or node that the plan does not say it relied on.
    Unfounded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyFounded => f.write_str("this bramble was founded before"),
            Self::AlreadyExists(name) => write!(f, "function {name} already exists; update it instead"),
            Self::NoSuchFunction(name) => write!(f, "function {name} not found"),
            Self::NameTaken(name) => write!(f, "another node is called {name}"),
            Self::NoSuchNode(id) => write!(f, "no node {id} in this bramble"),
            Self::StillThere(name) => {
                write!(
                    f,
                    "{name} is up, so nothing can take its place: unplug it, or remove it"
                )
            }
            Self::NoSuchUser(name) => write!(f, "nobody called {name} can sign in"),
            Self::NoSuchImage(name) => write!(f, "nobody sent an image {name} to this bramble"),
            Self::SecretExists(name) => {
                write!(f, "secret {} already exists; update it instead", name.name())
            }
            Self::NoSuchSecret(name) => {
                write!(f, "unable to find secret: {}; create it first", name.name())
            }
            Self::AnotherKey => f.write_str("the bramble's secrets are sealed with another key"),
            Self::HasWork => f.write_str("this bramble holds what people made, which would be lost"),
            Self::Dissolved(into) => write!(
                f,
                "this bramble has ended, and its nodes go over to another one ({into}): look for that one's portal in a minute"
            ),
            Self::Stale(Stale::Function(name)) => {
                write!(f, "function {name} changed since the plan was made")
            }
            Self::Stale(Stale::Node(id)) => write!(f, "node {id} changed since the plan was made"),
            Self::Stale(Stale::Room(id)) => write!(f, "node {id} lost the room since the plan was made"),
            Self::Stale(Stale::Unfounded) => f.write_str("the plan places what it did not rely on"),
        }
    }
}

impl Error for Refusal {}
