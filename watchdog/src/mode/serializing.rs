//! `mode=serializing`: a process per request. The body is its standard input, all it prints is the answer.
//!
//! Input is fed *while* output is collected, by two independent activities, so a process that answers before it
//! has read everything, or reads nothing at all, cannot block either of us.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::{DURATION, duration_value, failure};
use crate::answer::Content;
use crate::cgi;
use crate::children::{Children, Ended, Group, Killer};
use crate::config::{Config, EXIT_WITH_STDIN, Fprocess};
use crate::duration::AsGo;
use crate::log::{Stream, log, relay};
use crate::upload::{Upload, UploadError};

/// First and further pieces in which output is collected. Most answers are small; a pipe holds 64 KiB.
const FIRST_PIECE: usize = 4 * 1024;
const FURTHER_PIECE: usize = 64 * 1024;

pub(crate) struct Serializing {
    fprocess: Fprocess,
    exec_timeout: Option<Duration>,
    content_type: HeaderValue,
    prefix_logs: bool,
    children: Rc<Children>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot start `{0}`: {1}")]
    NotStarted(String, io::Error),
    #[error("cannot read what the function prints: {0}")]
    Unreadable(io::Error),
    #[error("the function took longer than exec_timeout ({0}) and was killed")]
    TooLong(AsGo),
    #[error("the request body did not arrive whole; the function was killed")]
    NoBody,
    #[error("{0}")]
    Ended(Ended),
}

impl Serializing {
    pub(crate) fn new(config: &Config, children: Rc<Children>) -> Self {
        Self {
            fprocess: config.fprocess.clone(),
            exec_timeout: config.exec_timeout,
            content_type: config.content_type.clone(),
            prefix_logs: config.prefix_logs,
            children,
        }
    }

    pub(crate) async fn call(&self, request: Request<Upload>, started: Instant) -> Response<Content> {
        match self.output(request).await {
            Ok(content) => {
                let mut response = Response::new(content);
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, self.content_type.clone());
                response.headers_mut().insert(DURATION, duration_value(started));
                response
            }
            Err(why) => {
                log!("Function failed: {why}");
                let status = match why {
                    Failure::NoBody => StatusCode::REQUEST_TIMEOUT,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                failure(status, why, started)
            }
        }
    }

    /// All that the process prints. The process and its helpers are killed when this is dropped before its end.
    async fn output(&self, request: Request<Upload>) -> Result<Content, Failure> {
        let (head, upload) = request.into_parts();
        let mut command = Command::new(&self.fprocess.program);
        command
            .args(&self.fprocess.arguments)
            .env_remove(EXIT_WITH_STDIN)
            .envs(cgi::variables(&head))
            .stdin(if upload.is_end_stream() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(if self.prefix_logs {
                Stdio::piped()
            } else {
                Stdio::inherit()
            });
        let not_started = |error| Failure::NotStarted(self.fprocess.program.clone(), error);
        let (mut child, group, when_ended) = self.children.spawn(&mut command).map_err(not_started)?;

        if let Some(stderr) = child.stderr.take() {
            let stderr = pipe::Receiver::from_owned_fd(OwnedFd::from(stderr)).map_err(not_started)?;
            // Not part of the answer: a helper that keeps it open does not keep the caller waiting.
            spawn_local(relay(stderr, Stream::Stderr));
        }
        let body_broke = Rc::new(Cell::new(false));
        if let Some(stdin) = child.stdin.take() {
            let stdin = pipe::Sender::from_owned_fd(OwnedFd::from(stdin)).map_err(not_started)?;
            spawn_local(feed(upload, stdin, group.killer(), body_broke.clone()));
        }
        let stdout = child
            .stdout
            .take()
            .expect("standard output was asked for as a pipe");
        let stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(stdout)).map_err(not_started)?;

        let finished = finish(stdout, group, when_ended);
        let (content, ended) = match self.exec_timeout {
            Some(limit) => tokio::time::timeout(limit, finished)
                .await
                .map_err(|_| Failure::TooLong(AsGo(limit)))?
                .map_err(Failure::Unreadable)?,
            None => finished.await.map_err(Failure::Unreadable)?,
        };
        match ended {
            _ if body_broke.get() => Err(Failure::NoBody),
            ended if ended.well() => Ok(content),
            ended => Err(Failure::Ended(ended)),
        }
    }
}

/// Collects all output and then the process itself.
async fn finish(
    stdout: pipe::Receiver,
    group: Group,
    when_ended: oneshot::Receiver<Ended>,
) -> io::Result<(Content, Ended)> {
    let content = collect(stdout).await?;
    let ended = when_ended.await.map_err(io::Error::other)?;
    group.let_be();
    Ok((content, ended))
}

/// Reads to the end, in pieces, so that nothing large is ever copied to grow.
async fn collect(mut stdout: pipe::Receiver) -> io::Result<Content> {
    let mut pieces = VecDeque::new();
    let mut length = 0;
    let mut piece = BytesMut::with_capacity(FIRST_PIECE);
    loop {
        let read = stdout.read_buf(&mut piece).await?;
        length += read as u64;
        if read == 0 {
            break;
        }
        if piece.len() == piece.capacity() {
            pieces.push_back(piece.split().freeze());
            piece = BytesMut::with_capacity(FURTHER_PIECE);
        }
    }
    if !piece.is_empty() {
        pieces.push_back(piece.freeze());
    }
    Ok(Content::Pieces { pieces, left: length })
}

/// Writes the body to the process. Outlives the call where the process ends early: the rest of the body is then read
/// and dropped, because a sender that is cut off while sending may never read the answer.
async fn feed(mut upload: Upload, stdin: pipe::Sender, killer: Killer, body_broke: Rc<Cell<bool>>) {
    let mut stdin = Some(stdin);
    while let Some(frame) = upload.frame().await {
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
