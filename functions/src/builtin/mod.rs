//! What the built-in functions do, unless they are simply a tool. What there is, the `catalogue` says.
//!
//! ```text
//!   functions serve NAME   answers HTTP (serve, listen)
//!   functions run NAME     answers once, from standard input to standard output (once)
//!   functions apart NAME   answers once for `serve`, within bounds of memory and time (apart)
//! ```
//!
//! A function is a plain function from a [`call::Call`] to a [`call::Reply`], in the folder of its category; only the
//! oldest (`machine`) read their streams and variables themselves.

mod apart;
mod call;
mod listen;
mod machine;
mod network;
mod numbers;
mod once;
mod pages;
mod pictures;
mod serve;
mod text;

use std::ffi::OsString;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::apart::Bounds;
use self::call::{Call, Reply};
use crate::args;
use crate::tools::Failure;

/// A function.
struct Builtin {
    name: &'static str,
    /// The longest body it takes, in bytes.
    limit: usize,
    work: Work,
}

/// How a function is done.
enum Work {
    /// Within microseconds, or a few milliseconds at the most.
    Quick(fn(&Call) -> Reply),
    /// With much memory or time, in a process of its own.
    Apart {
        function: fn(&Call) -> Reply,
        bounds: Bounds,
    },
    /// Waiting for others.
    Waiting(fn(Call) -> Pin<Box<dyn Future<Output = Reply>>>),
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One at a time, for what takes much memory.
static ONE: Semaphore = Semaphore::const_new(1);
/// As many as the smallest Pi of today has processors, for what takes time.
static FOUR: Semaphore = Semaphore::const_new(4);

const fn quick(name: &'static str, limit: usize, function: fn(&Call) -> Reply) -> Builtin {
    Builtin {
        name,
        limit,
        work: Work::Quick(function),
    }
}

const fn apart(
    name: &'static str,
    limit: usize,
    function: fn(&Call) -> Reply,
    memory_mib: u64,
    seconds: u64,
    at_once: &'static Semaphore,
) -> Builtin {
    let bounds = Bounds {
        memory: memory_mib * 1024 * 1024,
        time: Duration::from_secs(seconds),
        at_once,
    };
    Builtin {
        name,
        limit,
        work: Work::Apart { function, bounds },
    }
}

macro_rules! waiting {
    ($name:literal, $limit:expr, $function:path) => {
        Builtin {
            name: $name,
            limit: $limit,
            work: Work::Waiting(|call| Box::pin($function(call))),
        }
    };
}

static BUILTINS: &[Builtin] = &[
    quick("base64", 64 * KIB, text::base64::answer),
    quick("caesar", 64 * KIB, text::caesar::answer),
    quick("cows", 4 * KIB, text::cows::answer),
    quick("csv2json", MIB, text::csv2json::answer),
    quick("figlet", KIB, text::figlet::answer),
    apart("jq", MIB, text::jq::answer, 48, 10, &ONE),
    quick("left-pad", 64 * KIB, text::left_pad::answer),
    quick("markdown", 256 * KIB, text::markdown::answer),
    quick("morse", 16 * KIB, text::morse::answer),
    quick("wordcount", MIB, text::wordcount::answer),
    apart("grayscale", 16 * MIB, pictures::photo::grayscale, 112, 60, &ONE),
    quick("identicon", KIB, pictures::identicon::answer),
    quick("palette", KIB, pictures::palette::answer),
    quick("qrcode", 4 * KIB, pictures::qrcode::answer),
    apart("resize", 16 * MIB, pictures::photo::resize, 112, 60, &ONE),
    quick("dice", KIB, numbers::dice::answer),
    quick("moon", KIB, numbers::moon::answer),
    apart("primes", KIB, numbers::primes::answer, 16, 30, &FOUR),
    quick("temperature", KIB, numbers::temperature::answer),
    quick("tone", KIB, numbers::tone::answer),
    waiting!("certinfo", KIB, network::certinfo::answer),
    waiting!("curl", 64 * KIB, network::curl::answer),
    waiting!("hey", 64 * KIB, network::hey::answer),
    waiting!("nslookup", KIB, network::nslookup::answer),
    waiting!("blink", KIB, machine::blink::answer),
    quick("guestbook", 16 * KIB, pages::guestbook::answer),
    waiting!("load-page", KIB, pages::load::answer),
];

/// `functions run NAME`.
///
/// # Errors
/// When there is no such function, or it fails.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let name = name(arguments)?;
    match name.as_str() {
        "sleep" => machine::sleep::run(),
        "nodeinfo" => machine::nodeinfo::run(),
        _ => once::run(find(&name)?),
    }
}

/// `functions serve NAME`.
///
/// # Errors
/// When there is no such function, or it cannot listen.
pub(crate) fn serve(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let name = name(arguments)?;
    match name.as_str() {
        "echo" => machine::echo::serve(),
        _ => serve::serve(find(&name)?),
    }
}

/// `functions apart NAME`, which only [`mod@serve`] calls.
///
/// # Errors
/// When there is no such function, or its streams fail.
pub(crate) fn run_apart(arguments: Vec<OsString>) -> Result<u8, Failure> {
    once::run_apart(find(&name(arguments)?)?)
}

fn name(arguments: Vec<OsString>) -> Result<String, Failure> {
    Ok(args::all_utf8(arguments)?.into_iter().next().unwrap_or_default())
}

fn find(name: &str) -> Result<&'static Builtin, Failure> {
    let found = BUILTINS.iter().find(|builtin| builtin.name == name);
    found.ok_or_else(|| {
        Failure::Usage(format!(
            "there is no function `{name}` here; `functions list` shows all"
        ))
    })
}
