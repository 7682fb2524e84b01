//! `functions list`: the catalogue, printed.

use std::ffi::OsString;
use std::io::{self, Write};

use super::entry::Table;
use super::functions;
use crate::args;
use crate::tools::{Failure, TOOLS};

/// `functions list [--json]`.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn list(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match args::all_utf8(arguments)?.first().map(String::as_str) {
        Some("--json") => {
            serde_json::to_writer_pretty(&mut out, &table()).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        None => for_people(&mut out)?,
        Some(other) => return Err(Failure::Usage(format!("`list` takes `--json` and not `{other}`"))),
    }
    Ok(0)
}

fn table() -> Table {
    Table {
        v: 1,
        functions: functions(),
        tools: TOOLS.iter().map(|tool| tool.name).collect(),
    }
}

/// `functions --help`.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn help() -> Result<u8, Failure> {
    Ok(io::stdout().lock().write_all(HELP.as_bytes()).map(|()| 0)?)
}

const HELP: &str = "\
The built-in functions of Bramble, and small tools for any fprocess, in one file.

  functions list           what there is; --json with icons and examples
  functions run NAME       answers once: the request on standard input, the answer on standard output
  functions serve NAME     answers HTTP, on port 8080 or what $port says
  functions tool NAME …    runs a tool; so does a link to this file that has the tool's name

Options of a function are in its address or in headers. For `run` they are variables, as a watchdog sets them:

  echo Hello | functions run cows
  echo Hello | Http_Query='animal=cat' functions run cows
  port=8081 functions serve qrcode
  functions cat '|' rev '|' tr a-z A-Z
";

fn for_people(out: &mut impl Write) -> io::Result<()> {
    let mut category = None;
    for function in functions() {
        if category != Some(function.category) {
            if category.is_some() {
                writeln!(out)?;
            }
            writeln!(out, "{}:", function.category.title())?;
            category = Some(function.category);
        }
        writeln!(out, "  {:12} {}", function.name, function.sentence)?;
    }
    writeln!(out, "\nTools for any fprocess:")?;
    for tool in TOOLS {
        writeln!(out, "  {:12} {}", tool.name, tool.sentence)?;
    }
    Ok(())
}
