//! How a node gets into a bramble: the join protocol, on the node-to-node port beside everything else.
//!
//! ```text
//!   joiner                                                     host (a controller, or a candidate)
//!     │── TLS 1.3, ALPN bramble-join/1, own key in a self-signed certificate ──►│
//!     │── Hello: with a join key or without; commitment to a nonce ────────────►│
//!     │◄─ Greeting: who I am, the authority, a nonce; proof of the join key ────│
//!     │   (a joiner with a key goes away here if the proof is not right)        │
//!     │── Request: nonce, proof of the join key, who I am ─────────────────────►│──► Admission::decide
//!     │◄─ Answer: certificate | wait | not yet | elsewhere | no ────────────────│
//! ```
//!
//! The join key is never sent. Both proofs are MACs over the channel itself (the exporter of TLS, as in RFC 9266), both
//! sides' keys and all that was said, made with the stretched join key: a proof that is relayed or recorded is worth
//! nothing on another channel, and the joiner has said nothing but its public key before it knows the bramble.
//!
//! Without a join key a person decides, and compares a [`Fingerprint`] that node and portal show. It binds the joiner's
//! key, the bramble's authority and the channel. The joiner commits to its nonce before it sees the host's, so that
//! someone between the two has one guess in 2^40, not as many as a computer can make.
//!
//! What is decided is decided without I/O ([`protocol`](self) on bytes, limits on times); `knock` and the host's part
//! of the listener carry it to sockets.
//!
//! Not here: who is let in ([`Admission`] is the controller's or the candidate's), when to knock (`cluster::bootstrap`).

mod fingerprint;
mod frame;
mod host;
mod key;
mod knock;
mod limits;
mod message;
mod proof;
mod protocol;
mod tls;

pub use fingerprint::Fingerprint;
pub use host::{Admission, Attempt, Decision, Grant, HostSelf, JoinHost, serve_candidate};
pub use key::{JoinKeyError, JoinSecret};
pub use knock::{Admitted, Answer, JoinError, Knock, WaitingLine, knock, look, prove};
pub use message::Refusal;
pub use protocol::{Introduction, JoinRequest};
pub(crate) use tls::JOIN;
