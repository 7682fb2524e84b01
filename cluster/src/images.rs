//! What images' names mean, and who holds what: looked up before replicas are placed, and pinned to the function.
//!
//! ```text
//! what nodes hold ─┐
//! what was pushed ─┼─► meaning ─► found | ask the registry, with what to do if it does not answer | wait
//! a name ──────────┘
//! ```
//!
//! What somebody sent to the bramble or built on a node goes before what a registry has under the same name; what was
//! fetched from a registry is asked for there again, because the name may mean a newer image by now, and serves
//! where the registry cannot be reached.
//!
//! Not here: asking registries (the `controller` room), fetching and copying (the `agent` room).

mod list;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{
    NodeId, Platform, Timestamp,
    images::{HeldImage, ImageFacts, ImageSource, ImageVariant, Reference, UsedImages},
    node::EngineKind,
    sync::Orders,
};

use crate::{
    command::Action,
    memory::LeaderMemory,
    state::{NodePhase, State},
};

pub use list::{copies, list};

/// Room that has to stay free on a node beside a pushed image, in bytes.
const SPARE_BYTES: u64 = 256 << 20;

/// What a name means, as far as the bramble itself knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// This.
    Found(ImageFacts),
    /// What its registry says; where that cannot be reached, `otherwise`.
    Ask {
        /// The name.
        reference: Reference,
        /// What nodes fetched under this name before.
        otherwise: Option<ImageFacts>,
        /// Whether nodes that are up have not yet said what they hold, so that this may be too early.
        early: bool,
    },
    /// Nothing, and why.
    Nothing(String),
}

/// One image on one node.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    node: NodeId,
    image: &'a HeldImage,
}

/// Everything that nodes hold which are up.
fn everywhere<'a>(state: &'a State, memory: &'a LeaderMemory) -> impl Iterator<Item = Found<'a>> {
    let up = state
        .nodes()
        .iter()
        .filter(|(_, node)| node.phase == NodePhase::Up);
    up.flat_map(|(id, _)| {
        let held = memory.held(*id).unwrap_or_default();
        held.iter().map(|image| Found { node: *id, image })
    })
}

/// What the name `image` means at this moment.
pub fn meaning(state: &State, memory: &LeaderMemory, image: &str, now: Timestamp) -> Meaning {
    let reference: Reference = match image.parse() {
        Ok(reference) => reference,
        Err(error) => return Meaning::Nothing(format!("{error}")),
    };
    let name = reference.to_string();
    let up = || {
        state
            .nodes()
            .iter()
            .filter(|(_, node)| node.phase == NodePhase::Up)
    };
    let early = up().any(|(id, _)| memory.held(*id).is_none());
    if let Some(pushed) = state.pushed_images().get(&name) {
        if early || everywhere(state, memory).any(|found| pushed.is(found.image)) {
            let mut facts = pushed.as_ref().clone();
            facts.resolved_at = now;
            return Meaning::Found(facts);
        }
        let node = match &pushed.source {
            ImageSource::Pushed(node) => node.as_str(),
            _ => "a node",
        };
        return Meaning::Nothing(format!(
            "image {name} was sent to {node}, and no node that is up holds it any more; plug {node} in, or send it \
             again with `bramble image push`"
        ));
    }
    let here: Vec<Found<'_>> = everywhere(state, memory)
        .filter(|found| is_called(found.image, &reference))
        .collect();
    let (fetched, own): (Vec<_>, Vec<_>) = here
        .into_iter()
        .partition(|found| fetched_as(found.image, &reference).is_some());
    if let Some(newest) = newest(&own) {
        let digest = newest.image.id.clone();
        return Meaning::Found(facts_of(state, &own, digest, newest.node, now));
    }
    let otherwise = newest(&fetched).and_then(|best| {
        let digest = fetched_as(best.image, &reference)?;
        let same: Vec<_> = fetched
            .iter()
            .filter(|found| fetched_as(found.image, &reference) == Some(digest))
            .copied()
            .collect();
        Some(facts_of(state, &same, digest.to_owned(), best.node, now))
    });
    Meaning::Ask {
        reference,
        otherwise,
        early,
    }
}

