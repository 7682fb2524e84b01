//! What a Pi is and shows: its [`board`], its [`system`] (kernel, operating system, cores), how it is
//! ([`sensors`], [`History`], [`measure_card`]), what is wrong with it ([`warnings()`]), which [`devices`] programs could use, and
//! its [`light`].
//!
//! Everything is read below a root directory, `/` on a real machine, so that tests and simulations hand in a small
//! tree of files instead. Reading never fails: what a machine cannot tell is absent, and a machine that is no Pi says
//! so and works.
//!
//! May touch: files below `/proc`, `/sys`, `/etc` and `/run`, names below `/dev`, what the kernel says of itself, LEDs and GPIO pins.
//!
//! Not here: what is made of it (the agent reports it, the leader decides by it). This room knows no other.

#![cfg_attr(not(test), warn(missing_docs))]

pub mod board;
pub mod devices;
mod files;
mod history;
pub mod light;
pub mod revision;
pub mod sensors;
mod speed;
pub mod system;
mod warnings;

pub use board::Board;
pub use history::{Event, History};
pub use revision::Revision;
pub use sensors::Readings;
pub use speed::{CardSpeed, measure as measure_card};
pub use system::System;
pub use warnings::{Code, Known, Severity, Warning, warnings};
