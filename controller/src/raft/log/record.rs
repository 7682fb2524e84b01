//! What the log consists of, in its stored form.

use api::versioned::Versioned;
use openraft::{
    RaftTypeConfig,
    alias::{EntryOf, LogIdOf, VoteOf},
};
use serde::{Deserialize, Serialize};

/// One thing that the log remembers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub enum Record<C: RaftTypeConfig> {
    /// What was remembered when a segment began, so that the segments before it may go. The first record of every
    /// segment, and nowhere else.
    Begin(Box<Begin<C>>),
    /// For whom this node voted last, or whom it follows.
    Vote(VoteOf<C>),
    /// One more entry behind the last one.
    Entry(EntryOf<C>),
    /// The entries behind `after` are void; with none, all are.
    Truncate {
        /// The last entry that stays.
        after: Option<LogIdOf<C>>,
    },
    /// The entries up to this one are in a snapshot and no longer needed.
    Purge(LogIdOf<C>),
    /// The entries up to this one were known to be committed.
    Committed(LogIdOf<C>),
}

/// See [`Record::Begin`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Begin<C: RaftTypeConfig> {
    /// For whom this node voted last.
    pub vote: Option<VoteOf<C>>,
    /// Up to where entries were purged.
    pub purged: Option<LogIdOf<C>>,
    /// The last entry; what was purged where none is left.
    pub last: Option<LogIdOf<C>>,
    /// Up to where entries were known to be committed.
    pub committed: Option<LogIdOf<C>>,
}

/// What goes to the disk at once and is safe as a whole or not at all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Batch<C: RaftTypeConfig>(pub Vec<Record<C>>);

impl<C: RaftTypeConfig> Versioned for Batch<C> {
    const NAME: &'static str = "log batch";
    const VERSION: u32 = 1;
}
