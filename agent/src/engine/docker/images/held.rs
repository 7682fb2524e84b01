//! Which images Docker holds, and which of them Bramble brought.
//!
//! Nothing is written down beside Docker: an image that Bramble brought carries a tag of its own, and the time of that
//! tag is when it was used last.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use api::{
    Platform,
    images::{Brought, HeldImage, Reference},
};
use bollard::{
    Docker,
    errors::Error,
    models::{ImageInspect, ImageSummary},
    query_parameters::{ListImagesOptions, TagImageOptionsBuilder},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::client::status;
use crate::builtin::hex;

/// What begins the tags of images that Bramble brought. No registry has this name.
const OURS: &str = "bramble.local";

/// What does not change for one id.
#[derive(Clone, Debug)]
struct Fixed {
    platform: Platform,
    content: String,
}

/// Looks at Docker's images, and remembers what cannot change.
#[derive(Debug, Default)]
pub(in super::super) struct Shelf {
    fixed: Mutex<HashMap<String, Fixed>>,
    /// Largest memory pages that an image's program can run with, by the image's id.
    page_bytes: Mutex<HashMap<String, u32>>,
}

impl Shelf {
    /// Every image that has a name, or that Bramble brought.
    pub(in super::super) async fn list(&self, docker: &Docker) -> Result<Vec<HeldImage>, Error> {
        let mut held = self.list_all(docker).await?;
        held.retain(|image| !image.names.is_empty() || !image.digests.is_empty() || image.brought.is_some());
        Ok(held)
    }

    /// Every image.
    pub(in super::super) async fn list_all(&self, docker: &Docker) -> Result<Vec<HeldImage>, Error> {
        let all = docker.list_images(None::<ListImagesOptions>).await?;
        let present: BTreeSet<String> = all.iter().map(|image| image.id.clone()).collect();
        let mut held = Vec::new();
        for image in all {
            if let Some(image) = self.held(docker, image).await? {
                held.push(image);
            }
        }
        let gone = |id: &String| present.contains(id);
        self.fixed
            .lock()
            .expect("no panic while held")
            .retain(|id, _| gone(id));
        self.page_bytes
            .lock()
            .expect("no panic while held")
            .retain(|id, _| gone(id));
        held.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(held)
    }

    async fn held(&self, docker: &Docker, image: ImageSummary) -> Result<Option<HeldImage>, Error> {
        let names: BTreeSet<String> = image.repo_tags.iter().filter_map(|tag| familiar(tag)).collect();
        let digests: BTreeSet<String> = image
            .repo_digests
            .iter()
            .filter_map(|tag| familiar(tag))
            .collect();
        let brought = image.repo_tags.iter().filter_map(|tag| brought_of(tag)).max();
        let known = self
            .fixed
            .lock()
            .expect("no panic while held")
            .get(&image.id)
            .cloned();
        let fixed = match known {
            Some(fixed) => fixed,
            None => {
                let fixed = match docker.inspect_image(&image.id).await {
                    Ok(found) => Fixed::of(&found),
                    // Removed in between.
                    Err(error) if status(&error) == Some(404) => None,
                    Err(error) => return Err(error),
                };
                let Some(fixed) = fixed else { return Ok(None) };
                let mut all = self.fixed.lock().expect("no panic while held");
                all.insert(image.id.clone(), fixed.clone());
                fixed
            }
        };
        let page_bytes = self.page_bytes.lock().expect("no panic while held");
        Ok(Some(HeldImage {
            content: fixed.content,
            platform: fixed.platform,
            size_bytes: u64::try_from(image.size).unwrap_or(0),
            created: image.created,
            names,
            digests,
            brought,
            page_bytes: page_bytes.get(&image.id).copied(),
            id: image.id,
        }))
    }

    /// Notes the largest memory pages that the program of the image `id` can run with.
    pub(in super::super) fn set_page_bytes(&self, id: &str, bytes: u32) {
        let mut all = self.page_bytes.lock().expect("no panic while held");
        all.insert(id.to_owned(), bytes);
    }

    /// What was noted.
    pub(in super::super) fn page_bytes(&self, id: &str) -> Option<u32> {
        self.page_bytes
            .lock()
            .expect("no panic while held")
            .get(id)
            .copied()
    }
}

impl Fixed {
    fn of(image: &ImageInspect) -> Option<Self> {
        Some(Self {
            platform: platform(image)?,
            content: content(image),
        })
    }
}

/// What an image is made for.
pub(in super::super) fn platform(image: &ImageInspect) -> Option<Platform> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (os, architecture) = (text(&image.os), text(&image.architecture));
    (!os.is_empty() && !architecture.is_empty())
        .then(|| Platform::new(&os, &architecture, &text(&image.variant)))
}

