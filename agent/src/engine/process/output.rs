//! What one child writes: its last lines, kept in memory, and those who read along.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use api::{Timestamp, logs::MAX_LINE_BYTES};
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use crate::engine::{LogsWanted, Written};

/// How much of what a replica writes is kept, in bytes.
const KEPT: usize = 64 << 10;

/// What a line costs beside its text.
const LINE_COSTS: usize = 48;

/// The lines of one child. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// How many lines were ever written; `u64::MAX` once there will be no more.
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<(Timestamp, String)>,
    bytes: usize,
    /// Number of the line after the last one.
    next: u64,
    /// The line that has no end yet.
    open: Vec<u8>,
}

impl Lines {
    fn push(&mut self, line: &[u8], at: Timestamp) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line).into_owned();
        self.bytes += text.len() + LINE_COSTS;
        self.kept.push_back((at, text));
        self.next += 1;
        while self.bytes > KEPT
            && let Some((_, text)) = self.kept.pop_front()
        {
            self.bytes -= text.len() + LINE_COSTS;
        }
    }

    /// Number of the first line that is kept.
    fn first(&self) -> u64 {
        self.next - u64::try_from(self.kept.len()).unwrap_or(0)
    }

    /// The lines from number `from` on that are kept.
    fn from(&self, from: u64) -> Vec<Written> {
        let skip = usize::try_from(from.saturating_sub(self.first())).unwrap_or(usize::MAX);
        let lines = self.kept.iter().skip(skip);
        lines
            .map(|(at, text)| Written {
                time: at.to_rfc3339(),
                text: text.clone(),
            })
            .collect()
    }
}

impl Output {
    /// Takes over what was written.
    pub(super) fn write(&self, mut bytes: &[u8]) {
        let at = now();
        let mut lines = self.0.lines.lock().expect("no panic while held");
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - lines.open.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (piece, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => bytes.split_at(room.min(bytes.len())),
            };
            lines.open.extend_from_slice(piece);
            bytes = rest;
            if end.is_some() || lines.open.len() >= MAX_LINE_BYTES {
                let line = std::mem::take(&mut lines.open);
                lines.push(&line, at);
            }
        }
        self.0.written.send_replace(lines.next);
    }

    /// There will be no more.
    pub(super) fn end(&self) {
        let mut lines = self.0.lines.lock().expect("no panic while held");
        if !lines.open.is_empty() {
            let line = std::mem::take(&mut lines.open);
            lines.push(&line, now());
        }
        self.0.written.send_replace(u64::MAX);
    }

    /// The end of it, as it was written.
    pub(super) fn tail(&self) -> Vec<u8> {
        let lines = self.0.lines.lock().expect("no panic while held");
        let last = lines.kept.iter().rev().take(8).rev();
        let mut text: Vec<u8> = last
            .flat_map(|(_, text)| [text.as_bytes(), b"\n"].concat())
            .collect();
        text.extend(&lines.open);
        text
    }

    /// The lines that are wanted, while there are any.
    pub(super) fn read(&self, wanted: LogsWanted) -> BoxStream<'static, Written> {
        let first = {
            let lines = self.0.lines.lock().expect("no panic while held");
            let before = |(at, _): &&(Timestamp, String)| wanted.since.is_some_and(|since| *at < since);
            let too_old = u64::try_from(lines.kept.iter().take_while(before).count()).unwrap_or(0);
            let tail = wanted
                .tail
                .map_or(0, |tail| lines.next.saturating_sub(tail.into()));
            (lines.first() + too_old).max(tail)
        };
        let (output, news) = (self.clone(), self.0.written.subscribe());
        let pieces = stream::unfold(Some((output, news, first)), move |reading| async move {
            let (output, mut news, from) = reading?;
            loop {
                let ended = *news.borrow_and_update() == u64::MAX;
                let (lines, next) = {
                    let lines = output.0.lines.lock().expect("no panic while held");
                    (lines.from(from), lines.next)
                };
                if ended || !wanted.follow {
                    return Some((lines, None));
                }
                if !lines.is_empty() {
                    return Some((lines, Some((output, news, next))));
                }
                news.changed().await.ok()?;
            }
        });
        pieces.flat_map(stream::iter).boxed()
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<Written>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[tokio::test]
    async fn lines_are_put_together_from_pieces() {
        let output = Output::default();
        output.write(b"one\ntw");
        output.write(b"o\r\n\nthr");
        let all = LogsWanted::default();
        assert_eq!(texts(output.read(all).collect().await), ["one", "two", ""]);
        assert_eq!(output.tail(), b"one\ntwo\n\nthr");
        output.end();
        let last = LogsWanted { tail: Some(1), ..all };
        assert_eq!(texts(output.read(last).collect().await), ["thr"]);
    }

    #[tokio::test]
    async fn a_talkative_child_costs_bounded_memory_and_its_last_lines_stay() {
        let output = Output::default();
        for number in 0..100_000 {
            output.write(format!("line {number}\n").as_bytes());
        }
        output.write(&[b'x'; 1 << 20]);
        assert!(output.0.lines.lock().unwrap().bytes <= KEPT);
        output.write(b"\nlast\n");
        let lines = texts(output.read(LogsWanted::default()).collect().await);
        assert_eq!(lines.last().unwrap(), "last");
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
    }

    #[tokio::test]
    async fn who_follows_gets_what_is_written_later_and_the_end() {
        let output = Output::default();
        output.write(b"before\n");
        let follow = LogsWanted {
            follow: true,
            ..LogsWanted::default()
        };
        let mut lines = output.read(follow);
        assert_eq!(lines.next().await.unwrap().text, "before");
        let writer = output.clone();
        tokio::spawn(async move {
            writer.write(b"after\n");
            writer.end();
        });
        assert_eq!(lines.next().await.unwrap().text, "after");
        assert_eq!(lines.next().await, None);
    }
}
