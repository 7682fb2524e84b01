//! The pages, and signing in and out.

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use controller::{Auth, AuthError, SESSION_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    user: String,
    origin: String,
}

/// What the sign-in form sends.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    user: String,
    password: String,
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn sign_in_page(status: StatusCode, problem: Option<String>) -> Response {
    page(status, &SignInPage { problem })
}

/// The overview for who is signed in, the sign-in page for everybody else.
pub(crate) async fn overview(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    match auth.identify(&Method::GET, &headers).await {
        Ok(signed_in) => {
            let host = headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or("bramble.local");
            page(
                StatusCode::OK,
                &OverviewPage {
                    user: signed_in.user,
                    origin: format!("http://{host}"),
                },
            )
        }
        // A program that came without a session learns by the status that it is not signed in.
        Err(_) if controller::is_browser(&headers) => sign_in_page(StatusCode::OK, None),
        Err(_) => sign_in_page(StatusCode::UNAUTHORIZED, None),
    }
}

/// Opens a session.
pub(crate) async fn sign_in(State(auth): State<Auth>, Form(form): Form<SignInForm>) -> Response {
    match auth.sign_in(form.user, form.password).await {
        Ok(token) => {
            let cookie = format!(
                "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict",
                token.as_str()
            );
            with_cookie(&cookie)
        }
        Err(AuthError::Busy) => {
            sign_in_page(StatusCode::TOO_MANY_REQUESTS, Some(AuthError::Busy.to_string()))
        }
        Err(_) => sign_in_page(
            StatusCode::UNAUTHORIZED,
            Some("User and password do not belong together. Try again.".to_owned()),
        ),
    }
}

/// Ends the session.
pub(crate) async fn sign_out(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    auth.sign_out(&headers);
    with_cookie(&format!(
        "{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    ))
}

fn with_cookie(cookie: &str) -> Response {
    let mut response = Redirect::to("/ui/").into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
