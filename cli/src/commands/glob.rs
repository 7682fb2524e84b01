//! Patterns: `*` any characters, `?` one, `[a-c]` `[^x]` one of some, `\` takes the next as it is. Pure.

/// A pattern, read.
pub(crate) type Pattern = Vec<Part>;

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Exactly this.
    One(char),
    /// Anything.
    Any,
    /// As many as you like.
    Many,
    /// One within these ranges, or outside of all of them.
    Of { ranges: Vec<(char, char)>, not: bool },
}

/// Reads a pattern; a bracket that nothing closes is itself.
pub(crate) fn parse(text: &str) -> Pattern {
    let mut pattern = Pattern::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        pattern.push(match c {
            '*' => Part::Many,
            '?' => Part::Any,
            '\\' => Part::One(rest.next().unwrap_or('\\')),
            '[' => match bracket(rest.as_str()) {
                Some((part, after)) => {
                    rest = after.chars();
                    part
                }
                None => Part::One('['),
            },
            c => Part::One(c),
        });
    }
    pattern
}

/// A bracket expression after its `[`, and what follows its `]`.
fn bracket(text: &str) -> Option<(Part, &str)> {
    let mut rest = text.chars();
    let not = text.starts_with(['^', '!']);
    if not {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next()? {
            ']' if !ranges.is_empty() => return Some((Part::Of { ranges, not }, rest.as_str())),
            '\\' => rest.next()?,
            c => c,
        };
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) if high != ']' => {
                rest = ahead;
                ranges.push((low, high));
            }
            _ => ranges.push((low, low)),
        }
    }
}

/// Whether the whole of `text` looks like `pattern`. Takes time in proportion to both, never more.
pub(crate) fn matches(pattern: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last `*` does not fit.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Part::Many) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(part) if fits(part, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    p = star + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|part| *part == Part::Many)
}

fn fits(part: &Part, c: char) -> bool {
    match part {
        Part::One(one) => *one == c,
        Part::Any => true,
        Part::Many => false,
        Part::Of { ranges, not } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_look_like() {
        let rows = [
            ("", "", true),
            ("*", "", true),
            ("*gif*", "my-gif-maker", true),
            ("*gif", "gifs", false),
            ("fn?", "fn1", true),
            ("fn?", "fn", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[!a]x", "bx", true),
            ("[]]", "]", true),
            ("[", "[", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a*b*c", "a/b/b/c", true),
            ("a*b*c", "acb", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(&parse(pattern), text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        assert!(!matches(&parse(&"*a".repeat(50)), &"b".repeat(5000)));
    }
}
