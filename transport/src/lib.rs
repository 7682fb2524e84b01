//! Node to node: keys, certificates, the mutual-TLS listener and pooled clients.
//!
//! ```text
//!   Authority ── issues ──► Identity ──┬──► serve()   every request carries its PeerId
//!  (the bramble's CA)    (a node's key │
//!                      and certificate)└──► Client    pooled HTTP/2; HTTP/1.1 for upgrades
//! ```
//!
//! A node is its key: its [`NodeId`](api::NodeId) is the hash of the public key, its certificate names that id, and
//! both ends of every connection check that the key, the name and the bramble's authority belong together
//! (`verify.rs`). Dates in certificates are not looked at, because a Pi has no clock when it boots (`tls.rs`).
//! Whether a node that proved who it is may still take part is asked of the caller, per connection and per request.
//!
//! May touch: sockets, and the directory that an [`Identity`] is kept in.
//!
//! A node that has no certificate yet gets one by the [`join`] protocol, on the same port.
//!
//! Not here: who is admitted (the `cluster` room), what is said (the `api` room), HTTP for people (`gateway`).

#![cfg_attr(not(test), warn(missing_docs))]

mod answer;
mod authority;
mod body;
mod client;
mod exchange;
mod guarded;
mod identity;
pub mod join;
mod liveness;
mod peers;
mod pending;
mod reach;
mod server;
mod tls;
mod verify;

pub use answer::Answer;
pub use authority::{Authority, AuthorityError};
pub use body::{Body, BoxError};
pub use client::{Client, ClientError, ConnectError, Peer};
pub use identity::{Identity, IdentityError, NodeKey};
pub use server::{Admittance, PeerId, REMOVED, serve, serve_with_join};
