//! `mode=serializing`: a process per request. The body is its standard input, all it prints is the answer.

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
use super::held::{Held, NoRoom, Room};
use super::{DURATION, duration_value, failure};
use crate::answer::Content;
use crate::children::{Children, Ended, Group};
use crate::config::{Config, Fprocess};
use crate::duration::AsGo;
use crate::log::{HumanSize, log};
use crate::upload::Upload;

/// In what output is collected first, and then. Most answers are small; a pipe holds 64 KiB. Longer ones are [`Held`].
const FIRST: usize = 4 * 1024;
const LARGEST: usize = 64 * 1024;

pub(crate) struct Serializing {
    fork: Fork,
    room: Rc<Room>,
}

impl Serializing {
    pub(crate) fn new(config: &Config, fprocess: &Fprocess, children: Rc<Children>) -> Self {
        Self {
            fork: Fork::new(config, fprocess, children),
            room: Room::of_machine(),
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
            ..
        } = self.fork.start(request)?;
        let finished = self.finish(stdout, group, when_ended);
        let (content, ended) = match self.fork.exec_timeout {
            Some(limit) => tokio::time::timeout(limit, finished)
                .await
                .map_err(|_| Failure::TooLong(AsGo(limit)))??,
            None => finished.await?,
        };
        match ended {
            _ if body_broke.get() => Err(Failure::NoBody),
            ended if ended.well() => Ok(content),
            ended => Err(Failure::Ended(ended)),
        }
    }

    /// Collects all output and then the process itself.
    async fn finish(
        &self,
        stdout: pipe::Receiver,
        group: Group,
        when_ended: oneshot::Receiver<Ended>,
    ) -> Result<(Content, Ended), Failure> {
        let content = self.collect(stdout).await?;
        let ended = when_ended.await;
        let ended = ended.map_err(|lost| Failure::Unreadable(io::Error::other(lost)))?;
        group.let_be();
        Ok((content, ended))
    }

    /// Reads to the end.
    async fn collect(&self, mut stdout: pipe::Receiver) -> Result<Content, Failure> {
        let mut piece = BytesMut::with_capacity(FIRST);
        let mut held = None;
        loop {
            let read = stdout.read_buf(&mut piece).await.map_err(Failure::Unreadable)?;
            if read == 0 {
                break;
            }
            if piece.len() < piece.capacity() {
                continue;
            }
            if piece.len() < LARGEST {
                piece.reserve(LARGEST - piece.len());
                continue;
            }
            self.hold(&mut held, &piece)?;
            piece.clear();
        }
        if held.is_some() {
            self.hold(&mut held, &piece)?;
        }
        Ok(match held {
            Some(held) => Content::Held(held.finished().map_err(Failure::NoRoom)?),
            None => Content::Whole(piece.freeze()),
        })
    }

    fn hold(&self, held: &mut Option<Held>, piece: &[u8]) -> Result<(), Failure> {
        let held = match held {
            Some(held) => held,
            None => held.insert(Held::new(&self.room).map_err(Failure::NoRoom)?),
        };
        held.add(piece).map_err(|why| match why {
            NoRoom::Full(most) => Failure::TooMuch(HumanSize(most)),
            why @ NoRoom::NoFile(_) => Failure::NoRoom(why),
        })
    }
}
