//! Gives nodes the secrets of the functions that they run, over the node-to-node port.

use std::collections::BTreeMap;

use api::{
    NodeId,
    secrets::{OpenSecret, SecretBytes, SecretsAnswer, SecretsRequest},
    versioned::{decode, encode},
};
use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use cluster::secrets::granted;
use http::StatusCode;

use crate::Controller;

/// Longest question that is read: the name of a function.
const MAX_REQUEST_BYTES: usize = 4096;

/// Answers with the secrets that the function names, if the node `from` has to run it: names alone open nothing.
pub(crate) async fn answer(controller: &Controller, from: NodeId, body: Body) -> Response {
    let question = to_bytes(body, MAX_REQUEST_BYTES).await.ok();
    let Some(question) = question.and_then(|body| decode::<SecretsRequest>(&body).ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let state = controller.state();
    let mut secrets = BTreeMap::new();
    for name in granted(&state, from, &question.function) {
        let version = state.secret(&name).map(|secret| secret.version);
        let value = match controller.vault.open(&state, &name) {
            Ok(value) => value,
            Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
        };
        if let (Some(version), Some(value)) = (version, value) {
            let value = SecretBytes(value.to_vec());
            secrets.insert(name.name().to_owned(), OpenSecret { version, value });
        }
    }
    encode(&SecretsAnswer { secrets }).into_response()
}
