//! Images for tests, as `docker save` writes them: the watchdog and the functions' file, with bytes of no use.

use std::io;

use sha2::{Digest, Sha256};
use tar::{Builder, Header};

/// Where the files of the built-in functions are.
pub(crate) fn builtin_dir() -> std::path::PathBuf {
    std::env::var_os("BRAMBLE_BUILTIN_DIR").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/builtin").into(),
        std::path::PathBuf::from,
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(archive: &mut Builder<Vec<u8>>, name: &str, mode: u32, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes).unwrap();
}

fn folder(archive: &mut Builder<Vec<u8>>, name: &str, mode: u32) {
    let mut header = Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(mode);
    header.set_size(0);
    archive.append_data(&mut header, name, io::empty()).unwrap();
}

/// The machine's architecture, in Docker's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image `name` for `architecture` that answers every request with `says`, and has `ballast` random bytes.
pub(crate) fn image(name: &str, architecture: &str, says: &str, ballast: usize) -> Vec<u8> {
    let mut layer = Builder::new(Vec::new());
    folder(&mut layer, "tmp/", 0o1777);
    folder(&mut layer, "usr/bin/", 0o755);
    for file in ["fwatchdog", "functions"] {
        let bytes = std::fs::read(builtin_dir().join(file)).unwrap();
        add(&mut layer, &format!("usr/bin/{file}"), 0o755, &bytes);
    }
    add(&mut layer, "says", 0o644, says.as_bytes());
    let mut random = fastrand::Rng::with_seed(says.len() as u64);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(ballast).collect();
    add(&mut layer, "ballast", 0o644, &bytes);
    let layer = layer.into_inner().unwrap();
    let diff_id = format!("sha256:{}", hex(&Sha256::digest(&layer)));
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/bin", "fprocess=functions cat /says", "mode=serializing"],
            "Entrypoint": ["fwatchdog"],
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"}],
    })
    .to_string();
    let config_name = format!("{}.json", hex(&Sha256::digest(config.as_bytes())));
    let table = serde_json::json!([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(&mut archive, &config_name, 0o644, config.as_bytes());
    add(&mut archive, "manifest.json", 0o644, table.to_string().as_bytes());
    archive.into_inner().unwrap()
}
