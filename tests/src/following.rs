//! An answer that goes on and on: log lines, live events.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{demo::PATIENCE, http_client::runtime};

/// Reads along until it is dropped, which hangs up.
#[derive(Debug)]
pub struct Following {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    lines: mpsc::Receiver<String>,
    reading: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Following {
    pub(crate) fn begin(pool: &Pool<HttpConnector, Full<Bytes>>, request: Request<Full<Bytes>>) -> Self {
        let response = runtime()
            .block_on(pool.request(request))
            .expect("somebody answers");
        let (parts, mut body) = response.into_parts();
        let (send, lines) = mpsc::channel();
        let reading = runtime().spawn(async move {
            let mut rest = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    if send.send(line).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            status: parts.status,
            headers: parts.headers,
            lines,
            reading,
        }
    }

    /// The next line; `None` when there will be no more.
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for a line or the end"),
        }
    }

    /// The next line that `is_wanted`; `None` where the answer ends before.
    pub fn find(&self, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        std::iter::from_fn(|| self.line()).find(|line| is_wanted(line))
    }

    /// All lines until the end.
    pub fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Whether nothing comes for this long.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        self.lines.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// The next server-sent event, with what it carries; `None` when there will be no more.
    pub fn event(&self) -> Option<(String, Value)> {
        let mut kind = String::new();
        loop {
            let line = self.line()?;
            if let Some(name) = line.strip_prefix("event: ") {
                kind = name.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((kind, serde_json::from_str(data).expect("events carry JSON")));
            }
        }
    }
}
