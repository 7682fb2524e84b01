//! `cows`: an animal says it.

use super::wrap;
use crate::builtin::call::{Answer, Call, Reply};

/// The widest that a bubble's text may be, in characters.
const WIDTH: usize = 40;

const COW: &str = r"        \    ^__^
         \   (oo)\_________
             (__)\  (_)    )\/\
                  ||-----w|
                  ||     ||
";

const CAT: &str = r"        \    /\_/\
         \  ( o.o )
             > ^ <   __
            /     \_/ /
           (__|_|____/
";

const PENGUIN: &str = r"        \     .--.
         \   | o_o|
             |:\_/|
            //    \\
           ((|    |))
            \_\__/_/
";

const DRAGON: &str = r"        \      __/\__     /\/\
         \    / o    \___/ ^^ \__
             <___         ^^     \
             ~~ /__/\__/\__/\_____\~>
";

const RASPBERRY: &str = r"        \     \\|//
         \   .-'|'-.
            ( o )(o )
            (o )( o )(
             ( o )(o)
              '(o )'
                ''
";

pub(crate) fn answer(call: &Call) -> Reply {
    let animals = [
        ("cow", COW),
        ("cat", CAT),
        ("penguin", PENGUIN),
        ("dragon", DRAGON),
        ("raspberry", RASPBERRY),
    ];
    let animal = call.choice("animal", &animals, COW)?;
    let lines = wrap(call.text("what the animal shall say")?.trim(), WIDTH);
    Ok(Answer::text(bubble(&lines) + animal))
}

fn bubble(lines: &[String]) -> String {
    let length = |line: &String| line.chars().count();
    let width = lines.iter().map(length).max().unwrap_or_default();
    let edge = |c: &str| format!(" {}\n", c.repeat(width + 2));
    let mut bubble = edge("_");
    for (index, line) in lines.iter().enumerate() {
        let (left, right) = match (index, lines.len()) {
            (_, 1) => ('<', '>'),
            (0, _) => ('/', '\\'),
            (index, all) if index + 1 == all => ('\\', '/'),
            _ => ('|', '|'),
        };
        let fill = " ".repeat(width - length(line));
        bubble += &format!("{left} {line}{fill} {right}\n");
    }
    bubble + &edge("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bubble_closes_around_its_lines() {
        let lines = ["one".to_owned(), "three".to_owned(), "six".to_owned()];
        assert_eq!(
            bubble(&lines),
            " _______\n/ one   \\\n| three |\n\\ six   /\n -------\n"
        );
    }

    #[test]
    fn an_unknown_animal_is_refused_with_those_there_are() {
        let refusal = answer(&Call::of(b"hi", "animal=yak")).unwrap_err();
        assert!(refusal.sentence.contains("cow, cat, penguin"), "{refusal}");
    }
}
