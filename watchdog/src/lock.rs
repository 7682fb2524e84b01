//! The lock file that says "this function is ready", for engines and probes that look for it.
//!
//! Healthy means both: this watchdog accepts work, and the file is there. So deleting the file from outside makes
//! a function unhealthy, as upstream documents.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::log::log;

pub(crate) struct Lock {
    path: PathBuf,
    accepting: Cell<bool>,
}

impl Lock {
    /// A lock that is not there yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            accepting: Cell::new(false),
        }
    }

    /// Says that the function is ready.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn set(&self) -> io::Result<()> {
        log!("Writing lock-file to: {}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::create(&self.path)?;
        self.accepting.set(true);
        Ok(())
    }

    /// Accepts work without a file (`suppress_lock`); probes that ask for the file will say no.
    pub(crate) fn accept_without_file(&self) {
        self.accepting.set(true);
    }

    /// No more work, please.
    pub(crate) fn remove(&self) {
        self.accepting.set(false);
        // Suppressed, or removed by somebody: it is gone, which is what was wanted.
        _ = fs::remove_file(&self.path);
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.accepting.get() && is_there(&self.path)
    }
}

/// Whether a watchdog has written its lock file at `path`.
pub(crate) fn is_there(path: &Path) -> bool {
    path.exists()
}
