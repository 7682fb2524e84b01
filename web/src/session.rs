//! Signing in and out.

use askama::Template;
use axum::{
    Extension, Form,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use controller::{Auth, AuthError, Controller, SESSION_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::{
    pages::{Frame, render},
    policy::Nonce,
};

/// Where people arrive who asked for nothing else.
pub(crate) const START: &str = "/ui/";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    problem: Option<String>,
    to: String,
}

/// What the sign-in form sends.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    user: String,
    password: String,
    #[serde(default)]
    to: String,
}

/// What the address of the sign-in page carries.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    to: String,
}

/// The sign-in page; who signs in on it goes on to `to`.
pub(crate) fn ask(status: StatusCode, nonce: String, to: &str, problem: Option<String>) -> Response {
    let frame = Frame::at_the_door(nonce);
    let to = page_within(to).to_owned();
    render(status, &SignInPage { frame, problem, to })
}

/// `to` where it is one of the portal's pages; nobody is sent elsewhere by a link to the sign-in page.
fn page_within(to: &str) -> &str {
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    match to.starts_with(START) && plain && !to.contains("//") && !to.starts_with("/ui/sign-") {
        true => to,
        false => START,
    }
}

/// An error's words as a sentence.
pub(crate) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// Asks who somebody is, also who is signed in already. Before anybody can sign in, there is the first visit.
pub(crate) async fn sign_in_page(
    State(controller): State<Controller>,
    Extension(nonce): Extension<Nonce>,
    Query(wanted): Query<Wanted>,
) -> Response {
    if controller.awaits_first_visit() {
        return Redirect::to("/ui/first-visit").into_response();
    }
    ask(StatusCode::OK, nonce.0, &wanted.to, None)
}

/// Opens a session.
pub(crate) async fn sign_in(
    State(controller): State<Controller>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Response {
    if is_from_elsewhere(&headers) {
        return from_elsewhere();
    }
    open(controller.auth(), form.user, form.password, nonce.0, &form.to).await
}

/// Signs somebody in who gives the right password, and leads on to `to`.
pub(crate) async fn open(auth: &Auth, user: String, password: String, nonce: String, to: &str) -> Response {
    match auth.sign_in(user, password).await {
        Ok(token) => {
            let cookie = format!(
                "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict",
                token.as_str()
            );
            with_cookie(&cookie, page_within(to))
        }
        Err(problem @ AuthError::Busy) => {
            let problem = sentence(&problem.to_string());
            ask(StatusCode::TOO_MANY_REQUESTS, nonce, to, Some(problem))
        }
        Err(problem @ AuthError::NoLeader) => {
            let problem = sentence(&problem.to_string());
            ask(StatusCode::SERVICE_UNAVAILABLE, nonce, to, Some(problem))
        }
        Err(_) => {
            let problem = "User and password do not belong together. Try again.".to_owned();
            ask(StatusCode::UNAUTHORIZED, nonce, to, Some(problem))
        }
    }
}

/// Ends the session.
pub(crate) async fn sign_out(State(controller): State<Controller>, headers: HeaderMap) -> Response {
    if is_from_elsewhere(&headers) {
        return from_elsewhere();
    }
    if let Err(problem) = controller.auth().sign_out(&headers).await {
        let words = format!("You are still signed in. {}\n", sentence(&problem.to_string()));
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    with_cookie(
        &format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"),
        START,
    )
}

/// Whether a browser says that a page of another origin sent this. Programs say nothing, and nobody makes them.
pub(crate) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    if let Some(site) = text(&SEC_FETCH_SITE) {
        // `none`: a person's own doing, such as loading a page again.
        return !matches!(site, "same-origin" | "none");
    }
    match text(&header::ORIGIN) {
        Some(origin) => origin.split_once("://").map(|(_, host)| host) != text(&header::HOST),
        None => false,
    }
}

pub(crate) fn from_elsewhere() -> Response {
    let words =
        "This form was sent by a page that is not the portal's. Open the portal itself and sign in there.\n";
    (StatusCode::FORBIDDEN, words).into_response()
}

fn with_cookie(cookie: &str, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_the_portal_and_nowhere_else() {
        for good in [
            "/ui/",
            "/ui/store?search=cow",
            "/ui/functions/openfaas-fn/env#logs",
        ] {
            assert_eq!(page_within(good), good);
        }
        for bad in [
            "",
            "https://evil.example/",
            "//evil.example/ui/",
            "/ui/\\evil.example",
            "/ui//evil.example",
            "/function/evil",
            "/ui/\r\nset-cookie: a=b",
            "/ui/sign-out",
        ] {
            assert_eq!(page_within(bad), START, "{bad}");
        }
    }

    #[test]
    fn a_form_of_another_origin_is_told_from_the_portals_own() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &str)| {
                (HeaderName::from_static(name), value.parse().unwrap())
            };
            pairs.iter().map(pair).collect()
        };
        let host = ("host", "bramble.local");
        for own in [
            vec![host],
            vec![host, ("origin", "http://bramble.local")],
            vec![host, ("sec-fetch-site", "same-origin")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert!(!is_from_elsewhere(&headers(&own)), "{own:?}");
        }
        for other in [
            ("origin", "null"),
            ("origin", "http://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(is_from_elsewhere(&headers(&[host, other])), "{other:?}");
        }
    }
}
