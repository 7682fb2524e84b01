//! `caesar`: the oldest cipher: every letter moves some places along the alphabet.

use crate::builtin::call::{Answer, Call, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let shift = call.number("shift", -25..=25, 3)?;
    let text = call.text("a text")?;
    Ok(Answer::text(moved(text, shift)))
}

fn moved(text: &str, shift: i16) -> String {
    let places = u8::try_from(shift.rem_euclid(26)).unwrap_or_default();
    let turn = |letter: u8, first: u8| char::from(first + (letter - first + places) % 26);
    text.chars()
        .map(|c| match u8::try_from(c) {
            Ok(letter @ b'a'..=b'z') => turn(letter, b'a'),
            Ok(letter @ b'A'..=b'Z') => turn(letter, b'A'),
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_back_gives_the_text_again() {
        let text = "Veni, vidi, vici! äöü xyz";
        assert_eq!(moved("xyz", 3), "abc");
        assert_eq!(moved(&moved(text, 7), -7), text);
    }
}
