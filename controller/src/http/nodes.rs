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
use cluster::{Action, autopilot::Wish, lights::LONGEST_IDENTIFY, state::NodePhase};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::v1::error;
use crate::{Controller, Visitor, auth::SignedIn, http::ApiError, joining::node_named};

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
    // A list of fields without their names would do for the library.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bad_request("the body has to be a JSON object: {…}"));
    }
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

/// POST `/api/v1/waiting/admit`: lets in all who wait at this moment, but none that was removed before. Who hung up
/// meanwhile is passed over; what stood in the way of others is said when all had their turn.
pub(crate) async fn admit_all(
    State(controller): State<Controller>,
    Extension(SignedIn { user }): Extension<SignedIn>,
) -> Response {
    let waiting = controller.joining.list(&controller.state());
    said(admit_each(waiting, |id| controller.admit(&user, id)).await)
}

async fn admit_each<F: Future<Output = Result<(), ApiError>>>(
    waiting: Vec<v1::WaitingNode>,
    admit: impl Fn(NodeId) -> F,
) -> Result<(), ApiError> {
    let mut refused = Vec::new();
    for node in waiting.into_iter().filter(|node| !node.removed) {
        if let Err(error) = admit(node.id).await {
            let (status, words) = error.into_parts();
            // It will knock again when it is there again.
            if status != StatusCode::NOT_FOUND {
                refused.push((status, format!("{}: {words}", node.name)));
            }
        }
    }
    let Some((status, _)) = refused.first() else {
        return Ok(());
    };
    let words: Vec<_> = refused.iter().map(|(_, words)| words.as_str()).collect();
    Err(ApiError::with_status(*status, words.join("; ")))
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
        let long = identify_for(&body)?;
        let id = node(&controller, &name)?;
        let is_down = |state: &cluster::State| {
            let node = state.nodes().get(&id);
            node.is_some_and(|node| node.phase == NodePhase::Down)
        };
        if !long.is_zero() && is_down(&controller.state()) {
            return Err(ApiError::conflict(format!(
                "{name} does not answer, so its light cannot say anything: is it plugged in, and on this network?"
            )));
        }
        let until = (!long.is_zero()).then(|| controller.clock.wall().after(long));
        controller.change(&user, Action::Identify { id, until }).await?;
        Ok(())
    };
    said(identify().await)
}

/// For how long a board is to show which one it is, as the body says.
fn identify_for(body: &[u8]) -> Result<Duration, ApiError> {
    let asked: v1::Identify = if body.is_empty() {
        v1::Identify::default()
    } else {
        read(body)?
    };
    let long = asked
        .seconds
        .map_or(IDENTIFY, |seconds| Duration::from_secs(seconds.into()));
    match long > LONGEST_IDENTIFY {
        true => Err(ApiError::bad_request(
            "a board identifies itself for 3600 seconds at most",
        )),
        false => Ok(long),
    }
}

/// POST `/api/v1/waiting/{id}/identify`: has the light of a node that waits show which board it is; the body may say for
/// how long.
pub(crate) async fn identify_waiting(
    State(controller): State<Controller>,
    Path(id): Path<NodeId>,
    body: Bytes,
) -> Response {
    said(identify_for(&body).and_then(|long| controller.identify_waiting(id, long)))
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
        if !controller.state().is_node_name(&wanted.name) {
            return Err(ApiError::bad_request(
                "this name leads elsewhere already: the bramble itself is called so, or every computer; choose another",
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
        let wish = Wish::of_word(&wish).ok_or_else(|| {
            ApiError::bad_request(format!("wish `{wish}` is unknown: pinned, excluded or none"))
        })?;
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
pub(crate) async fn first_visit(
    State(controller): State<Controller>,
    visitor: Option<Extension<Visitor>>,
    body: Bytes,
) -> Response {
    let visit = match read::<v1::FirstVisit>(&body) {
        Ok(visit) => visit,
        Err(refused) => return said(Err(refused)),
    };
    let from = visitor.map_or_else(Visitor::unknown, |Extension(visitor)| visitor);
    match controller.first_visit(from, &visit.code, &visit.password).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err((status, words)) => error(status, words),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn waits(number: u128, removed: bool) -> v1::WaitingNode {
        v1::WaitingNode {
            id: NodeId::from_number(number),
            name: format!("pi-{number}"),
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory_bytes: 1 << 30,
            fingerprint: "k7q2-m9fd".to_owned(),
            address: "192.168.1.20".to_owned(),
            waiting_minutes: 1,
            removed,
            identifies: false,
            replaces: None,
        }
    }

    /// Admits 1 to 6 of which 3 was removed before; `answers` are for those that are not let in. Tells who was asked for.
    async fn admitted(answers: &[(u128, StatusCode)]) -> (Vec<NodeId>, Result<(), (StatusCode, String)>) {
        let asked = RefCell::new(Vec::new());
        let waiting = (1..=6).map(|number| waits(number, number == 3)).collect();
        let outcome = admit_each(waiting, |id| {
            asked.borrow_mut().push(id);
            let answer = answers
                .iter()
                .find(|(number, _)| NodeId::from_number(*number) == id);
            let answer = answer.map_or(Ok(()), |(_, status)| {
                Err(ApiError::with_status(*status, "not now"))
            });
            std::future::ready(answer)
        });
        let outcome = outcome.await.map_err(ApiError::into_parts);
        (asked.into_inner(), outcome)
    }

    #[tokio::test]
    async fn all_who_wait_are_let_in_past_those_that_are_gone_and_never_one_that_was_removed() {
        let all: Vec<_> = [1, 2, 4, 5, 6].map(NodeId::from_number).into();
        let gone = [(1, StatusCode::NOT_FOUND), (5, StatusCode::NOT_FOUND)];
        assert_eq!(admitted(&gone).await, (all.clone(), Ok(())));
        assert_eq!(admitted(&[]).await, (all, Ok(())));
    }

    #[tokio::test]
    async fn what_stands_in_the_way_of_some_is_said_when_all_had_their_turn() {
        let refused = [
            (1, StatusCode::NOT_FOUND),
            (2, StatusCode::CONFLICT),
            (5, StatusCode::SERVICE_UNAVAILABLE),
        ];
        let (asked, outcome) = admitted(&refused).await;
        assert_eq!(asked.len(), 5, "{asked:?}");
        let words = "pi-2: not now; pi-5: not now".to_owned();
        assert_eq!(outcome, Err((StatusCode::CONFLICT, words)));
    }
}
