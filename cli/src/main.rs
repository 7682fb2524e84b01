//! The `bramble` program: composes the rooms into a node, shows them in a demo, and speaks to a running bramble.
//!
//! Here: the command line. [`node`] is what runs on a Pi, [`demo`] is many of them on this computer, [`client`] is
//! what the commands speak to a bramble with.

mod client;
mod demo;
mod node;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turns a handful of Raspberry Pis into one serverless computer.
#[derive(Debug, Parser)]
#[command(name = "bramble", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node: what the SD card starts
    Node(node::NodeArgs),
    /// Run a bramble of virtual Pis on this computer
    Demo(demo::DemoArgs),
}

/// What the process engine puts before the command line of a replica, to have this program confine itself and become
/// the replica. Not for people, and not parsed as theirs.
const SANDBOX: &str = "sandbox";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == SANDBOX) {
        say_error(&agent::engine::process::sandbox::exec(arguments).into());
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().command {
        Command::Node(args) => node::run(args),
        Command::Demo(args) => block_on(demo::run(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a command belong there")]
fn say_error(error: &anyhow::Error) {
    eprintln!("bramble: {error:#}");
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(future)
}
