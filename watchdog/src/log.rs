//! The log lines of section 5.6 of the OpenFaaS contract, and the relaying of what the function writes.
//!
//! The watchdog's own lines go to standard error behind a UTC date, as Go's logger writes them. What a forked
//! process writes is passed on line by line, each with date and stream name (`prefix_logs=true`); without prefixes
//! the process simply inherits our streams and nothing passes through here. How lines get out is [`crate::outlet`]'s business.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::outlet::{self, Stream};

/// Writes one line to standard error.
pub(crate) fn line(text: std::fmt::Arguments<'_>) {
    let date = Date::now();
    // One write is one line, also when the function writes to the same stream.
    outlet::write(Stream::Stderr, format!("{date} {text}\n").into_bytes());
}

/// `log!("…{}…", x)`: one line of the watchdog's own log.
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
pub(crate) use log;

/// Passes what `from` says on to our own stream, line by line with a prefix, until it ends. Lines longer than
/// `longest` bytes are passed on in pieces; upstream loses them. A slow reader of ours holds the function back for a while,
/// before lines are lost.
pub(crate) async fn relay(from: impl AsyncRead + Unpin, stream: Stream, longest: usize) {
    let mut reader = BufReader::with_capacity(4096, from);
    let mut piece = Vec::new();
    loop {
        match read_piece(&mut reader, &mut piece, longest).await {
            Ok(true) => {
                outlet::room().await;
                pass_on(&piece, stream);
            }
            Ok(false) | Err(_) => return,
        }
        piece.clear();
    }
}

/// One line without its end, or the next `longest` bytes of it. False when the stream ended.
async fn read_piece(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    piece: &mut Vec<u8>,
    longest: usize,
) -> io::Result<bool> {
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(!piece.is_empty());
        }
        let room = available.len().min(longest - piece.len());
        let end = available[..room].iter().position(|byte| *byte == b'\n');
        piece.extend_from_slice(&available[..end.unwrap_or(room)]);
        reader.consume(end.map_or(room, |end| end + 1));
        if end.is_some() || piece.len() == longest {
            return Ok(true);
        }
    }
}

fn pass_on(piece: &[u8], stream: Stream) {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let mut text = format!("{} {name}: ", Date::now()).into_bytes();
    text.extend_from_slice(piece);
    text.push(b'\n');
    outlet::write(stream, text);
}

/// A moment, shown as `2026/07/02 10:31:07` in UTC.
struct Date {
    unix_seconds: u64,
}

impl Date {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_seconds: since.as_secs(),
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, second) = (self.unix_seconds / 86_400, self.unix_seconds % 86_400);
        // Years begin on 1 March here, so that the leap day is the last of its year; eras are 400 years.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (year, month) = match month {
            0..=9 => (year + era * 400, month + 3),
            _ => (year + era * 400 + 1, month - 9),
        };
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            out,
            "{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

/// A number of bytes as upstream prints it: four figures and a decimal unit (`12B`, `5.243MB`).
#[derive(Debug)]
pub(crate) struct HumanSize(pub(crate) u64);

impl std::fmt::Display for HumanSize {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut size = self.0 as f64;
        let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        while size >= 1000.0 {
            let Some(next) = units.next() else { break };
            (size, unit) = (size / 1000.0, next);
        }
        let decimals = if size >= 100.0 {
            1
        } else if size >= 10.0 {
            2
        } else {
            3
        };
        let figures = format!("{size:.decimals$}");
        write!(
            out,
            "{}{unit}",
            figures.trim_end_matches('0').trim_end_matches('.')
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_gos_logger_writes_them() {
        for (unix_seconds, expected) in [
            (0, "1970/01/01 00:00:00"),
            (951_782_399, "2000/02/28 23:59:59"),
            (951_782_400, "2000/02/29 00:00:00"),
            (951_868_800, "2000/03/01 00:00:00"),
            (1_783_074_667, "2026/07/03 10:31:07"),
            (4_102_444_799, "2099/12/31 23:59:59"),
        ] {
            assert_eq!(Date { unix_seconds }.to_string(), expected);
        }
    }

    #[test]
    fn sizes_have_four_figures_and_a_decimal_unit() {
        for (bytes, expected) in [
            (0, "0B"),
            (12, "12B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.234kB"),
            (5_242_880, "5.243MB"),
        ] {
            assert_eq!(HumanSize(bytes).to_string(), expected);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn long_lines_are_passed_on_in_pieces_and_nothing_is_lost() {
        let text = format!("short\n{}\nlast", "x".repeat(5010));
        let mut reader = BufReader::new(text.as_bytes());
        let mut lengths = Vec::new();
        let mut piece = Vec::new();
        while read_piece(&mut reader, &mut piece, 5000).await.unwrap() {
            lengths.push(piece.len());
            piece.clear();
        }

        assert_eq!(lengths, [5, 5000, 10, 4]);
    }
}
