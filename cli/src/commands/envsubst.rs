//! `${…}` in stack files, with the forms that `faas-cli` understands (those of drone/envsubst). Pure.
//!
//! ```text
//!   ${V}                     the value; nothing where it is not set
//!   ${V:-d} ${V:=d} ${V=d}   d where it is empty; d may hold ${…} again (so do ${V:?d} and ${V:+d} there, and here)
//!   ${V^} ${V^^}             first letter, all letters large;  ${V,} ${V,,} small
//!   ${V:p} ${V:p:n}          from character p on, n of them; a negative p counts from the end
//!   ${#V}                    how many characters
//!   ${V#x} ${V##x}           without the shortest, longest beginning that looks like x;  ${V%x} ${V%%x} end
//!   ${V/a/b} ${V//a/b}       the first a, all a replaced;  ${V/#a/b} ${V/%a/b} at the beginning, at the end
//!   $$                       a dollar;  \/ and \\ a slash and a backslash
//! ```
//!
//! Not here: patterns of names ([`super::glob`]).

use super::glob::{self, Pattern};

/// Text that ends too early or has a form that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadSubstitution {
    /// Its line, from 1.
    pub(crate) line: usize,
    /// How it begins.
    pub(crate) begins: String,
}

impl std::fmt::Display for BadSubstitution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "line {}: `{}` is no substitution that is known; write $$ for a dollar, or use --envsubst=false",
            self.line, self.begins
        )
    }
}

