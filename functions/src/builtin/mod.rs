//! The built-in functions: their table, and the few that are not simply a tool.
//!
//! `table` is the one place that says what they are called and how an image of each is made. Others read it as
//! `functions list --json`, so its shape has a version and a golden file (`tests/list.json`).

mod echo;
mod nodeinfo;
mod sleep;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};

use serde::Serialize;

use crate::args;
use crate::tools::{Failure, TOOLS};

/// How requests reach a function, in the watchdog's words; `direct` ones are servers themselves and have no watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Serializing,
    Direct,
}

/// One built-in function, as needed to make an image of it and to offer it.
#[derive(Debug, Serialize)]
struct Function {
    name: &'static str,
    title: &'static str,
    sentence: &'static str,
    /// What the watchdog runs; absent for `direct`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fprocess: Option<&'static str>,
    mode: Mode,
    /// What an image runs instead of the watchdog; for `direct` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<[&'static str; 3]>,
    /// Further variables of its image.
    env: BTreeMap<&'static str, &'static str>,
    /// The variable that chooses the port it listens on; 8080 without.
    port_env: &'static str,
}

/// The whole answer of `functions list --json`.
#[derive(Debug, Serialize)]
struct Table {
    v: u32,
    functions: Vec<Function>,
    /// Names under which an image links this file, so that every `fprocess` finds them.
    tools: Vec<&'static str>,
}

/// A replica is taken out of the routes before it is asked to stop, so the watchdog's quiet time (30 s by default)
/// would only delay stopping it.
const QUIET: (&str, &str) = ("healthcheck_interval", "1s");
const TEXT: (&str, &str) = ("content_type", "text/plain; charset=utf-8");

fn table() -> Table {
    let serializing = |name, title, sentence, fprocess, env: &[(&'static str, &'static str)]| Function {
        name,
        title,
        sentence,
        fprocess: Some(fprocess),
        mode: Mode::Serializing,
        entrypoint: None,
        env: env.iter().copied().collect(),
        port_env: "port",
    };
    Table {
        v: 1,
        functions: vec![
            serializing(
                "env",
                "Environment",
                "Prints its environment, in which a function finds the headers of the request.",
                "env",
                &[QUIET, TEXT],
            ),
            serializing(
                "shasum",
                "Checksum",
                "Answers with the SHA-512 checksum of what it is sent.",
                "sha512sum",
                &[QUIET, TEXT],
            ),
            serializing(
                "sleep",
                "Sleep",
                "Answers after a while: two seconds, or what the header X-Sleep says.",
                "functions run sleep",
                &[
                    QUIET,
                    TEXT,
                    ("exec_timeout", "60s"),
                    ("read_timeout", "60s"),
                    ("write_timeout", "61s"),
                ],
            ),
            serializing(
                "nodeinfo",
                "Node information",
                "Tells about the node it runs on: name, processor, memory, time since start.",
                "functions run nodeinfo",
                &[QUIET, TEXT],
            ),
            serializing(
                "sh",
                "Small tools",
                "Runs any fprocess made of small tools, such as `cat | rev | tr a-z A-Z`.",
                "cat",
                &[QUIET],
            ),
            Function {
                name: "echo",
                title: "Echo",
                sentence: "Sends back what it is sent, as fast as a function can be.",
                fprocess: None,
                mode: Mode::Direct,
                entrypoint: Some(["functions", "run", "echo"]),
                env: BTreeMap::new(),
                port_env: "port",
            },
        ],
        tools: TOOLS.iter().map(|tool| tool.name).collect(),
    }
}

/// `functions run NAME`.
///
/// # Errors
/// When there is no such function, or it fails.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let name = args::all_utf8(arguments)?.into_iter().next().unwrap_or_default();
    match name.as_str() {
        "sleep" => sleep::run(),
        "nodeinfo" => nodeinfo::run(),
        "echo" => echo::run(),
        _ => Err(Failure::Usage(format!(
            "there is no function `{name}` to run; `functions list` shows all"
        ))),
    }
}

/// `functions list [--json]`.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn list(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let table = table();
    let mut out = io::stdout().lock();
    match args::all_utf8(arguments)?.first().map(String::as_str) {
        Some("--json") => {
            serde_json::to_writer_pretty(&mut out, &table).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        None => {
            for function in &table.functions {
                writeln!(out, "{:10} {}", function.name, function.sentence)?;
            }
            writeln!(out, "\nTools for any fprocess:")?;
            for tool in TOOLS {
                writeln!(out, "{:10} {}", tool.name, tool.sentence)?;
            }
        }
        Some(other) => return Err(Failure::Usage(format!("`list` takes `--json` and not `{other}`"))),
    }
    Ok(0)
}
