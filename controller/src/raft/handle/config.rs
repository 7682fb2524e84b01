//! How one controller's part in the replicated state is set up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::NodeId;
use openraft::{Config, ConfigError, SnapshotPolicy};

/// After this many commands a snapshot is written and the log begins anew; 1 MiB of log does the same (in the log's
/// writer). Against wear: at some 300 bytes per command and a 4 KiB page per commit, a snapshot of 100 KB adds one
/// part in eighty.
const SNAPSHOT_AFTER: u64 = 2000;

/// Entries that stay in the log though a snapshot holds them, so that a member that was away for a moment catches up
/// without being sent the whole state.
const KEEP_BEHIND_SNAPSHOT: u64 = 256;

/// How far behind a member may be before it is sent the whole state instead of entries; more than what the log keeps
/// between two snapshots.
const TOO_FAR_BEHIND: u64 = 2 * SNAPSHOT_AFTER;

/// Entries in one append call.
const APPEND_AT_ONCE: u64 = 256;

/// Where and how a controller takes part.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// The node it runs on.
    pub id: NodeId,
    /// Directory of log and snapshots; its own, created where it does not exist.
    pub dir: PathBuf,
    /// How quickly members miss each other.
    pub timings: Timings,
}

/// How quickly members miss each other.
///
/// A lost leader is replaced after `election_max` (its lease) and a random time between `election_min` and
/// `election_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Time between two signs of life of the leader.
    pub heartbeat: Duration,
    /// The shortest silence after which a member stands for election.
    pub election_min: Duration,
    /// The longest.
    pub election_max: Duration,
}

impl Default for Timings {
    /// For a LAN. Heartbeats and votes that change nothing are answered without the disk, so that a slow card does
    /// not look like a lost controller.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(500),
        }
    }
}

impl Timings {
    pub(crate) fn to_openraft(self, snapshot_patience: Duration) -> Result<Arc<Config>, ConfigError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "bramble".to_owned(),
            heartbeat_interval: ms(self.heartbeat),
            election_timeout_min: ms(self.election_min),
            election_timeout_max: ms(self.election_max),
            enable_pre_vote: Some(true),
            install_snapshot_timeout: ms(snapshot_patience),
            max_payload_entries: APPEND_AT_ONCE,
            replication_lag_threshold: TOO_FAR_BEHIND,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_AFTER),
            max_in_snapshot_log_to_keep: KEEP_BEHIND_SNAPSHOT,
            ..Config::default()
        };
        config.validate().map(Arc::new)
    }
}
