//! What replicas write, on its way to whoever asks: the request between nodes and the lines of the answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{FunctionName, ReplicaId},
    units::Timestamp,
    versioned::Versioned,
};

/// Where on the node-to-node port a node takes a [`LogsRequest`]. The answer is one [`LogLine`] as JSON per line.
pub const LOGS_PATH: &str = "/v1/logs";

/// How far back the lines go where nobody says how far or how many.
pub const RECENT: Duration = Duration::from_secs(300);

/// Longest line that is passed on, in bytes; what is longer comes in pieces.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Which lines are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Of which function.
    pub function: FunctionName,
    /// Only of this replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<ReplicaId>,
    /// At most so many of the last lines of each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Only what was written since, by the clock of the node that runs the replica. Where neither this nor `tail` is
    /// given, [`RECENT`] lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether to go on with what will be written.
    #[serde(default)]
    pub follow: bool,
}

impl Versioned for LogsRequest {
    const NAME: &'static str = "logs request";
    const VERSION: u32 = 1;
}

/// One line, as OpenFaaS clients want it (contract section 1.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The function's name.
    pub name: String,
    /// The function's namespace.
    pub namespace: String,
    /// The replica that wrote it.
    pub instance: String,
    /// When, RFC 3339, by the clock of the replica's node.
    pub timestamp: String,
    /// What, without the end of the line.
    pub text: String,
}
