//! `wordcount`: how long a text is, and which words are in it most.

use std::collections::HashMap;

use crate::builtin::call::{Answer, Call, Reply};

/// How fast people read, in words per minute.
const READING: usize = 200;

pub(crate) fn answer(call: &Call) -> Reply {
    let text = call.text("a text")?;
    let most = call.number("top", 0..=100, 5)?;
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(str::to_lowercase)
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in &words {
        *counts.entry(word).or_default() += 1;
    }
    let mut ranking: Vec<_> = counts.iter().map(|(word, count)| (*count, *word)).collect();
    ranking.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));

    let mut report = format!(
        "lines       {}\nwords       {}\ndifferent   {}\ncharacters  {}\nreading     {}\n",
        text.lines().count(),
        words.len(),
        ranking.len(),
        text.chars().count(),
        match words.len().div_ceil(READING) {
            0 | 1 => "under a minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        },
    );
    for (count, word) in ranking.iter().take(most) {
        report += &format!("{count:>6}  {word}\n");
    }
    Ok(Answer::text(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_whatever_stands_around_them() {
        let report = answer(&Call::of("Don't -- don't, \"Äh\" äh äh!\n".as_bytes(), "top=2")).unwrap();
        let text = String::from_utf8(report.body).unwrap();
        assert!(text.contains("words       5\ndifferent   2\n"), "{text}");
        assert!(text.ends_with("     3  äh\n     2  don't\n"), "{text}");
    }
}
