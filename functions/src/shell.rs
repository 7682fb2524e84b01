//! `sh -c`: as much of a shell as one line needs.
//!
//! Words, single and double quotes, `\`, `$NAME` and `${NAME}`, pipes, `;`, newlines, `&&` and `||`. What it does
//! not have (redirections, substitutions, globs, control structures) it refuses by name rather than misread.
//!
//! Parsing is pure; [`sh`] carries out what was parsed through [`crate::pipeline`].

use std::ffi::OsString;

use crate::args;
use crate::pipeline;
use crate::tools::{Failure, Streams};

/// When a pipeline runs, given the status of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    AfterSuccess,
    AfterFailure,
}

/// Stages, each a list of words.
#[derive(Debug, PartialEq, Eq)]
struct Pipeline {
    when: When,
    stages: Vec<Vec<String>>,
}

/// The tool `sh`.
///
/// # Errors
/// When the line cannot be parsed or a command cannot be started.
pub(crate) fn sh(arguments: Vec<OsString>, _: Streams) -> Result<u8, Failure> {
    let mut words = args::all_utf8(arguments)?.into_iter();
    if words.next().as_deref() != Some("-c") {
        return Err(Failure::Usage("only `sh -c 'COMMANDS'` is supported".to_owned()));
    }
    let line = command_line(words.collect());
    let mut status = 0;
    for pipeline in parse(&line, &|name| std::env::var(name).ok())? {
        let runs = match pipeline.when {
            When::Always => true,
            When::AfterSuccess => status == 0,
            When::AfterFailure => status != 0,
        };
        if runs {
            let stages = pipeline.stages.into_iter();
            let stages = stages.map(|stage| stage.into_iter().map(OsString::from).collect());
            status = pipeline::run(stages.collect())?;
        }
    }
    Ok(status)
}

/// The text to run. A watchdog splits `fprocess` at spaces without regard to quotes, so `sh -c 'cat | rev'` arrives
/// as `'cat`, `|`, `rev'`: then the words are put together again and the quotes around them go.
fn command_line(words: Vec<String>) -> String {
    let joined = words.join(" ");
    for quote in ['\'', '"'] {
        let inner = joined
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner.to_owned();
        }
    }
    words.into_iter().next().unwrap_or_default()
}

/// Splits a line into pipelines of stages of words. `variable` looks up `$NAME`; unset ones are empty.
fn parse(line: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Pipeline>, Failure> {
    let mut parser = Parser {
        done: Vec::new(),
        when: When::Always,
        stages: Vec::new(),
        words: Vec::new(),
        word: None,
    };
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = match letter {
            ' ' | '\t' => {
                parser.end_word();
                after
            }
            '#' if parser.word.is_none() => &rest[rest.find('\n').unwrap_or(rest.len())..],
            ';' | '\n' => {
                parser.end_pipeline(When::Always)?;
                after
            }
            '&' if after.starts_with('&') => {
                parser.end_pipeline(When::AfterSuccess)?;
                &after[1..]
            }
            '|' if after.starts_with('|') => {
                parser.end_pipeline(When::AfterFailure)?;
                &after[1..]
            }
            '|' => {
                parser.end_stage()?;
                after
            }
            '\'' => {
                let end = after.find('\'').ok_or_else(|| unfinished("'"))?;
                parser.word().push_str(&after[..end]);
                &after[end + 1..]
            }
            '"' => double_quoted(after, parser.word(), variable)?,
            '\\' => {
                let escaped = after.chars().next().ok_or_else(|| unfinished("\\"))?;
                parser.word().push(escaped);
                &after[escaped.len_utf8()..]
            }
            '$' => {
                let (value, after) = expanded(after, variable)?;
                parser.add_split(&value);
                after
            }
            '<' | '>' | '&' | '`' | '(' | ')' | '*' | '?' | '[' | '{' | '}' => {
                return Err(Failure::Usage(format!(
                    "`{letter}` is not supported here; quote it if it is meant as text"
                )));
            }
            other => {
                parser.word().push(other);
                after
            }
        };
    }
    parser.end_pipeline(When::Always)?;
    Ok(parser.done)
}

/// What has been read so far.
struct Parser {
    done: Vec<Pipeline>,
    /// When the pipeline that is being read runs.
    when: When,
    stages: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
}

