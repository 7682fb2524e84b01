//! Checksums and base64.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use lexopt::prelude::{Long, Short, Value};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use super::{BUFFER, Failure, Streams};
use crate::args;

pub(super) fn sha256sum(arguments: Vec<OsString>, streams: Streams) -> Result<u8, Failure> {
    checksums::<Sha256>(arguments, streams)
}

pub(super) fn sha512sum(arguments: Vec<OsString>, streams: Streams) -> Result<u8, Failure> {
    checksums::<Sha512>(arguments, streams)
}

pub(super) fn md5sum(arguments: Vec<OsString>, streams: Streams) -> Result<u8, Failure> {
    checksums::<Md5>(arguments, streams)
}

/// One line per file: the checksum in hexadecimal, two spaces, the name (`-` for standard input).
fn checksums<D: Digest>(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let mut names = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('b' | 't') => {}
            other => return Err(other.unexpected().into()),
        }
    }
    let mut buffer = vec![0; BUFFER];
    streams.for_each_file(&names, |name, input, output| {
        let mut digest = D::new();
        loop {
            let read = input.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
        }
        for byte in digest.finalize().iter() {
            write!(output, "{byte:02x}")?;
        }
        writeln!(output, "  {}", name.to_string_lossy())?;
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn base64(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut names, mut decode, mut width) = (Vec::new(), false, 76);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => names.push(name),
            Short('d') | Long("decode") => decode = true,
            Short('w') | Long("wrap") => width = args::value(&mut parser)?,
            other => return Err(other.unexpected().into()),
        }
    }
    streams.for_each_file(&names, |_, input, output| {
        if decode {
            let mut text = Vec::new();
            input.read_to_end(&mut text)?;
            text.retain(|byte| !byte.is_ascii_whitespace());
            let bytes = STANDARD
                .decode(&text)
                .map_err(|why| Failure::Usage(format!("not base64: {why}")))?;
            output.write_all(&bytes)?;
        } else {
            let mut lines = Wrapped {
                inner: output,
                width,
                column: 0,
            };
            let mut encoder: EncoderWriter<'_, GeneralPurpose, _> = EncoderWriter::new(&mut lines, &STANDARD);
            io::copy(input, &mut encoder)?;
            encoder.finish()?;
            drop(encoder);
            lines.end()?;
        }
        Ok(())
    })?;
    streams.output.flush()?;
    Ok(0)
}

/// Breaks what is written into lines of `width`; 0 is one endless line.
struct Wrapped<W> {
    inner: W,
    width: usize,
    column: usize,
}

impl<W: Write> Wrapped<W> {
    fn end(&mut self) -> io::Result<()> {
        if self.column > 0 && self.width > 0 {
            self.inner.write_all(b"\n")
        } else {
            Ok(())
        }
    }
}

impl<W: Write> Write for Wrapped<W> {
    /// Takes all or fails: the encoder takes a part for the end.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.width == 0 {
            self.inner.write_all(text)?;
            return Ok(text.len());
        }
        let mut rest = text;
        while !rest.is_empty() {
            if self.column == self.width {
                self.inner.write_all(b"\n")?;
                self.column = 0;
            }
            let length = rest.len().min(self.width - self.column);
            self.inner.write_all(&rest[..length])?;
            self.column += length;
            rest = &rest[length..];
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
