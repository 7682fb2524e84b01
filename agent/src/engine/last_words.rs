//! The end of what a replica wrote, short enough for a sentence.

/// Most lines, and most characters, of the last words.
const LINES: usize = 3;
const CHARACTERS: usize = 300;

/// The last lines of `output` in one.
pub(super) fn of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            line.chars()
                .filter(|c| !c.is_control())
                .collect::<String>()
                .trim()
                .to_owned()
        })
        .filter(|line| !line.is_empty())
        .collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join(" / ");
    match text.chars().count().checked_sub(CHARACTERS) {
        None | Some(0) => text,
        Some(too_many) => std::iter::once('…').chain(text.chars().skip(too_many)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_lines_in_one() {
        assert_eq!(of(b"one\ntwo\n\n  three\x1b[0m\nfour\n"), "two / three[0m / four");
        assert_eq!(of(b""), "");
        assert_eq!(of(&[b'x'; 1000]).chars().count(), CHARACTERS + 1);
    }
}
