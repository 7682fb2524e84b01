//! How a registry wants to be asked: its `WWW-Authenticate`, and the tokens it gives out. Pure.

use http::Uri;
use serde::Deserialize;

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// What to send there: `service`.
        query: Vec<(String, String)>,
    },
}

impl Challenge {
    /// Reads one header; `None` where it asks for something else.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut realm = None;
        let mut query = Vec::new();
        for (name, value) in parameters(rest) {
            match name.as_str() {
                "realm" => realm = Some(value),
                "service" => query.push((name, value)),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, query })
    }
}

/// `a="b c",d=e` as pairs. Commas may be inside quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.push((name, value.to_owned()));
        rest = after;
    }
    pairs
}

/// Where a token for `scope` is asked for.
pub(super) fn token_address(realm: &str, query: &[(String, String)], scope: &str) -> Option<Uri> {
    let mut address = realm.to_owned();
    let pairs = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain([("scope", scope)]);
    for (name, value) in pairs {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        address.push_str(&escaped(value));
    }
    address.parse().ok()
}

fn escaped(value: &str) -> String {
    use std::fmt::Write as _;
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The token in the answer of a realm.
pub(super) fn token(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: String,
        #[serde(default)]
        access_token: String,
    }
    let answer: Answer = serde_json::from_slice(json).ok()?;
    [answer.token, answer.access_token]
        .into_iter()
        .find(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_where_its_tokens_are() {
        let header =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#;
        let Some(Challenge::Bearer { realm, query }) = Challenge::parse(header) else {
            panic!()
        };
        let address = token_address(&realm, &query, "repository:library/figlet:pull").unwrap();
        assert_eq!(
            address.to_string(),
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository:library/figlet:pull"
        );
    }

    #[test]
    fn other_forms_are_read_as_far_as_they_make_sense() {
        assert_eq!(Challenge::parse("basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Basic"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=\"x\""), None);
        let bare = Challenge::parse("Bearer realm=http://127.0.0.1/token, service=my registry");
        let Some(Challenge::Bearer { realm, query }) = bare else {
            panic!()
        };
        let address = token_address(&realm, &query, "s").unwrap().to_string();
        assert_eq!(address, "http://127.0.0.1/token?service=my%20registry&scope=s");
        let address = token_address("https://x/t?a=1", &[], "s").unwrap().to_string();
        assert_eq!(address, "https://x/t?a=1&scope=s");
    }

    #[test]
    fn tokens_have_two_names() {
        assert_eq!(token(br#"{"token":"t"}"#).as_deref(), Some("t"));
        assert_eq!(token(br#"{"token":"","access_token":"a"}"#).as_deref(), Some("a"));
        assert_eq!(token(b"{}"), None);
        assert_eq!(token(b"no"), None);
    }
}
