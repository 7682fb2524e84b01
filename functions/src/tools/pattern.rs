//! Patterns of `grep` and `sed`, in the syntax of the regular expressions that match them.
//!
//! POSIX has two dialects. In the basic one `+ ? | ( ) { }` are plain characters and get their meaning by a
//! backslash; in the extended one it is the other way round, as in `regex-lite`. References back into the pattern
//! (`\1`) do not exist there: they are refused.

use regex_lite::{Regex, RegexBuilder};

use super::Failure;

/// How a pattern is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dialect {
    pub(super) extended: bool,
    pub(super) fixed: bool,
    pub(super) ignore_case: bool,
    pub(super) whole_word: bool,
    pub(super) whole_line: bool,
}

impl Dialect {
    /// Makes a matcher.
    ///
    /// # Errors
    /// When the pattern is malformed.
    pub(super) fn compile(self, pattern: &str) -> Result<Regex, Failure> {
        let mut expression = match (self.fixed, self.extended) {
            (true, _) => regex_lite::escape(pattern),
            (false, true) => pattern.to_owned(),
            (false, false) => from_basic(pattern),
        };
        if self.whole_word {
            expression = format!(r"\b(?:{expression})\b");
        }
        if self.whole_line {
            expression = format!("^(?:{expression})$");
        }
        RegexBuilder::new(&expression)
            .case_insensitive(self.ignore_case)
            .build()
            .map_err(|why| Failure::Usage(format!("`{pattern}`: {why}")))
    }
}

/// A basic expression in extended syntax.
fn from_basic(pattern: &str) -> String {
    let mut extended = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut begins = true;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(special @ ('+' | '?' | '|' | '(' | ')' | '{' | '}')) => {
                    extended.push(special);
                    begins = matches!(special, '(' | '|');
                    continue;
                }
                Some(other) => extended.extend(['\\', other]),
                None => extended.push('\\'),
            },
            plain @ ('+' | '?' | '|' | '(' | ')' | '{' | '}') => extended.extend(['\\', plain]),
            // Nothing to repeat yet, so a plain character.
            '*' if begins => extended.push_str(r"\*"),
            '[' => {
                extended.push('[');
                bracket(&mut letters, &mut extended);
            }
            other => extended.push(other),
        }
        begins = begins && letter == '^';
    }
    extended
}

/// Copies a bracket expression to its end: inside it only `]` is special, and not as its first character.
fn bracket(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    if let Some(not) = letters.next_if_eq(&'^') {
        out.push(not);
    }
    if letters.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.push_str(r"\\"),
            '[' if letters.peek() == Some(&':') => {
                out.push('[');
                let mut before = ' ';
                for inner in letters.by_ref() {
                    out.push(inner);
                    if before == ':' && inner == ']' {
                        break;
                    }
                    before = inner;
                }
            }
            '[' => out.push_str(r"\["),
            other => out.push(other),
        }
        if letter == ']' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_patterns_mean_what_posix_says() {
        for (pattern, text, matches) in [
            ("a+b", "a+b", true),
            ("a+b", "aab", false),
            (r"a\+b", "aab", true),
            (r"^\(ab\)\{2\}$", "abab", true),
            ("(x)", "(x)", true),
            (r"a\|b", "b", true),
            ("*a", "*a", true),
            ("^*a", "*a", true),
            ("[[:digit:]]x", "7x", true),
            ("[]x]", "]", true),
            (r"[\]n", r"\n", true),
            (r"1\.5", "145", false),
            (".", "x", true),
        ] {
            let found = Dialect::default().compile(pattern).unwrap().is_match(text);
            assert_eq!(found, matches, "{pattern} in {text}");
        }
    }
}
