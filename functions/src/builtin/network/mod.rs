//! Functions that ask others, each within limits of time and size.
//!
//! ```text
//!   resolve      names to addresses, without the C library, which a static program cannot ask
//!   connect      a connection, plain or TLS, to what an address says
//!   exchange     one HTTP request over it
//! ```

pub(super) mod certinfo;
mod connect;
pub(super) mod curl;
pub(super) mod exchange;
pub(super) mod hey;
pub(super) mod nslookup;
mod resolve;
mod tls;
mod words;
