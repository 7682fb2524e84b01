//! Small helpers around `lexopt`, which reads the tools' options.

use std::ffi::OsString;
use std::str::FromStr;

use crate::tools::Failure;

/// A parser over the words after a tool's name.
pub(crate) fn parser(arguments: Vec<OsString>) -> lexopt::Parser {
    lexopt::Parser::from_args(arguments)
}

/// The value of the option just read, as text.
pub(crate) fn text(parser: &mut lexopt::Parser) -> Result<String, Failure> {
    utf8(parser.value()?)
}

/// The value of the option just read, as a number or what else `T` is.
pub(crate) fn value<T: FromStr>(parser: &mut lexopt::Parser) -> Result<T, Failure> {
    parse(&text(parser)?)
}

pub(crate) fn parse<T: FromStr>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure::Usage(format!("`{text}` is not a valid number")))
}

pub(crate) fn utf8(word: OsString) -> Result<String, Failure> {
    word.into_string()
        .map_err(|word| Failure::Usage(format!("`{}` is not text", word.to_string_lossy())))
}

/// All words as text.
pub(crate) fn all_utf8(words: Vec<OsString>) -> Result<Vec<String>, Failure> {
    words.into_iter().map(utf8).collect()
}
