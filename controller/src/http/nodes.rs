//! `/api/v1/`: what changes who is part of the bramble, and the first visit.

use std::time::Duration;

use api::{
    Device, Devices, NodeId, devices::UnknownDevice, light::LightSettings, settings::is_host_name, v1,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use cluster::{Action, autopilot::Wish, lights::LONGEST_IDENTIFY};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::v1::error;
use crate::{Controller, auth::SignedIn, http::ApiError, joining::node_named};

fn said(outcome: Result<(), ApiError>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => {
            let (status, words) = refused.into_parts();
            error(status, words)
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}")))
}

fn node(controller: &Controller, name: &str) -> Result<NodeId, ApiError> {
    let state = controller.state();
    node_named(&state, name).ok_or_else(|| ApiError::not_found(format!("no node {name} in this bramble")))
}

/// GET `/api/v1/waiting`: nodes that knocked and may be admitted, the longest waiting first.
pub(crate) async fn waiting(State(controller): State<Controller>) -> Json<Vec<v1::WaitingNode>> {
    Json(controller.joining.list(&controller.state()))
}

/// POST `/api/v1/waiting/{id}/admit`: lets a node in.
pub(crate) async fn admit(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(id): Path<NodeId>,
) -> Response {
    said(controller.admit(&user, id).await)
}

/// POST `/api/v1/waiting/{id}/refuse`: turns a node away for good.
pub(crate) async fn refuse(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(id): Path<NodeId>,
) -> Response {
    said(controller.refuse(&user, id).await)
}

/// POST `/api/v1/waiting/{id}/replace`: lets a node in, in place of the silent one of the same board.
pub(crate) async fn admit_in_place(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(id): Path<NodeId>,
) -> Response {
    let replace = async || {
        controller.admit(&user, id).await?;
        controller.replace(&user, id).await
    };
    said(replace().await)
}

/// POST `/api/v1/nodes/{name}/replace`: has a node go on as the silent one of the same board.
pub(crate) async fn replace(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
) -> Response {
    let replace = async || {
        let id = node(&controller, &name)?;
        controller.replace(&user, id).await
    };
    said(replace().await)
}

/// POST `/api/v1/waiting/admit`: lets in all who wait at this moment, but none that was removed before.
pub(crate) async fn admit_all(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
) -> Response {
    for waiting in controller.joining.list(&controller.state()) {
        if waiting.removed {
            continue;
        }
        if let Err(refused) = controller.admit(&user, waiting.id).await {
            return said(Err(refused));
        }
    }
    said(Ok(()))
}

/// GET `/api/v1/meetings`: other brambles of the same join key in sight, about which a person has to decide.
pub(crate) async fn meetings(State(controller): State<Controller>) -> Json<Vec<v1::Meeting>> {
    Json(controller.meetings.list())
}

/// POST `/api/v1/dissolve`: ends this bramble, with all that it holds, in favour of one of these.
pub(crate) async fn dissolve(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    body: Bytes,
) -> Response {
    let dissolve = async || {
        let v1::Dissolve { into } = read(&body)?;
        controller.give_up(&user, into).await
    };
    said(dissolve().await)
}

/// DELETE `/api/v1/nodes/{name}`: puts a node out of the bramble.
pub(crate) async fn remove(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
) -> Response {
    let remove = async || {
        let id = node(&controller, &name)?;
        controller.let_leave(id).await?;
        controller.change(&user, Action::RemoveNode { id }).await?;
        Ok(())
    };
    said(remove().await)
}

/// For how long a board shows which one it is, unless somebody says otherwise.
const IDENTIFY: Duration = Duration::from_secs(60);

/// POST `/api/v1/nodes/{name}/identify`: has a node's light show which board it is; the body may say for how long.
pub(crate) async fn identify(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let identify = async || {
        let asked: v1::Identify = if body.is_empty() {
            v1::Identify::default()
        } else {
            read(&body)?
        };
        let long = asked
            .seconds
            .map_or(IDENTIFY, |seconds| Duration::from_secs(seconds.into()));
        if long > LONGEST_IDENTIFY {
            return Err(ApiError::bad_request(
                "a board identifies itself for 3600 seconds at most",
            ));
        }
        let id = node(&controller, &name)?;
        let until = (!long.is_zero()).then(|| controller.clock.wall().after(long));
        controller.change(&user, Action::Identify { id, until }).await?;
        Ok(())
    };
    said(identify().await)
}

/// GET `/api/v1/lights`: how all lights shine.
pub(crate) async fn lights(State(controller): State<Controller>) -> Json<LightSettings> {
    Json(controller.state().lights())
}

/// PUT `/api/v1/lights`: says how all lights shine.
pub(crate) async fn set_lights(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    body: Bytes,
) -> Response {
    let set = async || {
        let settings: LightSettings = read(&body)?;
        if settings.brightness > 100 {
            return Err(ApiError::bad_request(
                "brightness is a percentage: 0 is dark, 100 is full",
            ));
        }
        controller.change(&user, Action::SetLights { settings }).await?;
        Ok(())
    };
    said(set().await)
}

/// PUT `/api/v1/nodes/{name}/name`: gives a node another name.
pub(crate) async fn rename(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let rename = async || {
        let wanted: v1::NewName = read(&body)?;
        if !is_host_name(&wanted.name) {
            return Err(ApiError::bad_request(
                "a node's name has lower case letters, digits and hyphens, at most 63",
            ));
        }
        let id = node(&controller, &name)?;
        controller
            .change(
                &user,
                Action::NameNode {
                    id,
                    name: wanted.name,
                },
            )
            .await?;
        Ok(())
    };
    said(rename().await)
}

async fn set_cordon(controller: Controller, user: String, name: String, cordoned: bool) -> Response {
    let cordon = async || {
        let id = node(&controller, &name)?;
        controller.change(&user, Action::Cordon { id, cordoned }).await?;
        Ok(())
    };
    said(cordon().await)
}

/// POST `/api/v1/nodes/{name}/cordon`: lets a node take nothing new.
pub(crate) async fn cordon(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
) -> Response {
    set_cordon(controller, user, name, true).await
}

/// POST `/api/v1/nodes/{name}/uncordon`: lifts that.
pub(crate) async fn uncordon(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
) -> Response {
    set_cordon(controller, user, name, false).await
}

/// GET `/api/v1/controllers`: how many controllers somebody wants.
pub(crate) async fn controllers(State(controller): State<Controller>) -> Json<v1::Controllers> {
    let count = controller.state().controllers_wanted();
    Json(v1::Controllers { count })
}

/// PUT `/api/v1/controllers`: how many controllers there should be.
pub(crate) async fn want_controllers(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    body: Bytes,
) -> Response {
    let want = async || {
        let v1::Controllers { count } = read(&body)?;
        if count.is_some_and(|count| ![1, 3, 5].contains(&count)) {
            return Err(ApiError::bad_request(
                "count must be 1, 3 or 5, or absent for as many as fit: an even number survives no more than one less",
            ));
        }
        controller
            .change(&user, Action::WantControllers { count })
            .await?;
        Ok(())
    };
    said(want().await)
}

/// PUT `/api/v1/nodes/{name}/controller`: whether a node should be a controller.
pub(crate) async fn wish_controller(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let wish = async || {
        let v1::ControllerWish { wish } = read(&body)?;
        let wish = match wish.as_str() {
            "none" => Wish::None,
            "pinned" => Wish::Pinned,
            "excluded" => Wish::Excluded,
            other => {
                let words = format!("wish `{other}` is unknown: pinned, excluded or none");
                return Err(ApiError::bad_request(words));
            }
        };
        let id = node(&controller, &name)?;
        controller
            .change(&user, Action::WishController { id, wish })
            .await?;
        Ok(())
    };
    said(wish().await)
}

/// PUT `/api/v1/nodes/{name}/devices`: which devices of a node functions may use; all others they may not.
pub(crate) async fn allow_devices(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let allow = async || {
        let v1::AllowDevices { allow } = read(&body)?;
        let devices = allow.iter().map(|device| device.parse::<Device>());
        let devices: Devices = devices
            .collect::<Result<_, UnknownDevice>>()
            .map_err(|unknown| ApiError::bad_request(unknown.to_string()))?;
        let id = node(&controller, &name)?;
        controller
            .change(&user, Action::AllowDevices { id, devices })
            .await?;
        Ok(())
    };
    said(allow().await)
}

/// POST `/api/v1/first-visit`: chooses the admin password, once. Open to whoever knows the code.
pub(crate) async fn first_visit(State(controller): State<Controller>, body: Bytes) -> Response {
    let visit = match read::<v1::FirstVisit>(&body) {
        Ok(visit) => visit,
        Err(refused) => return said(Err(refused)),
    };
    match controller.first_visit(&visit.code, &visit.password).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err((status, words)) => error(status, words),
    }
}
