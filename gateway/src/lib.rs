//! The data plane, on every node: takes invocations and carries them to replicas.
//!
//! ```text
//!                  ┌──────────── Gateway of the node that was asked ─────────────┐
//! client ─► invoke() ─► route table ─► the less busy of two ready replicas ──┬── here: the replica's own address
//!                                                                            └── there: one mutual-TLS hop
//!                                                                                  │
//!                  ┌──────────── Gateway of that node ───────────┐                 │
//!                  replica ◄── its own address ◄── invoke_hop() ◄──────────────────┘
//! ```
//!
//! No Raft and no leader on the way: the table of routes is in memory, and the agent puts a new one in when the
//! leader sends it. Bodies stream both ways with back-pressure; nothing is buffered whole, logged or written.
//!
//! May touch: sockets to replicas, and other nodes through `transport`.
//!
//! Not here: listeners (the `cli` room), which replicas exist (the `cluster` room), starting them (the `agent` room).

#![cfg_attr(not(test), warn(missing_docs))]

mod answers;
mod body;
mod choose;
mod counters;
mod deliver;
mod gateway;
mod headers;
mod hop;
mod invoke;
mod linger;
mod local;
mod path;
mod request;
mod request_body;
mod sandbox;
mod table;
mod tunnel;

pub use body::Body;
pub use gateway::{Gateway, GatewayConfig};
pub use headers::remove_hop_by_hop;
pub use linger::Lingering;
pub use path::HOP_PREFIX;
pub use request_body::{RequestBody, Source as RequestSource};
