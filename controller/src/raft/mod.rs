//! The replicated state: what every controller agrees on, and keeps on its card.
//!
//! ```text
//!            propose ┐                                     ┌► watch
//!   handle ──────────┤ openraft ─► log ─► disk             │
//!            handle  ┘     │  └──► machine: apply ─► state ┴► snapshots ─► disk
//!     (other members)      └─► network ─► Peers
//! ```
//!
//! - [`log`]: entries and vote on the disk, one sync per batch
//! - [`machine`]: applying committed commands, publishing the state, snapshots
//! - [`network`]: what members say to each other, over whatever implements [`Peers`]
//! - [`RaftHandle`]: `propose` and `watch`
//!
//! Generic over the [`Machine`]; which one the bramble replicates is in `cluster`. An idle member writes nothing.

mod handle;
pub mod log;
pub mod machine;
pub mod network;
mod types;

pub use handle::{
    CallError, InitializeError, Leadership, Members, MembersError, OpenError, ProposeError, RaftConfig,
    RaftHandle, Timings,
};
pub use network::{BoxFuture, Peers, call};
pub use types::{Answer, Enveloped, Machine, Member, MemberId, Types};

/// The bramble's own replicated state.
pub type Raft = RaftHandle<cluster::State>;

impl Machine for cluster::State {
    type Command = cluster::Command;
    type Outcome = cluster::Outcome;

    fn apply(&mut self, command: cluster::Command) -> cluster::Outcome {
        Self::apply(self, command)
    }
}
