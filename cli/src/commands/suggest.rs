//! The name that was probably meant. Pure.

/// The nearest of `names` to `typed`, if one is near enough to be a slip of the fingers or a beginning.
pub(crate) fn nearest<'a>(typed: &str, names: &'a [String]) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).clamp(1, 3);
    let by_distance = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min();
    by_distance
        .map(|(_, name)| name)
        .or_else(|| {
            names
                .iter()
                .find(|name| typed.len() >= 2 && name.starts_with(typed))
        })
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_beginnings_are_understood_and_other_names_are_not() {
        let names = ["env", "figlet", "word-count", "primes"].map(str::to_owned);
        let rows = [
            ("evn", Some("env")),
            ("figlte", Some("figlet")),
            ("figltt", Some("figlet")),
            ("word", Some("word-count")),
            ("primse", Some("primes")),
            ("qr", None),
            ("x", None),
        ];
        for (typed, expected) in rows {
            assert_eq!(nearest(typed, &names), expected, "{typed}");
        }
    }
}