/// `text` with every `${…}` replaced by what `value` says of its name; empty means not set.
///
/// # Errors
/// [`BadSubstitution`], where one is not understood.
pub(crate) fn substitute(text: &str, value: &dyn Fn(&str) -> String) -> Result<String, BadSubstitution> {
    let mut reader = Reader { text, at: 0, value };
    let mut done = String::with_capacity(text.len());
    while let Some(c) = reader.next() {
        match (c, reader.peek()) {
            ('$', Some('$')) | ('\\', Some('/' | '\\')) => done.extend(reader.next()),
            ('$', Some('{')) => {
                let begin = reader.at - 1;
                reader.next();
                let replaced = reader.substitution().ok_or_else(|| BadSubstitution {
                    line: text[..begin].matches('\n').count() + 1,
                    begins: text[begin..]
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .chars()
                        .take(30)
                        .collect(),
                })?;
                done.push_str(&replaced);
            }
            _ => done.push(c),
        }
    }
    Ok(done)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    value: &'a dyn Fn(&str) -> String,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// The first of `choices` that is there; longer ones have to come first.
    fn take_any(&mut self, choices: &[&'static str]) -> Option<&'static str> {
        choices.iter().copied().find(|choice| self.take(choice))
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.at += c.len_utf8();
        }
        taken
    }

    fn name(&mut self) -> Option<String> {
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '-');
        (!name.is_empty()).then_some(name)
    }

    /// The rest of a substitution after `${`, with its end.
    fn substitution(&mut self) -> Option<String> {
        if self.take("#") {
            let name = self.name()?;
            let length = (self.value)(&name).chars().count();
            return self.take("}").then(|| length.to_string());
        }
        let name = self.name()?;
        let value = (self.value)(&name);
        if self.take("}") {
            return Some(value);
        }
        if self.take_any(&[":=", ":-", ":?", ":+", "="]).is_some() {
            let default = self.default()?;
            return Some(if value.is_empty() { default } else { value });
        }
        if let Some(which) = self.take_any(&["^^", "^", ",,", ","]) {
            return self.take("}").then(|| change_case(&value, which));
        }
        if self.take(":") {
            return self.part_of(&value);
        }
        if let Some(which) = self.take_any(&["##", "#", "%%", "%"]) {
            let pattern = self.argument(|c| c != '}', false)?;
            return self.take("}").then(|| cut(&value, which, &pattern));
        }
        let which = self.take_any(&["//", "/#", "/%", "/"])?;
        let old = self.argument(|c| c != '/', true)?;
        if self.take_while(|c| c == '/').is_empty() {
            return None;
        }
        let new = match self.peek()? {
            '}' => String::new(),
            _ => self.argument(|c| c != '}', true)?,
        };
        self.take("}").then(|| replace(&value, which, &old, &new))
    }

    /// Text and substitutions up to and with `}`.
    fn default(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            if self.take("}") {
                return Some(text);
            }
            if self.take("${") {
                text.push_str(&self.substitution()?);
            } else {
                text.push(self.next()?);
            }
        }
    }

    /// One substitution, or text as long as it is `wanted`; never nothing.
    fn argument(&mut self, wanted: impl Fn(char) -> bool, escapes: bool) -> Option<String> {
        if self.take("${") {
            return self.substitution();
        }
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let escaped = escapes && ["\\/", "\\\\", "$$"].iter().any(|e| self.rest().starts_with(e));
            if escaped {
                self.next();
                text.extend(self.next());
            } else if wanted(c) && !self.rest().starts_with("${") {
                text.extend(self.next());
            } else {
                break;
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// `p}` or `p:n}`.
    fn part_of(&mut self, value: &str) -> Option<String> {
        let from = self.argument(|c| c != ':' && c != '}', false)?;
        let length = match self.take(":") {
            true => Some(self.argument(|c| c != '}', false)?),
            false => None,
        };
        self.take("}").then(|| part(value, &from, length.as_deref()))
    }
}

/// Numbers that are none leave the whole, as shells do.
fn part(value: &str, from: &str, length: Option<&str>) -> String {
    let characters: Vec<char> = value.chars().collect();
    let Ok(from) = from.parse::<i64>() else {
        return value.to_owned();
    };
    let end = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let from = if from < 0 {
        (end + from).max(0)
    } else {
        from.min(end)
    };
    let to = match length.map(str::parse::<i64>) {
        None => end,
        Some(Ok(length)) => from.saturating_add(length.max(0)).min(end),
        Some(Err(_)) => return value.to_owned(),
    };
    let place = |number: i64| usize::try_from(number).unwrap_or(0);
    characters[place(from)..place(to)].iter().collect()
}

fn change_case(value: &str, which: &str) -> String {
    let mut characters = value.chars();
    match which {
        "^^" => value.to_uppercase(),
        ",," => value.to_lowercase(),
        "^" => characters
            .next()
            .map_or_else(String::new, |c| c.to_uppercase().chain(characters).collect()),
        _ => characters
            .next()
            .map_or_else(String::new, |c| c.to_lowercase().chain(characters).collect()),
    }
}

fn cut(value: &str, which: &str, pattern: &str) -> String {
    let pattern: Pattern = glob::parse(pattern);
    let ends = value.char_indices().map(|(at, _)| at).chain([value.len()]);
    let from_start = which.starts_with('#');
    let matching = |at: &usize| match from_start {
        true => *at > 0 && glob::matches(&pattern, &value[..*at]),
        false => *at < value.len() && glob::matches(&pattern, &value[*at..]),
    };
    let mut places = ends.filter(matching);
    // The shortest beginning and the longest end come first.
    let place = match which {
        "#" | "%%" => places.next(),
        _ => places.next_back(),
    };
    match place {
        None => value.to_owned(),
        Some(at) if from_start => value[at..].to_owned(),
        Some(at) => value[..at].to_owned(),
    }
}

fn replace(value: &str, which: &str, old: &str, new: &str) -> String {
    match which {
        "//" => value.replace(old, new),
        "/#" => value
            .strip_prefix(old)
            .map_or_else(|| value.to_owned(), |rest| format!("{new}{rest}")),
        "/%" => value
            .strip_suffix(old)
            .map_or_else(|| value.to_owned(), |rest| format!("{rest}{new}")),
        _ => value.replacen(old, new, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> String {
        let known = [
            ("V", "abcABC123ABCabc"),
            ("word", "straße"),
            ("LOUD", "LOUD"),
            ("path", "/path/to/file.tar.gz"),
            ("dir", "path/to/file"),
            ("tag", "1.2"),
            ("a-b", "dash"),
            ("n", "2"),
            ("letters", "日本語"),
        ];
        let found = known.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    }

    #[test]
    fn every_form_gives_what_the_other_tool_gives() {
        let rows = [
            ("plain text", "plain text"),
            ("${V}", "abcABC123ABCabc"),
            ("x${tag}y${tag}z", "x1.2y1.2z"),
            ("${none}", ""),
            ("${a-b}", "dash"),
            ("$tag and 5$", "$tag and 5$"),
            // Defaults.
            ("${none:-d}", "d"),
            ("${none:=d}", "d"),
            ("${none=d}", "d"),
            ("${none:?d}", "d"),
            ("${none:+d}", "d"),
            ("${tag:-d}", "1.2"),
            ("${tag:=d}", "1.2"),
            ("${tag=d}", "1.2"),
            ("${none:-}", ""),
            ("${none:-${tag}}", "1.2"),
            ("${none:-a ${tag}-b ${none:-c}}", "a 1.2-b c"),
            ("${none:-http://x:80/y}", "http://x:80/y"),
            ("something ${none=${LOUD,,}}", "something loud"),
            // Case.
            ("${dir^}", "Path/to/file"),
            ("${dir^^}", "PATH/TO/FILE"),
            ("${LOUD,}", "lOUD"),
            ("${LOUD,,}", "loud"),
            ("${none^}${none,}", ""),
            // Parts.
            ("${V:3}", "ABC123ABCabc"),
            ("${V:3:3}", "ABC"),
            ("${V:12:99}", "abc"),
            ("${V:99}${V:99:1}", ""),
            ("${V:-3}", "abcABC123ABCabc"),
            ("${V:0:-3}", ""),
            ("${V:x}", "abcABC123ABCabc"),
            ("${letters:1:1}", "本"),
            ("${V:${n}:1}", "c"),
            // Length.
            ("${#V}", "15"),
            ("${#word}", "6"),
            ("${#none}", "0"),
            // Beginnings and ends.
            ("${dir#*/}", "to/file"),
            ("${dir##*/}", "file"),
            ("${path#*/}", "path/to/file.tar.gz"),
            ("${path##*/}", "file.tar.gz"),
            ("${path%.*}", "/path/to/file.tar"),
            ("${path%%.*}", "/path/to/file"),
            ("${V#abc}", "ABC123ABCabc"),
            ("${V%?bc}", "abcABC123ABC"),
            ("${V#[a-c]}", "bcABC123ABCabc"),
            ("${V#xyz}", "abcABC123ABCabc"),
            ("${path%${none:-.gz}}", "/path/to/file.tar"),
            // Replacing.
            ("${V/abc/x}", "xABC123ABCabc"),
            ("${V//abc/x}", "xABC123ABCx"),
            ("${V/#abc/x}", "xABC123ABCabc"),
            ("${V/%abc/x}", "abcABC123ABCx"),
            ("${V//ABC/}", "abc123abc"),
            ("${V/#ABC/x}", "abcABC123ABCabc"),
            (r"${dir/\//-}", "path-to/file"),
            (r"${dir//\//-}", "path-to-file"),
            ("${tag/./${n}}", "122"),
            // Escapes.
            ("$${V}", "${V}"),
            ("$${none=${tag}}", "${none=1.2}"),
            ("a$$b $$${tag}", "a$b $1.2"),
            (r"a\/b \\ \n", r"a/b \ \n"),
        ];
        for (text, expected) in rows {
            assert_eq!(substitute(text, &value).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_line() {
        let bad = [
            "${", "${}", "${V", "${V:-x", "${ V}", "${V!}", "${V:}", "${V^x}", "${#}", "${V/a}", "${V///b}",
            "${V#}", "${V:1:}",
        ];
        for text in bad {
            let error = substitute(&format!("a\nb: {text}\nc"), &value).unwrap_err();
            assert_eq!(error.line, 2, "{text}: {error}");
            assert!(error.begins.starts_with(text), "{text}: {error}");
        }
    }
}
