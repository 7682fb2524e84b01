//! `morse`: text becomes dots and dashes, and dots and dashes become text.

use crate::builtin::call::{Answer, Call, Refusal, Reply};

const SIGNS: &str = "A.- B-... C-.-. D-.. E. F..-. G--. H.... I.. J.--- K-.- L.-.. M-- N-. O--- P.--. Q--.- R.-. \
    S... T- U..- V...- W.-- X-..- Y-.-- Z--.. 0----- 1.---- 2..--- 3...-- 4....- 5..... 6-.... 7--... 8---.. 9----. \
    ,--..-- ?..--.. !-.-.-- /-..-. @.--.-. =-...- +.-.-. :---... '.----. \".-..-.";

/// The characters that are themselves dots or dashes in [`SIGNS`].
const SPECIAL: [(char, &str); 2] = [('.', ".-.-.-"), ('-', "-....-")];

fn signs() -> impl Iterator<Item = (char, &'static str)> {
    let regular = SIGNS.split(' ').filter_map(|sign| {
        let letter = sign.chars().next()?;
        Some((letter, &sign[letter.len_utf8()..]))
    });
    regular.chain(SPECIAL)
}

pub(crate) fn answer(call: &Call) -> Reply {
    let text = call.line("a text, or Morse code")?;
    let is_code = text.chars().all(|c| ".-/ \n\r".contains(c));
    let back = call.choice("mode", &[("encode", false), ("decode", true)], is_code)?;
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(if back { decoded(line)? } else { encoded(line)? });
    }
    Ok(Answer::text(lines.join("\n") + "\n"))
}

fn encoded(line: &str) -> Result<String, Refusal> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let mut letters = Vec::new();
        for c in word.chars() {
            let known = signs().find(|(letter, _)| *letter == c.to_ascii_uppercase());
            let (_, sign) = known.ok_or_else(|| Refusal::new(format!("Morse has no sign for `{c}`.")))?;
            letters.push(sign);
        }
        words.push(letters.join(" "));
    }
    Ok(words.join(" / "))
}

fn decoded(line: &str) -> Result<String, Refusal> {
    let mut text = String::new();
    for sign in line.split_whitespace() {
        if sign == "/" {
            text.push(' ');
            continue;
        }
        let known = signs().find(|(_, known)| *known == sign);
        let (letter, _) = known.ok_or_else(|| Refusal::new(format!("`{sign}` is no sign of Morse.")))?;
        text.push(letter);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_comes_back() {
        let all: String = signs().map(|(letter, _)| letter).collect();
        assert_eq!(decoded(&encoded(&all).unwrap()).unwrap(), all);
        assert!(encoded("ü").is_err());
        assert!(decoded("......--").is_err());
    }
}
