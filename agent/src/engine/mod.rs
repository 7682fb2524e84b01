//! How replicas are run here: what the agent asks of an engine, and what it is told.
//!
//! [`docker`] is the real one, [`process`] the one for machines without Docker, [`fake`] that of tests and
//! simulations. An engine is thin and idempotent: it carries out one [`Step`] and lists what is there; what to do is
//! decided in [`crate::plan`], when to do it again in [`crate::replicas`].

pub mod fake;

use std::{net::SocketAddr, time::Duration};

use api::{FunctionName, Generation, Memory};

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
