//! `tr`: one table of 256 entries, whatever the sets say.

use std::ffi::OsString;
use std::io::{BufRead, Write};

use lexopt::prelude::{Short, Value};

use super::print::escape;
use super::{Failure, Streams};
use crate::args;

pub(super) fn tr(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut sets, mut delete, mut squeeze, mut complement) = (Vec::new(), false, false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(set) => sets.push(bytes_of_set(&args::utf8(set)?)?),
            Short('d') => delete = true,
            Short('s') => squeeze = true,
            Short('c' | 'C') => complement = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let usage = || Failure::Usage("give two sets, or one with -d or -s".to_owned());
    let mut sets = sets.into_iter();
    let (mut from, to) = (sets.next().ok_or_else(usage)?, sets.next());
    if sets.next().is_some() || (to.is_none() && !delete && !squeeze) {
        return Err(usage());
    }
    if complement {
        from = (0..=u8::MAX).filter(|byte| !from.contains(byte)).collect();
    }
    let table = Table::new(&from, to.as_deref(), delete, squeeze)?;
    let mut last = None;
    let mut out = Vec::new();
    loop {
        let read = streams.input.fill_buf()?;
        if read.is_empty() {
            break;
        }
        out.clear();
        table.translate(read, &mut last, &mut out);
        let length = read.len();
        streams.input.consume(length);
        streams.output.write_all(&out)?;
    }
    streams.output.flush()?;
    Ok(0)
}

/// What becomes of each byte.
struct Table {
    becomes: [u8; 256],
    dropped: [bool; 256],
    /// Bytes that do not repeat in the output.
    squeezed: [bool; 256],
}

impl Table {
    fn new(from: &[u8], to: Option<&[u8]>, delete: bool, squeeze: bool) -> Result<Self, Failure> {
        let mut table = Self {
            becomes: [0; 256],
            dropped: [false; 256],
            squeezed: [false; 256],
        };
        for (byte, becomes) in (0..=u8::MAX).zip(&mut table.becomes) {
            *becomes = byte;
        }
        if delete {
            from.iter()
                .for_each(|byte| table.dropped[usize::from(*byte)] = true);
        } else if let Some(to) = to {
            let last = *to
                .last()
                .ok_or_else(|| Failure::Usage("the second set is empty".to_owned()))?;
            // A shorter second set goes on with its last character.
            for (index, byte) in from.iter().enumerate().rev() {
                table.becomes[usize::from(*byte)] = to.get(index).copied().unwrap_or(last);
            }
        }
        if squeeze {
            to.unwrap_or(from)
                .iter()
                .for_each(|byte| table.squeezed[usize::from(*byte)] = true);
        }
        Ok(table)
    }

    fn translate(&self, read: &[u8], last: &mut Option<u8>, out: &mut Vec<u8>) {
        for byte in read.iter().filter(|byte| !self.dropped[usize::from(**byte)]) {
            let becomes = self.becomes[usize::from(*byte)];
            if *last == Some(becomes) && self.squeezed[usize::from(becomes)] {
                continue;
            }
            *last = Some(becomes);
            out.push(becomes);
        }
    }
}

/// The bytes of a set such as `a-z`, `[:upper:]` or `\n\t`.
fn bytes_of_set(set: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut rest = set.as_bytes();
    while !rest.is_empty() {
        if let Some((class, after)) = class(rest) {
            bytes.extend(class);
            rest = after;
            continue;
        }
        let (first, after) = one(rest);
        if let [b'-', end, ..] = after {
            let (last, after) = one(&after[1..]);
            if last < first {
                return Err(Failure::Usage(format!(
                    "`{set}`: a range ends before it begins at `{}`",
                    *end as char
                )));
            }
            bytes.extend(first..=last);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Ok(bytes)
}

/// One byte, or the one that an escape stands for.
fn one(text: &[u8]) -> (u8, &[u8]) {
    match text {
        [b'\\', rest @ ..] if !rest.is_empty() => escape(rest),
        [byte, rest @ ..] => (*byte, rest),
        [] => (0, text),
    }
}

/// A class such as `[:digit:]` at the beginning of `text`.
fn class(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let after = text.strip_prefix(b"[:")?;
    let length = after.windows(2).position(|pair| pair == b":]")?;
    let belongs: fn(&u8) -> bool = match &after[..length] {
        b"alpha" => u8::is_ascii_alphabetic,
        b"digit" => u8::is_ascii_digit,
        b"alnum" => u8::is_ascii_alphanumeric,
        b"upper" => u8::is_ascii_uppercase,
        b"lower" => u8::is_ascii_lowercase,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"punct" => u8::is_ascii_punctuation,
        b"cntrl" => u8::is_ascii_control,
        b"xdigit" => u8::is_ascii_hexdigit,
        b"graph" => u8::is_ascii_graphic,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        _ => return None,
    };
    Some(((0..=u8::MAX).filter(belongs).collect(), &after[length + 2..]))
}
