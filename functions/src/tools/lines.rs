//! Tools that look at each line: wc, nl, cut, uniq.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};

use lexopt::prelude::{Short, Value};

use super::{Failure, Streams, next_line, without_end};
use crate::args;

/// What `wc` counts in one file.
#[derive(Default, Clone, Copy)]
struct Counts {
    lines: u64,
    words: u64,
    characters: u64,
    bytes: u64,
}

pub(super) fn wc(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut wanted) = (Vec::new(), String::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short(what @ ('l' | 'w' | 'c' | 'm')) => wanted.push(what),
            other => return Err(other.unexpected().into()),
        }
    }
    if wanted.is_empty() {
        wanted.push_str("lwc");
    }
    // As GNU's: a lone number stands alone, several are set in columns.
    let width = if wanted.len() == 1 && names.len() < 2 {
        0
    } else {
        7
    };
    let mut total = Counts::default();
    streams.for_each_file(&names, |name, input, output| {
        let counts = count(input)?;
        total.lines += counts.lines;
        total.words += counts.words;
        total.characters += counts.characters;
        total.bytes += counts.bytes;
        let name = if names.is_empty() {
            String::new()
        } else {
            format!(" {}", name.to_string_lossy())
        };
        print_counts(counts, &wanted, width, &name, output)
    })?;
    if names.len() > 1 {
        print_counts(total, &wanted, width, " total", &mut streams.output)?;
    }
    streams.output.flush()?;
    Ok(0)
}

fn count(input: &mut impl BufRead) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut in_word = false;
    loop {
        let read = input.fill_buf()?;
        if read.is_empty() {
            return Ok(counts);
        }
        for byte in read {
            counts.lines += u64::from(*byte == b'\n');
            // Bytes that go on with a character begin with 10 in binary.
            counts.characters += u64::from(byte & 0xc0 != 0x80);
            let is_space = matches!(byte, b' ' | b'\t'..=b'\r');
            counts.words += u64::from(!is_space && !in_word);
            in_word = !is_space;
        }
        let length = read.len();
        counts.bytes += length as u64;
        input.consume(length);
    }
}

fn print_counts(
    counts: Counts,
    wanted: &str,
    width: usize,
    name: &str,
    output: &mut BufWriter<File>,
) -> Result<(), Failure> {
    let columns = [
        ('l', counts.lines),
        ('w', counts.words),
        ('m', counts.characters),
        ('c', counts.bytes),
    ];
    let chosen = columns.iter().filter(|(what, _)| wanted.contains(*what));
    let texts: Vec<String> = chosen.map(|(_, number)| format!("{number:width$}")).collect();
    writeln!(output, "{}{name}", texts.join(" "))?;
    Ok(())
}

pub(super) fn nl(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut all) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('b') => {
                all = match args::text(&mut parser)?.as_str() {
                    "a" => true,
                    "t" => false,
                    other => return Err(Failure::Usage(format!("-b takes a or t and not `{other}`"))),
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut number = 0;
    streams.for_each_line(&names, |line, _, output| {
        if line.is_empty() && !all {
            output.write_all(b"       ")?;
        } else {
            number += 1;
            write!(output, "{number:6}\t")?;
        }
        output.write_all(line)?;
        output.write_all(b"\n")?;
        Ok(true)
    })?;
    streams.output.flush()?;
    Ok(0)
}

/// Positions from 1, such as `1,3-5,7-`.
struct Ranges(Vec<(usize, usize)>);

impl Ranges {
    fn parse(list: &str) -> Result<Self, Failure> {
        let end = |text: &str, open| {
            if text.is_empty() {
                Ok(open)
            } else {
                args::parse(text)
            }
        };
        let ranges = list.split(',').map(|range| {
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (end(first, 1)?, end(last, usize::MAX)?),
                None => (args::parse(range)?, args::parse(range)?),
            };
            match first {
                0 => Err(Failure::Usage(format!("`{list}`: positions begin with 1"))),
                _ => Ok((first, last)),
            }
        });
        Ok(Self(ranges.collect::<Result<_, _>>()?))
    }

    fn contain(&self, position: usize) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&position))
    }
}

