//! The `Http_*` variables that tell a forked function about its request (section 5.3 of the OpenFaaS contract).
//!
//! Pure. Header names take Go's canonical spelling, because functions look for exactly `Http_Content_Type`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use hyper::header::{self, HeaderName};
use hyper::http::request;

/// The variables for one request, to be added to the watchdog's own in this order: a later one of the same name wins.
pub(crate) fn variables(head: &request::Parts) -> Vec<(String, OsString)> {
    let mut variables = Vec::with_capacity(head.headers.len() + 3);
    for name in head.headers.keys().filter(|name| **name != header::HOST) {
        if let Some(first) = head.headers.get(name) {
            variables.push((
                variable_name(name),
                OsStr::from_bytes(first.as_bytes()).to_owned(),
            ));
        }
    }
    variables.push(("Http_Method".to_owned(), head.method.as_str().into()));
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        variables.push(("Http_Query".to_owned(), query.into()));
    }
    if !head.uri.path().is_empty() {
        variables.push((
            "Http_Path".to_owned(),
            OsString::from_vec(decoded(head.uri.path())),
        ));
    }
    variables
}

/// `x-call-id` becomes `Http_X_Call_Id`.
fn variable_name(header: &HeaderName) -> String {
    let mut name = String::with_capacity(5 + header.as_str().len());
    name.push_str("Http_");
    let mut starts_word = true;
    for letter in header.as_str().chars() {
        match letter {
            '-' => name.push('_'),
            _ if starts_word => name.push(letter.to_ascii_uppercase()),
            _ => name.push(letter),
        }
        starts_word = letter == '-';
    }
    name
}

/// Undoes percent-encoding. A path that is malformed, or would hold a NUL (which no variable can), stays as sent.
pub(crate) fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = (rest.next().and_then(hex), rest.next().and_then(hex));
        match pair {
            (Some(high), Some(low)) if high | low != 0 => bytes.push(high << 4 | low),
            _ => return path.as_bytes().to_vec(),
        }
    }
    bytes
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn variables_of(request: request::Builder) -> Vec<(String, OsString)> {
        variables(&request.body(()).unwrap().into_parts().0)
    }

    fn value(variables: &[(String, OsString)], name: &str) -> Option<String> {
        let found = variables.iter().rfind(|(known, _)| known == name)?;
        Some(found.1.to_str().unwrap().to_owned())
    }

    #[test]
    fn headers_are_spelled_as_go_spells_them_and_the_first_value_counts() {
        let variables = variables_of(
            Request::post("/")
                .header("content-type", "text/plain")
                .header("X-CALL-ID", "7")
                .header("x-twice", "first")
                .header("x-twice", "second")
                .header("host", "pi"),
        );

        assert_eq!(
            value(&variables, "Http_Content_Type").as_deref(),
            Some("text/plain")
        );
        assert_eq!(value(&variables, "Http_X_Call_Id").as_deref(), Some("7"));
        assert_eq!(value(&variables, "Http_X_Twice").as_deref(), Some("first"));
        assert_eq!(value(&variables, "Http_Method").as_deref(), Some("POST"));
        assert_eq!(value(&variables, "Http_Host"), None);
    }

    #[test]
    fn the_query_stays_raw_and_the_path_is_decoded() {
        let variables = variables_of(Request::get("/a%20b/%C3%A9?q=a%20b&r"));

        assert_eq!(value(&variables, "Http_Query").as_deref(), Some("q=a%20b&r"));
        assert_eq!(value(&variables, "Http_Path").as_deref(), Some("/a b/é"));
    }

    #[test]
    fn an_empty_query_is_not_set() {
        assert_eq!(value(&variables_of(Request::get("/?")), "Http_Query"), None);
    }

    #[test]
    fn a_path_that_cannot_be_decoded_stays_as_sent() {
        for path in ["/100%", "/%zz", "/%00"] {
            assert_eq!(
                value(&variables_of(Request::get(path)), "Http_Path").as_deref(),
                Some(path)
            );
        }
    }

    #[test]
    fn a_header_cannot_pose_as_the_method() {
        let variables = variables_of(Request::get("/").header("method", "POST"));

        assert_eq!(value(&variables, "Http_Method").as_deref(), Some("GET"));
    }
}
