//! Archives of images in files: what `docker save` writes, and OCI archives, which older engines do not read and which
//! are therefore sent with a table of contents in Docker's form behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use api::{Platform, images::Reference};
use serde::Deserialize;
use serde_json::json;
use tar::{Builder, Header};

/// Tables and settings are small; layers are not kept.
const MAX_SMALL: u64 = 4 << 20;

/// All that is kept of one archive.
const MAX_KEPT: u64 = 64 << 20;

/// What a tar ends with, and what its parts are rounded up to.
const BLOCK: u64 = 512;

/// What a file is.
#[derive(Debug)]
pub(super) enum Archive {
    /// What `docker save` writes: sent as it is.
    Docker {
        /// Names of the images in it.
        names: Vec<String>,
    },
    /// An OCI archive.
    Oci(Oci),
}

/// An OCI archive.
#[derive(Debug)]
pub(super) struct Oci {
    /// Its name, if it tells.
    pub(super) name: Option<String>,
    /// One for each platform.
    pub(super) images: Vec<Image>,
    /// Where its entries end, unpacked.
    pub(super) end: u64,
}

/// One image of an OCI archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// What it is made for.
    pub(super) platform: String,
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct DockerEntry {
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl Archive {
    /// Looks through the file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let all = unpacked(path).map_err(|error| error.to_string())?;
        let (small, end) = contents(all)?;
        if let Some(table) = small.get("manifest.json") {
            let entries: Vec<DockerEntry> =
                serde_json::from_slice(table).map_err(|_| "its manifest.json cannot be read".to_owned())?;
            let names = entries
                .into_iter()
                .flat_map(|entry| entry.tags.unwrap_or_default());
            return Ok(Self::Docker {
                names: names.collect(),
            });
        }
        let Some(index) = small.get("index.json") else {
            return Err(
                "it is an archive, but not of images: it has neither manifest.json nor index.json".to_owned(),
            );
        };
        Oci::read(index, &small, end).map(Self::Oci)
    }
}

impl Oci {
    fn read(index: &[u8], small: &BTreeMap<String, Vec<u8>>, end: u64) -> Result<Self, String> {
        let index: Index =
            serde_json::from_slice(index).map_err(|_| "its index.json cannot be read".to_owned())?;
        let name = index.manifests.iter().find_map(|entry| {
            let said = |key: &str| entry.annotations.get(key);
            let name = said("io.containerd.image.name").or_else(|| said("org.opencontainers.image.ref.name"));
            // Some write only the tag there.
            name.filter(|name| name.contains([':', '/']) && name.parse::<Reference>().is_ok())
                .cloned()
        });
        let mut images = Vec::new();
        let mut left: Vec<Descriptor> = index.manifests;
        let mut seen = BTreeSet::new();
        while let Some(entry) = left.pop() {
            // An index may name one that was looked through, itself even.
            if !seen.insert(entry.digest.clone()) {
                continue;
            }
            let bytes = small
                .get(&blob(&entry.digest))
                .ok_or_else(|| format!("it lacks {}", entry.digest))?;
            let manifest: Manifest =
                serde_json::from_slice(bytes).map_err(|_| format!("{} cannot be read", entry.digest))?;
            left.extend(manifest.manifests);
            let Some(config) = manifest.config else { continue };
            let Some(settings) = small.get(&blob(&config.digest)) else {
                continue;
            };
            let Ok(settings) = serde_json::from_slice::<Config>(settings) else {
                continue;
            };
            // What says something about an image is kept like one.
            if settings.os.is_empty() || settings.os == "unknown" {
                continue;
            }
            let platform = Platform::new(&settings.os, &settings.architecture, &settings.variant);
            images.push(Image {
                platform: platform.to_string(),
                config: blob(&config.digest),
                layers: manifest.layers.iter().map(|layer| blob(&layer.digest)).collect(),
            });
        }
        if images.is_empty() {
            return Err("there is no image in it".to_owned());
        }
        images.sort_by(|a, b| a.platform.cmp(&b.platform));
        Ok(Self { name, images, end })
    }

    /// What has to follow the archive so that every engine reads `image` under the name `name`.
    pub(super) fn tail(&self, image: &Image, name: &str) -> Vec<u8> {
        let table = json!([{"Config": image.config, "RepoTags": [name], "Layers": image.layers}]).to_string();
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(table.len()).unwrap_or(0));
        let mut tail = Builder::new(Vec::new());
        tail.append_data(&mut header, "manifest.json", table.as_bytes())
            .and_then(|()| tail.into_inner())
            .expect("memory takes everything")
    }
}

/// Where a blob is in the archive.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The file's bytes, unpacked where it is packed by gzip.
pub(super) fn unpacked(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    Ok(if super::is_gzip(&mut file)? {
        Box::new(flate2::read::GzDecoder::new(io::BufReader::new(file)))
    } else {
        Box::new(file)
    })
}

