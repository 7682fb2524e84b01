//! The function store: what can be deployed with one press, in the format of OpenFaaS stores (contract section 7.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the format, as stores of OpenFaaS functions state it.
const FORMAT: &str = "0.2.1";

/// Platforms as stores name them. `x86_64` is what clients on a laptop ask for, `amd64` what people write.
const PLATFORMS: [&str; 4] = ["x86_64", "amd64", "arm64", "armhf"];

/// Who made the built-in functions, and where they are described.
const AUTHOR: &str = "Bramble";

/// The built-in functions, as `functions list --json` tells of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Catalogue {
    /// All of them, in the order in which people should see them.
    pub functions: Vec<CatalogueEntry>,
}

/// One built-in function.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CatalogueEntry {
    /// Its name: that of its image, after `bramble/`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What it does, in a sentence.
    pub sentence: String,
    /// What kind of function it is: `text`, `pictures`, `numbers`, `network`, `machine`, `pages`.
    #[serde(default)]
    pub category: String,
    /// A picture of it: SVG.
    #[serde(default)]
    pub icon: String,
    /// A request to try it with, and its answer.
    #[serde(default)]
    pub example: serde_json::Value,
    /// Environment that it is deployed with.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Labels that it is deployed with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations that it is deployed with.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Memory that a replica asks for, such as `16Mi`.
    #[serde(default)]
    pub memory: Option<String>,
    /// Whether it gets along with a read-only root.
    #[serde(default)]
    pub read_only_root: bool,
}

/// Answer of GET `/store.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// Version of the format.
    pub version: String,
    /// What there is.
    pub functions: Vec<StoreEntry>,
}

/// One function of a store. What OpenFaaS stores do not have comes last; their clients pass it over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreEntry {
    /// Its name for people.
    pub title: String,
    /// Its name.
    pub name: String,
    /// Who made it.
    #[serde(default)]
    pub author: String,
    /// What it does, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Its image for each platform.
    pub images: BTreeMap<String, String>,
    /// What the watchdog runs, where that is not up to the image.
    #[serde(default)]
    pub fprocess: String,
    /// Where it is described.
    #[serde(default, rename = "repo_url")]
    pub repo_url: String,
    /// Whether it gets along with a read-only root.
    #[serde(default)]
    pub read_only_root_filesystem: bool,
    /// Environment that it is deployed with.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Labels that it is deployed with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations that it is deployed with.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Where a picture of it is.
    #[serde(default)]
    pub icon: String,
    /// What kind of function it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Memory that a replica asks for, such as `16Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// A request to try it with, and its answer.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub example: serde_json::Value,
}

impl Catalogue {
    /// The catalogue as a store that was asked for at `origin` (`http://bramble.local`).
    pub fn store(&self, origin: &str) -> Store {
        let entry = |function: &CatalogueEntry| StoreEntry {
            title: function.title.clone(),
            name: function.name.clone(),
            author: AUTHOR.to_owned(),
            description: function.sentence.clone(),
            images: PLATFORMS
                .map(|platform| (platform.to_owned(), format!("bramble/{}:latest", function.name)))
                .into(),
            fprocess: String::new(),
            repo_url: format!("{origin}/ui/store"),
            read_only_root_filesystem: function.read_only_root,
            environment: function.environment.clone(),
            labels: function.labels.clone(),
            annotations: function.annotations.clone(),
            icon: format!("{origin}/store/icons/{}.svg", function.name),
            category: function.category.clone(),
            memory: function.memory.clone(),
            example: function.example.clone(),
        };
        Store {
            version: FORMAT.to_owned(),
            functions: self.functions.iter().map(entry).collect(),
        }
    }

    /// The picture of the function `name`.
    pub fn icon(&self, name: &str) -> Option<&str> {
        let function = self.functions.iter().find(|function| function.name == name)?;
        (!function.icon.is_empty()).then_some(function.icon.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"{"v":1,"tools":["cat"],"functions":[{"name":"env","title":"Environment",
        "sentence":"Prints it.","mode":"serializing","icon":"<svg/>","category":"machine","read_only_root":true,
        "memory":"16Mi","example":{"method":"GET"}}]}"#;

    #[test]
    fn every_entry_is_there_for_every_platform_that_clients_ask_for() {
        let catalogue: Catalogue = serde_json::from_str(TOLD).unwrap();
        let store = serde_json::to_value(catalogue.store("http://bramble.local")).unwrap();
        let entry = &store["functions"][0];
        for platform in ["x86_64", "amd64", "arm64", "armhf"] {
            assert_eq!(entry["images"][platform], "bramble/env:latest");
        }
        assert_eq!(entry["icon"], "http://bramble.local/store/icons/env.svg");
        assert_eq!(entry["readOnlyRootFilesystem"], true);
        assert_eq!(entry["description"], "Prints it.");
        assert_eq!(catalogue.icon("env"), Some("<svg/>"));
        assert_eq!(catalogue.icon("cows"), None);
    }

    #[test]
    fn a_store_of_others_is_understood() {
        let other = r#"{"version":"0.2.1","functions":[{"title":"Figlet","name":"figlet","author":"x",
            "description":"d","images":{"arm64":"ghcr.io/x/figlet:latest"},"fprocess":"figlet","repo_url":"u"}]}"#;
        let store: Store = serde_json::from_str(other).unwrap();
        assert_eq!(store.functions[0].images["arm64"], "ghcr.io/x/figlet:latest");
        assert_eq!(store.functions[0].fprocess, "figlet");
    }
}
