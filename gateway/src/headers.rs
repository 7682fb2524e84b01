//! What the gateway adds to and takes from headers on their way. Pure.

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_TYPE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
    uri::Authority,
};

/// Names the call in logs and traces of everyone on the way.
pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// When the gateway took the call, in nanoseconds since 1970.
pub(crate) const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
/// Which program took the call.
pub(crate) const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
/// The name of the node whose replica answered.
pub(crate) const NODE: HeaderName = HeaderName::from_static("x-bramble-node");
/// From gateway to gateway: this node did not begin with the call.
pub(crate) const REFUSED: HeaderName = HeaderName::from_static("x-bramble-refused");
/// Set where the platform answers and not the function.
pub(crate) const INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that are about one connection, not about the request or answer.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what is about the connection only, and what `Connection` says is.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let ordinary = |token: &str| {
        token.is_empty() || token.eq_ignore_ascii_case("close") || token.eq_ignore_ascii_case("keep-alive")
    };
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !ordinary(token))
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The protocol that a request or answer wants to change to, where it properly says so. HTTP/2 in the clear is left
/// out: what asks for it gets HTTP/1.1, and is content with that.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let connection = headers.get_all(CONNECTION).iter();
    let says_so = connection
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let h2c = wanted
        .as_bytes()
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"h2c"));
    (says_so && !h2c).then(|| wanted.clone())
}

/// Puts an upgrade back in after [`remove_hop_by_hop`].
pub(crate) fn put_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What the gateway itself says in every answer to a client.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) call_id: HeaderValue,
    pub(crate) start_time: HeaderValue,
    /// The request's content type: what the answer's is if the function states none.
    pub(crate) content_type: Option<HeaderValue>,
}

impl Signature {
    /// Gives an answer without a content type the request's, as OpenFaaS does.
    pub(crate) fn give_type(&self, answer: &mut HeaderMap) {
        if !answer.contains_key(CONTENT_TYPE) {
            let fallback = self
                .content_type
                .clone()
                .unwrap_or(HeaderValue::from_static("text/plain"));
            answer.insert(CONTENT_TYPE, fallback);
        }
    }

    /// Signs an answer; `served_by` is this program.
    pub(crate) fn sign(self, answer: &mut HeaderMap, served_by: &HeaderValue) {
        answer.insert(CALL_ID, self.call_id);
        answer.insert(START_TIME, self.start_time);
        answer.insert(SERVED_BY, served_by.clone());
    }
}

/// Makes a client's headers those that the function gets. `now_ns` is nanoseconds since 1970, `call_id` the id for a
/// call that has none; `authority` is where the client thinks it is, if its protocol has no Host header.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    client: SocketAddr,
    authority: Option<&Authority>,
    now_ns: u128,
    call_id: u128,
    agent: &HeaderValue,
) -> Signature {
    remove_hop_by_hop(headers);
    crate::sandbox::hide_session(headers);
    let host = headers.remove(HOST);
    if !headers.contains_key(FORWARDED_HOST) {
        let host = host.or_else(|| HeaderValue::from_str(authority?.as_str()).ok());
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
    }
    // With the port, and left alone where it is there already: odd, but it is what functions written for OpenFaaS get,
    // and one that takes the text apart as `ip:port` would break without the port.
    if !headers.contains_key(FORWARDED_FOR) {
        headers.insert(FORWARDED_FOR, text(client));
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, agent.clone());
    }
    let call_id = match headers.get(CALL_ID) {
        Some(given) => given.clone(),
        None => {
            let id = uuid::Builder::from_random_bytes(call_id.to_ne_bytes()).into_uuid();
            let mut buffer = uuid::Uuid::encode_buffer();
            let id = id.hyphenated().encode_lower(&mut buffer);
            let mut id =
                HeaderValue::from_str(id).expect("hexadecimal digits and hyphens are a header's value");
            never_twice(&mut id);
            headers.insert(CALL_ID, id.clone());
            id
        }
    };
    let mut start_time = text(now_ns);
    never_twice(&mut start_time);
    headers.append(START_TIME, start_time.clone());
    Signature {
        call_id,
        start_time,
        content_type: headers.get(CONTENT_TYPE).cloned(),
    }
}

/// Marks a value that is different in every call, so that no hop tries to remember it for the next one: HTTP/2 leaves
/// values that are marked as sensitive out of its tables, which costs less.
fn never_twice(value: &mut HeaderValue) {
    value.set_sensitive(true);
}

/// A header's value that prints as `value` does.
pub(crate) fn text(value: impl std::fmt::Display) -> HeaderValue {
    let bytes = bytes::Bytes::from(value.to_string());
    HeaderValue::from_maybe_shared(bytes).expect("numbers and addresses are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn prepared(headers: &mut HeaderMap) -> Signature {
        let client = "10.0.0.9:4711".parse().unwrap();
        prepare(
            headers,
            client,
            None,
            1_700_000_000_000_000_001,
            5,
            &HeaderValue::from_static("bramble-gateway/1"),
        )
    }

    #[test]
    fn a_function_gets_what_openfaas_gives_it() {
        let mut headers = map(&[
            ("host", "bramble.local:8080"),
            ("authorization", "Basic eA=="),
            ("accept", "*/*"),
        ]);
        let signature = prepared(&mut headers);
        assert_eq!(headers["x-forwarded-host"], "bramble.local:8080");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9:4711");
        assert_eq!(headers["x-start-time"], "1700000000000000001");
        assert_eq!(headers["authorization"], "Basic eA==");
        assert_eq!(headers["user-agent"], "bramble-gateway/1");
        assert!(!headers.contains_key("host"));
        let id: uuid::Uuid = headers["x-call-id"].to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(headers["x-call-id"], signature.call_id);
    }

    #[test]
    fn what_the_client_says_of_itself_is_kept() {
        let mut headers = map(&[
            ("host", "a"),
            ("x-forwarded-host", "b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("user-agent", "mine"),
            ("x-call-id", "my own"),
            ("x-start-time", "7"),
        ]);
        let signature = prepared(&mut headers);
        assert_eq!(headers["x-forwarded-host"], "b");
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(headers["user-agent"], "mine");
        assert_eq!(signature.call_id, "my own");
        assert_eq!(
            headers.get_all("x-start-time").iter().collect::<Vec<_>>(),
            ["7", "1700000000000000001"]
        );
    }

    #[test]
    fn headers_of_the_connection_stay_on_it() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "x"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("content-length", "5"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-length"]);
    }

    #[test]
    fn an_upgrade_counts_only_if_the_connection_says_so() {
        let wants = |headers| upgrade_of(&map(headers)).is_some();
        assert!(wants(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket")
        ]));
        assert!(!wants(&[("upgrade", "websocket")]));
        assert!(!wants(&[("connection", "upgrade")]));
        assert!(!wants(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "h2c")
        ]));
    }

    #[test]
    fn an_answer_without_a_content_type_has_the_requests_or_is_plain_text() {
        let sign = |request: &[(&'static str, &str)], answer: &[(&'static str, &str)]| {
            let mut answer = map(answer);
            prepared(&mut map(request)).give_type(&mut answer);
            answer["content-type"].to_str().unwrap().to_owned()
        };
        assert_eq!(
            sign(&[("content-type", "a/b")], &[("content-type", "c/d")]),
            "c/d"
        );
        assert_eq!(sign(&[("content-type", "a/b")], &[]), "a/b");
        assert_eq!(sign(&[], &[]), "text/plain");
    }
}
