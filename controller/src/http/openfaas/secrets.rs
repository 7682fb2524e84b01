//! `/system/secrets` (contract section 1.9): create, change, list and remove. Values go in and never come out.

use api::{
    openfaas::Secret,
    secrets::{MAX_SECRET_BYTES, SecretError, SecretListing, check_name},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Query, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cluster::{Action, command::Expect, secrets::SecretName};
use http::StatusCode;
use zeroize::{Zeroize, Zeroizing};

use super::{super::error::ApiError, NamespaceQuery, from_json, namespace};
use crate::{Controller, auth::SignedIn};

/// Longest body: a value as long as may be, written twice (as text and in base64), and its name.
pub(crate) const MAX_BODY_BYTES: usize = 4 * MAX_SECRET_BYTES;

/// GET: names, never values.
pub(crate) async fn list(
    State(controller): State<Controller>,
    Query(query): Query<NamespaceQuery>,
) -> Result<Json<Vec<SecretListing>>, ApiError> {
    let namespace = namespace("", &query.namespace)?;
    let state = controller.state();
    let its = state
        .secrets()
        .keys()
        .filter(|name| name.namespace() == namespace);
    let listing = |name: &SecretName| SecretListing {
        name: name.name().to_owned(),
        namespace: name.namespace().to_owned(),
    };
    Ok(Json(its.map(listing).collect()))
}

/// POST: a new one; 409 where there is one of the name.
pub(crate) async fn create(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Query<NamespaceQuery>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    put(&controller, &who, &query, &body, Expect::Absent).await
}

/// PUT: another value for one that is there.
pub(crate) async fn update(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Query<NamespaceQuery>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    put(&controller, &who, &query, &body, Expect::Present).await
}

async fn put(
    controller: &Controller,
    who: &SignedIn,
    query: &NamespaceQuery,
    body: &[u8],
    expect: Expect,
) -> Result<StatusCode, ApiError> {
    let mut secret: Secret = from_json(body)?;
    let name = SecretName::new(namespace(&secret.namespace, &query.namespace)?, &secret.name);
    if secret.name.is_empty() {
        return Err(ApiError::bad_request("the secret's name is missing"));
    }
    check_name(&secret.name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    // The official client sends both; the bytes are what was meant.
    let value = Zeroizing::new(match secret.raw_value.is_empty() {
        true => std::mem::take(&mut secret.value).into_bytes(),
        false => STANDARD
            .decode(&secret.raw_value)
            .map_err(|_| ApiError::bad_request("rawValue is not base64"))?,
    });
    secret.value.zeroize();
    secret.raw_value.zeroize();
    if value.len() > MAX_SECRET_BYTES {
        return Err(ApiError::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            SecretError::TooLong.to_string(),
        ));
    }
    let sealed = controller.vault.seal(&controller.state(), &name, &value);
    let value =
        sealed.map_err(|error| ApiError::with_status(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let action = Action::PutSecret { name, value, expect };
    controller.change(&who.user, action).await?;
    Ok(StatusCode::ACCEPTED)
}

/// DELETE: also one that functions name.
pub(crate) async fn remove(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Query<NamespaceQuery>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let secret: Secret = from_json(&body)?;
    let namespace = namespace(&secret.namespace, &query.namespace)?;
    if secret.name.is_empty() {
        return Err(ApiError::bad_request("the secret's name is missing"));
    }
    let name = SecretName::new(namespace, &secret.name);
    controller
        .change(&who.user, Action::RemoveSecret { name })
        .await?;
    Ok(StatusCode::ACCEPTED)
}
