//! What the tests of the real binary share.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

/// The binary under its own name.
pub fn functions() -> Command {
    Command::new(env!("CARGO_BIN_EXE_functions"))
}

/// A link to the binary, as images have them.
pub fn link(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_functions"), &path).unwrap();
    path
}

/// Runs to the end, with `input` fed while output is read.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // It may end before it has read everything.
    thread::spawn(move || _ = stdin.write_all(&input));
    child.wait_with_output().unwrap()
}
