//! Gives nodes the secrets of the functions that they run, over the node-to-node port.

use std::{collections::BTreeMap, time::Duration};

use api::{
    NodeId,
    secrets::{KEY_PATH, KeyAnswer, KeyRequest, OpenSecret, SecretBytes, SecretsAnswer, SecretsRequest},
    versioned::{decode, encode},
};
use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use cluster::secrets::{Keyring, granted};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use transport::Peer;

use crate::Controller;

/// Longest question that is read: the name of a function.
const MAX_REQUEST_BYTES: usize = 4096;

/// Time between looks whether this controller has the key, and for another to answer.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Gives another controller the key that secrets are sealed with.
pub(crate) fn hand_over(controller: &Controller, from: NodeId) -> Response {
    let state = controller.state();
    if !state.node(from).is_some_and(|node| node.controller) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match controller.vault.hand_over(&state) {
        Ok(key) => encode(&key).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// Sees to it until `stop` that this controller has the key: the next leader needs it.
pub(crate) async fn keep_key(controller: &Controller, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK_EVERY) => {}
        }
        let state = controller.state();
        let leader = controller.raft.leadership().borrow().leader;
        let holders = holders(state.keyring(), controller.id, leader);
        let holders = holders.into_iter().filter_map(|id| {
            let address = state.node(id)?.facts.address;
            Some(Peer { id, address })
        });
        let holders: Vec<Peer> = holders.collect();
        drop(state);
        for holder in holders {
            if let Some(handed) = ask(controller, holder).await
                && let Ok(action) = controller.vault.keep(&handed)
            {
                info!("was given the bramble's key");
                controller.desk.propose(action).await;
                break;
            }
        }
    }
}

/// Whom to ask for the key where `me` lacks it: the leader first, but also the others that have it, since who lacks it
/// may lead itself.
fn holders(keyring: &Keyring, me: NodeId, leader: Option<NodeId>) -> Vec<NodeId> {
    if keyring.serves(me) {
        return Vec::new();
    }
    let mut holders: Vec<NodeId> = keyring.keys.keys().copied().collect();
    holders.sort_by_key(|id| Some(*id) != leader);
    holders
}

async fn ask(controller: &Controller, holder: Peer) -> Option<KeyAnswer> {
    let question = axum::body::Bytes::from(encode(&KeyRequest {}));
    let request = Request::post(KEY_PATH)
        .body(transport::Body::from(question))
        .ok()?;
    let answer = timeout(ANSWER_LIMIT, controller.bulk.request(holder, request));
    let answer = answer.await.ok()?.ok()?;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(answer.into_body(), MAX_REQUEST_BYTES)
        .collect()
        .await
        .ok()?;
    decode(&body.to_bytes()).ok()
}

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

#[cfg(test)]
mod tests {
    use cluster::secrets::Sealed;

    use super::*;

    #[test]
    fn whoever_has_the_key_is_asked_for_it_even_by_a_leader_that_lacks_it() {
        let id = NodeId::from_number;
        let mut keyring = Keyring::default();
        assert_eq!(
            holders(&keyring, id(3), Some(id(3))),
            [],
            "a leader makes the first one"
        );
        for holder in [1, 2] {
            keyring.keys.insert(id(holder), Sealed::default());
        }
        assert_eq!(holders(&keyring, id(1), Some(id(2))), [], "it has it");
        assert_eq!(holders(&keyring, id(3), Some(id(2))), [id(2), id(1)]);
        assert_eq!(holders(&keyring, id(3), Some(id(3))), [id(1), id(2)]);
        assert_eq!(holders(&keyring, id(3), None), [id(1), id(2)]);
    }
}
