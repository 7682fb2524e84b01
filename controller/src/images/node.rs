//! What agents ask of a controller about images, over the node-to-node port.

use api::{
    FunctionName, NodeId,
    images::{CLEANED_PATH, CREDENTIALS_PATH, Cleaned, CredentialsAnswer, Reference, USED_PATH},
    versioned::{decode, encode},
};
use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use cluster::{Action, images};
use http::{Request, StatusCode};

use super::credentials;
use crate::Controller;

/// Longest message that is read.
const MAX_BYTES: usize = 1 << 20;

/// Answers `request` of the node `from`; `None` where it is not about images.
pub(crate) async fn answer(
    controller: &Controller,
    from: NodeId,
    request: Request<Body>,
) -> Result<Response, Request<Body>> {
    let answer = match request.uri().path() {
        USED_PATH => encode(&images::used(&controller.state())).into_response(),
        CREDENTIALS_PATH => credentials(controller, from, request.uri().query().unwrap_or_default()),
        CLEANED_PATH => cleaned(controller, from, request.into_body()).await,
        _ => return Err(request),
    };
    Ok(answer)
}

/// Only to a node that has to run the function, and only for the registry of its image.
fn credentials(controller: &Controller, from: NodeId, query: &str) -> Response {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(its, _)| *its == name)
            .map(|(_, value)| value)
            .next()
    };
    let name = FunctionName::new(
        value("name").unwrap_or_default(),
        value("namespace").unwrap_or_default(),
    );
    let Ok(name) = name else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let state = controller.state();
    let runs_it = state
        .replicas_of(&name)
        .any(|(_, replica)| replica.node == from && !replica.is_draining());
    let image = state
        .function(&name)
        .filter(|_| runs_it)
        .and_then(|function| function.spec.image.parse::<Reference>().ok());
    let Some(image) = image else {
        return StatusCode::FORBIDDEN.into_response();
    };
    encode(&CredentialsAnswer {
        credentials: credentials::of(&controller.vault, &state, &name, &image),
    })
    .into_response()
}

async fn cleaned(controller: &Controller, node: NodeId, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(cleaned) = decode::<Cleaned>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    controller
        .desk
        .propose(Action::CleanImages { node, cleaned })
        .await;
    StatusCode::NO_CONTENT.into_response()
}
