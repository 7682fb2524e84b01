//! What a request says about who sent it.

use base64::Engine as _;
use http::{HeaderMap, HeaderName, header};

/// The cookie that carries a session of the portal. Gateways never pass it on to functions.
pub const SESSION_COOKIE: &str = "bramble_session";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Longest `Authorization` header that is looked at, in bytes: a user name and a password of a kilobyte each.
const MAX_AUTHORIZATION_BYTES: usize = 4096;

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// HTTP Basic.
    Basic {
        /// The user's name.
        user: String,
        /// The password as typed.
        password: String,
    },
    /// The portal's cookie.
    Session(String),
}

impl Credentials {
    /// Basic wins over a session; a `Bearer` header without a token counts as none, because `faas-cli` sends it.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value
                .to_str()
                .ok()
                .filter(|text| text.len() <= MAX_AUTHORIZATION_BYTES)?;
            let (scheme, rest) = text.split_once(' ')?;
            if scheme.eq_ignore_ascii_case("basic") {
                let decoded = base64::engine::general_purpose::STANDARD
                    .decode(rest.trim())
                    .ok()?;
                let decoded = String::from_utf8(decoded).ok()?;
                let (user, password) = decoded.split_once(':')?;
                return Some(Self::Basic {
                    user: user.to_owned(),
                    password: password.to_owned(),
                });
            }
            return None;
        }
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == SESSION_COOKIE)
            .map(|(_, token)| Self::Session(token.to_owned()))
    }
}

/// Whether the page that made this request came from where the request goes: judged by the browser's own headers,
/// which no page can set. The answers of functions are sandboxed, so that their pages have the origin `null`.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(&SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    // Browsers leave Sec-Fetch-* out on plain http to other hosts than localhost; Origin they send with every POST.
    let host = text(&header::HOST);
    let origin = text(&header::ORIGIN)
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    host.is_some() && origin == host
}

/// Whether a person's browser sent this: it must not be asked for Basic credentials, because it would remember them
/// and send them along with whatever a function's page asks for.
pub fn is_browser(headers: &HeaderMap) -> bool {
    let has = |name: &HeaderName, part: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|text| text.contains(part))
    };
    headers.contains_key(SEC_FETCH_MODE)
        || has(&header::ACCEPT, "text/html")
        || has(&header::USER_AGENT, "Mozilla/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn basic_credentials_are_read() {
        let found = Credentials::read(&headers(&[("authorization", "Basic YWRtaW46YTpi")]));
        assert_eq!(
            found,
            Some(Credentials::Basic {
                user: "admin".to_owned(),
                password: "a:b".to_owned()
            })
        );
    }

    #[test]
    fn an_empty_bearer_token_is_nobody() {
        assert_eq!(Credentials::read(&headers(&[("authorization", "Bearer ")])), None);
        assert_eq!(
            Credentials::read(&headers(&[("authorization", "Basic !!!")])),
            None
        );
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let found = Credentials::read(&headers(&[("cookie", "a=b; bramble_session=tok; c=d")]));
        assert_eq!(found, Some(Credentials::Session("tok".to_owned())));
        assert_eq!(
            Credentials::read(&headers(&[("cookie", "not_bramble_session=tok")])),
            None
        );
    }

    #[test]
    fn only_the_portals_own_pages_are_of_the_same_origin() {
        let host = ("host", "bramble.local");
        assert!(is_same_origin(&headers(&[
            host,
            ("origin", "http://bramble.local")
        ])));
        assert!(is_same_origin(&headers(&[
            host,
            ("sec-fetch-site", "same-origin")
        ])));
        for bad in [
            ("origin", "null"),
            ("origin", "http://evil.example"),
            ("origin", "http://bramble.local:81"),
            ("sec-fetch-site", "cross-site"),
            ("accept", "*/*"),
        ] {
            assert!(!is_same_origin(&headers(&[host, bad])), "{bad:?}");
        }
    }

    #[test]
    fn browsers_are_told_from_programs() {
        assert!(is_browser(&headers(&[("accept", "text/html,*/*")])));
        assert!(is_browser(&headers(&[("user-agent", "Mozilla/5.0 (X11)")])));
        assert!(!is_browser(&headers(&[
            ("user-agent", "faas-cli/0.18"),
            ("accept", "*/*")
        ])));
    }
}
