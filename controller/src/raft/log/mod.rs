//! Durable storage of the log: entries, vote, and up to where they were committed and purged.
//!
//! ```text
//!   openraft ─► store (in memory, readable at once) ─► writer (thread, group commit) ─► wal ─► disk
//! ```
//!
//! [`disk`] is all that is asked of a disk, [`sim`] one that loses power; `wal` the files, `recover` reading them
//! back, `record` what is in them, `store` the side that openraft sees. Why it is our own: decision 0005.
//!
//! Not here: snapshots ([`super::machine`]).

pub mod disk;
mod error;
pub(crate) mod frame;
mod memory;
mod record;
mod recover;
pub mod sim;
mod store;
mod wal;
mod writer;

pub use disk::{Disk, DiskFile, RealDisk};
pub use error::StoreError;
pub use memory::Memory;
pub use record::{Batch, Begin, Record};
pub use recover::{Cut, Recovered};
pub use store::{LogStore, Opened};
pub use wal::Wal;
pub use writer::LogNews;
