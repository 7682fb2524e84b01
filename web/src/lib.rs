//! The portal: what people see at `/ui/`.
//!
//! Here: the pages (askama), their static files and small ES modules; signing in and out. The pages show what the
//! management API says, as every other client sees it.
//!
//! May touch: the controller's [`Auth`]. Not here: what the API answers (`controller::http`).

mod assets;
mod pages;

use axum::{
    Router,
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use controller::Auth;
use http::{HeaderValue, header};

/// What browsers may do on the portal's pages: nothing that is not served by the portal itself, and no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The portal's routes, below `/ui/`.
pub fn router(auth: Auth) -> Router {
    Router::new()
        .route("/ui/", get(pages::overview))
        .route("/ui/sign-in", post(pages::sign_in))
        .route("/ui/sign-out", post(pages::sign_out))
        .route("/ui/static/{file}", get(assets::serve))
        .layer(map_response(guard_page))
        .with_state(auth)
}

async fn guard_page(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
