//! A process per request: starting it and feeding it the body, the same for serializing and streaming.
//!
//! Input is fed *while* output is read, by two independent activities, so a process that answers before it has read
//! everything, or reads nothing at all, cannot block either of us.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::{EXPECT, HeaderMap, HeaderValue};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::held::NoRoom;
use crate::cgi;
use crate::children::{Children, Ended, Group, Killer};
use crate::config::{Config, EXIT_WITH_STDIN, Fprocess, METRICS_PORT, Relaying};
use crate::duration::AsGo;
use crate::log::{HumanSize, relay};
use crate::outlet::Stream;
use crate::upload::{Upload, UploadError};

/// How to start the process of a request.
pub(super) struct Fork {
    fprocess: Fprocess,
    pub(super) exec_timeout: Option<Duration>,
    pub(super) content_type: HeaderValue,
    relaying: Relaying,
    children: Rc<Children>,
}

/// A started process. It and its helpers are killed when `group` is dropped before its end.
pub(super) struct Running {
    pub(super) stdout: pipe::Receiver,
    pub(super) group: Group,
    pub(super) when_ended: oneshot::Receiver<Ended>,
    /// Becomes true when the body broke off; the process is killed then.
    pub(super) body_broke: Rc<Cell<bool>>,
    /// Resolves when the first piece of a body has come whose sender waits to be told to go on, or when none will.
    pub(super) when_body_begins: Option<oneshot::Receiver<()>>,
}

/// Why there is no answer, or only part of one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot start `{0}`: {1}")]
    NotStarted(String, io::Error),
    #[error("cannot read what the function prints: {0}")]
    Unreadable(io::Error),
    #[error("cannot hold what the function prints: {0}")]
    NoRoom(NoRoom),
    #[error(
        "the function was killed: it printed more than there is memory for ({0} for all answers together); with mode=streaming, answers go out as they come"
    )]
    TooMuch(HumanSize),
    #[error("the function took longer than exec_timeout ({0}) and was killed")]
    TooLong(AsGo),
    #[error("the request body did not arrive whole; the function was killed")]
    NoBody,
    #[error("{0}")]
    Ended(Ended),
}

impl Fork {
    pub(super) fn new(config: &Config, fprocess: &Fprocess, children: Rc<Children>) -> Self {
        Self {
            fprocess: fprocess.clone(),
            exec_timeout: config.exec_timeout,
            content_type: config.content_type.clone(),
            relaying: config.relaying,
            children,
        }
    }

    /// Starts the process for one request.
    ///
    /// # Errors
    /// When its program cannot be started.
    pub(super) fn start(&self, request: Request<Upload>) -> Result<Running, Failure> {
        self.spawn(request)
            .map_err(|error| Failure::NotStarted(self.fprocess.program.clone(), error))
    }

    fn spawn(&self, request: Request<Upload>) -> io::Result<Running> {
        let (head, upload) = request.into_parts();
        let mut command = Command::new(&self.fprocess.program);
        command
            .args(&self.fprocess.arguments)
            .env_remove(EXIT_WITH_STDIN)
            .env_remove(METRICS_PORT)
            .envs(cgi::variables(&head))
            .stdin(if upload.is_end_stream() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(if self.relaying.prefix {
                Stdio::piped()
            } else {
                Stdio::inherit()
            });
        let (begun, when_body_begins) = waits_for_continue(&head.headers, &upload)
            .then(oneshot::channel)
            .unzip();
        let (mut child, group, when_ended) = self.children.spawn(&mut command)?;

        if let Some(stderr) = child.stderr.take() {
            let stderr = pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?;
            // Not part of the answer: a helper that keeps it open does not keep the caller waiting.
            spawn_local(relay(stderr, Stream::Stderr, self.relaying.longest_line));
        }
        let body_broke = Rc::new(Cell::new(false));
        if let Some(stdin) = child.stdin.take() {
            let stdin = pipe::Sender::from_owned_fd(OwnedFd::from(stdin))?;
            spawn_local(feed(upload, stdin, group.killer(), body_broke.clone(), begun));
        }
        let stdout = child
            .stdout
            .take()
            .expect("standard output was asked for as a pipe");
        Ok(Running {
            stdout: pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?,
            group,
            when_ended,
            body_broke,
            when_body_begins,
        })
    }
}

/// Whether the sender of this body sends nothing before it has a `100 Continue`, which goes out when the body is asked for
/// and no answer has begun.
fn waits_for_continue(headers: &HeaderMap, upload: &Upload) -> bool {
    let expected = headers.get(EXPECT);
    !upload.is_end_stream()
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Writes the body to the process. Outlives the call where the process ends early: the rest of the body is then read
/// and dropped, because a sender that is cut off while sending may never read the answer.
/// `begun` is told of the first piece.
async fn feed(
    mut upload: Upload,
    stdin: pipe::Sender,
    killer: Killer,
    body_broke: Rc<Cell<bool>>,
    mut begun: Option<oneshot::Sender<()>>,
) {
    let mut stdin = Some(stdin);
    while let Some(frame) = upload.frame().await {
        // Whoever waits is told in either way.
        drop(begun.take());
        match frame {
            Ok(frame) => {
                if let (Some(pipe), Some(data)) = (&mut stdin, frame.data_ref())
                    && pipe.write_all(data).await.is_err()
                {
                    // It has read enough. That is its right, and no error.
                    stdin = None;
                }
            }
            Err(UploadError::Stalled | UploadError::Broken(_)) => {
                // Before its input ends, so that it cannot take half a body for a whole one.
                body_broke.set(stdin.is_some());
                killer.kill();
                return;
            }
        }
    }
}