/// What makes an image what it is, in one form for all kinds of stores.
#[derive(Serialize)]
struct Content<'a> {
    platform: Option<Platform>,
    layers: &'a [String],
    user: &'a str,
    env: &'a [String],
    entrypoint: &'a [String],
    cmd: &'a [String],
    working_dir: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
}

/// Tells an image by its layers and settings. Docker gives ids by its own kind of store: older ones by the settings'
/// digest, newer ones by the manifest's, so the same image has different ids on different nodes.
pub(in super::super) fn content(image: &ImageInspect) -> String {
    let config = image.config.as_ref();
    let list = |field: Option<&'_ Option<Vec<String>>>| field.and_then(Clone::clone).unwrap_or_default();
    let (env, entrypoint, cmd) = (
        list(config.map(|config| &config.env)),
        list(config.map(|config| &config.entrypoint)),
        list(config.map(|config| &config.cmd)),
    );
    let text = |field: Option<&'_ Option<String>>| field.and_then(Clone::clone).unwrap_or_default();
    let (user, working_dir) = (
        text(config.map(|config| &config.user)),
        text(config.map(|config| &config.working_dir)),
    );
    let labels = config.and_then(|config| config.labels.as_ref());
    let content = Content {
        platform: platform(image),
        layers: image
            .root_fs
            .as_ref()
            .and_then(|root| root.layers.as_deref())
            .unwrap_or_default(),
        user: &user,
        env: &env,
        entrypoint: &entrypoint,
        cmd: &cmd,
        working_dir: &working_dir,
        labels: labels
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    };
    let bytes = serde_json::to_vec(&content).expect("plain texts and maps with text keys");
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// A tag of Docker's as people write it; `None` for our own and for what has none.
fn familiar(tag: &str) -> Option<String> {
    if tag.starts_with(OURS) {
        return None;
    }
    tag.parse::<Reference>()
        .ok()
        .map(|reference| reference.to_string())
}

/// How an image with this tag came here, if Bramble brought it.
pub(in super::super) fn brought_of(tag: &str) -> Option<Brought> {
    let rest = tag.strip_prefix(OURS)?.strip_prefix('/')?;
    match rest.split(':').next()? {
        "fetched" => Some(Brought::Fetched),
        "copied" => Some(Brought::Copied),
        "pushed" => Some(Brought::Pushed),
        _ => None,
    }
}

fn word(brought: Brought) -> &'static str {
    match brought {
        Brought::Fetched => "fetched",
        Brought::Copied => "copied",
        Brought::Pushed => "pushed",
    }
}

/// The tag that says how Bramble brought the image `id`.
pub(in super::super) fn mark_of(id: &str, brought: Brought) -> String {
    format!("{OURS}/{}:{}", word(brought), id.trim_start_matches("sha256:"))
}

/// Marks the image `id` as brought, and as used at this moment.
pub(in super::super) async fn mark(docker: &Docker, id: &str, brought: Brought) -> Result<(), Error> {
    let repository = format!("{OURS}/{}", word(brought));
    let options = TagImageOptionsBuilder::default()
        .repo(&repository)
        .tag(id.trim_start_matches("sha256:"))
        .build();
    docker.tag_image(id, Some(options)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ImageConfig, ImageInspectRootFs};

    fn image(layer: &str) -> ImageInspect {
        ImageInspect {
            id: Some("sha256:1".to_owned()),
            os: Some("linux".to_owned()),
            architecture: Some("arm64".to_owned()),
            root_fs: Some(ImageInspectRootFs {
                layers: Some(vec![layer.to_owned()]),
                ..ImageInspectRootFs::default()
            }),
            config: Some(ImageConfig {
                env: Some(vec!["A=1".to_owned()]),
                ..ImageConfig::default()
            }),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn the_same_image_has_the_same_content_whatever_its_engine_calls_it() {
        let mut other_store = image("sha256:layer");
        other_store.id = Some("sha256:2".to_owned());
        other_store.variant = Some("v8".to_owned());
        let config = other_store.config.as_mut().unwrap();
        config.cmd = Some(Vec::new());
        config.labels = Some(HashMap::new());
        assert_eq!(content(&image("sha256:layer")), content(&other_store));
        assert_ne!(content(&image("sha256:layer")), content(&image("sha256:other")));
        let mut other_env = image("sha256:layer");
        other_env.config.as_mut().unwrap().env = None;
        assert_ne!(content(&image("sha256:layer")), content(&other_env));
    }

    #[test]
    fn our_own_tags_are_marks_and_no_names() {
        for brought in [Brought::Fetched, Brought::Copied, Brought::Pushed] {
            let tag = mark_of("sha256:0a", brought);
            assert_eq!(brought_of(&tag), Some(brought));
            assert_eq!(familiar(&tag), None);
        }
        assert_eq!(brought_of("figlet:latest"), None);
        assert_eq!(
            familiar("docker.io/library/figlet").as_deref(),
            Some("figlet:latest")
        );
        assert_eq!(familiar("<none>:<none>"), None);
    }
}
