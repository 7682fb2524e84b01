//! Packs the portal's static files into the program: each as it is and gzipped, with one hash over all of them, so
//! that a Pi neither compresses anything nor is asked twice for a file that did not change.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = here.join("static");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut files = Vec::new();
    collect(&root, &mut files);
    // What lights say is drawn by `hardware`, once, for the documents.
    let drawings = here.join("../docs/lights");
    collect(&drawings, &mut files);
    files.retain(|file| file.extension().is_some_and(|extension| extension != "md"));
    let words = out.join("words.js");
    fs::write(&words, light_words(&files)).expect("OUT_DIR can be written");
    files.push(words);
    files.sort();

    let mut all = Sha256::new();
    let mut table = String::from("pub(super) const FILES: &[File] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let content = fs::read(file).expect("a file that was just listed can be read");
        let below = file.strip_prefix(&root).map(Path::to_owned);
        let path =
            below.unwrap_or_else(|_| Path::new("lights").join(file.file_name().expect("it is a file")));
        let path = path.to_str().expect("our files have plain names");
        all.update(path.as_bytes());
        all.update([0]);
        all.update(&content);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content).expect("memory takes everything");
        let packed = out.join(format!("{number}.gz"));
        fs::write(&packed, encoder.finish().expect("memory takes everything"))
            .expect("OUT_DIR can be written");
        writeln!(
            table,
            "File {{ path: {path:?}, content: include_bytes!({file:?}), gzip: include_bytes!({packed:?}) }},"
        )
        .expect("a String takes everything");
        println!("cargo::rerun-if-changed={}", file.display());
    }
    table.push_str("];\n");
    let hash: String = all
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    writeln!(
        table,
        "/// Changes with any of the files.\npub(crate) const VERSION: &str = {hash:?};"
    )
    .expect("a String takes everything");
    fs::write(out.join("files.rs"), table).expect("OUT_DIR can be written");
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed={}", root.join("pages").display());
    println!("cargo::rerun-if-changed={}", drawings.display());
}

/// A module with what each light says in words: each drawing carries its own as its title.
fn light_words(drawings: &[PathBuf]) -> String {
    let mut module =
        String::from("// What lights say, by the names of the drawings.\n\nexport const WORDS = {\n");
    for drawing in drawings {
        let text = fs::read_to_string(drawing).expect("a file that was just listed can be read");
        let words = text
            .split_once("<title>")
            .and_then(|(_, rest)| rest.split_once(" One LED:"))
            .map(|(words, _)| words);
        if let (Some(words), Some(name)) = (words, drawing.file_stem().and_then(|name| name.to_str())) {
            writeln!(module, "  {name:?}: {words:?},").expect("a String takes everything");
        }
    }
    module.push_str("};\n");
    module
}

/// All files below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is in the repository") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
