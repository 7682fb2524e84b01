//! `/api/v1/`: what OpenFaaS has no place for.

use api::{FunctionName, v1};
use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use cluster::{permissions::Permission, views};
use http::StatusCode;
use serde::Deserialize;

use crate::{Controller, auth::SignedIn};

/// Events that are answered where nobody says how many.
const EVENTS_SHOWN: usize = 50;

/// An error in the form that this audience is told in.
pub(crate) fn error(status: StatusCode, words: impl Into<String>) -> Response {
    let error = v1::Error { error: words.into() };
    (status, Json(error)).into_response()
}

/// GET `/api/v1/nodes`: every node, and how it is.
pub(crate) async fn nodes(State(controller): State<Controller>) -> Json<Vec<v1::Node>> {
    let state = controller.state();
    let memory = controller.desk.memory();
    Json(views::nodes(&state, &memory))
}

/// GET `/api/v1/nodes/{name}`: a node, with all that is known of it in people's words.
pub(crate) async fn node(State(controller): State<Controller>, Path(name): Path<String>) -> Response {
    let state = controller.state();
    let nodes = views::nodes(&state, &controller.desk.memory());
    match nodes.into_iter().find(|node| node.name == name) {
        Some(node) => {
            let about = views::about(&node);
            Json(v1::NodeInWords { node, about }).into_response()
        }
        None => error(StatusCode::NOT_FOUND, format!("no node {name} in this bramble")),
    }
}

/// GET `/api/v1/functions`: every function, and how it stands.
pub(crate) async fn functions(State(controller): State<Controller>) -> Json<Vec<v1::FunctionSummary>> {
    let state = controller.state();
    let memory = controller.desk.memory();
    Json(views::function_summaries(&state, &memory))
}

/// GET `/api/v1/functions/{namespace}/{name}`: a function, where its replicas are and why.
pub(crate) async fn function(
    State(controller): State<Controller>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let state = controller.state();
    let found = FunctionName::new(&name, &namespace).ok().and_then(|full| {
        let memory = controller.desk.memory();
        views::function(&state, &memory, &full)
    });
    match found {
        Some(function) => Json(function).into_response(),
        None => error(
            StatusCode::NOT_FOUND,
            format!("function {name}.{namespace} not found"),
        ),
    }
}

/// What may follow `/api/v1/activity?`.
#[derive(Debug, Deserialize)]
pub(crate) struct Most {
    limit: Option<usize>,
}

/// GET `/api/v1/activity`: what happened lately, the newest first.
pub(crate) async fn activity(
    State(controller): State<Controller>,
    Query(most): Query<Most>,
) -> Json<Vec<v1::Event>> {
    let mut events = views::events(&controller.state());
    events.truncate(most.limit.unwrap_or(EVENTS_SHOWN));
    Json(events)
}

/// GET `/api/v1/session`: who is asking, and what they may do.
pub(crate) async fn session(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
) -> Response {
    let state = controller.state();
    let Some(role) = state.users().get(&user).map(|user| user.role) else {
        return error(StatusCode::UNAUTHORIZED, "this user was removed");
    };
    let permissions = Permission::ALL
        .into_iter()
        .filter(|permission| role.may(*permission));
    Json(v1::Session {
        user,
        role: role.to_string(),
        permissions: permissions.map(|permission| permission.to_string()).collect(),
    })
    .into_response()
}
