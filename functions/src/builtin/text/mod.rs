//! Functions from text to text.

pub(super) mod base64;
pub(super) mod caesar;
pub(super) mod cows;
pub(super) mod csv2json;
pub(super) mod figlet;
pub(super) mod jq;
pub(super) mod left_pad;
pub(super) mod markdown;
pub(super) mod morse;
pub(super) mod wordcount;

/// Breaks a text into lines of at most `width` characters, at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            let mut rest: Vec<char> = word.chars().collect();
            if used > 0 && used + 1 + rest.len() > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            while used + rest.len() > width {
                let tail = rest.split_off(width - used);
                line.extend(rest);
                lines.push(std::mem::take(&mut line));
                used = 0;
                rest = tail;
            }
            used += rest.len();
            line.extend(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }
}
