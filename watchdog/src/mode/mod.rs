//! How a request reaches the function: one file per mode.
//!
//! A mode turns a request into a response; limits on concurrency, health, logs and cutting late connections are
//! [`crate::service`]'s and [`crate::server`]'s.

mod files;
mod fork;
mod hearing;
mod held;
mod http;
mod media;
mod pool;
mod range;
mod serializing;
mod streaming;

use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};

pub(crate) use self::held::Held;
pub(crate) use self::http::Forked;
pub(crate) use self::pool::Lease;
pub(crate) use self::streaming::Output;
use crate::answer::Content;
use crate::children::Children;
use crate::config::{Config, Mode};
use crate::duration::Seconds;
use crate::limit::Permit;
use crate::upload::Upload;

/// Says which part of the platform made an error, so that callers know it is not the function's.
pub(crate) const INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");
const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");

/// The mode in use.
pub(crate) enum Runner {
    Streaming(streaming::Streaming),
    Serializing(serializing::Serializing),
    Http(http::Http),
    Static(files::Files),
}

impl Runner {
    /// Prepares the mode. In http mode this starts the function, which the caller then watches.
    ///
    /// # Errors
    /// When the function cannot be started, or the folder of static mode is not there.
    pub(crate) fn start(config: &Config, children: &Rc<Children>) -> io::Result<(Self, Option<Forked>)> {
        let runner = match &config.mode {
            Mode::Streaming(fprocess) => {
                Self::Streaming(streaming::Streaming::new(config, fprocess, children.clone()))
            }
            Mode::Serializing(fprocess) => {
                Self::Serializing(serializing::Serializing::new(config, fprocess, children.clone()))
            }
            Mode::Http {
                fprocess,
                upstream,
                buffer_requests,
            } => {
                let forked = Forked::start(fprocess, config.relaying, children)?;
                let http = http::Http::new(config, upstream.clone(), *buffer_requests);
                return Ok((Self::Http(http), Some(forked)));
            }
            Mode::Static(root) => Self::Static(files::Files::new(root)?),
        };
        Ok((runner, None))
    }

    /// Runs one invocation up to the head of its answer. Dropping the future ends what it started.
    pub(crate) async fn call(
        &self,
        request: Request<Upload>,
        started: Instant,
        permit: &Permit,
    ) -> Response<Content> {
        match self {
            Self::Streaming(mode) => mode.call(request, started).await,
            Self::Serializing(mode) => mode.call(request, started).await,
            Self::Http(mode) => mode.call(request, started, permit).await,
            Self::Static(mode) => mode.call(request),
        }
    }
}

/// Seconds since `started` with six decimals, as `X-Duration-Seconds` has them.
fn duration_value(started: Instant) -> HeaderValue {
    let text = Seconds::<6>(started.elapsed()).to_string();
    HeaderValue::try_from(text).expect("digits and a dot are a valid header value")
}

/// An error in words, with its duration.
fn failure(status: StatusCode, why: impl Display, started: Instant) -> Response<Content> {
    let mut response = failed_with(status, why);
    response.headers_mut().insert(DURATION, duration_value(started));
    response
}

/// An error in words.
fn failed_with(status: StatusCode, why: impl Display) -> Response<Content> {
    let mut response = Response::new(Content::text(format!("{why}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
