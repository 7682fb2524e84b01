//! What the gateway answers itself, in place of a function.

use std::time::Duration;

use api::FunctionName;
use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};

use crate::{
    Body,
    headers::{INTERNAL, REFUSED},
};

/// An answer in plain words, marked as the platform's, so that nobody mistakes it for the function's.
pub(crate) fn words(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(text.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(INTERNAL, HeaderValue::from_static("gateway"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// No function can have that name.
pub(crate) fn no_such_path() -> Response<Body> {
    words(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// There is no function of that name. The first words are those that OpenFaaS' clients know, and like there the name
/// is given in full.
pub(crate) fn unknown_function(function: &str) -> Response<Body> {
    let function = function
        .parse()
        .map_or_else(|_| function.to_owned(), |name: FunctionName| name.to_string());
    let text = format!("error finding function {function}: there is no function of this name\n");
    words(StatusCode::NOT_FOUND, text)
}

/// Functions take no such method.
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut answer = words(StatusCode::METHOD_NOT_ALLOWED, "functions take no such method\n");
    let allowed = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD");
    answer.headers_mut().insert(ALLOW, allowed);
    answer
}

/// A function is no service worker.
pub(crate) fn no_service_worker() -> Response<Body> {
    words(
        StatusCode::FORBIDDEN,
        "a function cannot be a service worker of this address\n",
    )
}

/// No replica became ready in time.
pub(crate) fn no_replica(function: &str, limit: Duration) -> Response<Body> {
    let seconds = limit.as_secs_f32();
    let text = format!("no replica of {function} became ready within {seconds} s\n");
    words(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// The replica could not be reached, or broke off. OpenFaaS' own words.
pub(crate) fn unreachable(function: &str) -> Response<Body> {
    words(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("Can't reach service for: {function}.\n"),
    )
}

/// The function did not answer in time: 502 without a body, as OpenFaaS' gateway does.
pub(crate) fn timed_out() -> Response<Body> {
    words(StatusCode::BAD_GATEWAY, Bytes::new())
}

/// To another gateway: nothing was begun here, try elsewhere.
pub(crate) fn refused(why: &'static str) -> Response<Body> {
    let mut answer = words(StatusCode::SERVICE_UNAVAILABLE, Bytes::new());
    answer
        .headers_mut()
        .insert(REFUSED, HeaderValue::from_static(why));
    answer
}
