//! The tools: one table, and what they share (streams, files named as operands, how failures are told).
//!
//! Each tool is a function from its arguments and the standard streams to an exit status. They work on bytes unless
//! they are about characters, and do the common part of what POSIX and GNU document under the same name.

mod digest;
mod grep;
mod lines;
mod pattern;
mod print;
mod sed;
mod sort;
mod streams;
mod system;
mod tr;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::os::fd::AsFd;

/// Size of the buffers between a tool and its pipes: what a pipe holds.
const BUFFER: usize = 64 * 1024;

/// One tool.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
    pub(crate) run: fn(Vec<OsString>, Streams) -> Result<u8, Failure>,
}

macro_rules! tools {
    ($($name:literal $run:path, $sentence:literal;)*) => {
        /// Every tool, by name.
        pub(crate) const TOOLS: &[Tool] = &[$(Tool { name: $name, sentence: $sentence, run: $run }),*];
    };
}

tools! {
    "base64" digest::base64, "Encodes in base64, or decodes with -d.";
    "cat" streams::cat, "Passes on what it reads, or the files named.";
    "cut" lines::cut, "Keeps fields (-f, -d) or characters (-c, -b) of every line.";
    "date" system::date, "Prints the time, in a +FORMAT if one is given; always UTC.";
    "echo" print::echo, "Prints its arguments.";
    "env" system::env, "Prints its environment, or runs a command in a changed one.";
    "false" system::no, "Fails.";
    "grep" grep::grep, "Keeps the lines that match a pattern (-v -i -n -c -o -q -w -x -E -F).";
    "head" streams::head, "Keeps the first lines (-n) or bytes (-c).";
    "hostname" system::hostname, "Prints the name of this computer or container.";
    "md5sum" digest::md5sum, "Prints MD5 checksums.";
    "nl" lines::nl, "Numbers lines.";
    "printenv" system::printenv, "Prints the environment, or single variables of it.";
    "printf" print::printf, "Prints its arguments in a format.";
    "rev" streams::rev, "Turns every line around.";
    "sed" sed::sed, "Edits lines: s/…/…/, d, p, q, on all or on /matching/ or numbered lines.";
    "seq" print::seq, "Prints numbers from first to last.";
    "sh" crate::shell::sh, "Runs -c 'tool | tool; tool && tool', with quotes and $VARIABLES.";
    "sha256sum" digest::sha256sum, "Prints SHA-256 checksums.";
    "sha512sum" digest::sha512sum, "Prints SHA-512 checksums.";
    "sleep" system::sleep, "Waits for the seconds given.";
    "sort" sort::sort, "Sorts lines (-n -r -u -f -k -t).";
    "tac" streams::tac, "Puts the last line first.";
    "tail" streams::tail, "Keeps the last lines (-n) or bytes (-c).";
    "tee" streams::tee, "Passes on what it reads and keeps a copy in files.";
    "tr" tr::tr, "Translates, deletes (-d) or squeezes (-s) characters.";
    "true" system::yes_of_course, "Succeeds.";
    "uname" system::uname, "Prints what system this is.";
    "uniq" lines::uniq, "Drops lines that repeat the one before (-c -d -u -i).";
    "wc" lines::wc, "Counts lines, words and bytes.";
    "yes" streams::yes, "Prints y, or its arguments, for ever.";
}

/// The tool of that name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Why a tool or function did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Argument(#[from] lexopt::Error),
    #[error("{0}: not found")]
    NotFound(String),
    #[error("{name}: {source}")]
    File { name: String, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// Why `name` could not be started.
    pub(crate) fn not_started(name: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(name),
            _ => Self::File { name, source },
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit status, as shells and POSIX tools choose it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Argument(_) => 2,
            Self::NotFound(_) => 127,
            // What a shell reports for a process that SIGPIPE ended.
            _ if self.is_broken_pipe() => 141,
            Self::File { .. } | Self::Io(_) => 1,
        }
    }
}

/// Standard input and output, with buffers of [`BUFFER`].
pub(crate) struct Streams {
    pub(crate) input: BufReader<File>,
    pub(crate) output: BufWriter<File>,
}

impl Streams {
    /// Those of this process.
    ///
    /// # Errors
    /// When they are closed.
    pub(crate) fn standard() -> Result<Self, Failure> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self {
            input: BufReader::with_capacity(BUFFER, input),
            output: BufWriter::with_capacity(BUFFER, output),
        })
    }

    /// Calls `each` with the name of every file in `names` and its content, or with standard input when there are
    /// none. `-` is standard input, too.
    ///
    /// # Errors
    /// At the first file that cannot be read, or the first error of `each`.
    pub(crate) fn for_each_file(
        &mut self,
        names: &[OsString],
        mut each: impl FnMut(&OsStr, &mut BufReader<File>, &mut BufWriter<File>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if names.is_empty() {
            return each(OsStr::new("-"), &mut self.input, &mut self.output);
        }
        for name in names {
            if name == "-" {
                each(name, &mut self.input, &mut self.output)?;
            } else {
                each(name, &mut open(name)?, &mut self.output)?;
            }
        }
        Ok(())
    }

    /// As [`Self::for_each_file`], a line at a time, with its number counted over all files. `each` gets the line
    /// without its end and says whether to go on.
    ///
    /// # Errors
    /// As [`Self::for_each_file`].
    pub(crate) fn for_each_line(
        &mut self,
        names: &[OsString],
        mut each: impl FnMut(&[u8], u64, &mut BufWriter<File>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut number = 0;
        let mut more = true;
        let mut line = Vec::new();
        self.for_each_file(names, |_, input, output| {
            while more && next_line(input, &mut line)? {
                number += 1;
                more = each(without_end(&line), number, output)?;
            }
            Ok(())
        })
    }
}

/// Opens a file named as an operand.
pub(crate) fn open(name: &OsStr) -> Result<BufReader<File>, Failure> {
    let file = File::open(name).map_err(|source| Failure::File {
        name: name.to_string_lossy().into_owned(),
        source,
    })?;
    Ok(BufReader::with_capacity(BUFFER, file))
}

/// Reads the next line with its end into `line`. False when there is none.
pub(crate) fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input.read_until(b'\n', line)? > 0)
}

/// The line without its final newline.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
