//! `sed`, the part of it that people use in one line: `s/old/new/2gip`, `d`, `p`, `q`, each on all lines or on those
//! of a number, of a pattern, the last (`$`), or a range of such.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::str::FromStr;

use lexopt::prelude::{Short, Value};
use regex_lite::Regex;

use super::pattern::Dialect;
use super::{Failure, Streams, next_line, without_end};
use crate::args;

/// Which line.
enum Place {
    Number(u64),
    Last,
    Matching(Regex),
}

impl Place {
    fn is(&self, line: &str, number: u64, is_last: bool) -> bool {
        match self {
            Self::Number(wanted) => *wanted == number,
            Self::Last => is_last,
            Self::Matching(pattern) => pattern.is_match(line),
        }
    }
}

/// What is done to a line.
enum Action {
    Substitute(Substitution),
    Delete,
    Print,
    Quit,
}

/// `s/pattern/replacement/flags`.
struct Substitution {
    pattern: Regex,
    replacement: Vec<Piece>,
    /// The first match of a line that is replaced, from 1.
    first: usize,
    /// And those after it, too.
    all: bool,
    print: bool,
}

/// A part of a replacement.
enum Piece {
    Text(String),
    /// The whole match (0) or a group of it.
    Group(usize),
}

struct Command {
    from: Option<Place>,
    to: Option<Place>,
    negate: bool,
    action: Action,
    /// Whether the lines are inside the range now.
    inside: bool,
}

pub(super) fn sed(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut scripts, mut quiet, mut extended) = (Vec::new(), Vec::new(), false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('n') => quiet = true,
            Short('E' | 'r') => extended = true,
            Short('e') => scripts.push(args::text(&mut parser)?),
            other => return Err(other.unexpected().into()),
        }
    }
    if scripts.is_empty() {
        if names.is_empty() {
            return Err(Failure::Usage("a script is missing".to_owned()));
        }
        scripts.push(args::utf8(names.remove(0))?);
    }
    let script = scripts.join("\n");
    let mut commands = Reader {
        rest: &script,
        extended,
    }
    .commands()?;
    let (mut line, mut number, mut quit) = (Vec::new(), 0, false);
    streams.for_each_file(&names, |_, input, output| {
        while !quit && next_line(input, &mut line)? {
            number += 1;
            let is_last = input.fill_buf()?.is_empty();
            let mut text = String::from_utf8_lossy(without_end(&line)).into_owned();
            let end = &line[without_end(&line).len()..];
            let mut deleted = false;
            for command in &mut commands {
                if !command.applies(&text, number, is_last) {
                    continue;
                }
                match &command.action {
                    Action::Substitute(substitution) => {
                        if let Some(changed) = substitution.apply(&text) {
                            text = changed;
                            if substitution.print {
                                writeln!(output, "{text}")?;
                            }
                        }
                    }
                    Action::Delete => deleted = true,
                    Action::Print => writeln!(output, "{text}")?,
                    Action::Quit => quit = true,
                }
                if deleted || quit {
                    break;
                }
            }
            if !deleted && !quiet {
                output.write_all(text.as_bytes())?;
                output.write_all(end)?;
            }
        }
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

impl Command {
    fn applies(&mut self, line: &str, number: u64, is_last: bool) -> bool {
        let selected = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(place), None) => place.is(line, number, is_last),
            (Some(_), Some(to)) if self.inside => {
                // A number that is already behind us ends the range with its first line.
                let ended =
                    to.is(line, number, is_last) || matches!(to, Place::Number(end) if *end <= number);
                self.inside = !ended;
                !matches!(to, Place::Number(end) if *end < number)
            }
            (Some(from), Some(to)) => {
                let begins = from.is(line, number, is_last);
                self.inside = begins && !matches!(to, Place::Number(end) if *end <= number);
                begins
            }
        };
        selected != self.negate
    }
}

impl Substitution {
    /// The line with what matches replaced, or `None` if nothing does.
    fn apply(&self, line: &str) -> Option<String> {
        let mut changed = String::with_capacity(line.len());
        let mut copied = 0;
        let mut any = false;
        let most = if self.all { usize::MAX } else { 1 };
        for found in self.pattern.captures_iter(line).skip(self.first - 1).take(most) {
            let whole = found.get(0)?;
            changed.push_str(&line[copied..whole.start()]);
            for piece in &self.replacement {
                match piece {
                    Piece::Text(text) => changed.push_str(text),
                    Piece::Group(group) => {
                        changed.push_str(found.get(*group).map_or("", |group| group.as_str()))
                    }
                }
            }
            copied = whole.end();
            any = true;
        }
        changed.push_str(&line[copied..]);
        any.then_some(changed)
    }
}

