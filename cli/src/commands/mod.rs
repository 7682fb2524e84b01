//! The operator's commands: what people type at a bramble, from a Pi or a laptop. They speak HTTP to any node.
//!
//! ```text
//!   gateway, logins, connect   who is spoken to, and as whom
//!   stack/, envsubst, glob, yaml, deployment   from a stack file and flags to what is sent
//!   out, table, human          how answers look
//!   failure, suggest           how a command fails: words with the cure, exit codes
//!   all else                   the commands themselves
//! ```
//!
//! What decides and formats is pure and tested here; the commands around it only ask and print.
//!
//! Not here: the HTTP client ([`crate::client`]), running nodes ([`crate::node`], [`crate::demo`]).

mod change;
mod connect;
mod deploy;
mod deployment;
mod describe;
mod envsubst;
mod failure;
mod gateway;
mod glob;
mod human;
mod image;
mod invoke;
mod lights;
mod list;
mod login;
mod logins;
mod logs;
mod manage;
mod nodes;
mod out;
mod secret;
mod stack;
mod store;
mod suggest;
mod table;
mod version;
mod wait;
mod yaml;

use std::process::ExitCode;

use clap::Subcommand;

use failure::Failure;
use out::Out;

/// What exit codes mean, for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0 done   1 refused or failed   2 not understood   3 nobody answers   4 not signed in   5 no such thing

Tables go to standard output; progress, warnings and errors to standard error. Colours are used on terminals, unless
NO_COLOR is set. `bramble COMMAND --help` shows examples.";

/// What can be typed at a bramble.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in at a bramble, once for all commands
    Login(login::LoginArgs),
    /// Forget a sign-in
    Logout(login::LogoutArgs),
    /// Show the nodes, and how they are; let nodes in, and put them out
    Nodes(list::NodesArgs),
    /// Have a node's light show which board it is
    Identify(lights::IdentifyArgs),
    /// Say how lights shine, or play what they can say
    Lights(lights::LightsArgs),
    /// Show the functions, and how they stand
    #[command(aliases = ["list", "ls"])]
    Functions(list::FunctionsArgs),
    /// Show all that is known of a function
    Describe(describe::DescribeArgs),
    /// Say in sentences why a function is as it is
    Why(describe::WhyArgs),
    /// Deploy functions of a stack file, or an image
    Deploy(Box<deploy::DeployArgs>),
    /// Invoke a function
    Invoke(Box<invoke::InvokeArgs>),
    /// Show what the replicas of a function write
    Logs(logs::LogsArgs),
    /// Change how many replicas a function has
    Scale(change::ScaleArgs),
    /// Remove functions
    #[command(aliases = ["rm", "delete"])]
    Remove(change::RemoveArgs),
    /// Look for functions in a store, and deploy them
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Keep what functions may know and nobody else
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Show images, send them to the bramble, remove them
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Tell versions
    Version(version::VersionArgs),
    /// Print a script that makes a shell complete commands
    Completions(version::CompletionsArgs),
}

/// Does what was typed; says what went wrong, and answers the exit code. `parser` is the whole program's, for
/// completions.
pub(crate) async fn run(command: Command, parser: clap::Command) -> ExitCode {
    let out = Out::of_process();
    match carry_out(command, parser, &out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { exit, words }) => {
            if !words.is_empty() {
                out.note(format!("bramble: {words}"));
            }
            ExitCode::from(exit.code())
        }
    }
}

async fn carry_out(command: Command, parser: clap::Command, out: &Out) -> Result<(), Failure> {
    match command {
        Command::Login(args) => login::login(args, out).await,
        Command::Logout(args) => login::logout(args, out).await,
        Command::Nodes(args) => list::nodes(args, out).await,
        Command::Identify(args) => lights::identify(args, out).await,
        Command::Lights(args) => lights::lights(args, out).await,
        Command::Functions(args) => list::functions(args, out).await,
        Command::Describe(args) => describe::describe(args, out).await,
        Command::Why(args) => describe::why(args, out).await,
        Command::Deploy(args) => deploy::deploy(*args, out).await,
        Command::Invoke(args) => invoke::invoke(*args, out).await,
        Command::Logs(args) => logs::logs(args, out).await,
        Command::Scale(args) => change::scale(args, out).await,
        Command::Remove(args) => change::remove(args, out).await,
        Command::Store(command) => store::run(command, out).await,
        Command::Secret(command) => secret::run(command, out).await,
        Command::Image(command) => image::run(command, out).await,
        Command::Version(args) => version::version(args, out).await,
        Command::Completions(args) => version::completions(&args, parser, out),
    }
}
