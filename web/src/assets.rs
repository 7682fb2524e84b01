//! The portal's static files, inside the program: a card needs no further files, and nothing comes from outside.

use axum::{extract::Path, response::IntoResponse};
use http::{StatusCode, header};

/// Answers with one of the files.
pub(crate) async fn serve(Path(file): Path<String>) -> impl IntoResponse {
    let (kind, content) = match file.as_str() {
        "portal.css" => ("text/css; charset=utf-8", include_str!("../static/portal.css")),
        "overview.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../static/overview.js"),
        ),
        "bramble.svg" => ("image/svg+xml", include_str!("../static/bramble.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // The files change with the program only, but nobody should have to empty a cache after an update.
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")],
        content,
    )
        .into_response()
}
