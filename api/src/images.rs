//! Container images as the bramble speaks of them: their names, what a node holds, and what a name was found to mean.
//!
//! One image has several ids: an engine knows it by the digest of its settings or of its manifest, depending on how
//! it stores images, and a registry by the digest of its manifest or of a list of manifests. [`HeldImage::content`]
//! is the same wherever an image is, so it is what copies are told by.
//!
//! Not here: reading manifests and asking registries (the `controller` room), engines (the `agent` room).

mod reference;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{node::Platform, units::Timestamp, versioned::Versioned};

pub use reference::{Reference, ReferenceError};

/// Where on the node-to-node port a node gives an image that it holds: `?image=ID&offset=N&prefix=SHA256`.
pub const EXPORT_PATH: &str = "/v1/images/export";

/// Where on the node-to-node port a node takes an archive of images into its engine.
pub const LOAD_PATH: &str = "/v1/images/load";

/// Where on the node-to-node port a node removes an image: `?id=ID`, as its engine calls it.
pub const REMOVE_PATH: &str = "/v1/images/remove";

/// Where on the node-to-node port a controller says which images functions use.
pub const USED_PATH: &str = "/v1/images/used";

/// Where on the node-to-node port a controller is told which images a node removed to make room.
pub const CLEANED_PATH: &str = "/v1/images/cleaned";

/// Where on the node-to-node port a node that has to fetch an image asks for the credentials of its registry:
/// `?name=FUNCTION&namespace=NAMESPACE`.
pub const CREDENTIALS_PATH: &str = "/v1/images/credentials";

/// The name of the built-in function whose image this is: `env` for `bramble/env` and `bramble/env:latest`. Every
/// node makes these images itself.
pub fn built_in(image: &str) -> Option<&str> {
    let name = image
        .strip_prefix("docker.io/")
        .unwrap_or(image)
        .strip_prefix("bramble/")?;
    let name = name.strip_suffix(":latest").unwrap_or(name);
    (!name.is_empty() && !name.contains([':', '@', '/'])).then_some(name)
}

/// What an image's name meant when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// `sha256:…` of the manifest or list of manifests where it comes from a registry, else of the image itself;
    /// empty where it was not found.
    pub digest: String,
    /// Where it was found.
    pub source: ImageSource,
    /// What it is made for, with what is known of each.
    pub variants: BTreeMap<Platform, ImageVariant>,
    /// When it was looked up.
    pub resolved_at: Timestamp,
    /// Why it was not found, as a sentence with the cure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where an image was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A node's engine holds it; the node's name.
    Engine(String),
    /// Somebody sent it to this bramble (`bramble image push`); the name of the node that took it.
    Pushed(String),
    /// Its registry has it.
    Registry,
    /// Nowhere.
    Nowhere,
}

/// An image for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageVariant {
    /// Digests by which an engine may know it: of its settings, of its manifest.
    pub ids: BTreeSet<String>,
    /// [`HeldImage::content`], once a node holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Its size in bytes, as far as known: of the layers, compressed where it comes from a registry.
    pub size_bytes: u64,
    /// Largest memory pages that its program can run with, in bytes, once a node looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<u32>,
}

impl ImageFacts {
    /// An image that was not found, and why.
    pub fn nowhere(problem: String, at: Timestamp) -> Self {
        Self {
            digest: String::new(),
            source: ImageSource::Nowhere,
            variants: BTreeMap::new(),
            resolved_at: at,
            problem: Some(problem),
        }
    }

    /// The variant that a node with these `platforms`, the best first, runs.
    pub fn variant_for(&self, platforms: &[Platform]) -> Option<(&Platform, &ImageVariant)> {
        platforms
            .iter()
            .find_map(|platform| self.variants.get_key_value(platform))
    }

    /// Whether `held` is this image, for any platform.
    pub fn is(&self, held: &HeldImage) -> bool {
        self.variants
            .get(&held.platform)
            .is_some_and(|variant| variant.is(held, &self.digest))
    }
}

impl ImageVariant {
    /// Whether `held` is this variant of the image with this manifest `digest`.
    pub fn is(&self, held: &HeldImage, digest: &str) -> bool {
        let by_digest = || {
            let known = |known: &str| known == digest || self.ids.contains(known);
            held.digests
                .iter()
                .filter_map(|text| text.split_once('@'))
                .any(|(_, it)| known(it))
        };
        let by_content = || self.content.as_ref() == Some(&held.content);
        held.id == digest || self.ids.contains(&held.id) || by_content() || by_digest()
    }
}

