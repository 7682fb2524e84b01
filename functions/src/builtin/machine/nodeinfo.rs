//! The `nodeinfo` function: a few facts about the node, as text, or as JSON to a caller that accepts only that.
//!
//! Names and units are those of the store function of that name (`x64`, `Total mem: 906MB`). The facts are the
//! kernel's, so in a container they are the node's and not the container's, except for the name.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::thread;

use serde::Serialize;

use crate::tools::Failure;

#[derive(Serialize)]
struct NodeInfo {
    hostname: String,
    arch: &'static str,
    cpus: usize,
    total_memory_bytes: u64,
    platform: &'static str,
    uptime_seconds: u64,
}

/// Prints the facts.
///
/// # Errors
/// When nobody reads them.
pub(crate) fn run() -> Result<u8, Failure> {
    let info = NodeInfo {
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        arch: arch(),
        cpus: thread::available_parallelism().map_or(1, usize::from),
        total_memory_bytes: total_memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        platform: env::consts::OS,
        uptime_seconds: uptime(&fs::read_to_string("/proc/uptime").unwrap_or_default()),
    };
    let mut out = io::stdout().lock();
    if env::var("Http_Accept").is_ok_and(|accept| accept.starts_with("application/json")) {
        serde_json::to_writer(&mut out, &info).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "Hostname: {}\n", info.hostname)?;
        writeln!(out, "Arch: {}", info.arch)?;
        writeln!(out, "CPUs: {}", info.cpus)?;
        writeln!(out, "Total mem: {}MB", info.total_memory_bytes / 1024 / 1024)?;
        writeln!(out, "Platform: {}", info.platform)?;
        writeln!(out, "Uptime: {}", info.uptime_seconds)?;
    }
    Ok(0)
}

fn arch() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total_memory(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or_default() * 1024
}

/// The whole seconds of /proc/uptime.
fn uptime(text: &str) -> u64 {
    text.split('.')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_uptime_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            total_memory("MemTotal:         927964 kB\nMemFree:  1 kB\n"),
            927_964 * 1024
        );
        assert_eq!(uptime("35278.17 139200.92\n"), 35_278);
    }
}
