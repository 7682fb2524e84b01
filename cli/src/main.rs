//! The `bramble` program: composes the rooms into a node, shows them in a demo, and speaks to a running bramble.
//!
//! Here: the command line. [`node`] is what runs on a Pi, [`demo`] is many of them on this computer, [`commands`] are
//! what people type at a bramble, and [`client`] is what they speak to it with.

mod client;
mod commands;
mod demo;
mod node;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Turns a handful of Raspberry Pis into one serverless computer.
#[derive(Debug, Parser)]
#[command(name = "bramble", version, about, max_term_width = 100, after_help = commands::EXIT_CODES)]
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
    #[command(flatten)]
    Operate(commands::Command),
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
        Command::Operate(command) => return operate(command),
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

/// A command needs one thread, and none for its input: reading a terminal cannot be taken back, and must not hold up
/// the end.
fn operate(command: commands::Command) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(commands::run(command, Cli::command()));
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            say_error(&error.into());
            ExitCode::FAILURE
        }
    }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(future)
}
