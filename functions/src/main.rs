//! `functions`: the built-in functions and the small tools an `fprocess` may use, in one file for empty images.
//!
//! ```text
//!   functions run NAME        a built-in function (builtin/), once from standard input to standard output
//!   functions serve NAME      the same as an HTTP server
//!   functions list [--json]   the catalogue (catalogue/), which images and the store are made from
//!   functions tool NAME …     a tool, its arguments taken as they are
//!   functions NAME … , NAME … a tool (tools/); NAME is the file's own name when it is a link
//! ```
//!
//! In the last form an argument that is exactly `|` starts the next stage of a pipeline (`pipeline`): the watchdog
//! splits `fprocess` at spaces and runs it without a shell, so `cat | rev | tr a-z A-Z` arrives as arguments of `cat`.
//!
//! The tools are our own, lean and common options only. uutils' coreutils were measured first: sixteen of these tools
//! made 6.8 MB and 219 packages (messages and collation in every language), against 2.3 MB for all of this.

mod args;
mod builtin;
mod catalogue;
mod pipeline;
mod shell;
mod tools;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::tools::{Failure, Streams, Tool};

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let called = arguments.next().unwrap_or_default();
    let own_name = Path::new(&called)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    match tools::find(own_name) {
        Some(_) => as_stages(own_name.into(), arguments),
        None => as_functions(arguments),
    }
}

/// Called by its own name: the first argument says what is wanted.
fn as_functions(arguments: Vec<OsString>) -> ExitCode {
    let mut rest = arguments.into_iter();
    let Some(first) = rest.next() else {
        return end("functions", Err(usage()));
    };
    let rest: Vec<OsString> = rest.collect();
    match first.to_str() {
        Some("run") => end("functions", builtin::run(rest)),
        Some("serve") => end("functions", builtin::serve(rest)),
        Some("apart") => end("functions", builtin::run_apart(rest)),
        Some("list") => end("functions", catalogue::list(rest)),
        Some("tool") => as_tool(rest),
        Some("--help" | "-h" | "help") => end("functions", catalogue::help()),
        Some("--version" | "-V") => end("functions", version()),
        _ => as_stages(first, rest),
    }
}

/// A tool whose arguments may go on as a pipeline.
fn as_stages(name: OsString, arguments: Vec<OsString>) -> ExitCode {
    // A shell's arguments are a program text, in which `|` is the shell's own business.
    if name != "sh" && arguments.iter().any(|argument| argument == "|") {
        let words = std::iter::once(name).chain(arguments).collect();
        return end("functions", pipeline::from_arguments(words));
    }
    as_tool(std::iter::once(name).chain(arguments).collect())
}

/// A tool and nothing else.
fn as_tool(words: Vec<OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default();
    match name.to_str().and_then(tools::find) {
        Some(Tool { name, run, .. }) => end(
            name,
            Streams::standard().and_then(|streams| run(words.collect(), streams)),
        ),
        None => end(
            "functions",
            Err(Failure::NotFound(name.to_string_lossy().into_owned())),
        ),
    }
}

/// Turns how it went into an exit status, and says on standard error what went wrong.
fn end(name: &str, outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            // The reader of a pipeline going away is how pipelines end, and nobody is there to be told.
            if !failure.is_broken_pipe() {
                _ = writeln!(io::stderr(), "{name}: {failure}");
            }
            ExitCode::from(failure.status())
        }
    }
}

fn version() -> Result<u8, Failure> {
    Ok(writeln!(io::stdout(), "functions {}", env!("CARGO_PKG_VERSION")).map(|()| 0)?)
}

fn usage() -> Failure {
    Failure::Usage(
        "say `list`, `run FUNCTION`, `serve FUNCTION` or a tool with its arguments; --help tells more"
            .to_owned(),
    )
}
