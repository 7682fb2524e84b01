//! What an error becomes over HTTP: the one place that chooses status codes.

use axum::response::{IntoResponse, Response};
use cluster::{Refusal, outcome::Stale};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    auth::{AuthError, is_browser},
    raft::ProposeError,
};

/// An error for people to read, as plain text.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    words: String,
    ask_for_credentials: bool,
}

impl ApiError {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            ask_for_credentials: false,
        }
    }

    /// With any status.
    pub(crate) fn with_status(status: StatusCode, words: impl Into<String>) -> Self {
        Self::new(status, words)
    }

    /// The status and the words, for audiences that are told in another form.
    pub(crate) fn into_parts(self) -> (StatusCode, String) {
        (self.status, self.words)
    }

    /// The request makes no sense.
    pub(crate) fn bad_request(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// What was asked for is not there.
    pub(crate) fn not_found(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, words)
    }

    /// Not as things are.
    pub(crate) fn conflict(words: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, words)
    }

    /// Known, but not allowed.
    pub(crate) fn forbidden(words: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, words)
    }

    /// Not let in. Programs are told how to sign in; browsers are not, because they would remember it.
    pub(crate) fn from_auth(error: AuthError, headers: &HeaderMap) -> Self {
        let status = match error {
            AuthError::Invalid => StatusCode::UNAUTHORIZED,
            AuthError::CrossOrigin => StatusCode::FORBIDDEN,
            AuthError::Busy => StatusCode::TOO_MANY_REQUESTS,
            AuthError::NoLeader => StatusCode::SERVICE_UNAVAILABLE,
        };
        let ask_for_credentials = error == AuthError::Invalid && !is_browser(headers);
        Self {
            ask_for_credentials,
            ..Self::new(status, error.to_string())
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoSuchFunction(_)
            | Refusal::NoSuchNode(_)
            | Refusal::NoSuchImage(_)
            | Refusal::NoSuchUser(_)
            | Refusal::NoSuchSecret(_) => StatusCode::NOT_FOUND,
            Refusal::AlreadyExists(_)
            | Refusal::NameTaken(_)
            | Refusal::StillThere(_)
            | Refusal::AlreadyFounded
            | Refusal::SecretExists(_)
            | Refusal::AnotherKey
            | Refusal::HasWork
            | Refusal::Dissolved(_)
            | Refusal::Stale(Stale::Function(_) | Stale::Node(_) | Stale::Room(_) | Stale::Unfounded) => {
                StatusCode::CONFLICT
            }
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<ProposeError> for ApiError {
    fn from(error: ProposeError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{error}; try again in a moment"),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.words).into_response();
        if self.ask_for_credentials {
            let realm = HeaderValue::from_static("Basic realm=\"Restricted\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}
