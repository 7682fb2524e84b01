//! Manifests, lists of manifests and settings of images, as registries keep them. Pure.

use api::Platform;
use serde::Deserialize;

/// What a tag or digest leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    /// One image.
    Image {
        /// Digest of its settings: by this older engines know it.
        config: String,
        /// Size of its layers, compressed.
        size_bytes: u64,
    },
    /// One image for each of several platforms.
    List(Vec<Entry>),
}

/// One of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Digest of its manifest.
    pub(super) digest: String,
    /// What it is made for.
    pub(super) platform: Platform,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    #[serde(default)]
    manifests: Option<Vec<RawEntry>>,
    #[serde(default)]
    config: Option<RawBlob>,
    #[serde(default)]
    layers: Vec<RawBlob>,
}

#[derive(Deserialize)]
struct RawEntry {
    digest: String,
    #[serde(default)]
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawBlob {
    digest: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl RawPlatform {
    /// `None` for what is no image but says something about one (`unknown/unknown`).
    fn read(&self) -> Option<Platform> {
        let known = |text: &str| !text.is_empty() && text != "unknown";
        (known(&self.os) && known(&self.architecture))
            .then(|| Platform::new(&self.os, &self.architecture, &self.variant))
    }
}

impl Manifest {
    /// Reads Docker's and OCI's forms.
    ///
    /// # Errors
    /// What is wrong, as a part of a sentence.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let raw: Raw =
            serde_json::from_slice(json).map_err(|_| "what should be a manifest is none".to_owned())?;
        if raw.schema_version != 2 {
            return Err(format!(
                "its manifest has version {}, which is too old; build and push the image again",
                raw.schema_version
            ));
        }
        if let Some(manifests) = raw.manifests {
            let entries = manifests.into_iter().filter_map(|entry| {
                Some(Entry {
                    platform: entry.platform?.read()?,
                    digest: entry.digest,
                })
            });
            return Ok(Self::List(entries.collect()));
        }
        let config = raw.config.ok_or("its manifest names no settings")?;
        Ok(Self::Image {
            config: config.digest,
            size_bytes: raw.layers.iter().map(|layer| layer.size).sum(),
        })
    }
}

/// What the image with these settings is made for.
///
/// # Errors
/// What is wrong, as a part of a sentence.
pub(super) fn platform_of(config: &[u8]) -> Result<Platform, String> {
    let raw: RawPlatform =
        serde_json::from_slice(config).map_err(|_| "settings that cannot be read".to_owned())?;
    raw.read()
        .ok_or_else(|| "an image that does not say what it is made for".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_image_of_every_platform_and_nothing_else() {
        let list = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
            {"mediaType":"m","digest":"sha256:a","size":1,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}},
            {"mediaType":"m","digest":"sha256:b","size":1,"platform":{"architecture":"arm","os":"linux","variant":"v7"}},
            {"mediaType":"m","digest":"sha256:c","size":1,"platform":{"architecture":"unknown","os":"unknown"},
             "annotations":{"vnd.docker.reference.type":"attestation-manifest"}},
            {"mediaType":"m","digest":"sha256:d","size":1}]}"#;
        let entry = |digest: &str, platform: &str| Entry {
            digest: digest.to_owned(),
            platform: platform.parse().unwrap(),
        };
        assert_eq!(
            Manifest::parse(list),
            Ok(Manifest::List(vec![
                entry("sha256:a", "linux/arm64"),
                entry("sha256:b", "linux/arm/v7")
            ]))
        );
    }

    #[test]
    fn a_manifest_names_settings_and_size() {
        let manifest = br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
            "config":{"mediaType":"c","digest":"sha256:c","size":7},
            "layers":[{"mediaType":"l","digest":"sha256:l","size":100},{"mediaType":"l","digest":"sha256:m","size":20}]}"#;
        assert_eq!(
            Manifest::parse(manifest),
            Ok(Manifest::Image {
                config: "sha256:c".to_owned(),
                size_bytes: 120
            })
        );
    }

    #[test]
    fn settings_tell_the_platform() {
        let config =
            br#"{"architecture":"arm","os":"linux","variant":"v6","rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert_eq!(platform_of(config).unwrap().to_string(), "linux/arm/v6");
        assert!(platform_of(b"{}").is_err());
    }

    #[test]
    fn what_is_no_manifest_is_refused_in_words_and_never_a_panic() {
        let old = Manifest::parse(br#"{"schemaVersion":1,"fsLayers":[]}"#).unwrap_err();
        assert!(old.contains("too old"), "{old}");
        let whole = br#"{"schemaVersion":2,"config":{"digest":"sha256:c"}}"#;
        for cut in 0..whole.len() {
            assert!(Manifest::parse(&whole[..cut]).is_err());
        }
        assert!(Manifest::parse(br#"{"schemaVersion":2}"#).is_err());
    }
}
