//! `grep`: lines that match. Lines that are not text are matched as if their odd bytes were �.

use std::ffi::OsString;
use std::io::Write;

use lexopt::prelude::{Short, Value};
use regex_lite::Regex;

use super::pattern::Dialect;
use super::{Failure, Streams, next_line, without_end};
use crate::args;

/// What is done with the lines.
#[derive(Default)]
struct Options {
    dialect: Dialect,
    patterns: Vec<String>,
    invert: bool,
    number: bool,
    count: bool,
    only_match: bool,
    quiet: bool,
    names: Vec<OsString>,
}

impl Options {
    fn read(arguments: Vec<OsString>) -> Result<Self, Failure> {
        let mut parser = args::parser(arguments);
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) => options.names.push(name),
                Short('e') => options.patterns.push(args::text(&mut parser)?),
                Short('E') => options.dialect.extended = true,
                Short('F') => options.dialect.fixed = true,
                Short('G') => options.dialect.extended = false,
                Short('i' | 'y') => options.dialect.ignore_case = true,
                Short('w') => options.dialect.whole_word = true,
                Short('x') => options.dialect.whole_line = true,
                Short('v') => options.invert = true,
                Short('n') => options.number = true,
                Short('c') => options.count = true,
                Short('o') => options.only_match = true,
                Short('q') => options.quiet = true,
                Short('h' | 'a' | 's') => {}
                other => return Err(other.unexpected().into()),
            }
        }
        if options.patterns.is_empty() {
            if options.names.is_empty() {
                return Err(Failure::Usage("a pattern is missing".to_owned()));
            }
            options.patterns.push(args::utf8(options.names.remove(0))?);
        }
        Ok(options)
    }
}

pub(super) fn grep(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let options = Options::read(arguments)?;
    let lines_of_patterns = options.patterns.iter().flat_map(|pattern| pattern.split('\n'));
    let patterns: Vec<Regex> = lines_of_patterns
        .map(|pattern| options.dialect.compile(pattern))
        .collect::<Result<_, _>>()?;
    let mut found_any = false;
    streams.for_each_file(&options.names, |name, input, output| {
        let prefix = if options.names.len() > 1 {
            format!("{}:", name.to_string_lossy())
        } else {
            String::new()
        };
        let (mut line, mut number, mut found) = (Vec::new(), 0_u64, 0_u64);
        while next_line(input, &mut line)? {
            number += 1;
            let text = String::from_utf8_lossy(without_end(&line));
            if patterns.iter().any(|pattern| pattern.is_match(&text)) == options.invert {
                continue;
            }
            found += 1;
            if options.quiet {
                break;
            }
            if options.count {
                continue;
            }
            let prefix = if options.number {
                format!("{prefix}{number}:")
            } else {
                prefix.clone()
            };
            if options.only_match {
                for matched in patterns
                    .iter()
                    .flat_map(|pattern| pattern.find_iter(&text))
                    .filter(|m| !m.is_empty())
                {
                    writeln!(output, "{prefix}{}", matched.as_str())?;
                }
            } else {
                output.write_all(prefix.as_bytes())?;
                output.write_all(without_end(&line))?;
                output.write_all(b"\n")?;
            }
        }
        if options.count && !options.quiet {
            writeln!(output, "{prefix}{found}")?;
        }
        found_any |= found > 0;
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(u8::from(!found_any))
}
