//! GET `/api/v1/events`: what pages show, as server-sent events (see [`crate::live`]).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::v1;
use crate::{Controller, live::Listener};

/// Proxies and some school networks close what is silent.
const PING_EVERY: Duration = Duration::from_secs(15);

/// Streams whole lists of nodes, functions and events whenever they change.
pub(crate) async fn events(State(controller): State<Controller>, headers: HeaderMap) -> Response {
    let Some(listener) = controller.live.listen() else {
        let words = "too many pages are open on this bramble: close some, or wait until others do";
        return v1::error(StatusCode::SERVICE_UNAVAILABLE, words);
    };
    let events = stream::unfold(listener, |mut listener| async {
        let event = next(&mut listener).await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let signed_out = async move { controller.auth.until_signed_out(&headers).await };
    let mut response = Sse::new(events.take_until(signed_out))
        .keep_alive(KeepAlive::new().interval(PING_EVERY))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx, where somebody puts one in front, would collect events before it passes them on.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The next list that changed, for one open page; `None` when there will be no more: this controller stops.
async fn next(listener: &mut Listener) -> Option<Event> {
    let Listener {
        nodes,
        functions,
        activity,
        waiting,
        closing,
        ..
    } = listener;
    loop {
        let (kind, shown) = tokio::select! {
            () = closing.cancelled() => return None,
            changed = nodes.changed() => (changed.ok().map(|()| "nodes")?, &mut *nodes),
            changed = functions.changed() => (changed.ok().map(|()| "functions")?, &mut *functions),
            changed = activity.changed() => (changed.ok().map(|()| "activity")?, &mut *activity),
            changed = waiting.changed() => (changed.ok().map(|()| "waiting")?, &mut *waiting),
        };
        // Nothing to show yet: it is being rendered.
        let json: Option<Arc<str>> = shown.borrow_and_update().clone();
        if let Some(json) = json {
            return Some(Event::default().event(kind).data(json));
        }
    }
}