/// One image that a node's engine holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldImage {
    /// What the engine calls it: `sha256:…`.
    pub id: String,
    /// `sha256:…` over its layers and settings: the same in every engine.
    pub content: String,
    /// What it is made for.
    pub platform: Platform,
    /// Its size in bytes, unpacked.
    pub size_bytes: u64,
    /// Seconds since 1970 at which it was built, as its builder says.
    pub created: i64,
    /// The names that it has here.
    #[serde(default)]
    pub names: BTreeSet<String>,
    /// Where it was fetched from: `ghcr.io/x/y@sha256:…`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub digests: BTreeSet<String>,
    /// How it came here, where Bramble brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
    /// Largest memory pages that its program can run with, in bytes, where somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<u32>,
}

/// How Bramble brought an image to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Brought {
    /// From its registry.
    Fetched,
    /// From another node.
    Copied,
    /// Somebody sent it to this bramble.
    Pushed,
}

/// Everything that a node's engine holds, with a number that changes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Differs from that of other holdings.
    pub version: u64,
    /// All of it; `None` where the leader has this version already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<HeldImage>>,
}

/// What a node answers that took an archive of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The images, by the names that the archive gives them.
    pub images: BTreeMap<String, HeldImage>,
}

impl Versioned for Loaded {
    const NAME: &'static str = "list of loaded images";
    const VERSION: u32 = 1;
}

/// Which images functions use, by all ids and contents that are known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedImages {
    /// Digests.
    pub ids: BTreeSet<String>,
}

impl Versioned for UsedImages {
    const NAME: &'static str = "list of used images";
    const VERSION: u32 = 1;
}

/// What a node removed to make room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// Names of the images.
    pub images: Vec<String>,
    /// How much room that made, in bytes.
    pub freed_bytes: u64,
}

impl Versioned for Cleaned {
    const NAME: &'static str = "list of removed images";
    const VERSION: u32 = 1;
}

/// Who a registry lets in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredentials {
    /// The name.
    pub username: String,
    /// The password or access token.
    pub password: String,
}

impl std::fmt::Debug for RegistryCredentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryCredentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Answer of [`CREDENTIALS_PATH`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsAnswer {
    /// `None` where nobody gave any for this registry.
    pub credentials: Option<RegistryCredentials>,
}

impl Versioned for CredentialsAnswer {
    const NAME: &'static str = "registry credentials";
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(id: &str, content: &str, digests: &[&str]) -> HeldImage {
        HeldImage {
            id: id.to_owned(),
            content: content.to_owned(),
            platform: Platform::new("linux", "arm64", ""),
            size_bytes: 1,
            created: 0,
            names: BTreeSet::new(),
            digests: digests.iter().map(|text| (*text).to_owned()).collect(),
            brought: None,
            page_bytes: None,
        }
    }

    #[test]
    fn an_image_is_known_by_each_of_its_ids_for_its_own_platform_only() {
        let variant = ImageVariant {
            ids: ["sha256:config".to_owned(), "sha256:manifest".to_owned()].into(),
            content: Some("sha256:content".to_owned()),
            ..ImageVariant::default()
        };
        let facts = ImageFacts {
            digest: "sha256:list".to_owned(),
            source: ImageSource::Registry,
            variants: [(Platform::new("linux", "arm64", ""), variant)].into(),
            resolved_at: Timestamp::default(),
            problem: None,
        };
        for same in [
            held("sha256:config", "", &[]),
            held("sha256:manifest", "", &[]),
            held("sha256:list", "", &[]),
            held("sha256:other", "sha256:content", &[]),
            held("sha256:other", "", &["ghcr.io/x/y@sha256:list"]),
        ] {
            assert!(facts.is(&same), "{same:?}");
            let elsewhere = HeldImage {
                platform: Platform::new("linux", "arm", "v7"),
                ..same
            };
            assert!(!facts.is(&elsewhere), "{elsewhere:?}");
        }
        assert!(!facts.is(&held("sha256:other", "sha256:else", &["a@sha256:b"])));
    }

    #[test]
    fn a_node_runs_the_best_of_its_platforms_that_there_is() {
        let arm_v7 = Platform::new("linux", "arm", "v7");
        let facts = ImageFacts {
            variants: [(arm_v7.clone(), ImageVariant::default())].into(),
            ..ImageFacts::nowhere(String::new(), Timestamp::default())
        };
        let pi_4 = [Platform::new("linux", "arm64", ""), arm_v7.clone()];
        assert_eq!(facts.variant_for(&pi_4).unwrap().0, &arm_v7);
        assert_eq!(facts.variant_for(&pi_4[..1]), None);
    }

    #[test]
    fn only_the_latest_of_our_own_images_are_built_in() {
        assert_eq!(built_in("bramble/env"), Some("env"));
        assert_eq!(built_in("docker.io/bramble/env:latest"), Some("env"));
        for other in [
            "bramble/env:1.0",
            "bramble/env@sha256:00",
            "bramble/a/b",
            "brambles/env",
            "bramble/",
        ] {
            assert_eq!(built_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let credentials = RegistryCredentials {
            username: "ada".to_owned(),
            password: "s3cret".to_owned(),
        };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
