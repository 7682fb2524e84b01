//! What keeps a function's answer from acting as the portal, which lives at the same origin. Pure.
//!
//! A function may answer with anything, and a browser gives whatever comes from an origin the powers of that origin.
//! So every answer that a browser could run as a document carries a Content-Security-Policy with `sandbox`: scripts and
//! forms work, but in an origin of their own, which neither sees the portal's cookies nor is it. Other clients
//! ignore the header. A policy of the function's own stays beside it; browsers apply both.
//!
//! It is not left out for requests that are no navigation: browsers say so (`Sec-Fetch-Mode`) only to origins they
//! trust, and `http://bramble.local` is none.
//!
//! Besides, functions may not speak for the whole origin: no cookies by the portal's names, no service worker,
//! no headers that change or clear what the browser keeps for the origin.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ALT_SVC, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, Entry, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    },
};

/// Everything that a sandbox can allow and that does not reach back to the portal. Above all not `allow-same-origin`.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox allow-downloads allow-forms allow-modals allow-orientation-lock allow-pointer-lock allow-popups \
     allow-popups-to-escape-sandbox allow-presentation allow-scripts",
);

/// Cookies whose names begin so are Bramble's own.
const RESERVED: &str = "bramble";

/// The portal's session, which no function gets to see.
const SESSION: &str = "bramble_session";

/// Prefixes by which a browser binds a cookie to its origin; the name proper follows.
const COOKIE_PREFIXES: [&str; 2] = ["__host-", "__secure-"];

/// Headers that speak for the whole origin.
const FOR_THE_ORIGIN: [HeaderName; 4] = [
    ALT_SVC,
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
];

/// Whether this is a browser that wants a script as a service worker, which would stand between the portal and its
/// users. No function may be one.
pub(crate) fn wants_service_worker(request: &HeaderMap) -> bool {
    request.contains_key("service-worker")
}

/// Confines what a browser may do with a function's answer.
pub(crate) fn confine(answer: &mut HeaderMap) {
    if !is_inert(answer) {
        answer.append(CONTENT_SECURITY_POLICY, SANDBOX);
    }
    for name in &FOR_THE_ORIGIN {
        answer.remove(name);
    }
    if let Entry::Occupied(cookies) = answer.entry(SET_COOKIE)
        && cookies.iter().any(|cookie| sets_reserved(cookie.as_bytes()))
    {
        let kept: Vec<_> = cookies
            .iter()
            .filter(|cookie| !sets_reserved(cookie.as_bytes()))
            .cloned()
            .collect();
        cookies.remove_entry_mult();
        for cookie in kept {
            answer.append(SET_COOKIE, cookie);
        }
    }
}

/// Whether a browser that is shown this answer runs nothing in it. One content type, of a list that is known: what is
/// missing here costs a header, what is too much would cost the portal.
fn is_inert(answer: &HeaderMap) -> bool {
    let mut types = answer.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(text) = only.to_str() else { return false };
    let essence = text.split_once(';').map_or(text, |(essence, _)| essence).trim();
    let is = |known: &str| essence.eq_ignore_ascii_case(known);
    let begins = |known: &str| {
        essence.len() > known.len()
            && essence.as_bytes()[..known.len()].eq_ignore_ascii_case(known.as_bytes())
            && !essence.contains([',', ' '])
    };
    const KNOWN: [&str; 12] = [
        "application/json",
        "text/plain",
        "application/octet-stream",
        "text/event-stream",
        "application/x-ndjson",
        "text/css",
        "text/csv",
        "text/javascript",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
    ];
    KNOWN.iter().any(|known| is(known)) || ["audio/", "video/", "font/"].iter().any(|known| begins(known))
}

/// Whether this Set-Cookie sets a cookie by one of Bramble's names. Browsers send a cookie without a name as its bare
/// value, so that `=bramble_session=x` would come back as the portal's: what stands before the name does not count.
fn sets_reserved(cookie: &[u8]) -> bool {
    let start = cookie
        .iter()
        .position(|byte| !matches!(byte, b'=' | b' ' | b'\t'));
    let mut name = &cookie[start.unwrap_or(cookie.len())..];
    for prefix in COOKIE_PREFIXES {
        name = strip(name, prefix).unwrap_or(name);
    }
    strip(name, RESERVED).is_some()
}

/// `text` without `prefix`, whose letters may be of either case.
fn strip<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// Whether this one cookie of a Cookie header is the portal's session.
fn is_session(cookie: &[u8]) -> bool {
    let end = cookie
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(cookie.len());
    let mut name = cookie[..end].trim_ascii();
    for prefix in COOKIE_PREFIXES {
        name = strip(name, prefix).unwrap_or(name);
    }
    name.eq_ignore_ascii_case(SESSION.as_bytes())
}

