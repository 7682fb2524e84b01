//! Processes connected by pipes: `cat | rev | tr a-z A-Z`.
//!
//! A stage whose name is one of our tools runs this very file again, so a pipeline needs no links and no shell; any
//! other stage is looked up in `PATH`. Every stage is a process of its own, as in a shell: they run at the same time,
//! and a stage that stops reading ends those before it.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::tools::{self, Failure};

/// This program. A path and not a link's target, so that it works in an image whatever the file is called there.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// Runs the stages that are separated by words that are exactly `|`. The status is the last stage's.
///
/// # Errors
/// When a stage is empty or cannot be started; those already started are ended.
pub(crate) fn from_arguments(words: Vec<OsString>) -> Result<u8, Failure> {
    run(words
        .split(|word| word == "|")
        .map(<[OsString]>::to_vec)
        .collect())
}

/// Runs `stages`, each a name and its arguments. The status is the last stage's.
///
/// # Errors
/// As [`from_arguments`].
pub(crate) fn run(stages: Vec<Vec<OsString>>) -> Result<u8, Failure> {
    let mut running = Running(Vec::with_capacity(stages.len()));
    let mut previous: Option<ChildStdout> = None;
    let last = stages.len().saturating_sub(1);
    for (index, stage) in stages.into_iter().enumerate() {
        let mut command = command(stage)?;
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(previous.take().map_or_else(Stdio::inherit, Stdio::from));
        command.stdout(if index == last {
            Stdio::inherit()
        } else {
            Stdio::piped()
        });
        let mut child = command
            .spawn()
            .map_err(|error| Failure::not_started(name, error))?;
        previous = child.stdout.take();
        running.0.push(child);
    }
    running.wait()
}

fn command(stage: Vec<OsString>) -> Result<Command, Failure> {
    let mut words = stage.into_iter();
    let empty = || Failure::Usage("a stage of the pipeline is empty".to_owned());
    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(empty)?;
    let mut command = if name.to_str().and_then(tools::find).is_some() {
        let mut command = Command::new(THIS_PROGRAM);
        command.arg("tool").arg(name);
        command
    } else {
        Command::new(name)
    };
    command.args(words);
    Ok(command)
}

/// The stages that run. Dropped early, they are ended.
struct Running(Vec<Child>);

impl Running {
    /// Waits for all; the status is the last one's.
    fn wait(mut self) -> Result<u8, Failure> {
        let mut status = 0;
        for mut child in self.0.drain(..) {
            status = shell_status(child.wait()?);
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Already ended is as good.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// The exit status as a shell gives it: 128 and the signal for a process that a signal ended.
fn shell_status(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}
