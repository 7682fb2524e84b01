//! How replicas are run here: what the agent asks of an engine, and what it is told.
//!
//! [`docker`] is the real one, [`process`] the one for machines without Docker, [`fake`] that of tests and
//! simulations. An engine is thin and idempotent: it carries out one [`Step`] and lists what is there; what to do is
//! decided in [`crate::plan`], when to do it again in [`crate::replicas`].

pub mod docker;
pub mod fake;
mod last_words;
pub mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use api::{FunctionName, Generation, Memory, Platform, ReplicaId, Timestamp, images::HeldImage};
use futures_util::stream::BoxStream;

use crate::plan::Step;

/// All that the agent asks of an engine.
pub trait Engine: Send + Sync + 'static {
    /// Gets ready to run replicas, and says what this engine can do here. Called again after it was lost.
    ///
    /// # Errors
    /// Where it cannot be reached; the words of the error say so to people.
    fn open(&self) -> impl Future<Output = Result<Abilities, EngineError>> + Send;

    /// Every replica of this node that is there.
    ///
    /// # Errors
    /// Where the engine cannot be reached.
    fn list(&self) -> impl Future<Output = Result<BTreeMap<ReplicaId, Seen>, EngineError>> + Send;

    /// Carries out one step; takes as long as it takes (an image may have to be fetched), beside other steps. May be
    /// dropped at any time: what it leaves is seen by the next [`Self::list`].
    ///
    /// # Errors
    /// Why the step failed, in words that are shown to users.
    fn run(&self, step: &Step, progress: &Progress) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Every image that is here and has a name, or was brought by Bramble.
    ///
    /// # Errors
    /// Where the engine cannot be reached.
    fn images(&self) -> impl Future<Output = Result<Vec<HeldImage>, EngineError>> + Send;

    /// Returns when something may have changed among the images since the last call.
    fn images_changed(&self) -> impl Future<Output = ()> + Send;

    /// What `replica` writes to its output, the oldest line first. Ends with the replica, or with what is there where
    /// it is not to be followed.
    ///
    /// # Errors
    /// Where the engine cannot be reached, or knows no such replica any more.
    fn logs(
        &self,
        replica: ReplicaId,
        wanted: LogsWanted,
    ) -> impl Future<Output = Result<BoxStream<'static, Written>, EngineError>> + Send;

    /// Whether the replica has written `/tmp/.lock`, the older way of saying that it is ready.
    fn has_lock_file(&self, replica: ReplicaId) -> impl Future<Output = bool> + Send;

    /// Returns when something may have changed since the last call.
    fn changed(&self) -> impl Future<Output = ()> + Send;
}

/// How functions know the gateway of their node.
pub(crate) const GATEWAY_NAMES: [&str; 3] = [
    "gateway",
    "gateway.openfaas",
    "gateway.openfaas.svc.cluster.local",
];

/// What an engine can do on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Platforms that it runs, where it is more particular than the board; empty where it is not.
    pub platforms: Vec<Platform>,
    /// What is wrong or missing, in sentences with the cure.
    pub warnings: BTreeSet<String>,
    /// Where replicas reach this node: the node listens there for functions that call `http://gateway:8080`.
    pub gateway: Option<IpAddr>,
}

/// Takes words on how far a start is: `fetching image: 45 %`.
pub type Progress = Arc<dyn Fn(String) + Send + Sync>;

/// Which lines of a replica are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogsWanted {
    /// At most so many of the last ones.
    pub tail: Option<u32>,
    /// Only those since.
    pub since: Option<Timestamp>,
    /// Whether to go on with what will be written.
    pub follow: bool,
}

/// One line that a replica wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When, RFC 3339.
    pub time: String,
    /// What, without the end of the line.
    pub text: String,
}

/// What an engine could not do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be reached.
    #[error("{what}")]
    Unreachable {
        /// Which engine, and what would help.
        what: String,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The deployment asks for what cannot be done here; the text says what would help.
    #[error("{0}")]
    Refused(String),
    /// Something failed.
    #[error("failed to {doing}")]
    Failed {
        /// What the engine was doing: `start the container`.
        doing: String,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl EngineError {
    /// The error with all that is behind it, as one sentence.
    pub fn in_words(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// One replica as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose replica it is.
    pub function: FunctionName,
    /// Version of the function.
    pub version: u64,
    /// Generation of the orders by which it was made.
    pub generation: Generation,
    /// How long it may take to finish what it has when it is stopped.
    pub grace: Duration,
    /// Differs for each time that the program was started: the container's id, the process' number.
    pub run: String,
    /// Where it stands.
    pub state: State,
}

/// Where a replica stands, as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There but never started, or running where nobody can reach it: what an interrupted start leaves.
    Made,
    /// Running; whether it answers is found out by asking it.
    Running {
        /// Where it takes HTTP.
        address: SocketAddr,
    },
    /// Paused.
    Frozen {
        /// Where it will take HTTP again.
        address: SocketAddr,
    },
    /// Not running any more.
    Ended(Ending),
}

/// How a replica ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// Whether the kernel killed it for the memory it used.
    pub out_of_memory: bool,
    /// Most memory that it was allowed, where it was limited.
    pub memory_limit: Option<Memory>,
    /// The end of what it wrote, at most a few lines.
    pub last_words: String,
}

/// What a replica sees as the name of its machine, at most the 63 characters that names may have: `env-r7`.
fn hostname(replica: ReplicaId, name: &str) -> String {
    let tail = format!("-{replica}");
    let head = &name[..name.len().min(63 - tail.len())];
    format!("{}{tail}", head.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicas_host_name_tells_function_and_replica_and_is_short_enough() {
        assert_eq!(hostname(ReplicaId(7), "env"), "env-r7");
        assert_eq!(hostname(ReplicaId(12), &"a".repeat(63)).len(), 63);
    }

    #[test]
    fn an_error_is_one_sentence_with_its_causes() {
        let error = EngineError::Failed {
            doing: "start the container".to_owned(),
            source: "no such network".into(),
        };
        assert_eq!(error.in_words(), "failed to start the container: no such network");
    }
}
