//! Images at the leader: looked up before replicas are placed, taken from users, listed, removed.
//!
//! ```text
//!   resolver     the loop that finds out what functions' images mean
//!   credentials  who registries let in: from secrets in `docker login` form
//!   push         an archive on its way from a user to a node's engine
//!   http         GET, POST and DELETE /api/v1/images
//!   node         what agents ask: what is used, credentials; what they removed
//! ```
//!
//! Not here: deciding (`cluster::images`), asking a registry ([`crate::registry`]), engines (the agent).

pub(crate) mod credentials;
pub(crate) mod http;
pub(crate) mod node;
mod push;
pub(crate) mod resolver;
