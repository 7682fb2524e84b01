//! `left-pad`: puts something before every line until it is long enough.

use crate::builtin::call::{Answer, Call, Refusal, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let width = call.number("width", 1..=200, 20)?;
    let fill = call.option("with").unwrap_or(" ");
    let mut characters = fill.chars();
    let (Some(fill), None) = (characters.next(), characters.next()) else {
        return Err(Refusal::new(format!(
            "with is `{fill}`; it has to be one character."
        )));
    };
    let mut padded = String::new();
    let mut lines = call.text("a text")?.split_inclusive('\n');
    // A short line may become long: what goes out has a limit as well.
    if lines.clone().count() > 10_000 {
        return Err(Refusal::new("That has more than 10000 lines.".to_owned()));
    }
    lines.try_for_each(|line| {
        let length = line.trim_end_matches(['\n', '\r']).chars().count();
        padded.extend(std::iter::repeat_n(fill, width - length.min(width)));
        padded += line;
        Ok(())
    })?;
    Ok(Answer::text(padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_below_each_other() {
        let padded = answer(&Call::of("1\n22\nüüüüü".as_bytes(), "width=4&with=0")).unwrap();
        assert_eq!(String::from_utf8(padded.body).unwrap(), "0001\n0022\nüüüüü");
        assert!(answer(&Call::of(b"1", "with=ab")).is_err());
    }
}
