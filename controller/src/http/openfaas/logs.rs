//! GET `/system/logs`: what a function's replicas write, gathered from their nodes (contract section 1.10).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

use api::{
    FunctionName, NodeId, ReplicaId, Timestamp,
    logs::{LOGS_PATH, LogsRequest, MAX_LINE_BYTES},
    versioned::encode,
};
use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use cluster::state::NodePhase;
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream, SelectAll},
};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use transport::Peer;

use crate::{Controller, http::ApiError};

/// Longest line of JSON: a line as long as may be, every character escaped, and what stands around it.
const MAX_JSON_BYTES: usize = 6 * MAX_LINE_BYTES + 1024;

/// How soon somebody who follows hears nodes that come, or come back.
const LOOK: Duration = Duration::from_secs(2);

/// Reads what follows `/system/logs?`. Of several of one name the last one counts, as upstream.
fn read(query: &str) -> Result<LogsRequest, ApiError> {
    let (mut name, mut namespace) = (String::new(), String::new());
    let (mut instance, mut tail, mut since, mut follow) = (None, None, None, false);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "name" => name = value.into_owned(),
            "namespace" => namespace = value.into_owned(),
            "instance" => {
                let replica = || value.parse::<ReplicaId>();
                let wrong = |_| ApiError::bad_request("instance is no replica's name, such as r12");
                instance = (!value.is_empty()).then(replica).transpose().map_err(wrong)?;
            }
            "tail" => {
                let lines = value.parse::<i64>();
                let lines =
                    lines.map_err(|_| ApiError::bad_request("tail is no number of lines, such as 20"))?;
                tail = u32::try_from(lines).ok().filter(|lines| *lines > 0);
            }
            "since" if value.is_empty() => since = None,
            "since" => {
                let wrong =
                    || ApiError::bad_request("since is no time such as 2026-11-21T10:20:30Z (RFC 3339)");
                since = Some(Timestamp::from_rfc3339(&value).ok_or_else(wrong)?);
            }
            "follow" => follow = matches!(value.as_ref(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(ApiError::bad_request("name is missing: which function's logs?"));
    }
    let function = FunctionName::new(&name, &namespace);
    let function = function.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(LogsRequest {
        function,
        instance,
        tail,
        since,
        follow,
    })
}

/// Streams the lines of all replicas, each as a JSON object in a line of its own; unordered between replicas.
pub(crate) async fn logs(
    State(controller): State<Controller>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let wanted = read(&query.unwrap_or_default())?;
    let state = controller.state();
    if state.function(&wanted.function).is_none() {
        return Err(ApiError::not_found(format!(
            "function {} not found",
            wanted.function
        )));
    }
    drop(state);
    let ended = {
        let controller = controller.clone();
        async move {
            let closing = controller.live.closing();
            tokio::select! {
                () = closing.cancelled() => {}
                () = controller.auth.until_signed_out(&headers) => {}
            }
        }
    };
    let gathering = Gathering::new(controller, wanted);
    let lines = stream::unfold(gathering, |mut gathering| async {
        let line = gathering.next().await?;
        Some((Ok::<_, io::Error>(Bytes::from(line + "\n")), gathering))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines.take_until(ended)),
    )
        .into_response())
}

/// Lines on their way from all nodes.
struct Gathering {
    controller: Controller,
    wanted: LogsRequest,
    open: SelectAll<BoxStream<'static, Heard>>,
    /// Nodes whose lines are on their way; where nobody follows, those whose lines are all told, too.
    asked: BTreeSet<NodeId>,
    /// When each wrote what was heard of it last, by its own clock.
    heard: BTreeMap<NodeId, Timestamp>,
    look: Interval,
    first: bool,
}

/// What comes from a node.
enum Heard {
    Line(NodeId, String),
    End(NodeId),
}

/// What is read of a line where it may have to be gone on from.
#[derive(Deserialize)]
struct Written<'a> {
    timestamp: &'a str,
}