impl Parser {
    fn word(&mut self) -> &mut String {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_stage(&mut self) -> Result<(), Failure> {
        self.end_word();
        if self.words.is_empty() {
            return Err(Failure::Usage("a command is missing".to_owned()));
        }
        self.stages.push(std::mem::take(&mut self.words));
        Ok(())
    }

    fn end_pipeline(&mut self, next: When) -> Result<(), Failure> {
        self.end_word();
        // `;` and newlines may follow each other; a pipe, `&&` and `||` want something on both sides.
        let nothing = self.words.is_empty() && self.stages.is_empty();
        if !(nothing && self.when == When::Always && next == When::Always) {
            self.end_stage()?;
            let stages = std::mem::take(&mut self.stages);
            self.done.push(Pipeline {
                when: self.when,
                stages,
            });
        }
        self.when = next;
        Ok(())
    }

    /// An unquoted value is split at blanks.
    fn add_split(&mut self, value: &str) {
        let mut pieces = value.split_whitespace().peekable();
        if value.starts_with(char::is_whitespace) {
            self.end_word();
        }
        while let Some(piece) = pieces.next() {
            self.word().push_str(piece);
            if pieces.peek().is_some() || value.ends_with(char::is_whitespace) {
                self.end_word();
            }
        }
    }
}

/// Reads to the closing quote, adds to `word`, and returns what follows.
fn double_quoted<'a>(
    text: &'a str,
    word: &mut String,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<&'a str, Failure> {
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = match letter {
            '"' => return Ok(after),
            '\\' if after.starts_with(['"', '\\', '$', '`']) => {
                word.push_str(&after[..1]);
                &after[1..]
            }
            '$' => {
                let (value, after) = expanded(after, variable)?;
                word.push_str(&value);
                after
            }
            '`' => return Err(Failure::Usage("` is not supported".to_owned())),
            other => {
                word.push(other);
                after
            }
        };
    }
    Err(unfinished("\""))
}

/// The value of the variable whose name begins `text`, and what follows the name.
fn expanded<'a>(
    text: &'a str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, &'a str), Failure> {
    if text.starts_with('(') {
        return Err(Failure::Usage("$(…) is not supported".to_owned()));
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if let Some(inside) = text.strip_prefix('{') {
        let end = inside.find('}').ok_or_else(|| unfinished("${"))?;
        let name = &inside[..end];
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(Failure::Usage(format!("${{{name}}} is not supported")));
        }
        return Ok((variable(name).unwrap_or_default(), &inside[end + 1..]));
    }
    let length = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    match length {
        0 => Ok(("$".to_owned(), text)),
        _ => Ok((variable(&text[..length]).unwrap_or_default(), &text[length..])),
    }
}

fn unfinished(what: &str) -> Failure {
    Failure::Usage(format!("the end of {what} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Vec<Pipeline>, Failure> {
        let variable = |name: &str| match name {
            "NAME" => Some("pi".to_owned()),
            "TWO" => Some("a  b".to_owned()),
            _ => None,
        };
        parse(line, &variable)
    }

    fn words(line: &str) -> Vec<String> {
        parsed(line).unwrap().remove(0).stages.remove(0)
    }

    #[test]
    fn words_are_split_at_blanks_and_kept_by_quotes() {
        assert_eq!(words("echo a  b"), ["echo", "a", "b"]);
        assert_eq!(words(r#"echo 'a  b' "c d" e\ f"#), ["echo", "a  b", "c d", "e f"]);
        assert_eq!(words(r#"echo "" ''"#), ["echo", "", ""]);
        assert_eq!(words("echo 'a|b;c&&d'"), ["echo", "a|b;c&&d"]);
        assert_eq!(words("echo a # b"), ["echo", "a"]);
    }

    #[test]
    fn variables_are_filled_in_except_in_single_quotes() {
        assert_eq!(
            words(r#"echo $NAME-1 ${NAME}x "$NAME" '$NAME' $"#),
            ["echo", "pi-1", "pix", "pi", "$NAME", "$"]
        );
        assert_eq!(
            words(r#"echo $TWO "$TWO" x${TWO}y $UNSET"#),
            ["echo", "a", "b", "a  b", "xa", "by"]
        );
    }

    #[test]
    fn pipes_and_conditions_are_told_apart() {
        let pipeline = |when, stages: &[&str]| Pipeline {
            when,
            stages: stages.iter().map(|word| vec![(*word).to_owned()]).collect(),
        };
        assert_eq!(
            parsed("a | b && c || d; e\n").unwrap(),
            [
                pipeline(When::Always, &["a", "b"]),
                pipeline(When::AfterSuccess, &["c"]),
                pipeline(When::AfterFailure, &["d"]),
                pipeline(When::Always, &["e"]),
            ]
        );
    }

    #[test]
    fn what_it_does_not_have_is_refused_by_name() {
        for (line, part) in [
            ("cat > /etc/passwd", ">"),
            ("echo $(date)", "$(…)"),
            ("echo `date`", "`"),
            ("sleep 1 &", "&"),
            ("ls *", "*"),
            ("| cat", "missing"),
            ("cat |", "missing"),
            ("a && ", "missing"),
            ("echo 'a", "end of '"),
        ] {
            let message = parsed(line).unwrap_err().to_string();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn quotes_that_the_watchdog_tore_apart_are_put_together_again() {
        let torn = ["'cat", "|", "rev'"].map(str::to_owned).to_vec();
        assert_eq!(command_line(torn), "cat | rev");
        assert_eq!(
            command_line(vec!["echo $0".to_owned(), "name".to_owned()]),
            "echo $0"
        );
        assert_eq!(command_line(vec!["'a' 'b'".to_owned()]), "'a' 'b'");
    }
}
