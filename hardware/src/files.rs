//! Small files of the kernel, read so that whatever is missing or odd is simply absent.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// What a file says, without the blanks and NULs around it; absent where it is missing or empty.
pub(crate) fn text(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first word of a file, as a number.
pub(crate) fn number<T: FromStr>(file: &Path) -> Option<T> {
    text(file)?.split_whitespace().next()?.parse().ok()
}

/// A number that something can be as busy as: neither below zero nor without end.
pub(crate) fn sensible(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number| (0.0..1e6).contains(number))
}

/// A word in hexadecimal, with or without `0x`.
pub(crate) fn hexadecimal(word: &str) -> Option<u32> {
    let word = word.trim();
    u32::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// What is in a directory, by name, so that the same tree always reads the same.
pub(crate) fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    found.sort();
    found
}
