//! GET `/api/v1/events`: what pages show, as server-sent events (see [`crate::live`]).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::v1;
use crate::{Controller, live::Listener};

/// Proxies and some school networks close what is silent.
const PING_EVERY: Duration = Duration::from_secs(15);

/// How soon a stream ends after its session did.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Streams whole lists of nodes, functions and events whenever they change.
pub(crate) async fn events(State(controller): State<Controller>, headers: HeaderMap) -> Response {
    let Some(listener) = controller.live.listen() else {
        let words = "too many pages are open on this bramble: close some, or wait until others do";
        return v1::error(StatusCode::SERVICE_UNAVAILABLE, words);
    };
    let mut ask_again = interval(ASK_AGAIN);
    ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looker = Looker {
        listener,
        ask_again,
        controller,
        headers,
    };
    let events = stream::unfold(looker, |mut looker| async {
        let event = looker.next().await?;
        Some((Ok::<_, Infallible>(event), looker))
    });
    let mut response = Sse::new(events)
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

/// One open page.
struct Looker {
    listener: Listener,
    ask_again: Interval,
    controller: Controller,
    headers: HeaderMap,
}

impl Looker {
    /// The next list that changed; `None` when there will be no more: the session ended, or this controller stops.
    async fn next(&mut self) -> Option<Event> {
        let Listener {
            nodes,
            functions,
            activity,
            waiting,
            closing,
            ..
        } = &mut self.listener;
        loop {
            let (kind, shown) = tokio::select! {
                () = closing.cancelled() => return None,
                changed = nodes.changed() => (changed.ok().map(|()| "nodes")?, &mut *nodes),
                changed = functions.changed() => (changed.ok().map(|()| "functions")?, &mut *functions),
                changed = activity.changed() => (changed.ok().map(|()| "activity")?, &mut *activity),
                changed = waiting.changed() => (changed.ok().map(|()| "waiting")?, &mut *waiting),
                _ = self.ask_again.tick() => {
                    self.controller.auth.identify(&Method::GET, &self.headers).await.ok()?;
                    continue;
                }
            };
            // Nothing to show yet: it is being rendered.
            let json: Option<Arc<str>> = shown.borrow_and_update().clone();
            if let Some(json) = json {
                return Some(Event::default().event(kind).data(json));
            }
        }
    }
}
