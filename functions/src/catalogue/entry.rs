//! One line of the catalogue.

use std::collections::BTreeMap;

use serde::Serialize;

use super::example::Example;

/// How requests reach a function, in the watchdog's words; `direct` ones are servers themselves and have no watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Serializing,
    Direct,
}

/// What a function is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Category {
    Text,
    Pictures,
    Numbers,
    Network,
    Machine,
    Pages,
}

impl Category {
    /// For people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Pictures => "Pictures",
            Self::Numbers => "Numbers",
            Self::Network => "Network",
            Self::Machine => "The machine",
            Self::Pages => "Pages",
        }
    }
}

/// One built-in function, as needed to make an image of it and to offer it.
#[derive(Debug, Serialize)]
pub(super) struct Function {
    pub(super) name: &'static str,
    title: &'static str,
    pub(super) sentence: &'static str,
    pub(super) category: Category,
    /// What the watchdog runs; absent for `direct`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fprocess: Option<&'static str>,
    mode: Mode,
    /// What an image runs instead of the watchdog; for `direct` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<[&'static str; 3]>,
    /// Further variables of its image.
    env: BTreeMap<&'static str, &'static str>,
    /// Annotations that it is deployed with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, &'static str>,
    /// The variable that chooses the port it listens on; 8080 without.
    port_env: &'static str,
    /// How much memory a replica should be given.
    memory: &'static str,
    /// Whether it writes no files, so that its root may be read-only.
    read_only_root: bool,
    example: Example,
    /// SVG.
    icon: &'static str,
}

/// The icon of the function called `$name`.
macro_rules! icon {
    ($name:literal) => {
        include_str!(concat!("../../icons/", $name, ".svg"))
    };
}
pub(super) use icon;

/// A replica is taken out of the routes before it is asked to stop, so the watchdog's quiet time (30 s by default)
/// would only delay stopping it.
const QUIET: (&str, &str) = ("healthcheck_interval", "1s");

/// Enough for a function that computes little: several times what one takes.
const LITTLE: &str = "16Mi";

impl Function {
    /// A function for which the watchdog starts `fprocess` at every request. It keeps a lock file, so the root is
    /// writable.
    pub(super) fn process(
        name: &'static str,
        words: [&'static str; 2],
        icon: &'static str,
        fprocess: &'static str,
        example: Example,
    ) -> Self {
        Self {
            name,
            title: words[0],
            sentence: words[1],
            category: Category::Machine,
            fprocess: Some(fprocess),
            mode: Mode::Serializing,
            entrypoint: None,
            env: BTreeMap::from([QUIET]),
            annotations: BTreeMap::new(),
            port_env: "port",
            memory: LITTLE,
            read_only_root: false,
            example,
            icon,
        }
    }

    /// A function that answers HTTP itself.
    pub(super) fn server(
        name: &'static str,
        words: [&'static str; 2],
        icon: &'static str,
        example: Example,
    ) -> Self {
        Self {
            fprocess: None,
            mode: Mode::Direct,
            entrypoint: Some(["functions", "serve", name]),
            env: BTreeMap::new(),
            read_only_root: true,
            ..Self::process(name, words, icon, "", example)
        }
    }

    /// With a further variable in its image.
    pub(super) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.insert(name, value);
        self
    }

    /// Asks for devices of its node: names with commas in between.
    pub(super) fn asks_for(mut self, devices: &'static str) -> Self {
        self.annotations.insert("bramble.devices", devices);
        self
    }

    /// Answers text, says its image.
    pub(super) fn text(self) -> Self {
        self.env("content_type", super::example::TEXT)
    }

    /// With more memory than the little that most need.
    pub(super) fn memory(mut self, memory: &'static str) -> Self {
        self.memory = memory;
        self
    }

    pub(super) fn in_category(mut self, category: Category) -> Self {
        self.category = category;
        self
    }
}

/// The whole answer of `functions list --json`.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) v: u32,
    pub(super) functions: Vec<Function>,
    /// Names under which an image links this file, so that every `fprocess` finds them.
    pub(super) tools: Vec<&'static str>,
}
