//! `functions serve NAME`: a function as an HTTP server, with one line in the log per request, as the watchdog writes it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::time::timeout;

use super::call::{Answer, Call, Refusal};
use super::{Builtin, Work, apart, listen};
use crate::tools::Failure;

/// The longest that a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Serves until it is asked to stop.
///
/// # Errors
/// When it cannot listen.
pub(super) fn serve(builtin: &'static Builtin) -> Result<u8, Failure> {
    listen::until_asked_to_stop(move |request| respond(builtin, request))
}

async fn respond(builtin: &'static Builtin, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if listen::asks_for_health(&request) {
        return Response::new(Full::new(Bytes::from_static(b"OK")));
    }
    let started = Instant::now();
    let what = format!("{} {}", request.method(), request.uri().path());
    let answer = answer(builtin, request).await.unwrap_or_else(Answer::from);
    log(&what, &answer, started.elapsed());
    into_response(answer)
}

async fn answer(builtin: &'static Builtin, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (head, body) = request.into_parts();
    let body = collect(body, builtin.limit).await?;
    match &builtin.work {
        Work::Quick(function) => function(&Call::from_http(&head, body)),
        Work::Waiting(function) => function(Call::from_http(&head, body)).await,
        Work::Apart { bounds, .. } => apart::answer(builtin, bounds, &head, &body).await,
    }
}

/// The whole body. Work begins only then: who uploads slowly keeps nobody else waiting.
async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Refusal> {
    let announced = body.size_hint().exact().unwrap_or(0);
    if announced > u64::try_from(limit).unwrap_or(u64::MAX) {
        discard(body);
        return Err(Refusal::too_large(limit));
    }
    let mut collected = Vec::new();
    let arrival = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new("The body did not arrive whole.".to_owned()))?;
            let Ok(data) = frame.into_data() else { continue };
            if collected.len() + data.len() > limit {
                return Err(Refusal::too_large(limit));
            }
            collected.extend_from_slice(&data);
        }
        Ok(())
    };
    let arrived = timeout(BODY_TIME, arrival).await;
    match arrived {
        Ok(Ok(())) => Ok(collected),
        Ok(Err(refusal)) => {
            discard(body);
            Err(refusal)
        }
        Err(_) => Err(Refusal::with_status(
            408,
            "The body took longer than a minute to arrive.",
        )),
    }
}

/// Takes in the rest of a body that is refused, and forgets it: a caller that still sends when its connection closes
/// never reads the answer.
fn discard(mut body: Incoming) {
    tokio::spawn(timeout(BODY_TIME, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

fn into_response(answer: Answer) -> Response<Full<Bytes>> {
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, value(&answer.content_type));
    for (name, text) in answer.headers {
        headers.insert(name, value(&text));
    }
    response
}

fn log(what: &str, answer: &Answer, took: Duration) {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    // Formatted first: one write is one line. A function whose log is gone still has work to do.
    let line = format!(
        "{} {what} - {status} - ContentLength: {}B ({:.4}s)\n",
        Timestamp::now().strftime("%Y/%m/%d %H:%M:%S"),
        answer.body.len(),
        took.as_secs_f64(),
    );
    _ = io::stderr().write_all(line.as_bytes());
}
