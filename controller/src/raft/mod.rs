//! The replicated state: a log on the cards of the controllers, and the machine that applies it.

pub mod log;
pub mod machine;
pub mod network;
mod types;

pub use types::{Answer, Enveloped, Machine, Member, MemberId, Types};
