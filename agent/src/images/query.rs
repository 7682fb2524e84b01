//! The part of an address after `?`, as nodes write it to each other: plain letters that need no escaping.

/// The value of `name`.
pub(super) fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(its, _)| *its == name)
        .map(|(_, value)| value)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name() {
        let query = "platform=linux/arm/v7&ids=sha256:a,sha256:b&offset=12";
        assert_eq!(value(query, "ids"), Some("sha256:a,sha256:b"));
        assert_eq!(value(query, "offset"), Some("12"));
        assert_eq!(value(query, "set"), None);
        assert_eq!(value("", "ids"), None);
    }
}