/// The small files of a tar, and where its entries end.
fn contents(all: impl Read) -> Result<(BTreeMap<String, Vec<u8>>, u64), String> {
    let no_tar = |error: io::Error| {
        format!("it is no archive of images ({error}); make one with: docker save NAME:TAG -o FILE")
    };
    let mut archive = tar::Archive::new(all);
    let (mut small, mut kept, mut end) = (BTreeMap::new(), 0, 0);
    for entry in archive.entries().map_err(no_tar)? {
        let mut entry = entry.map_err(no_tar)?;
        let size = entry.size();
        end = entry.raw_file_position() + size.div_ceil(BLOCK) * BLOCK;
        if size <= MAX_SMALL && kept + size <= MAX_KEPT && entry.header().entry_type().is_file() {
            let name = entry.path().map_err(no_tar)?.display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(no_tar)?;
            kept += size;
            small.insert(name.trim_start_matches("./").to_owned(), bytes);
        }
    }
    if end == 0 {
        return Err("it is no archive of images; make one with: docker save NAME:TAG -o FILE".to_owned());
    }
    Ok((small, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(entries: &[(&str, String)], gzip: bool) -> tempfile::NamedTempFile {
        let mut archive = Builder::new(Vec::new());
        for (name, text) in entries {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let bytes = archive.into_inner().unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        if gzip {
            let mut packed = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            packed.write_all(&bytes).unwrap();
            packed.finish().unwrap();
        } else {
            file.write_all(&bytes).unwrap();
        }
        file
    }

    #[test]
    fn what_docker_saves_is_known_by_its_names_packed_or_not() {
        let table = r#"[{"Config":"c.json","RepoTags":["hello:1","hello:2"],"Layers":[]}]"#.to_owned();
        for gzip in [false, true] {
            let file = file(
                &[("c.json", "{}".to_owned()), ("manifest.json", table.clone())],
                gzip,
            );
            match Archive::read(file.path()).unwrap() {
                Archive::Docker { names } => assert_eq!(names, ["hello:1", "hello:2"]),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_index_that_names_itself_is_looked_through_once() {
        let index = json!({"manifests":[{"digest":"sha256:list"}]}).to_string();
        let file = file(
            &[("index.json", index.clone()), ("blobs/sha256/list", index)],
            false,
        );
        assert_eq!(Archive::read(file.path()).unwrap_err(), "there is no image in it");
    }

    fn oci() -> Vec<(&'static str, String)> {
        let index = json!({"manifests":[{"digest":"sha256:list","annotations":
            {"io.containerd.image.name":"docker.io/team/hello:1","org.opencontainers.image.ref.name":"1"}}]});
        let list = json!({"manifests":[{"digest":"sha256:a"},{"digest":"sha256:b"},{"digest":"sha256:c"}]});
        let manifest = |config: &str| {
            json!({"config":{"digest":config},"layers":[{"digest":"sha256:layer"}]}).to_string()
        };
        vec![
            ("oci-layout", "{}".to_owned()),
            ("index.json", index.to_string()),
            ("blobs/sha256/list", list.to_string()),
            ("blobs/sha256/a", manifest("sha256:ca")),
            ("blobs/sha256/b", manifest("sha256:cb")),
            ("blobs/sha256/c", manifest("sha256:cc")),
            (
                "blobs/sha256/ca",
                json!({"os":"linux","architecture":"arm","variant":"v7"}).to_string(),
            ),
            (
                "blobs/sha256/cb",
                json!({"os":"linux","architecture":"arm64"}).to_string(),
            ),
            (
                "blobs/sha256/cc",
                json!({"os":"unknown","architecture":"unknown"}).to_string(),
            ),
            ("blobs/sha256/layer", "x".repeat(1000)),
        ]
    }

    #[test]
    fn an_oci_archive_gets_a_table_that_older_engines_read() {
        for gzip in [false, true] {
            let file = file(&oci(), gzip);
            let Archive::Oci(oci) = Archive::read(file.path()).unwrap() else {
                panic!()
            };
            assert_eq!(oci.name.as_deref(), Some("docker.io/team/hello:1"));
            let platforms: Vec<_> = oci.images.iter().map(|image| image.platform.as_str()).collect();
            assert_eq!(platforms, ["linux/arm/v7", "linux/arm64"]);

            let mut whole = Vec::new();
            unpacked(file.path())
                .unwrap()
                .take(oci.end)
                .read_to_end(&mut whole)
                .unwrap();
            whole.extend(oci.tail(&oci.images[0], "team/hello:1"));
            let (small, _) = contents(whole.as_slice()).unwrap();
            let table: serde_json::Value = serde_json::from_slice(&small["manifest.json"]).unwrap();
            assert_eq!(table[0]["RepoTags"][0], "team/hello:1");
            assert_eq!(table[0]["Config"], "blobs/sha256/ca");
            assert_eq!(table[0]["Layers"][0], "blobs/sha256/layer");
            assert!(small.contains_key("blobs/sha256/layer"), "nothing was lost");
        }
    }

    #[test]
    fn other_files_are_refused_in_words() {
        let refused = |file: &tempfile::NamedTempFile| Archive::read(file.path()).unwrap_err();
        let mut text = tempfile::NamedTempFile::new().unwrap();
        text.write_all(b"hello").unwrap();
        assert!(refused(&text).contains("docker save"), "{}", refused(&text));
        assert!(refused(&tempfile::NamedTempFile::new().unwrap()).contains("docker save"));
        let other = file(&[("a.txt", "a".to_owned())], false);
        assert!(refused(&other).contains("neither manifest.json nor index.json"));
        let mut damaged = oci();
        damaged.retain(|(name, _)| *name != "blobs/sha256/a");
        assert!(refused(&file(&damaged, false)).contains("it lacks sha256:a"));
    }
}