impl Gathering {
    fn new(controller: Controller, wanted: LogsRequest) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathering = Self {
            controller,
            wanted,
            open: SelectAll::new(),
            asked: BTreeSet::new(),
            heard: BTreeMap::new(),
            look,
            first: true,
        };
        gathering.ask();
        gathering
    }

    /// Asks every node that is up and was not asked: not only those that have a replica now. One that is followed may
    /// move, and one that failed may be gone from the state while its last words are still there.
    fn ask(&mut self) {
        let state = self.controller.state();
        let up = state
            .nodes()
            .iter()
            .filter(|(_, node)| node.phase == NodePhase::Up);
        for (id, node) in up {
            if !self.asked.insert(*id) {
                continue;
            }
            let mut wanted = self.wanted.clone();
            if !self.first {
                // What was heard already is not told again.
                let after = |last: &Timestamp| last.after(Duration::from_millis(1));
                wanted.since = self.heard.get(id).map(after).or(wanted.since);
                wanted.tail = None;
            }
            let peer = Peer {
                id: *id,
                address: node.facts.address,
            };
            let (controller, question) = (self.controller.clone(), Bytes::from(encode(&wanted)));
            let id = *id;
            let lines = stream::once(async move { lines_of(&controller, peer, question).await })
                .flatten()
                .map(move |line| Heard::Line(id, line));
            self.open
                .push(lines.chain(stream::iter([Heard::End(id)])).boxed());
        }
        self.first = false;
    }

    /// The next line; `None` where there will be no more.
    async fn next(&mut self) -> Option<String> {
        loop {
            let heard = tokio::select! {
                heard = self.open.next(), if !self.open.is_empty() => heard?,
                _ = self.look.tick(), if self.wanted.follow => {
                    self.ask();
                    continue;
                }
                else => return None,
            };
            match heard {
                Heard::Line(id, line) => {
                    if self.wanted.follow
                        && let Ok(Written { timestamp }) = serde_json::from_str(&line)
                        && let Some(time) = Timestamp::from_rfc3339(timestamp)
                    {
                        self.heard.insert(id, time);
                    }
                    return Some(line);
                }
                // It is asked again as soon as it is up.
                Heard::End(id) if self.wanted.follow => _ = self.asked.remove(&id),
                Heard::End(_) => {}
            }
        }
    }
}

/// The lines of one node; none where it does not answer.
async fn lines_of(
    controller: &Controller,
    peer: Peer,
    question: Bytes,
) -> impl Stream<Item = String> + use<> {
    let request = Request::post(LOGS_PATH).body(transport::Body::from(question));
    let answer = match request {
        Ok(request) => controller.bulk.request(peer, request).await.ok(),
        Err(_) => None,
    };
    let answer = answer.filter(|answer| answer.status().is_success());
    let lines = answer.map(|answer| {
        let bytes = answer.into_body().into_data_stream().map_err(io::Error::other);
        let codec = LinesCodec::new_with_max_length(MAX_JSON_BYTES);
        FramedRead::new(StreamReader::new(bytes), codec)
    });
    // An error is the end of this node's lines; those of others go on.
    let lines = stream::iter(lines)
        .flatten()
        .take_while(|line| std::future::ready(line.is_ok()));
    lines.filter_map(|line| std::future::ready(line.ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> String {
        read(query).unwrap_err().into_parts().1
    }

    #[test]
    fn the_query_is_read_as_official_clients_write_it() {
        let wanted =
            read("name=env&namespace=&follow=1&tail=-1&since=2026-11-21T10%3A20%3A30%2B01%3A00").unwrap();
        assert_eq!(wanted.function.to_string(), "env.openfaas-fn");
        assert_eq!((wanted.follow, wanted.tail, wanted.instance), (true, None, None));
        assert_eq!(wanted.since.unwrap().to_rfc3339(), "2026-11-21T09:20:30Z");
        let wanted = read("name=a&name=env&tail=3&instance=r7&follow=false").unwrap();
        assert_eq!((wanted.function.name(), wanted.tail), ("env", Some(3)));
        assert_eq!((wanted.instance, wanted.follow), (Some(ReplicaId(7)), false));
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_an_example() {
        assert!(words("follow=1").contains("name is missing"));
        assert!(words("name=env&tail=many").contains("such as 20"));
        assert!(words("name=env&since=yesterday").contains("RFC 3339"));
        assert!(words("name=env&instance=seven").contains("r12"));
    }
}
