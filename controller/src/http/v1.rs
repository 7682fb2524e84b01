//! `/api/v1/`: what OpenFaaS has no place for.

use api::{FunctionName, v1};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use cluster::views;
use http::StatusCode;

use crate::Controller;

/// GET `/api/v1/nodes`: every node, and how it is.
pub(crate) async fn nodes(State(controller): State<Controller>) -> Json<Vec<v1::Node>> {
    let state = controller.state();
    let memory = controller.desk.memory();
    Json(views::nodes(&state, &memory))
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
        None => {
            let error = v1::Error {
                error: format!("function {name}.{namespace} not found"),
            };
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}