/// Takes the portal's session out of a request's cookies, and leaves the others as they are. HTTP/2 clients may send
/// several Cookie headers; functions, which speak HTTP/1.1, get one.
pub(crate) fn hide_session(request: &mut HeaderMap) {
    let mut cookies = request.get_all(COOKIE).iter();
    let Some(first) = cookies.next() else { return };
    let several = cookies.next().is_some();
    let cookie_list = |header: &HeaderValue| header.as_bytes().split(|byte| *byte == b';').any(is_session);
    if !several && !cookie_list(first) {
        return;
    }
    let mut kept: Vec<u8> = Vec::new();
    for header in request.get_all(COOKIE) {
        for cookie in header.as_bytes().split(|byte| *byte == b';') {
            let cookie = cookie.trim_ascii();
            if !cookie.is_empty() && !is_session(cookie) {
                if !kept.is_empty() {
                    kept.extend(b"; ");
                }
                kept.extend(cookie);
            }
        }
    }
    request.remove(COOKIE);
    if !kept.is_empty() {
        let kept = HeaderValue::from_maybe_shared(bytes::Bytes::from(kept));
        request.insert(COOKIE, kept.expect("parts of a header's value are one"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        confine(&mut map);
        map
    }

    fn is_sandboxed(headers: &[(&'static str, &str)]) -> bool {
        let map = answer(headers);
        map.get_all(CONTENT_SECURITY_POLICY)
            .iter()
            .any(|policy| policy == SANDBOX)
    }

    #[test]
    fn whatever_a_browser_could_run_is_sandboxed() {
        for kind in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "image/svg+xml",
            "text/xml",
            "application/rss+xml",
            "multipart/x-mixed-replace; boundary=x",
            "application/pdf",
            "*/*",
            "",
            "nonsense",
            "text/plain, text/html",
            "video/mp4, text/html",
        ] {
            assert!(is_sandboxed(&[("content-type", kind)]), "{kind}");
        }
        assert!(is_sandboxed(&[]));
        assert!(is_sandboxed(&[
            ("content-type", "text/plain"),
            ("content-type", "text/html")
        ]));
    }

    #[test]
    fn what_no_browser_runs_stays_as_it_is() {
        for kind in [
            "application/json",
            "text/plain; charset=utf-8",
            "image/png",
            "video/mp4",
            "Text/CSS",
        ] {
            assert!(!is_sandboxed(&[("content-type", kind)]), "{kind}");
        }
    }

    #[test]
    fn the_sandbox_never_grants_the_portals_origin() {
        assert!(!SANDBOX.to_str().unwrap().contains("allow-same-origin"));
        assert!(!SANDBOX.to_str().unwrap().contains("allow-top-navigation"));
    }

    #[test]
    fn a_functions_own_policy_stays_beside_the_sandbox() {
        let map = answer(&[
            ("content-type", "text/html"),
            ("content-security-policy", "default-src 'self'"),
        ]);
        let policies: Vec<_> = map.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(policies, ["default-src 'self'", SANDBOX.to_str().unwrap()]);
    }

    #[test]
    fn a_function_cannot_set_the_portals_cookies_but_all_others() {
        let kept = answer(&[
            ("set-cookie", "bramble_session=evil; Path=/"),
            ("set-cookie", "mine=1"),
            ("set-cookie", "=bramble_session=evil"),
            ("set-cookie", " BRAMBLE_session=evil"),
            ("set-cookie", "__Host-bramble_session=evil"),
            ("set-cookie", "not_bramble=2; HttpOnly"),
        ]);
        assert_eq!(
            kept.get_all("set-cookie").iter().collect::<Vec<_>>(),
            ["mine=1", "not_bramble=2; HttpOnly"]
        );
    }

    #[test]
    fn a_function_does_not_speak_for_the_whole_origin() {
        let map = answer(&[
            ("clear-site-data", "\"cookies\""),
            ("service-worker-allowed", "/"),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "h3=\":443\""),
            ("x-mine", "1"),
            ("content-type", "text/plain"),
        ]);
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn the_portals_session_is_hidden_from_functions_and_nothing_else() {
        let hidden = |cookies: &[&str]| {
            let mut map = HeaderMap::new();
            for cookie in cookies {
                map.append(COOKIE, cookie.parse().unwrap());
            }
            hide_session(&mut map);
            map.get_all(COOKIE)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(hidden(&["a=1; bramble_session=secret; b=2"]), ["a=1; b=2"]);
        assert_eq!(hidden(&["bramble_session=secret"]), Vec::<String>::new());
        assert_eq!(hidden(&["__Host-bramble_session=secret;c"]), ["c"]);
        assert_eq!(hidden(&["a=1;b=bramble_session"]), ["a=1;b=bramble_session"]);
        assert_eq!(hidden(&["a=1", "b=2"]), ["a=1; b=2"]);
        assert_eq!(hidden(&[]), Vec::<String>::new());
    }
}
