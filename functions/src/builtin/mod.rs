//! What the built-in functions do, unless they are simply a tool. What there is, the `catalogue` says.

mod echo;
mod nodeinfo;
mod sleep;

use std::ffi::OsString;

use crate::args;
use crate::tools::Failure;

/// `functions run NAME`.
///
/// # Errors
/// When there is no such function, or it fails.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let name = args::all_utf8(arguments)?.into_iter().next().unwrap_or_default();
    match name.as_str() {
        "sleep" => sleep::run(),
        "nodeinfo" => nodeinfo::run(),
        _ => Err(unknown(&name)),
    }
}

/// `functions serve NAME`.
///
/// # Errors
/// When there is no such function, or it cannot listen.
pub(crate) fn serve(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let name = args::all_utf8(arguments)?.into_iter().next().unwrap_or_default();
    match name.as_str() {
        "echo" => echo::run(),
        _ => Err(unknown(&name)),
    }
}

fn unknown(name: &str) -> Failure {
    Failure::Usage(format!(
        "there is no function `{name}` here; `functions list` shows all"
    ))
}
