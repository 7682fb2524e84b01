//! Files as values: what is to be in a file system, before any is there.

use std::collections::BTreeMap;

/// One entry of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file with its mode and content.
    File(u32, Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// An empty folder with its mode.
    Dir(u32),
}

/// Entries by path from the root, without a slash in front. All belong to root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Entry>);

impl Tree {
    /// Adds a file, or replaces what is there.
    pub fn file(&mut self, path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File(mode, content.into()));
    }

    /// Adds a link, or replaces what is there.
    pub fn link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.0.insert(path.into(), Entry::Link(target.into()));
    }

    /// Adds an empty folder.
    pub fn dir(&mut self, path: impl Into<String>, mode: u32) {
        self.0.insert(path.into(), Entry::Dir(mode));
    }
}
