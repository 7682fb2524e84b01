//! The first visit: whoever holds the code that each Pi shows chooses the admin password, and is signed in with it.

use askama::Template;
use axum::{
    Extension, Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use controller::{Controller, Visitor};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{
    pages::{Frame, render},
    policy::Nonce,
    session::{self, START},
};

#[derive(Template)]
#[template(path = "first_visit.html")]
struct FirstVisitPage {
    frame: Frame,
    problem: Option<String>,
    code: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct FirstVisitForm {
    code: String,
    password: String,
    again: String,
}

/// The page where the admin password is chosen.
pub(crate) fn ask(status: StatusCode, nonce: String, code: String, problem: Option<String>) -> Response {
    let frame = Frame::at_the_door(nonce);
    render(status, &FirstVisitPage { frame, problem, code })
}

/// Asks for code and password; once somebody chose one, there is only signing in.
pub(crate) async fn page(
    State(controller): State<Controller>,
    Extension(nonce): Extension<Nonce>,
) -> Response {
    match controller.awaits_first_visit() {
        true => ask(StatusCode::OK, nonce.0, String::new(), None),
        false => Redirect::to(START).into_response(),
    }
}

/// Chooses the admin password.
pub(crate) async fn choose(
    State(controller): State<Controller>,
    Extension(nonce): Extension<Nonce>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
    Form(form): Form<FirstVisitForm>,
) -> Response {
    if session::is_from_elsewhere(&headers) {
        return session::from_elsewhere();
    }
    if form.password != form.again {
        let problem = "The two passwords differ. Type the same one twice.".to_owned();
        return ask(StatusCode::BAD_REQUEST, nonce.0, form.code, Some(problem));
    }
    let from = visitor.map_or_else(Visitor::unknown, |Extension(visitor)| visitor);
    match controller.first_visit(from, &form.code, &form.password).await {
        Ok(()) => {
            session::open(
                controller.auth(),
                "admin".to_owned(),
                form.password,
                nonce.0,
                START,
            )
            .await
        }
        Err((status, words)) => ask(status, nonce.0, form.code, Some(session::sentence(&words))),
    }
}
