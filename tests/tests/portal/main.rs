//! The portal, in a real browser against a real demo: what people see, press and wait for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "clicks, seconds and bytes are printed")]

mod about;
mod beginnings;
mod lights;
mod live;
mod load;
mod manage;
mod newcomer;
mod pages;
mod safety;
mod spec;
mod visit;
mod warnings;
