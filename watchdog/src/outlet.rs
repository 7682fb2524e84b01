//! Where lines of the log leave this process: standard output and standard error, whose readers may be slow or gone.
//!
//! A log that nobody reads stops nobody. While there is room in the pipe, a line is written at once by whoever has one.
//! Where that would have to wait, lines queue for a thread that does nothing else and is started when it is first needed.
//! The queue is bounded: what finds no room is lost and counted, and a line tells the count when there is room again. The
//! order of lines is always kept.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::stdio::{stderr, stdout};

/// Most bytes that queue, and what a line takes beside its text.
const MOST: usize = 256 * 1024;
const OVERHEAD: usize = 64;

/// How long a function may be held back by a slow reader of what it says, before that counts as nobody: storage may pause for
/// seconds. And how often is looked.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);

/// How long the end waits for the queue.
const LAST_LINES: Duration = Duration::from_secs(1);

static OUTLET: Outlet = Outlet {
    state: Mutex::new(State {
        queue: Queue::new(),
        is_busy: false,
        has_writer: false,
        must_wait: [false; 2],
    }),
    more: Condvar::new(),
    done: Condvar::new(),
};

/// One of our streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn file(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => stdout(),
            Self::Stderr => stderr(),
        }
    }
}

/// Writes a line, its end included, now or later. One whose stream is gone is dropped: there is still work to do.
pub(crate) fn write(stream: Stream, mut text: Vec<u8>) {
    let mut state = OUTLET.state();
    if !state.is_busy {
        let written = state.write_now(stream, &text);
        if written == text.len() {
            return;
        }
        text.drain(..written);
    }
    let text = text.into_boxed_slice();
    state.queue.add(Line { stream, text });
    state.is_busy = true;
    if state.has_writer {
        OUTLET.more.notify_one();
    } else {
        // If there can be no thread now, the next line tries again.
        let writer = std::thread::Builder::new().name("log".to_owned());
        state.has_writer = writer.stack_size(64 * 1024).spawn(write_on).is_ok();
    }
}

/// Returns when the queue has room for a burst, or when it is clear that nobody reads.
pub(crate) async fn room() {
    let until = Instant::now() + PATIENCE;
    while OUTLET.state().queue.is_tight() {
        if Instant::now() >= until {
            OUTLET.state().queue.is_unread = true;
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Before the end: waits until all is written, but not for a reader who is not there.
pub(crate) fn finish() {
    let waited = OUTLET
        .done
        .wait_timeout_while(OUTLET.state(), LAST_LINES, |state| state.is_busy);
    drop(waited);
}

struct Outlet {
    state: Mutex<State>,
    /// Told when the queue is no longer empty, and when all is written.
    more: Condvar,
    done: Condvar,
}

impl Outlet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    queue: Queue,
    /// Whether a line is queued or being written by the thread, so that nobody else may write.
    is_busy: bool,
    has_writer: bool,
    /// Streams whose writes cannot be told not to wait.
    must_wait: [bool; 2],
}

impl State {
    /// Writes as much as can be written without waiting; how much that was.
    fn write_now(&mut self, stream: Stream, text: &[u8]) -> usize {
        let must_wait = &mut self.must_wait[stream as usize];
        if *must_wait {
            return 0;
        }
        // Flags of the stream itself are shared with whoever gave it to us.
        match rustix::io::pwritev2(
            stream.file(),
            &[IoSlice::new(text)],
            u64::MAX,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(written) => written,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                *must_wait = true;
                0
            }
            // Nobody will ever read it.
            Err(_) => text.len(),
        }
    }
}

/// The thread.
fn write_on() {
    let mut state = OUTLET.state();
    loop {
        if let Some(line) = state.queue.next() {
            drop(state);
            write_all(&line);
            state = OUTLET.state();
        } else {
            state.is_busy = false;
            OUTLET.done.notify_all();
            let woken = OUTLET.more.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn write_all(line: &Line) {
    let file = line.stream.file();
    let mut rest = &*line.text;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(written @ 1..) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            // Whoever shares the stream does not want to wait; we do.
            Err(Errno::AGAIN) => {
                _ = rustix::event::poll(&mut [PollFd::new(&file, PollFlags::OUT)], None);
            }
            Ok(0) | Err(_) => return,
        }
    }
}

/// What waits to be written.
struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// How many lines found no room. While there are any, none is taken, so that their count stands where they would.
    lost: u64,
    /// Nobody seems to read.
    is_unread: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    stream: Stream,
    text: Box<[u8]>,
}

impl Line {
    fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }
}

impl Queue {
    const fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            lost: 0,
            is_unread: false,
        }
    }

    /// Takes a line if there is room. The only one may have any length.
    fn add(&mut self, line: Line) {
        let has_room = self.lines.is_empty() || self.bytes + line.size() <= MOST;
        if self.lost > 0 || !has_room {
            self.lost += 1;
            return;
        }
        self.bytes += line.size();
        self.lines.push_back(line);
    }

    /// The line that is to be written next.
    fn next(&mut self) -> Option<Line> {
        if self.bytes <= MOST / 2 {
            self.is_unread = false;
            let lost = std::mem::take(&mut self.lost);
            if lost > 0 {
                let text = format!("{lost} lines of this log were lost: it was not read fast enough\n");
                self.add(Line {
                    stream: Stream::Stderr,
                    text: text.into_bytes().into(),
                });
            }
        }
        let Some(line) = self.lines.pop_front() else {
            // The memory of the longest queue there was.
            self.lines = VecDeque::new();
            return None;
        };
        self.bytes -= line.size();
        Some(line)
    }

    /// Whether whoever can wait should.
    fn is_tight(&self) -> bool {
        !self.is_unread && self.bytes > MOST / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Line {
        Line {
            stream: Stream::Stdout,
            text: format!("{number:01000}").into_bytes().into(),
        }
    }

    #[test]
    fn lines_without_room_are_counted_where_they_would_stand() {
        let mut queue = Queue::new();
        for number in 0..1000 {
            queue.add(line(number));
        }
        let taken = queue.lines.len();
        assert!((200..260).contains(&taken) && queue.bytes <= MOST, "{taken}");

        assert_eq!(queue.next(), Some(line(0)));
        // There is a little room, but what was lost before it has not been told.
        queue.add(line(1000));
        for number in 1..taken {
            assert_eq!(queue.next(), Some(line(number)));
        }
        queue.add(line(1001));

        let note = queue.next().unwrap();
        let text = str::from_utf8(&note.text).unwrap();
        assert!(text.starts_with(&format!("{} lines", 1001 - taken)), "{text}");
        assert_eq!(queue.next(), Some(line(1001)));
        assert_eq!(queue.next(), None);
        assert_eq!((queue.bytes, queue.lost, queue.lines.capacity()), (0, 0, 0));
    }

    #[test]
    fn a_line_longer_than_the_queue_is_taken_when_it_is_alone() {
        let mut queue = Queue::new();
        let long = Line {
            stream: Stream::Stderr,
            text: vec![b'x'; 2 * MOST].into(),
        };
        queue.add(long);
        queue.add(line(1));

        assert_eq!(queue.lines.len(), 1);
        assert_eq!(queue.lost, 1);
    }

    #[test]
    fn who_can_wait_does_so_from_half_full_until_nobody_seems_to_read() {
        let mut queue = Queue::new();
        while !queue.is_tight() {
            queue.add(line(1));
        }
        assert_eq!(queue.lost, 0);
        queue.is_unread = true;
        assert!(!queue.is_tight());

        while queue.next().is_some() {}

        assert!(!queue.is_unread, "somebody read");
    }
}
