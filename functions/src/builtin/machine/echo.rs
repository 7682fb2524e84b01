//! The `echo` function: sends every body back as it comes. No watchdog and no log, so it is also the fastest function
//! there is to measure the platform with.

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};

use crate::builtin::listen;
use crate::tools::Failure;

/// Serves until it is asked to stop.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<u8, Failure> {
    listen::until_asked_to_stop(answer)
}

async fn answer(request: Request<Incoming>) -> Response<Either<Incoming, Full<Bytes>>> {
    if listen::asks_for_health(&request) {
        return Response::new(Either::Right(Full::new(Bytes::from_static(b"OK"))));
    }
    let (head, body) = request.into_parts();
    let mut response = Response::new(Either::Left(body));
    if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}
