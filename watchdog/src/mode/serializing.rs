//! `mode=serializing`: a process per request. The body is its standard input, all it prints is the answer.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::fork::{Failure, Fork, Running};
use super::{DURATION, duration_value, failure};
use crate::answer::Content;
use crate::children::{Children, Ended, Group};
use crate::config::{Config, Fprocess};
use crate::duration::AsGo;
use crate::log::log;
use crate::upload::Upload;

/// First and further pieces in which output is collected. Most answers are small; a pipe holds 64 KiB.
const FIRST_PIECE: usize = 4 * 1024;
const FURTHER_PIECE: usize = 64 * 1024;

pub(crate) struct Serializing {
    fork: Fork,
}

impl Serializing {
    pub(crate) fn new(config: &Config, fprocess: &Fprocess, children: Rc<Children>) -> Self {
        Self {
            fork: Fork::new(config, fprocess, children),
        }
    }

    pub(crate) async fn call(&self, request: Request<Upload>, started: Instant) -> Response<Content> {
        match self.output(request).await {
            Ok(content) => {
                let mut response = Response::new(content);
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, self.fork.content_type.clone());
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
        let Running {
            stdout,
            group,
            when_ended,
            body_broke,
        } = self.fork.start(request)?;
        let finished = finish(stdout, group, when_ended);
        let (content, ended) = match self.fork.exec_timeout {
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
