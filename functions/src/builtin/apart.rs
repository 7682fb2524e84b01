//! Work that takes much memory or time, done in a process of its own: this very file again, once per call.
//!
//! Whatever the call does, it ends: the process has a limit of memory and of processor time, is killed when its time
//! is over or the caller left, and its memory goes back to the system.

use std::process::Stdio;
use std::time::Duration;

use hyper::http::request::Parts;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Builtin;
use super::call::{Answer, Call, Refusal};
use crate::pipeline::THIS_PROGRAM;

/// What one call may take.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Of address space, in bytes.
    pub(super) memory: u64,
    pub(super) time: Duration,
    /// How many calls are worked on at once; the others wait.
    pub(super) at_once: &'static Semaphore,
}

/// The longest answer that is taken from a process.
const LONGEST_ANSWER: u64 = 32 * 1024 * 1024;

/// The longest first line, which says status and content type.
const LONGEST_HEAD: usize = 200;

/// Answers a call in a process of its own.
pub(super) async fn answer(
    builtin: &Builtin,
    bounds: &Bounds,
    head: &Parts,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let broken = |_| Refusal::with_status(500, "The function could not be started; the node has no room.");
    let turn = bounds.at_once.acquire().await;
    let mut child = Command::new(THIS_PROGRAM)
        .args(["apart", builtin.name])
        .envs(Call::variables(head))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let work = async {
        let ((), output) = tokio::join!(feed(stdin, body), read(stdout));
        output
    };
    let output = timeout(bounds.time, work).await;
    // Not needed any more, or out of time. Waited for, so that the next one finds its memory free.
    _ = child.kill().await;
    drop(turn);
    let too_long = |_| {
        let seconds = bounds.time.as_secs();
        Refusal::with_status(
            504,
            format!("That took longer than {seconds} seconds; ask for less."),
        )
    };
    parse(&output.map_err(too_long)?).ok_or_else(|| {
        let mib = bounds.memory / 1024 / 1024;
        Refusal::with_status(
            422,
            format!("That was too much: the function may use {mib} MiB of memory."),
        )
    })
}

async fn feed(stdin: Option<ChildStdin>, body: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A process that has ended has said why.
        _ = stdin.write_all(body).await;
    }
}

async fn read(stdout: Option<ChildStdout>) -> Vec<u8> {
    let mut output = Vec::new();
    if let Some(stdout) = stdout {
        // What is there when reading fails is judged like any other output.
        _ = stdout.take(LONGEST_ANSWER).read_to_end(&mut output).await;
    }
    output
}

/// Status and content type in the first line, then the body. `None` when the process ended before it said so.
fn parse(output: &[u8]) -> Option<Answer> {
    let end = output.iter().take(LONGEST_HEAD).position(|byte| *byte == b'\n')?;
    let (status, content_type) = str::from_utf8(&output[..end]).ok()?.split_once(' ')?;
    Some(Answer {
        status: status.parse().ok()?,
        ..Answer::new(content_type, &output[end + 1..])
    })
}

/// Puts this process into its bounds. A limit that the system does not take is one less; the others and the caller's
/// clock remain.
pub(super) fn keep_within(bounds: &Bounds) {
    let at_most = |limit| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    _ = setrlimit(Resource::As, at_most(bounds.memory));
    _ = setrlimit(Resource::Cpu, at_most(bounds.time.as_secs() + 1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_status_and_type() {
        let answer = parse(b"400 text/plain\nno\nand why").unwrap();
        assert_eq!(
            (
                answer.status,
                answer.content_type.as_str(),
                answer.body.as_slice()
            ),
            (400, "text/plain", b"no\nand why".as_slice())
        );
        assert!(parse(b"").is_none());
        assert!(parse(b"200 text/pl").is_none());
    }
}
