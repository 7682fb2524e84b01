//! Tools that pass on what they read, whole or in part: cat, head, tail, tac, rev, tee, yes.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use lexopt::prelude::{Long, Short, Value};

use super::{Failure, Streams, next_line, open, without_end};
use crate::args;

pub(super) fn cat(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut number) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('n') => number = true,
            Short('u') => {}
            other => return Err(other.unexpected().into()),
        }
    }
    if number {
        streams.for_each_line(&names, |line, number, output| {
            write!(output, "{number:6}\t")?;
            output.write_all(line)?;
            output.write_all(b"\n")?;
            Ok(true)
        })?;
        streams.output.flush()?;
        return Ok(0);
    }
    // File to file, so that the kernel can move the bytes itself (splice).
    let mut output = streams.output.get_ref();
    if names.is_empty() {
        names.push("-".into());
    }
    for name in names {
        if name == "-" {
            io::copy(&mut streams.input.get_ref(), &mut output)?;
        } else {
            io::copy(&mut open(&name)?.get_ref(), &mut output)?;
        }
    }
    Ok(0)
}

/// How much of the input `head` and `tail` keep.
#[derive(Clone, Copy)]
struct Amount {
    number: u64,
    of_bytes: bool,
    /// `head -n -3`: all but the last; `tail -n +3`: from the third on.
    from_other_end: bool,
}

/// Reads the options of `head` and `tail`: `-n N`, `-c N`, `-N`. `other_end` is the sign that counts from there.
fn amount(arguments: Vec<OsString>, other_end: char) -> Result<(Amount, Vec<OsString>), Failure> {
    let mut parser = args::parser(arguments);
    let mut amount = Amount {
        number: 10,
        of_bytes: false,
        from_other_end: false,
    };
    let (mut names, mut digits) = (Vec::new(), String::new());
    while let Some(argument) = parser.next()? {
        let of_bytes = match argument {
            Short('n') | Long("lines") => false,
            Short('c') | Long("bytes") => true,
            Short(digit @ '0'..='9') => {
                digits.push(digit);
                amount.number = args::parse(&digits)?;
                continue;
            }
            Short('q') => continue,
            Value(name) => {
                names.push(name);
                continue;
            }
            other => return Err(other.unexpected().into()),
        };
        let text = args::text(&mut parser)?;
        let from_other_end = text.starts_with(other_end);
        amount = Amount {
            number: args::parse(text.trim_start_matches(['-', '+']))?,
            of_bytes,
            from_other_end,
        };
    }
    Ok((amount, names))
}

