//! `functions run NAME`: a function as a process that reads standard input and writes standard output, for a watchdog,
//! a pipeline, or a person at a terminal.

use std::io::{self, Write};

use tokio::runtime::{Builder, LocalOptions};

use super::call::{Answer, Call, Refusal, Reply};
use super::{Builtin, Work, apart};
use crate::tools::Failure;

/// Answers one call.
///
/// # Errors
/// When the function refuses, or the streams fail.
pub(super) fn run(builtin: &Builtin) -> Result<u8, Failure> {
    let answer = reply(builtin)?.map_err(|refusal| Failure::Usage(refusal.sentence))?;
    io::stdout().lock().write_all(&answer.body)?;
    Ok(0)
}

/// As [`run`] within the function's bounds, with the status and the content type in a first line; also for refusals.
///
/// # Errors
/// When the streams fail.
pub(super) fn run_apart(builtin: &Builtin) -> Result<u8, Failure> {
    if let Work::Apart { bounds, .. } = &builtin.work {
        apart::keep_within(bounds);
    }
    let answer = reply(builtin)?.unwrap_or_else(Answer::from);
    let mut out = io::stdout().lock();
    writeln!(out, "{} {}", answer.status, answer.content_type)?;
    out.write_all(&answer.body)?;
    Ok(0)
}

fn reply(builtin: &Builtin) -> Result<Reply, Failure> {
    let call = match Call::from_process(builtin.limit)? {
        Ok(call) => call,
        Err(refusal) => return Ok(Err::<Answer, Refusal>(refusal)),
    };
    Ok(match &builtin.work {
        Work::Quick(function) => function(&call),
        Work::Apart { function, .. } => function(&call),
        Work::Waiting(function) => Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?
            .block_on(function(call)),
    })
}
