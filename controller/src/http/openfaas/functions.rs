//! `/system/functions` and `/system/function/{name}`.

use std::sync::Arc;

use api::{
    FunctionSpec,
    openfaas::{DeleteFunctionRequest, FunctionDeployment, FunctionStatus},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
};
use cluster::{Action, command::Expect, secrets::SecretName, views};
use http::StatusCode;

use super::{super::error::ApiError, NamespaceQuery, existing_name, from_json, namespace, no_such_function};
use crate::{Controller, auth::SignedIn};

type Asked = Query<NamespaceQuery>;

/// GET: every function of a namespace.
pub(crate) async fn list(
    State(controller): State<Controller>,
    Query(query): Asked,
) -> Result<Json<Vec<FunctionStatus>>, ApiError> {
    let namespace = namespace("", &query.namespace)?;
    let state = controller.state();
    let memory = controller.desk.memory();
    Ok(Json(views::function_statuses(&state, &memory, namespace)))
}

/// GET: one function.
pub(crate) async fn status(
    State(controller): State<Controller>,
    Path(name): Path<String>,
    Query(query): Asked,
) -> Result<Json<FunctionStatus>, ApiError> {
    let namespace = namespace("", &query.namespace)?;
    let full = existing_name(&name, namespace)?;
    let state = controller.state();
    let memory = controller.desk.memory();
    views::function_status(&state, &memory, &full)
        .map(Json)
        .ok_or_else(|| no_such_function(&name, namespace))
}

/// POST: deploy a function that is not there yet.
pub(crate) async fn create(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Asked,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    put(&controller, &who, &query, &body, Expect::Absent).await
}

/// PUT: deploy anew a function that is there.
pub(crate) async fn update(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Asked,
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
    let deployment: FunctionDeployment = from_json(body)?;
    let namespace = namespace(&deployment.namespace, &query.namespace)?;
    let spec =
        FunctionSpec::check(&deployment, namespace).map_err(|error| ApiError::bad_request(words(&error)))?;
    let missing = |secret: &&String| {
        let name = SecretName::new(namespace, secret);
        controller.state().secret(&name).is_none()
    };
    // Upstream says so of the deployment, which is what is wrong with it.
    if let Some(missing) = spec.secrets.iter().find(missing) {
        return Err(ApiError::bad_request(format!(
            "unable to find secret: {missing}; create it first"
        )));
    }
    controller
        .change(
            &who.user,
            Action::PutFunction {
                spec: Arc::new(spec),
                expect,
            },
        )
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// An error with all that led to it, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// DELETE: remove a function and its replicas.
pub(crate) async fn remove(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(query): Asked,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let request: DeleteFunctionRequest = from_json(&body)?;
    let namespace = namespace(&request.namespace, &query.namespace)?;
    if request.function_name.is_empty() {
        return Err(ApiError::bad_request("functionName is required"));
    }
    let name = existing_name(&request.function_name, namespace)?;
    controller
        .change(&who.user, Action::RemoveFunction { name })
        .await?;
    Ok(StatusCode::ACCEPTED)
}