/// Whether a node would run `held` if it were asked for `reference`.
fn is_called(held: &HeldImage, reference: &Reference) -> bool {
    let name = reference.to_string();
    match reference.digest() {
        Some(digest) => held.id == digest || held.digests.contains(&name),
        None => held.names.contains(&name),
    }
}

/// The digest under which `held` was fetched from the registry of `reference`.
fn fetched_as<'a>(held: &'a HeldImage, reference: &Reference) -> Option<&'a str> {
    let name = reference.familiar_name();
    let split = held.digests.iter().filter_map(|text| text.split_once('@'));
    split
        .filter(|(its, _)| *its == name)
        .map(|(_, digest)| digest)
        .next()
}

/// The image that was built last; of equal ones that with the greatest id, so that equal inputs give equal answers.
fn newest<'a>(found: &[Found<'a>]) -> Option<Found<'a>> {
    let order = |found: &&Found<'a>| (found.image.created, found.image.id.clone(), found.node);
    found.iter().max_by_key(order).copied()
}

fn facts_of(state: &State, found: &[Found<'_>], digest: String, node: NodeId, now: Timestamp) -> ImageFacts {
    let platforms: BTreeSet<&Platform> = found.iter().map(|found| &found.image.platform).collect();
    let variants = platforms.into_iter().filter_map(|platform| {
        let its: Vec<_> = found
            .iter()
            .filter(|found| found.image.platform == *platform)
            .copied()
            .collect();
        Some((platform.clone(), variant(newest(&its)?.image)))
    });
    ImageFacts {
        digest,
        source: ImageSource::Engine(state.node_name(node)),
        variants: variants.collect(),
        resolved_at: now,
        problem: None,
    }
}

/// What is known of an image that some node holds.
pub fn variant(image: &HeldImage) -> ImageVariant {
    ImageVariant {
        ids: [image.id.clone()].into(),
        content: Some(image.content.clone()),
        size_bytes: image.size_bytes,
        page_bytes: image.page_bytes,
    }
}

/// What the pushed image `name` means once `node` took `image`: what was sent before for other platforms stays.
pub fn pushed(state: &State, name: &str, image: &HeldImage, node: NodeId, now: Timestamp) -> ImageFacts {
    let before = state.pushed_images().get(name);
    let mut variants = before.map_or_else(BTreeMap::new, |facts| facts.variants.clone());
    variants.insert(image.platform.clone(), variant(image));
    ImageFacts {
        digest: image.id.clone(),
        source: ImageSource::Pushed(state.node_name(node)),
        variants,
        resolved_at: now,
        problem: None,
    }
}

/// Nodes that are up and hold the image of `facts` for `platform`.
pub fn holders(
    state: &State,
    memory: &LeaderMemory,
    facts: &ImageFacts,
    platform: &Platform,
) -> BTreeSet<NodeId> {
    let of_platform = || everywhere(state, memory).filter(|found| found.image.platform == *platform);
    // Copies in another kind of store have another id: they are told by their content.
    let contents: BTreeSet<&str> = of_platform()
        .filter(|found| facts.is(found.image))
        .map(|found| found.image.content.as_str())
        .collect();
    of_platform()
        .filter(|found| contents.contains(found.image.content.as_str()))
        .map(|found| found.node)
        .collect()
}

/// Adds to `orders` for `node` what only the leader knows: whether it has to say again what it holds, and who holds
/// what it lacks.
pub fn furnish(orders: &mut Orders, state: &State, memory: &LeaderMemory, node: NodeId) {
    orders.holdings = memory.holdings_version(node);
    let Some(its) = state.node(node) else { return };
    for (_, replica) in state
        .replicas_on(node)
        .filter(|(_, replica)| !replica.is_draining())
    {
        let function = state.function(&replica.function);
        let Some(facts) = function.and_then(|function| function.image_of(replica.version)) else {
            continue;
        };
        let Some((platform, _)) = facts.variant_for(&its.facts.platforms) else {
            continue;
        };
        if orders.holders.contains_key(&facts.digest) {
            continue;
        }
        let holders = holders(state, memory, facts, platform);
        if !holders.is_empty() && !holders.contains(&node) {
            orders.holders.insert(facts.digest.clone(), holders);
        }
    }
}

/// What nodes found out of pinned images since they were looked up: the content that copies are told by, the memory
/// pages that their programs need.
pub fn learned(state: &State, memory: &LeaderMemory) -> Vec<Action> {
    let mut actions = Vec::new();
    for (name, function) in state.functions() {
        let Some(facts) = function.image.as_ref().filter(|facts| facts.problem.is_none()) else {
            continue;
        };
        let complete = |variant: &ImageVariant| variant.content.is_some() && variant.page_bytes.is_some();
        if facts.variants.values().all(complete) {
            continue;
        }
        let mut known = facts.as_ref().clone();
        for found in everywhere(state, memory) {
            if !facts.is(found.image) {
                continue;
            }
            if let Some(variant) = known.variants.get_mut(&found.image.platform) {
                variant.content.get_or_insert_with(|| found.image.content.clone());
                variant.page_bytes = variant.page_bytes.or(found.image.page_bytes);
            }
        }
        if known != **facts {
            actions.push(Action::PinImage {
                function: name.clone(),
                version: function.version,
                facts: Arc::new(known),
            });
        }
    }
    actions
}

/// Everything that functions use and that must not be removed anywhere.
pub fn used(state: &State) -> UsedImages {
    let functions = state.functions().values();
    let facts = functions.flat_map(|function| function.image.iter().chain(function.older_images.values()));
    let ids = facts.flat_map(|facts| {
        let variants = facts.variants.values();
        let known = variants.flat_map(|variant| variant.ids.iter().chain(&variant.content));
        known.chain([&facts.digest]).cloned().collect::<Vec<_>>()
    });
    UsedImages { ids: ids.collect() }
}

/// The node that takes an image of `size` bytes, as an archive, where the sender said how many: that with the most
/// free disk of those that run Docker.
///
/// # Errors
/// Why none does, as a sentence with the cure.
pub fn place_for(state: &State, memory: &LeaderMemory, size: Option<u64>) -> Result<NodeId, String> {
    let docker = state
        .nodes()
        .iter()
        .filter(|(_, node)| node.facts.engine == EngineKind::Docker);
    if docker.clone().next().is_none() {
        return Err(
            "no node runs Docker, and only those can keep images: install Docker on one, or use the built-in functions"
                .to_owned(),
        );
    }
    let able = docker.filter(|(_, node)| node.phase == NodePhase::Up && !node.cordoned);
    let free = able.map(|(id, node)| {
        // Who leads elsewhere has not heard how full they are: the node itself looks again.
        let free = memory
            .vitals(*id)
            .map_or(u64::MAX, |vitals| vitals.disk_free_bytes);
        (free, std::cmp::Reverse(*id), node)
    });
    let Some((free, std::cmp::Reverse(node), its)) = free.max_by_key(|(free, id, _)| (*free, *id)) else {
        return Err("no node with Docker is up and takes images: plug one in, or uncordon one".to_owned());
    };
    // Docker unpacks the archive beside what it makes of it.
    let needed = size.map_or(SPARE_BYTES, |size| {
        size.saturating_mul(2).saturating_add(SPARE_BYTES)
    });
    if free < needed {
        return Err(format!(
            "no node has room: this image needs {} MB while it is unpacked, and {}, which has the most, has {} MB \
             free; remove images with `bramble image remove`, or use a larger card",
            needed / 1_000_000,
            its.facts.name,
            free / 1_000_000
        ));
    }
    Ok(node)
}
