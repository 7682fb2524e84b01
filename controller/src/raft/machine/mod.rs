//! The replicated machine: committed entries go in, the state comes out through a `watch` channel.
//!
//! The state is in memory and is rebuilt at start from the last snapshot and the log behind it.

mod snapshots;
mod store;

pub use snapshots::SnapshotHeader;
pub use store::{MachineStore, SnapshotWriter};
