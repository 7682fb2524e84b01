//! The portal, in a real browser against a real demo: what people see, press and wait for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod live;
mod newcomer;
mod pages;
mod safety;
mod spec;
mod visit;
