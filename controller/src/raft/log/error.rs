//! What can be wrong with a store, in words that name the file and the cure.

use std::io;

use api::versioned::DecodeError;

/// What to do about a store that lost something.
const CURE: &str = "if other controllers hold this bramble's state, move this directory away and start again, and \
                    they send it; otherwise restore a backup";

/// A store that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused. Fatal while running: what the kernel dropped after a failed sync is never written again, so
    /// trying again could acknowledge what is lost. The process has to end; the next start sees what is really there.
    #[error("failed to {action} `{file}`")]
    Disk {
        /// What was tried: "sync".
        action: &'static str,
        /// On which file.
        file: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An earlier write failed; see [`StoreError::Disk`].
    #[error("an earlier write to the log failed, so it takes no more")]
    Stopped,
    /// Bytes that were safe on the disk are not what was written.
    #[error("`{file}` is damaged at byte {offset}, where it was whole once: {CURE}")]
    Damaged {
        /// The damaged file.
        file: String,
        /// Where the damage begins.
        offset: usize,
    },
    /// Something that must be there is not.
    #[error("`{file}` is missing: {CURE}")]
    Missing {
        /// The missing file.
        file: String,
    },
    /// Whole, but not understood: most likely written by a newer program.
    #[error("failed to read byte {offset} of `{file}`")]
    Unreadable {
        /// The file.
        file: String,
        /// Where the value begins.
        offset: usize,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// Another process has the store open.
    #[error("another process already runs on `{dir}`")]
    InUse {
        /// The store's directory.
        dir: String,
    },
}

impl StoreError {
    /// Names what was tried on which file, for `map_err`.
    pub(crate) fn disk(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Disk { action, file, source }
    }

    /// As openraft wants it; the whole chain is in the text, because openraft keeps only that.
    pub(crate) fn into_io(self) -> io::Error {
        let mut text = self.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        io::Error::other(text)
    }
}
