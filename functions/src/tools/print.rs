//! Tools that print their arguments: echo, printf, seq; and the escapes they share with `tr`.

use std::ffi::OsString;
use std::io::Write;

use super::{Failure, Streams};
use crate::args;

/// The byte that an escape stands for, and what follows it. `text` is what comes after the backslash, not empty.
pub(super) fn escape(text: &[u8]) -> (u8, &[u8]) {
    let digits = text
        .iter()
        .take(3)
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    if digits > 0 {
        let value = text[..digits].iter().fold(0_u8, |value, digit| {
            value.wrapping_mul(8).wrapping_add(digit - b'0')
        });
        return (value, &text[digits..]);
    }
    let byte = match text[0] {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    };
    (byte, &text[1..])
}

/// A text with its escapes undone.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'\\' && !after.is_empty() {
            // echo and %b write octal as \0nnn.
            let digits = after
                .strip_prefix(b"0")
                .filter(|rest| matches!(rest.first(), Some(b'0'..=b'7')));
            let (byte, left) = escape(digits.unwrap_or(after));
            bytes.push(byte);
            rest = left;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

pub(super) fn echo(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let words = args::all_utf8(arguments)?;
    let (mut newline, mut escapes) = (true, false);
    let is_options = |word: &&String| {
        word.len() > 1 && word.starts_with('-') && word[1..].chars().all(|c| "neE".contains(c))
    };
    let options = words.iter().take_while(is_options).count();
    for option in words[..options].iter().flat_map(|word| word[1..].chars()) {
        match option {
            'n' => newline = false,
            'e' => escapes = true,
            _ => escapes = false,
        }
    }
    let text = words[options..].join(" ");
    streams.output.write_all(&if escapes {
        unescaped(&text)
    } else {
        text.into_bytes()
    })?;
    if newline {
        streams.output.write_all(b"\n")?;
    }
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn printf(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut words = args::all_utf8(arguments)?.into_iter();
    let format = words
        .next()
        .ok_or_else(|| Failure::Usage("a format is missing".to_owned()))?;
    let mut operands = words.peekable();
    loop {
        let before = operands.len();
        format_once(&format, &mut operands, &mut streams.output)?;
        // The format is used again as long as it takes up what is left.
        if operands.peek().is_none() || operands.len() == before {
            break;
        }
    }
    streams.output.flush()?;
    Ok(0)
}

/// A conversion such as `%-08.3f`, without its letter.
#[derive(Default)]
struct Conversion {
    left: bool,
    zeros: bool,
    sign: bool,
    width: usize,
    precision: Option<usize>,
}

impl Conversion {
    /// Reads what stands between `%` and the letter.
    fn read(text: &[u8]) -> (Self, &[u8]) {
        let mut conversion = Self::default();
        let mut rest = text;
        loop {
            match rest.first() {
                Some(b'-') => conversion.left = true,
                Some(b'0') => conversion.zeros = true,
                Some(b'+') => conversion.sign = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        (conversion.width, rest) = number(rest);
        if let Some(after) = rest.strip_prefix(b".") {
            let (precision, after) = number(after);
            (conversion.precision, rest) = (Some(precision), after);
        }
        (conversion, rest)
    }

    fn pad(&self, text: &[u8], is_number: bool, output: &mut impl Write) -> Result<(), Failure> {
        let characters = text.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        let missing = self.width.saturating_sub(characters);
        if self.left {
            output.write_all(text)?;
            output.write_all(&b" ".repeat(missing))?;
        } else if self.zeros && is_number {
            let digits = usize::from(matches!(text.first(), Some(b'-' | b'+')));
            output.write_all(&text[..digits])?;
            output.write_all(&b"0".repeat(missing))?;
            output.write_all(&text[digits..])?;
        } else {
            output.write_all(&b" ".repeat(missing))?;
            output.write_all(text)?;
        }
        Ok(())
    }

    fn signed(&self, text: String) -> Vec<u8> {
        if self.sign && !text.starts_with('-') {
            format!("+{text}").into_bytes()
        } else {
            text.into_bytes()
        }
    }
}

fn number(text: &[u8]) -> (usize, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A width beyond any line is a mistake; 0 is as good an answer as any.
    let value = std::str::from_utf8(&text[..digits])
        .ok()
        .and_then(|text| text.parse::<u16>().ok());
    (value.unwrap_or_default().into(), &text[digits..])
}

fn format_once(
    format: &str,
    operands: &mut impl Iterator<Item = String>,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let mut rest = format.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'\\' if !after.is_empty() => {
                let (byte, left) = escape(after);
                output.write_all(&[byte])?;
                rest = left;
            }
            b'%' if after.first() == Some(&b'%') => {
                output.write_all(b"%")?;
                rest = &after[1..];
            }
            b'%' => {
                let (conversion, after) = Conversion::read(after);
                let (letter, left) = after.split_first().ok_or_else(|| {
                    Failure::Usage(format!("`{format}` ends in the middle of a conversion"))
                })?;
                convert(*letter, &conversion, &operands.next().unwrap_or_default(), output)?;
                rest = left;
            }
            _ => {
                output.write_all(&[*first])?;
                rest = after;
            }
        }
    }
    Ok(())
}

fn convert(
    letter: u8,
    conversion: &Conversion,
    operand: &str,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let integer = || {
        if operand.is_empty() {
            Ok(0_i64)
        } else {
            args::parse(operand)
        }
    };
    match letter {
        b's' | b'b' => {
            let text = if letter == b'b' {
                unescaped(operand)
            } else {
                operand.as_bytes().to_vec()
            };
            let kept = conversion.precision.unwrap_or(text.len()).min(text.len());
            conversion.pad(&text[..kept], false, output)
        }
        b'c' => conversion.pad(
            operand.chars().take(1).collect::<String>().as_bytes(),
            false,
            output,
        ),
        b'd' | b'i' => conversion.pad(&conversion.signed(integer()?.to_string()), true, output),
        b'u' => conversion.pad(integer()?.to_string().as_bytes(), true, output),
        b'x' => conversion.pad(format!("{:x}", integer()?).as_bytes(), true, output),
        b'X' => conversion.pad(format!("{:X}", integer()?).as_bytes(), true, output),
        b'o' => conversion.pad(format!("{:o}", integer()?).as_bytes(), true, output),
        b'f' | b'F' => {
            let value: f64 = if operand.is_empty() {
                0.0
            } else {
                args::parse(operand)?
            };
            let text = format!("{value:.*}", conversion.precision.unwrap_or(6));
            conversion.pad(&conversion.signed(text), true, output)
        }
        other => Err(Failure::Usage(format!(
            "there is no conversion %{}",
            char::from(other)
        ))),
    }
}

pub(super) fn seq(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut words = args::all_utf8(arguments)?.into_iter().peekable();
    let (mut separator, mut equal_width) = ("\n".to_owned(), false);
    // By hand, because `-1` is a number here.
    while let Some(option) = words.next_if(|word| word == "-w" || word.starts_with("-s")) {
        match option.strip_prefix("-s") {
            None => equal_width = true,
            Some("") => {
                separator = words
                    .next()
                    .ok_or_else(|| Failure::Usage("-s needs a separator".to_owned()))?
            }
            Some(attached) => separator = attached.to_owned(),
        }
    }
    let words: Vec<String> = words.collect();
    let (first, step, last) = match words.as_slice() {
        [last] => ("1", "1", last.as_str()),
        [first, last] => (first.as_str(), "1", last.as_str()),
        [first, step, last] => (first.as_str(), step.as_str(), last.as_str()),
        _ => return Err(Failure::Usage("give [FIRST [STEP]] LAST".to_owned())),
    };
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let places = decimals(first).max(decimals(step));
    let (first, step, last): (f64, f64, f64) = (args::parse(first)?, args::parse(step)?, args::parse(last)?);
    if step == 0.0 {
        return Err(Failure::Usage("the step must not be 0".to_owned()));
    }
    let show = |value: f64| format!("{value:.places$}");
    let width = if equal_width {
        show(first).len().max(show(last).len())
    } else {
        0
    };
    // Half a step beyond the last would be the next, so rounding cannot add or lose one.
    let reached = |value: f64| {
        if step > 0.0 {
            value > last + step * 1e-9
        } else {
            value < last + step * 1e-9
        }
    };
    let mut number = 0_u64;
    loop {
        let value = first + step * number as f64;
        if reached(value) {
            break;
        }
        if number > 0 {
            streams.output.write_all(separator.as_bytes())?;
        }
        write!(streams.output, "{:0>width$}", show(value))?;
        number += 1;
    }
    if number > 0 {
        streams.output.write_all(b"\n")?;
    }
    streams.output.flush()?;
    Ok(0)
}
