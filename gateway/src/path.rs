//! Paths of invocations: from a client, and from another node. Pure.
//!
//! What follows the function's name is handed on as it was written: never decoded, never cleaned.

use api::{FunctionName, ReplicaId};
use http::uri::PathAndQuery;

/// What the path of every invocation by a client begins with.
const PUBLIC_PREFIX: &str = "/function/";

/// What the path of an invocation that another node's gateway hands on begins with:
/// `/v1/invoke/{replica}/{name.namespace}{path and query for the function}`.
pub const HOP_PREFIX: &str = "/v1/invoke/";

/// An invocation's path, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called<'a> {
    /// The function as the client wrote it: `name` or `name.namespace`.
    pub(crate) function: &'a str,
    /// What follows, query and all; empty or beginning with `/` or `?`.
    pub(crate) rest: &'a str,
}

/// Takes the path (and query) of a client's invocation apart. `None` where no function can have that name.
pub(crate) fn public(path: &str) -> Option<Called<'_>> {
    called(path.strip_prefix(PUBLIC_PREFIX)?)
}

/// Takes the path (and query) of another gateway's invocation apart.
pub(crate) fn hop(path: &str) -> Option<(ReplicaId, Called<'_>)> {
    let (replica, rest) = path.strip_prefix(HOP_PREFIX)?.split_once('/')?;
    Some((replica.parse().ok()?, called(rest)?))
}

/// The path of a hop to `replica` of `function`.
pub(crate) fn to_hop(replica: ReplicaId, function: &FunctionName, rest: &str) -> String {
    let mut path = String::with_capacity(HOP_PREFIX.len() + 160 + rest.len());
    path.push_str(HOP_PREFIX);
    let _infallible = std::fmt::Write::write_fmt(&mut path, format_args!("{replica}/{function}{rest}"));
    path
}

/// What the function itself is asked: always a path that begins with `/`.
pub(crate) fn to_replica(rest: &str) -> PathAndQuery {
    let parsed = match rest.as_bytes().first() {
        None => return PathAndQuery::from_static("/"),
        Some(b'/') => rest.try_into(),
        Some(_) => format!("/{rest}").try_into(),
    };
    parsed.expect("the end of an address that was read is a path")
}

fn called(text: &str) -> Option<Called<'_>> {
    let end = text.find(['/', '?']).unwrap_or(text.len());
    let (function, rest) = text.split_at(end);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!function.is_empty() && function.bytes().all(fits)).then_some(Called { function, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Option<(&str, String)> {
        public(path).map(|called| (called.function, to_replica(called.rest).to_string()))
    }

    #[test]
    fn the_function_sees_what_follows_its_name() {
        assert_eq!(parts("/function/env"), Some(("env", "/".into())));
        assert_eq!(parts("/function/env/"), Some(("env", "/".into())));
        assert_eq!(parts("/function/env/a/b"), Some(("env", "/a/b".into())));
        assert_eq!(
            parts("/function/env.class-4b/a?x=1&y"),
            Some(("env.class-4b", "/a?x=1&y".into()))
        );
        assert_eq!(parts("/function/env?x=/1"), Some(("env", "/?x=/1".into())));
    }

    #[test]
    fn what_follows_the_name_is_neither_decoded_nor_cleaned() {
        assert_eq!(
            parts("/function/env/a%2Fb//../%25%zz?q=%2f"),
            Some(("env", "/a%2Fb//../%25%zz?q=%2f".into()))
        );
    }

    #[test]
    fn a_name_with_characters_that_none_has_is_no_function() {
        for path in [
            "/function/",
            "/function",
            "/function//a",
            "/function/a%20b",
            "/function/a~b",
            "/x/env",
        ] {
            assert_eq!(public(path), None, "{path}");
        }
    }

    #[test]
    fn a_hop_is_read_as_it_was_written() {
        let function: FunctionName = "env".parse().unwrap();
        for rest in ["", "/", "/a%2Fb?x=1", "?x=1"] {
            let path = to_hop(ReplicaId(7), &function, rest);
            let (replica, called) = hop(&path).unwrap();
            assert_eq!(
                (replica, called.function, called.rest),
                (ReplicaId(7), "env.openfaas-fn", rest)
            );
        }
        assert_eq!(hop("/v1/invoke/7/env"), None);
        assert_eq!(hop("/v1/invoke/r7"), None);
    }
}
