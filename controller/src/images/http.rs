//! `/api/v1/images`: what there is, and what users bring and take away.

use std::sync::Arc;

use api::{images::Reference, v1};
use axum::{
    Extension, Json,
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use cluster::{Action, images};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tracing::info;

use crate::{Controller, auth::SignedIn, http::ApiError};

/// An error as everything below `/api/v1/` tells it.
pub(crate) struct ImageError(ApiError);

impl From<ApiError> for ImageError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ImageError {
    fn into_response(self) -> Response {
        let (status, error) = self.0.into_parts();
        (status, Json(v1::Error { error })).into_response()
    }
}

/// GET: all images.
pub(crate) async fn list(State(controller): State<Controller>) -> Json<Vec<v1::Image>> {
    let state = controller.state();
    let memory = controller.desk.memory();
    Json(images::list(&state, &memory))
}

/// POST: an archive of images, as `docker save` makes it, on its way to a node.
pub(crate) async fn push(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<v1::PushedImages>, ImageError> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let node = {
        let state = controller.state();
        let place = images::place_for(&state, &controller.desk.memory(), length);
        place.map_err(|words| ApiError::with_status(StatusCode::INSUFFICIENT_STORAGE, words))?
    };
    info!(%node, ?length, "takes an archive of images");
    let loaded = controller.load_images(node, length, body).await?;
    for (name, image) in &loaded.images {
        let facts = images::pushed(&controller.state(), name, image, node, controller.clock.wall());
        let action = Action::PutImage {
            name: name.clone(),
            facts: Arc::new(facts),
        };
        controller.change(&who.user, action).await?;
    }
    Ok(Json(v1::PushedImages {
        images: loaded.images.into_keys().collect(),
        node: controller.state().node_name(node),
    }))
}

/// Which image a request is about.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    name: String,
}

/// DELETE: takes an image that Bramble brought from all nodes.
pub(crate) async fn remove(
    State(controller): State<Controller>,
    Extension(who): Extension<SignedIn>,
    Query(Named { name }): Query<Named>,
) -> Result<StatusCode, ImageError> {
    // What lost its name is listed, and removed, by its id.
    let name = match name.parse::<Reference>() {
        _ if name.starts_with("sha256:") => name,
        Ok(reference) => reference.to_string(),
        Err(error) => return Err(ApiError::bad_request(error.to_string()).into()),
    };
    let state = controller.state();
    let (image, copies) = {
        let memory = controller.desk.memory();
        let found = images::copies(&state, &memory, &name);
        found.ok_or_else(|| ApiError::not_found(format!("no node holds an image {name}")))?
    };
    if image.built_in {
        return Err(ApiError::bad_request(format!("{name} is built in: nodes would make it again")).into());
    }
    if !image.used_by.is_empty() {
        let users = image.used_by.join(", ");
        return Err(ApiError::with_status(
            StatusCode::CONFLICT,
            format!("{name} is used by {users}; remove that first, or deploy it with another image"),
        )
        .into());
    }
    for (node, id) in copies {
        controller.remove_image_on(node, &id).await?;
    }
    if state.pushed_images().contains_key(&name) {
        controller.change(&who.user, Action::RemoveImage { name }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
