//! Where a command's answer goes: a terminal with a width and colours, or a pipe with neither.

use std::io::{self, IsTerminal, Write};

use super::{
    failure::Failure,
    table::{Table, Tone},
};

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Out {
    /// Columns of the terminal; none where the output is piped.
    width: Option<usize>,
    terminal: bool,
    colour: bool,
    /// Whether somebody watches the other stream, for progress.
    watched: bool,
}

impl Out {
    /// The output of this process.
    pub(crate) fn of_process() -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal
            .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
            .flatten()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0);
        Self {
            width,
            terminal,
            colour: terminal && !dumb && !no_colour,
            watched: io::stderr().is_terminal() && !dumb,
        }
    }

    /// Whether colours are wanted.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes a line.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{}", text.as_ref())?)
    }

    /// Writes bytes as they are, at once.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Ends a line that what was written last left open, on a terminal: nothing shall be written behind it.
    pub(crate) fn end_open_line(&self, last: Option<u8>) -> Result<(), Failure> {
        match last {
            Some(byte) if self.terminal && byte != b'\n' => self.raw(b"\n"),
            _ => Ok(()),
        }
    }

    /// Writes a table as wide as the terminal.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        self.raw(table.render(self.width, self.colour).as_bytes())
    }

    /// Writes JSON as the bramble said it, with a line end.
    pub(crate) fn json(&self, body: &[u8]) -> Result<(), Failure> {
        let end: &[u8] = if body.ends_with(b"\n") { b"" } else { b"\n" };
        self.raw(body)?;
        self.raw(end)
    }

    /// `text` in a colour, where colours are wanted.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour {
            tone.paint(text)
        } else {
            text.to_owned()
        }
    }

    /// Tells something beside the answer.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        // Nobody can be told that there is nobody to tell.
        _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Shows how far it is, in a line that the next one replaces; only to people.
    pub(crate) fn progress(&self, text: &str) {
        if self.watched {
            let columns =
                rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
            let text = super::table::shorten(text, columns.saturating_sub(1));
            _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
        }
    }

    /// Takes the line of [`Out::progress`] away.
    pub(crate) fn progress_is_over(&self) {
        if self.watched {
            _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