pub(super) fn head(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let (amount, names) = amount(arguments, '-')?;
    streams.for_each_file(&names, |_, input, output| {
        match (amount.of_bytes, amount.from_other_end) {
            (true, false) => _ = io::copy(&mut input.take(amount.number), output)?,
            (true, true) => {
                let mut all = Vec::new();
                input.read_to_end(&mut all)?;
                output.write_all(&all[..all.len().saturating_sub(index(amount.number))])?;
            }
            (false, false) => {
                let mut line = Vec::new();
                let mut left = amount.number;
                while left > 0 && next_line(input, &mut line)? {
                    output.write_all(&line)?;
                    left -= 1;
                }
            }
            (false, true) => {
                let lines = all_lines(input)?;
                lines
                    .iter()
                    .take(lines.len().saturating_sub(index(amount.number)))
                    .try_for_each(|line| output.write_all(line))?;
            }
        }
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn tail(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let (amount, names) = amount(arguments, '+')?;
    streams.for_each_file(&names, |_, input, output| match amount.of_bytes {
        true => tail_bytes(amount, input, output),
        false => tail_lines(amount, input, output),
    })?;
    streams.output.flush()?;
    Ok(0)
}

fn tail_bytes(
    amount: Amount,
    input: &mut BufReader<File>,
    output: &mut BufWriter<File>,
) -> Result<(), Failure> {
    if amount.from_other_end {
        io::copy(&mut input.take(amount.number.saturating_sub(1)), &mut io::sink())?;
        io::copy(input, output)?;
        return Ok(());
    }
    let mut all = Vec::new();
    input.read_to_end(&mut all)?;
    output.write_all(&all[all.len().saturating_sub(index(amount.number))..])?;
    Ok(())
}

fn tail_lines(
    amount: Amount,
    input: &mut BufReader<File>,
    output: &mut BufWriter<File>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    if amount.from_other_end {
        let mut number = 0;
        while next_line(input, &mut line)? {
            number += 1;
            if number >= amount.number {
                output.write_all(&line)?;
            }
        }
        return Ok(());
    }
    let mut last = VecDeque::new();
    while next_line(input, &mut line)? {
        last.push_back(std::mem::take(&mut line));
        if last.len() > index(amount.number) {
            last.pop_front();
        }
    }
    last.iter().try_for_each(|line| output.write_all(line))?;
    Ok(())
}

/// A count as an index: more than fits is more than there is.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn all_lines(input: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while next_line(input, &mut line)? {
        lines.push(std::mem::take(&mut line));
    }
    Ok(lines)
}

pub(super) fn tac(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    streams.for_each_file(&arguments, |_, input, output| {
        all_lines(input)?
            .iter()
            .rev()
            .try_for_each(|line| output.write_all(line))?;
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn rev(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    streams.for_each_file(&arguments, |_, input, output| {
        let mut line = Vec::new();
        while next_line(input, &mut line)? {
            output.write_all(&reversed(without_end(&line)))?;
            output.write_all(&line[without_end(&line).len()..])?;
        }
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

/// A line turned around: by characters if it is text, else by bytes. Turning it around twice gives the line again,
/// whatever it holds: bytes that are text only when read backwards stay as they are.
fn reversed(line: &[u8]) -> Vec<u8> {
    if let Ok(text) = std::str::from_utf8(line) {
        return text.chars().rev().collect::<String>().into_bytes();
    }
    let backwards: Vec<u8> = line.iter().rev().copied().collect();
    match std::str::from_utf8(&backwards) {
        Ok(_) => line.to_vec(),
        Err(_) => backwards,
    }
}

pub(super) fn tee(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut append) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('a') => append = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut files = Vec::new();
    for name in names {
        let opened = OpenOptions::new()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(&name);
        files.push(opened.map_err(|source| Failure::File {
            name: name.to_string_lossy().into_owned(),
            source,
        })?);
    }
    loop {
        let read = streams.input.fill_buf()?;
        if read.is_empty() {
            break;
        }
        for file in &mut files {
            file.write_all(read)?;
        }
        streams.output.get_mut().write_all(read)?;
        let length = read.len();
        streams.input.consume(length);
    }
    Ok(0)
}

pub(super) fn yes(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let words = args::all_utf8(arguments)?;
    let line = if words.is_empty() {
        "y".to_owned()
    } else {
        words.join(" ")
    };
    loop {
        writeln!(streams.output, "{line}")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_turned_around_twice_is_the_line_again() {
        for line in [
            &b"abc"[..],
            "h\u{e9}llo \u{1f353}".as_bytes(),
            b"\xa9\xc3",
            b"\xff\x00\xfe",
            b"a\xffb",
            b"",
        ] {
            assert_eq!(reversed(&reversed(line)), line, "{line:?}");
        }
        // Every line of two bytes, and every line of three bytes around the borders of UTF-8.
        for first in 0..=255 {
            for second in 0..=255 {
                assert_eq!(reversed(&reversed(&[first, second])), [first, second]);
                for third in [0x41, 0x7f, 0x80, 0xa9, 0xbf, 0xc3, 0xe2, 0xf0, 0xff] {
                    assert_eq!(
                        reversed(&reversed(&[first, second, third])),
                        [first, second, third]
                    );
                }
            }
        }
    }

    #[test]
    fn characters_and_not_their_bytes_are_turned_around() {
        assert_eq!(reversed("h\u{e9}llo".as_bytes()), "oll\u{e9}h".as_bytes());
    }
}
