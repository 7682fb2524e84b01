//! Images between nodes, with no registry and no Internet.
//!
//! ```text
//!   need ──► copy ──► sources ── mutual TLS ──► port ──► export ──► the holder's engine
//!             └──► this node's engine, while it arrives
//!   a user's archive ──► a controller ──► port ──► this node's engine
//!   clean (what to remove when the disk runs low: pure) ◄── cleaner
//! ```
//!
//! Nothing is kept on the way: bytes go from engine to engine, some kilobytes at a time. A copy that breaks off is
//! resumed at the byte where it stopped, from the same node or another one that has the image.
//!
//! Not here: who holds what (the leader says so with its orders), Docker itself ([`crate::engine::docker`]).

pub mod clean;
pub mod cleaner;
pub mod copy;
pub mod export;
pub(crate) mod port;
mod query;
pub(crate) mod sources;

use std::{collections::BTreeSet, pin::Pin};

use api::{Platform, images::ImageFacts};
use bytes::Bytes;
use futures_util::Stream;
use transport::BoxError;

pub use port::ImagePort;
pub use sources::{HoldersByDigest, Sources};

/// An archive as it arrives.
pub type Bytestream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// One image that a node needs, for the platform that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What orders call it.
    pub digest: String,
    /// What it is made for.
    pub platform: Platform,
    /// All that it may be known by.
    pub ids: BTreeSet<String>,
    /// What it is told by on all nodes, where that is known.
    pub content: Option<String>,
}

impl Need {
    /// What a node with these `platforms` needs of `facts`; `None` where the image has nothing for it.
    pub fn of(facts: &ImageFacts, platforms: &[Platform]) -> Option<Self> {
        let (platform, variant) = facts.variant_for(platforms)?;
        let mut ids = variant.ids.clone();
        ids.insert(facts.digest.clone());
        ids.extend(variant.content.clone());
        Some(Self {
            digest: facts.digest.clone(),
            platform: platform.clone(),
            ids,
            content: variant.content.clone(),
        })
    }

    /// Whether `held` is it.
    pub fn is(&self, held: &api::images::HeldImage) -> bool {
        let digests = || held.digests.iter().filter_map(|text| text.split_once('@'));
        let known = |id: &str| self.ids.contains(id);
        held.platform == self.platform
            && (known(&held.id) || known(&held.content) || digests().any(|(_, digest)| known(digest)))
    }
}
