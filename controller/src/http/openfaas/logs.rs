//! GET `/system/logs`: what a function's replicas write, gathered from their nodes (contract section 1.10).

use std::io;

use api::{
    FunctionName, ReplicaId, Timestamp,
    logs::{LOGS_PATH, LogsRequest, MAX_LINE_BYTES},
    versioned::encode,
};
use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use cluster::state::NodePhase;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{Request, header};
use http_body_util::BodyExt;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use transport::Peer;

use crate::{Controller, http::ApiError};

/// Longest line of JSON: a line as long as may be, every character escaped, and what stands around it.
const MAX_JSON_BYTES: usize = 6 * MAX_LINE_BYTES + 1024;

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
    // Every node, not only those that have a replica now: one that is followed may move, and one that failed may be
    // gone from the state while its last words are still there.
    let up = state
        .nodes()
        .iter()
        .filter(|(_, node)| node.phase == NodePhase::Up);
    let peers: Vec<Peer> = up
        .map(|(id, node)| Peer {
            id: *id,
            address: node.facts.address,
        })
        .collect();
    drop(state);
    let question = encode(&wanted);
    let nodes = peers.into_iter().map(|peer| {
        let (controller, question) = (controller.clone(), question.clone());
        stream::once(async move { lines_of(&controller, peer, question.into()).await })
            .flatten()
            .boxed()
    });
    let closing = controller.live.closing();
    let lines = stream::select_all(nodes).take_until(async move { closing.cancelled().await });
    let lines = lines.map(|line| Ok::<_, io::Error>(Bytes::from(line + "\n")));
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
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
