//! `sort`: whole input in memory, one key.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::io::{Read, Write};

use lexopt::prelude::{Short, Value};

use super::{Failure, Streams};
use crate::args;

/// How two lines compare.
#[derive(Default)]
struct Order {
    numeric: bool,
    reverse: bool,
    unique: bool,
    fold_case: bool,
    /// Fields from 1, both included.
    key: Option<(usize, usize)>,
    /// Blanks separate fields without one.
    separator: Option<u8>,
}

pub(super) fn sort(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut order) = (Vec::new(), Order::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('n' | 'g') => order.numeric = true,
            Short('r') => order.reverse = true,
            Short('u') => order.unique = true,
            Short('f') => order.fold_case = true,
            Short('k') => order.read_key(&args::text(&mut parser)?)?,
            Short('t') => {
                let text = args::text(&mut parser)?;
                let [byte] = text.as_bytes() else {
                    return Err(Failure::Usage(format!(
                        "the separator must be one character and not `{text}`"
                    )));
                };
                order.separator = Some(*byte);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut all = Vec::new();
    streams.for_each_file(&names, |_, input, _| {
        input.read_to_end(&mut all)?;
        if all.last().is_some_and(|byte| *byte != b'\n') {
            all.push(b'\n');
        }
        Ok(())
    })?;
    let mut lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_by(|a, b| order.compare(a, b));
    if order.unique {
        lines.dedup_by(|a, b| order.compare_keys(a, b) == Ordering::Equal);
    }
    for line in lines {
        streams.output.write_all(line)?;
    }
    streams.output.flush()?;
    Ok(0)
}

impl Order {
    /// Reads `2`, `2,3`, `2n` or `2,2nr`.
    fn read_key(&mut self, text: &str) -> Result<(), Failure> {
        let options: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        let digits: String = text.chars().filter(|c| !c.is_ascii_alphabetic()).collect();
        self.numeric |= options.contains('n');
        self.reverse |= options.contains('r');
        self.fold_case |= options.contains('f');
        let (first, last) = match digits.split_once(',') {
            Some((first, last)) => (args::parse(first)?, args::parse(last)?),
            None => (args::parse(&digits)?, usize::MAX),
        };
        if first == 0 {
            return Err(Failure::Usage(format!("`{text}`: fields begin with 1")));
        }
        self.key = Some((first, last));
        Ok(())
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let ordering = self.compare_keys(a, b);
        // Equal keys fall back to the whole line, so that the answer does not depend on the input's order.
        let ordering = if self.unique {
            ordering
        } else {
            ordering.then_with(|| a.cmp(b))
        };
        if self.reverse {
            ordering.reverse()
        } else {
            ordering
        }
    }

    fn compare_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        let (a, b) = (self.key_of(a), self.key_of(b));
        if self.numeric {
            return number(a).total_cmp(&number(b));
        }
        if self.fold_case {
            let upper = |byte: &u8| byte.to_ascii_uppercase();
            return a.iter().map(upper).cmp(b.iter().map(upper));
        }
        a.cmp(b)
    }

    fn key_of<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let Some((first, last)) = self.key else {
            return line;
        };
        let (mut start, mut field, mut begins, mut in_field) = (line.len(), 0, true, false);
        for (index, byte) in line.iter().enumerate() {
            let (separates, ends) = match self.separator {
                Some(separator) => (*byte == separator, *byte == separator),
                None => (byte.is_ascii_whitespace(), byte.is_ascii_whitespace() && in_field),
            };
            if begins && (self.separator.is_some() || !separates) {
                field += 1;
                (begins, in_field) = (false, true);
                if field == first {
                    start = index;
                }
            }
            if ends {
                if field == last {
                    return &line[start.min(index)..index];
                }
                (begins, in_field) = (true, false);
            }
        }
        &line[start..]
    }
}

/// The number a text begins with, 0 if none.
fn number(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let is_part = |(index, byte): &(usize, &u8)| {
        byte.is_ascii_digit() || **byte == b'.' || (*index == 0 && **byte == b'-')
    };
    let length = text.iter().enumerate().take_while(is_part).count();
    std::str::from_utf8(&text[..length])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}
