//! Packs the built-in functions as images, in the form that every `docker load` reads (`docker save`, version 1).
//!
//! One layer with both files serves all images, so an engine keeps it once; the images differ in their settings only.
//! The same files give the same bytes: no times, no names of this machine.

use std::{collections::BTreeMap, fs, io};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{Builtins, Function, LABEL, hex};

/// User that built-in functions run as, by the number that OpenFaaS images use.
const USER: &str = "12000";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\napp:x:12000:12000:app:/home/app:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\napp:x:12000:\n";

/// All built-in images in one file for `docker load`.
#[derive(Debug)]
pub struct Archive {
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    repo_tags: [String; 1],
    layers: [String; 1],
}

#[derive(Serialize)]
struct ImageConfig<'a> {
    architecture: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    os: &'static str,
    created: &'static str,
    config: ContainerConfig,
    rootfs: RootFs,
    history: [History; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    user: &'static str,
    env: Vec<String>,
    entrypoint: Vec<String>,
    working_dir: &'static str,
    labels: BTreeMap<&'static str, String>,
    exposed_ports: BTreeMap<&'static str, Empty>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: [String; 1],
}

#[derive(Serialize)]
struct History {
    created: &'static str,
    created_by: &'static str,
}

const LONG_AGO: &str = "1970-01-01T00:00:00Z";

impl Archive {
    /// Packs all images. Reads the files and holds them in memory, a few MB; blocks.
    ///
    /// # Errors
    /// Where the files cannot be read any more.
    pub fn pack(builtins: &Builtins) -> io::Result<Self> {
        let layer = layer(builtins)?;
        let layer_hash = hex(&Sha256::digest(&layer));
        let layer_name = format!("{layer_hash}/layer.tar");
        let mut archive = Builder::new(Vec::with_capacity(layer.len() + 64 * 1024));
        file(&mut archive, &layer_name, 0o644, &layer)?;
        drop(layer);
        let mut manifest = Vec::new();
        for function in &builtins.table.functions {
            let config = config(builtins, function, &layer_hash);
            let name = format!("{}.json", hex(&Sha256::digest(&config)));
            file(&mut archive, &name, 0o644, &config)?;
            manifest.push(ManifestEntry {
                config: name,
                repo_tags: [format!("bramble/{}:latest", function.name)],
                layers: [layer_name.clone()],
            });
        }
        file(
            &mut archive,
            "manifest.json",
            0o644,
            &serde_json::to_vec(&manifest)?,
        )?;
        Ok(Self {
            bytes: archive.into_inner()?,
        })
    }
}

/// The settings of one image.
fn config(builtins: &Builtins, function: &Function, layer_hash: &str) -> Vec<u8> {
    let (entrypoint, env) = function.start();
    let platform = builtins.platform.to_string();
    let mut parts = platform.split('/').skip(1);
    let config = ImageConfig {
        architecture: parts.next().unwrap_or_default(),
        variant: parts.next(),
        os: "linux",
        created: LONG_AGO,
        config: ContainerConfig {
            user: USER,
            env: std::iter::once(format!("PATH={PATH}"))
                .chain(env.iter().map(|(name, value)| format!("{name}={value}")))
                .collect(),
            entrypoint,
            working_dir: "/home/app",
            labels: BTreeMap::from([(LABEL, builtins.hash.clone())]),
            exposed_ports: BTreeMap::from([("8080/tcp", Empty {})]),
        },
        rootfs: RootFs {
            r#type: "layers",
            diff_ids: [format!("sha256:{layer_hash}")],
        },
        history: [History {
            created: LONG_AGO,
            created_by: "bramble",
        }],
    };
    serde_json::to_vec(&config).expect("plain texts and maps with text keys")
}

/// The one layer.
fn layer(builtins: &Builtins) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (name, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/bin", 0o755),
    ] {
        entry(
            &mut layer,
            EntryType::Directory,
            &format!("{name}/"),
            mode,
            None,
            &[],
        )?;
    }
    let mut home = header(EntryType::Directory, 0o755, 0);
    home.set_uid(12_000);
    home.set_gid(12_000);
    layer.append_data(&mut home, "home/app/", io::empty())?;
    file(&mut layer, "etc/passwd", 0o644, PASSWD.as_bytes())?;
    file(&mut layer, "etc/group", 0o644, GROUP.as_bytes())?;
    file(
        &mut layer,
        "usr/bin/fwatchdog",
        0o755,
        &fs::read(builtins.watchdog())?,
    )?;
    file(
        &mut layer,
        "usr/bin/functions",
        0o755,
        &fs::read(builtins.functions())?,
    )?;
    for tool in &builtins.table.tools {
        entry(
            &mut layer,
            EntryType::Symlink,
            &format!("bin/{tool}"),
            0o777,
            Some("/usr/bin/functions"),
            &[],
        )?;
    }
    layer.into_inner()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(u64::try_from(size).unwrap_or(u64::MAX));
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn file(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    entry(archive, EntryType::Regular, path, mode, None, bytes)
}

fn entry(
    archive: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    link: Option<&str>,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = header(kind, mode, bytes.len());
    match link {
        Some(target) => archive.append_link(&mut header, path, target),
        None => archive.append_data(&mut header, path, bytes),
    }
}
