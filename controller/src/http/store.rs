//! The function store, open to everybody as other stores are: `/store.json` and the pictures that it names.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use crate::Controller;

/// What the store says of itself where the client does not say how it got here.
const ORIGIN: &str = "http://bramble.local";

/// GET `/store.json`.
pub(crate) async fn store(State(controller): State<Controller>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = host.map_or_else(|| ORIGIN.to_owned(), |host| format!("http://{host}"));
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Json(controller.catalogue.store(&origin))).into_response()
}

/// GET `/store/icons/{name}.svg`.
pub(crate) async fn icon(State(controller): State<Controller>, Path(file): Path<String>) -> Response {
    let icon = file
        .strip_suffix(".svg")
        .and_then(|name| controller.catalogue.icon(name));
    match icon {
        Some(icon) => {
            let headers = [
                (header::CONTENT_TYPE, "image/svg+xml"),
                (header::CACHE_CONTROL, "max-age=3600"),
                (
                    header::CONTENT_SECURITY_POLICY,
                    "default-src 'none'; style-src 'unsafe-inline'; sandbox",
                ),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, icon.to_owned()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "the store has no such picture\n").into_response(),
    }
}
