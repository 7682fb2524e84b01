//! What a log remembers beside its entries, and how every record changes it: the same while writing, while reading
//! back, and in what openraft sees.

use openraft::{
    LogId, RaftTypeConfig,
    alias::{LogIdOf, VoteOf},
    entry::RaftEntry,
    vote::RaftCommittedLeaderId,
};

use super::record::{Begin, Record};

/// What the log remembers beside the entries.
#[derive(Clone, Debug)]
pub struct Memory<C: RaftTypeConfig> {
    /// For whom this node voted last.
    pub vote: Option<VoteOf<C>>,
    /// Up to where entries were purged.
    pub purged: Option<LogIdOf<C>>,
    /// The last entry; what was purged where none is left.
    pub last: Option<LogIdOf<C>>,
    /// Up to where entries were known to be committed.
    pub committed: Option<LogIdOf<C>>,
}

impl<C: RaftTypeConfig> Default for Memory<C> {
    fn default() -> Self {
        Self {
            vote: None,
            purged: None,
            last: None,
            committed: None,
        }
    }
}

impl<C: RaftTypeConfig> Memory<C> {
    /// Remembers one more record.
    pub(crate) fn take(&mut self, record: &Record<C>) {
        match record {
            Record::Begin(begin) => {
                self.vote.clone_from(&begin.vote);
                self.purged.clone_from(&begin.purged);
                self.last.clone_from(&begin.last);
                self.committed.clone_from(&begin.committed);
            }
            Record::Vote(vote) => self.vote = Some(vote.clone()),
            Record::Entry(entry) => self.last = Some(entry.log_id()),
            Record::Truncate { after } => {
                if index(after) < index(&self.last) {
                    self.last.clone_from(after);
                }
                self.last_is_not_before_purged();
            }
            Record::Purge(upto) => {
                self.purged = Some(upto.clone());
                self.last_is_not_before_purged();
            }
            Record::Committed(upto) => self.committed = Some(upto.clone()),
        }
    }

    fn last_is_not_before_purged(&mut self) {
        if index(&self.last) < index(&self.purged) {
            self.last.clone_from(&self.purged);
        }
    }

    /// The first record of a new segment.
    pub(crate) fn begin(&self) -> Record<C> {
        Record::Begin(Box::new(Begin {
            vote: self.vote.clone(),
            purged: self.purged.clone(),
            last: self.last.clone(),
            committed: self.committed.clone(),
        }))
    }
}

fn index<L: RaftCommittedLeaderId>(id: &Option<LogId<L>>) -> Option<u64> {
    id.as_ref().map(|id| id.index)
}
