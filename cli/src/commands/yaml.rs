//! YAML, read with the line of what is wrong, and single values written. The reader is `serde-saphyr`: maintained,
//! pure Rust, limits against bombs, and what is text stays text (`true` and `10` in an environment).

use serde::de::DeserializeOwned;

/// Reads `text`.
///
/// # Errors
/// What is wrong and where, as a part of a sentence.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| {
        let what = error.without_snippet().to_string();
        match error.location() {
            Some(place) if !what.contains("line") => format!("{what} at line {}", place.line()),
            _ => what,
        }
    })
}

/// `text` as a YAML scalar that every reader takes for a string.
pub(crate) fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:=+@".contains(c);
    let plain = text.chars().all(harmless)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    // A JSON string is a double-quoted scalar.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_read_back_as_the_string_it_was() {
        for text in [
            "abc",
            "",
            "true",
            "NO",
            "10",
            "1e3",
            "a: b",
            "x:",
            "#x",
            "- y",
            "\"q\"",
            "ü\n",
            "http://a:80",
            "=",
            "~",
        ] {
            assert_eq!(
                read::<String>(&scalar(text)).as_deref(),
                Ok(text),
                "{}",
                scalar(text)
            );
        }
        assert_eq!(scalar("http://bramble.local:8080"), "http://bramble.local:8080");
    }
}
