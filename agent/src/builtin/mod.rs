//! The built-in functions: what ships beside the program, and the images made of it.
//!
//! Two static files, `fwatchdog` and `functions`, are all that a built-in function needs; which functions there are,
//! `functions list --json` says. [`Archive`] packs them as images for Docker; the process engine runs them as they are.
//!
//! Not here: the functions themselves (the `functions` and `watchdog` rooms).

mod archive;
pub(crate) mod elf;
mod table;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use api::{
    Platform,
    images::{HeldImage, built_in},
};
use sha2::{Digest, Sha256};

pub use archive::Archive;
pub use elf::ElfError;
pub use table::{Function, Mode, Table};

/// Label of a built-in image that tells of which files it was made.
pub const LABEL: &str = "bramble.builtin";

/// Grows when images are packed differently, so that those of an older program are made anew.
const FORMAT: u8 = 1;

/// Why the built-in functions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// A file is missing.
    #[error("{} is missing: built-in functions come with the program, in the directory given as builtin directory; `make builtin` makes them", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file is not what images can be made of.
    #[error("{} cannot go into an image: build it static (`make builtin` does)", path.display())]
    NotStatic {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ElfError,
    },
    /// `functions list --json` does not say what there is.
    #[error("{} does not say which functions it has; is it of the same version as this program?", path.display())]
    Table {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// The files of the built-in functions, read and checked.
#[derive(Clone, Debug)]
pub struct Builtins {
    directory: PathBuf,
    /// Which functions and tools there are.
    pub table: Table,
    /// What the files run on.
    pub platform: Platform,
    /// Identifies the files: SHA-256 in hexadecimal.
    pub hash: String,
    /// Their size together.
    pub bytes: u64,
}

/// The name of the built-in function whose image this is: `env` for `bramble/env` and `bramble/env:latest`.
pub fn name_of(image: &str) -> Option<&str> {
    built_in(image)
}

impl Builtins {
    /// Reads and checks the files in `directory`, and asks `functions` what it has. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`BuiltinError`], each with the cure.
    pub fn load(directory: &Path) -> Result<Self, BuiltinError> {
        let mut hash = Sha256::new_with_prefix([FORMAT]);
        let mut platform = None;
        let mut size = 0;
        for path in [directory.join("fwatchdog"), directory.join("functions")] {
            let bytes = fs::read(&path).map_err(|source| BuiltinError::Missing {
                path: path.clone(),
                source,
            })?;
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            size += length;
            hash.update(length.to_le_bytes());
            hash.update(&bytes);
            let made_for = elf::check_static(&bytes).map_err(|source| BuiltinError::NotStatic {
                path: path.clone(),
                source,
            })?;
            platform = Some(made_for);
        }
        let table = Self::ask(&directory.join("functions"))?;
        hash.update(format!("{table:?}"));
        Ok(Self {
            directory: directory.to_owned(),
            table,
            platform: platform.expect("two files were read"),
            hash: hex(&hash.finalize()),
            bytes: size,
        })
    }

    fn ask(path: &Path) -> Result<Table, BuiltinError> {
        let fail = |source| BuiltinError::Table {
            path: path.to_owned(),
            source,
        };
        let output = Command::new(path)
            .args(["list", "--json"])
            .env_clear()
            .output()
            .map_err(fail)?;
        if !output.status.success() {
            return Err(fail(io::Error::other(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )));
        }
        Table::parse(&output.stdout).map_err(|error| fail(error.into()))
    }

    /// Where the watchdog is.
    pub fn watchdog(&self) -> PathBuf {
        self.directory.join("fwatchdog")
    }

    /// Where the functions and tools are.
    pub fn functions(&self) -> PathBuf {
        self.directory.join("functions")
    }

    /// The built-in function of this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.table.functions.iter().find(|function| function.name == name)
    }

    /// All of them as images, for an engine that runs them as they are.
    pub fn as_images(&self) -> Vec<HeldImage> {
        let image = |function: &Function| {
            let id = format!(
                "sha256:{}",
                hex(&Sha256::digest(format!("{}{}", self.hash, function.name)))
            );
            HeldImage {
                content: id.clone(),
                id,
                platform: self.platform.clone(),
                size_bytes: self.bytes,
                created: 0,
                names: [format!("bramble/{}:latest", function.name)].into(),
                digests: Default::default(),
                brought: None,
                page_bytes: None,
            }
        };
        self.table.functions.iter().map(image).collect()
    }

    /// Images that there are, for sentences: `bramble/env, bramble/shasum`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self
            .table
            .functions
            .iter()
            .map(|f| format!("bramble/{}", f.name))
            .collect();
        names.join(", ")
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_told_with_the_cure() {
        let error = Builtins::load(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(
            error.contains("/nonexistent/fwatchdog") && error.contains("make builtin"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_program_is_told_with_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("fwatchdog"), "#!/bin/sh\n").unwrap();
        let error = Builtins::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains("build it static"), "{error}");
    }
}