/// What `cut` cuts lines into.
enum Unit {
    Bytes,
    Characters,
    Fields,
}

pub(super) fn cut(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut wanted, mut delimiter, mut only_cut) = (Vec::new(), None, b'\t', false);
    while let Some(argument) = parser.next()? {
        let unit = match argument {
            Value(name) => {
                names.push(name);
                continue;
            }
            Short('d') => {
                let text = args::text(&mut parser)?;
                let [byte] = text.as_bytes() else {
                    return Err(Failure::Usage(format!(
                        "the delimiter must be one character and not `{text}`"
                    )));
                };
                delimiter = *byte;
                continue;
            }
            Short('s') => {
                only_cut = true;
                continue;
            }
            Short('b') => Unit::Bytes,
            Short('c') => Unit::Characters,
            Short('f') => Unit::Fields,
            other => return Err(other.unexpected().into()),
        };
        wanted = Some((unit, Ranges::parse(&args::text(&mut parser)?)?));
    }
    let (unit, ranges) =
        wanted.ok_or_else(|| Failure::Usage("say what to keep with -f, -c or -b".to_owned()))?;
    streams.for_each_line(&names, |line, _, output| {
        let kept: Vec<u8> = match unit {
            Unit::Bytes => keep(line.iter().copied().map(|byte| [byte]), &ranges).concat(),
            Unit::Characters => {
                let text = String::from_utf8_lossy(line);
                keep(text.chars(), &ranges)
                    .into_iter()
                    .collect::<String>()
                    .into_bytes()
            }
            Unit::Fields if line.contains(&delimiter) => {
                keep(line.split(|byte| *byte == delimiter), &ranges).join(&delimiter)
            }
            Unit::Fields if only_cut => return Ok(true),
            Unit::Fields => line.to_vec(),
        };
        output.write_all(&kept)?;
        output.write_all(b"\n")?;
        Ok(true)
    })?;
    streams.output.flush()?;
    Ok(0)
}

fn keep<T>(pieces: impl Iterator<Item = T>, ranges: &Ranges) -> Vec<T> {
    pieces
        .enumerate()
        .filter(|(index, _)| ranges.contain(index + 1))
        .map(|(_, piece)| piece)
        .collect()
}

/// Which groups of equal lines `uniq` prints, and how.
#[derive(Default)]
struct Groups {
    count: bool,
    only_repeated: bool,
    only_single: bool,
    ignore_case: bool,
}

pub(super) fn uniq(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut groups) = (Vec::new(), Groups::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('c') => groups.count = true,
            Short('d') => groups.only_repeated = true,
            Short('u') => groups.only_single = true,
            Short('i') => groups.ignore_case = true,
            other => return Err(other.unexpected().into()),
        }
    }
    streams.for_each_file(&names, |_, input, output| {
        let (mut first, mut line, mut times) = (Vec::new(), Vec::new(), 0);
        while next_line(input, &mut line)? {
            let (known, new) = (without_end(&first), without_end(&line));
            let same = if groups.ignore_case {
                known.eq_ignore_ascii_case(new)
            } else {
                known == new
            };
            if times > 0 && same {
                times += 1;
                continue;
            }
            groups.print(known, times, output)?;
            std::mem::swap(&mut first, &mut line);
            times = 1;
        }
        groups.print(without_end(&first), times, output)
    })?;
    streams.output.flush()?;
    Ok(0)
}

impl Groups {
    fn print(&self, line: &[u8], times: u64, output: &mut BufWriter<File>) -> Result<(), Failure> {
        if times == 0 || (self.only_repeated && times == 1) || (self.only_single && times > 1) {
            return Ok(());
        }
        if self.count {
            write!(output, "{times:7} ")?;
        }
        output.write_all(line)?;
        output.write_all(b"\n")?;
        Ok(())
    }
}
