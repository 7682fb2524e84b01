//! Who else is on this network.
//!
//! ```text
//!   multicast (Mdns) ───┐                      ┌─► cluster::bootstrap, while this node is part of nothing
//!                       ├─► Event ──► node ────┤
//!   addresses (Peers) ──┘                      └─► cluster::bootstrap::meet, and who claims to lead
//! ```
//!
//! Two sources of the same [`Event`]s: multicast DNS where the network carries it, and a list of addresses where it does
//! not. Both tell what anybody can say; nothing of it is proof. Besides, the leader's node publishes the bramble's own
//! name, `bramble.local` ([`BrambleName`]).
//!
//! Decided without I/O: which interfaces count ([`interfaces`]), what an announcement looks like in a TXT record, and
//! whether to answer for the bramble's name ([`OneName`]).
//!
//! Not here: what to do about who is in sight (`cluster::bootstrap`), knocking (`transport::join`).

pub mod interfaces;
mod mdns;
mod name;
mod one_name;
mod peers;
mod txt;

use std::future::Future;

use api::{
    NodeId,
    join::{Announcement, Sighting},
};

pub use interfaces::Interfaces;
pub use mdns::Mdns;
pub use name::BrambleName;
pub use one_name::{NameStep, OneName};
pub use peers::Peers;

/// Someone came into sight, said something else, or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// In sight, with all that is known of it.
    Sighted(Sighting),
    /// In sight no longer: it said goodbye, or has been silent for long.
    Lost(NodeId),
}

/// A source of who is in sight.
pub trait Discovery: Send {
    /// From now on, says this to all who listen.
    ///
    /// # Errors
    /// [`DiscoveryError`] where it cannot be said.
    fn announce(&mut self, announcement: &Announcement) -> Result<(), DiscoveryError>;

    /// The next thing that happens; waits for it. May be dropped and asked again without losing anything.
    fn next(&mut self) -> impl Future<Output = Event> + Send;
}

/// What keeps a node from looking around.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Multicast DNS does not work on this machine.
    #[error("multicast DNS does not work here; name other nodes with `peers` in bramble.toml instead")]
    Mdns(#[source] mdns_sd::Error),
}