/// Reads a script from its beginning on.
struct Reader<'a> {
    rest: &'a str,
    extended: bool,
}

impl Reader<'_> {
    fn commands(mut self) -> Result<Vec<Command>, Failure> {
        let mut commands = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', ';', '\n']);
            if self.rest.is_empty() {
                return Ok(commands);
            }
            commands.push(self.command()?);
        }
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let is_next = self.rest.starts_with(wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn command(&mut self) -> Result<Command, Failure> {
        let from = self.place()?;
        let to = if from.is_some() && self.next_if(',') {
            self.place()?
        } else {
            None
        };
        self.rest = self.rest.trim_start();
        let negate = self.next_if('!');
        let action = match self.next() {
            Some('d') => Action::Delete,
            Some('p') => Action::Print,
            Some('q') => Action::Quit,
            Some('s') => self.substitution()?,
            other => {
                let name = other.map_or_else(String::new, String::from);
                return Err(Failure::Usage(format!(
                    "`{name}` is not one of the commands s, d, p, q"
                )));
            }
        };
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        if !self.rest.is_empty() && !self.rest.starts_with([';', '\n']) {
            return Err(Failure::Usage(format!("cannot make sense of `{}`", self.rest)));
        }
        Ok(Command {
            from,
            to,
            negate,
            action,
            inside: false,
        })
    }

    fn place(&mut self) -> Result<Option<Place>, Failure> {
        if self.next_if('$') {
            return Ok(Some(Place::Last));
        }
        if self.next_if('/') {
            let pattern = self.until('/')?;
            return Ok(Some(Place::Matching(self.dialect(false).compile(&pattern)?)));
        }
        if self.rest.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Ok(Some(Place::Number(self.digits()?)));
        }
        Ok(None)
    }

    fn dialect(&self, ignore_case: bool) -> Dialect {
        Dialect {
            extended: self.extended,
            ignore_case,
            ..Dialect::default()
        }
    }

    fn substitution(&mut self) -> Result<Action, Failure> {
        let delimiter = self
            .next()
            .ok_or_else(|| Failure::Usage("s needs a pattern".to_owned()))?;
        let (pattern, replacement) = (self.until(delimiter)?, self.until(delimiter)?);
        let (mut first, mut all, mut print, mut ignore_case) = (1, false, false, false);
        loop {
            if self.next_if('g') {
                all = true;
            } else if self.next_if('p') {
                print = true;
            } else if self.next_if('i') || self.next_if('I') {
                ignore_case = true;
            } else if self.rest.starts_with(|letter: char| matches!(letter, '1'..='9')) {
                first = self.digits()?;
            } else {
                break;
            }
        }
        let pattern = self.dialect(ignore_case).compile(&pattern)?;
        let replacement = pieces(&replacement);
        Ok(Action::Substitute(Substitution {
            pattern,
            replacement,
            first,
            all,
            print,
        }))
    }

    /// The number that comes next.
    fn digits<T: FromStr>(&mut self) -> Result<T, Failure> {
        let length = self
            .rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let number = args::parse(&self.rest[..length])?;
        self.rest = &self.rest[length..];
        Ok(number)
    }

    /// Up to the next `delimiter` that has no backslash before it; that backslash goes.
    fn until(&mut self, delimiter: char) -> Result<String, Failure> {
        let mut text = String::new();
        while let Some(letter) = self.next() {
            if letter == delimiter {
                return Ok(text);
            }
            if letter == '\\' {
                match self.next() {
                    Some(escaped) if escaped == delimiter => text.push(delimiter),
                    Some('n') => text.push('\n'),
                    Some(other) => text.extend(['\\', other]),
                    None => break,
                }
            } else {
                text.push(letter);
            }
        }
        Err(Failure::Usage(format!("`{delimiter}` is missing at the end")))
    }
}

/// `&` is the match, `\1` its first group.
fn pieces(replacement: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut letters = replacement.chars();
    while let Some(letter) = letters.next() {
        let group = match letter {
            '&' => Some(0),
            '\\' => match letters.next() {
                Some(digit @ '0'..='9') => digit.to_digit(10).and_then(|group| usize::try_from(group).ok()),
                Some('t') => {
                    text.push('\t');
                    None
                }
                Some(other) => {
                    text.push(other);
                    None
                }
                None => None,
            },
            other => {
                text.push(other);
                None
            }
        };
        if let Some(group) = group {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Group(group));
        }
    }
    pieces.push(Piece::Text(text));
    pieces
}
