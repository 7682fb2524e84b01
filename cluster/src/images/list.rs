//! All images, as users are told of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{
    FunctionName, NodeId, Platform,
    ids::DEFAULT_NAMESPACE,
    images::{ImageFacts, Reference, built_in},
    v1,
};

use super::{Found, everywhere};
use crate::{
    memory::LeaderMemory,
    state::{Function, State},
};

/// One name, and what it means.
#[derive(Debug, Default)]
struct Entry<'a> {
    digest: &'a str,
    platforms: BTreeSet<Platform>,
    size_bytes: u64,
    /// What its copies are told by.
    contents: BTreeSet<(&'a Platform, &'a str)>,
}

impl<'a> Entry<'a> {
    fn of(facts: &'a ImageFacts, everything: &[Found<'a>]) -> Self {
        let mut entry = Self {
            digest: &facts.digest,
            platforms: facts.variants.keys().cloned().collect(),
            ..Self::default()
        };
        for found in everything.iter().filter(|found| facts.is(found.image)) {
            entry.add(found);
        }
        let sizes = facts.variants.values().map(|variant| variant.size_bytes);
        entry.size_bytes = entry.size_bytes.max(sizes.max().unwrap_or(0));
        entry
    }

    fn add(&mut self, found: &Found<'a>) {
        let image = found.image;
        self.platforms.insert(image.platform.clone());
        self.contents.insert((&image.platform, &image.content));
        self.size_bytes = self.size_bytes.max(image.size_bytes);
    }

    fn is(&self, found: &Found<'_>) -> bool {
        let content = (&found.image.platform, found.image.content.as_str());
        self.contents.contains(&content)
    }
}

/// Every image that a node holds, that was sent to the bramble or that a function uses, by name.
pub fn list(state: &State, memory: &LeaderMemory) -> Vec<v1::Image> {
    let everything: Vec<Found<'_>> = everywhere(state, memory).collect();
    let entries = entries(state, &everything);
    entries
        .iter()
        .map(|(name, entry)| view(state, &everything, name, entry))
        .collect()
}

/// One image of the list, and what each node that holds it calls it.
pub fn copies(
    state: &State,
    memory: &LeaderMemory,
    name: &str,
) -> Option<(v1::Image, Vec<(NodeId, String)>)> {
    let everything: Vec<Found<'_>> = everywhere(state, memory).collect();
    let entries = entries(state, &everything);
    let (name, entry) = entries.get_key_value(name)?;
    let copies = everything.iter().filter(|found| entry.is(found));
    let copies = copies.map(|found| (found.node, found.image.id.clone())).collect();
    Some((view(state, &everything, name, entry), copies))
}

fn entries<'a>(state: &'a State, everything: &[Found<'a>]) -> BTreeMap<String, Entry<'a>> {
    let mut entries: BTreeMap<String, Entry<'_>> = BTreeMap::new();
    for (name, facts) in state.pushed_images() {
        entries.insert(name.clone(), Entry::of(facts, everything));
    }
    for found in everything {
        for name in &found.image.names {
            if state.pushed_images().contains_key(name) {
                continue;
            }
            let entry = entries.entry(name.clone()).or_default();
            if entry.digest.is_empty() {
                entry.digest = &found.image.id;
            }
            entry.add(found);
        }
    }
    for function in state.functions().values() {
        if let Some(facts) = function.image.as_deref().filter(|facts| facts.problem.is_none()) {
            let entry = || Entry::of(facts, everything);
            entries
                .entry(familiar(&function.spec.image))
                .or_insert_with(entry);
        }
    }
    // What lost its name to a newer image, and copies of it.
    for found in everything.iter().filter(|found| found.image.brought.is_some()) {
        if !entries.values().any(|entry| entry.is(found)) {
            let entry = entries.entry(found.image.id.clone()).or_default();
            entry.digest = &found.image.id;
            entry.add(found);
        }
    }
    entries
}

fn view(state: &State, everything: &[Found<'_>], name: &str, entry: &Entry<'_>) -> v1::Image {
    let holders = everything.iter().filter(|found| entry.is(found));
    let nodes: BTreeSet<String> = holders.map(|found| state.node_name(found.node)).collect();
    let users = state
        .functions()
        .iter()
        .filter(|(_, function)| uses(function, everything, name, entry));
    v1::Image {
        digest: entry.digest.to_owned(),
        platforms: entry.platforms.iter().map(ToString::to_string).collect(),
        size_bytes: entry.size_bytes,
        nodes: nodes.into_iter().collect(),
        used_by: users.map(|(name, _)| short(name)).collect(),
        built_in: built_in(name).is_some(),
        name: name.to_owned(),
    }
}

/// Whether a function's replicas run this image: what its name meant when the function was deployed counts, whatever
/// it means by now. As long as nobody has looked, the name does.
fn uses(function: &Function, everything: &[Found<'_>], name: &str, entry: &Entry<'_>) -> bool {
    let is_found = |facts: &&Arc<ImageFacts>| facts.problem.is_none();
    let is_this = |facts: &Arc<ImageFacts>| {
        let held = |found: &Found<'_>| facts.is(found.image) && entry.is(found);
        facts.digest == entry.digest || everything.iter().any(held)
    };
    let by_name = function.image.iter().find(is_found).is_none() && familiar(&function.spec.image) == name;
    let mut pinned = function
        .image
        .iter()
        .chain(function.older_images.values())
        .filter(is_found);
    by_name || pinned.any(is_this)
}

/// A function's name as people write it.
fn short(name: &FunctionName) -> String {
    if name.namespace() == DEFAULT_NAMESPACE {
        name.name().to_owned()
    } else {
        name.to_string()
    }
}

/// A name as people write it; what names no image stays as it is.
fn familiar(image: &str) -> String {
    image
        .parse::<Reference>()
        .map_or_else(|_| image.to_owned(), |reference| reference.to_string())
}
