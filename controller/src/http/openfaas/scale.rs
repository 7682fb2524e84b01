//! `/system/scale-function/{name}`.

use api::{openfaas::ScaleServiceRequest, spec::MAX_REPLICAS};
use axum::{
    Extension,
    body::Bytes,
    extract::{Path, Query, State},
};
use cluster::Action;
use http::StatusCode;

use super::{super::error::ApiError, NamespaceQuery, existing_name, from_json, namespace};
use crate::{Controller, auth::SignedIn};

/// POST: run so many replicas; 0 is allowed. The name in the path is the one that counts.
pub(crate) async fn scale(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Path(name): Path<String>,
    Query(query): Query<NamespaceQuery>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let request: ScaleServiceRequest = from_json(&body)?;
    let namespace = namespace(&request.namespace, &query.namespace)?;
    let name = existing_name(&name, namespace)?;
    let replicas = u32::try_from(request.replicas)
        .ok()
        .filter(|replicas| *replicas <= MAX_REPLICAS)
        .ok_or_else(|| {
            ApiError::bad_request(format!("replicas must be a number from 0 to {MAX_REPLICAS}"))
        })?;
    controller
        .change(&who.user, Action::ScaleFunction { name, replicas })
        .await?;
    Ok(StatusCode::ACCEPTED)
}
