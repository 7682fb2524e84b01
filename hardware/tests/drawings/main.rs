//! The drawings in `docs/lights` and `docs/wiring`, made from the code that they show.
//!
//! `UPDATE=1 cargo test -p hardware --test drawings` writes them anew; without it they are compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeSet, env, fmt::Write, fs, path::PathBuf};

use hardware::light::{Says, svg};

mod wiring;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Compares one document with what it should be, or writes it.
fn assert_document(path: &str, wanted: &str) {
    let file = docs().join(path);
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/{path} is not what the code shows: UPDATE=1 cargo test -p hardware --test drawings"
    );
}

#[test]
fn the_table_of_lights_shows_what_the_code_shows() {
    let mut table = String::new();
    for says in Says::ALL {
        let (name, meaning, rhythm) = (says.name(), says.meaning(), says.rhythm());
        assert_document(&format!("lights/{name}.svg"), &svg::animation(says));
        let mut rhythm = rhythm.to_owned();
        rhythm[..1].make_ascii_uppercase();
        writeln!(table, "| ![{name}]({name}.svg) | {meaning} | {rhythm}. |").unwrap();
    }
    let page = include_str!("lights.md").replace("{{table}}", table.trim_end());
    assert_document("lights/README.md", &page);
}

#[test]
fn no_drawing_is_left_of_what_no_light_says() {
    let wanted: BTreeSet<String> = Says::ALL
        .iter()
        .map(|says| format!("{}.svg", says.name()))
        .collect();
    let found: BTreeSet<String> = fs::read_dir(docs().join("lights"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".svg"))
        .collect();
    if env::var_os("UPDATE").is_none() {
        assert_eq!(found, wanted);
    }
}

#[test]
fn the_wiring_is_drawn_from_the_pins_that_the_code_uses() {
    for (name, drawing) in wiring::drawings() {
        assert_document(&format!("wiring/{name}.svg"), &drawing);
    }
}
