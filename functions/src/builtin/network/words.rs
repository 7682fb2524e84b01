//! The words of a command line, as a person would type it at a terminal.

use std::ffi::OsString;

use crate::builtin::call::Refusal;

/// Splits at spaces and line ends, except between quotes; a backslash takes the next character as it is.
pub(super) fn split(line: &str) -> Result<Vec<OsString>, Refusal> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take().map(OsString::from)),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Refusal::new("A quote is opened and never closed.".to_owned()));
    }
    words.extend(word.map(OsString::from));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            split(r#"-H 'A: b c'  -d "x\"y" '' a\ b"#).unwrap(),
            ["-H", "A: b c", "-d", "x\"y", "", "a b"]
        );
        assert!(split("'a").is_err());
    }
}
