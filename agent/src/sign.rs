//! What whoever stands in front of this Pi should read: kept in a file, for what shows it on the screen.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tracing::warn;

/// The sign. Without a file it says nothing to anybody.
#[derive(Clone, Debug, Default)]
pub struct Sign(Option<PathBuf>);

impl Sign {
    /// Written to `file`.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// Says `words` from now on; `None` is a blank sign, and no file.
    pub fn say(&self, words: Option<&str>) {
        let Some(file) = &self.0 else { return };
        let done = match words {
            Some(words) => write(file, words),
            None => fs::remove_file(file),
        };
        if let Err(error) = done
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(file = %file.display(), %error, "the sign cannot be changed");
        }
    }
}

/// For its owner only: a code for the first visit may be on it.
fn write(file: &Path, words: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    io::Write::write_all(&mut file, format!("{words}\n").as_bytes())
}
