//! `figlet`: text in big letters made of characters.

use figlet_rs::FIGlet;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

type Font = fn() -> Result<FIGlet, String>;

const FONTS: [(&str, Font); 4] = [
    ("standard", FIGlet::standard),
    ("small", FIGlet::small),
    ("big", FIGlet::big),
    ("slant", FIGlet::slant),
];

pub(crate) fn answer(call: &Call) -> Reply {
    let font = call.choice("font", &FONTS, FIGlet::standard)?;
    let width = call.number("width", 20..=400, 80)?;
    let font = font().expect("the fonts come with the program");
    let mut drawn = String::new();
    for line in call.line("a text")?.lines() {
        let mut words = line.split_whitespace().peekable();
        // As many words beside each other as there is room for.
        while let Some(word) = words.next() {
            let mut part = word.to_owned();
            let mut letters = draw(&font, &part)?;
            while let Some(next) = words.peek() {
                part = format!("{part} {next}");
                let longer = draw(&font, &part)?;
                if longer.lines().any(|line| line.chars().count() > width) {
                    break;
                }
                letters = longer;
                words.next();
            }
            drawn += &letters;
        }
    }
    Ok(Answer::text(drawn))
}

fn draw(font: &FIGlet, text: &str) -> Result<String, Refusal> {
    let unknown = || {
        Refusal::new(format!(
            "The font has no letters for `{text}`; it knows English ones."
        ))
    };
    let figure = font.convert(text).ok_or_else(unknown)?.as_str();
    let lines = figure.lines().map(|line| line.trim_end().to_owned() + "\n");
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_font_draws_within_the_width() {
        for (name, _) in FONTS {
            let drawn = answer(&Call::of(
                b"Big words are drawn below",
                &format!("font={name}&width=60"),
            ))
            .unwrap();
            let text = String::from_utf8(drawn.body).unwrap();
            assert!(text.lines().count() > 8, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        }
    }
}
