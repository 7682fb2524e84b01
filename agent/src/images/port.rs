//! What other nodes may ask about images, over the node-to-node port.

use std::{sync::Arc, time::Duration};

use api::{
    NodeId, Platform,
    images::{EXPORT_PATH, LOAD_PATH, REMOVE_PATH},
    versioned::encode,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyStream, Full, StreamBody};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tracing::{info, warn};
use transport::BoxError;

use super::{
    Bytestream, Need, Sources,
    export::{ResumeError, resume},
    query::value,
    sources::{CONTENT_HEADER, NODE_HEADER, SIZE_HEADER},
};
use crate::engine::docker::{LoadError, Yard};

/// Images that are given at the same time: a card reads no faster for more.
const AT_ONCE: usize = 2;

/// How long a node waits for its turn before it is told to look for another holder: by then those that were first
/// hold the image too.
const TURN: Duration = Duration::from_secs(5);

/// Longest that a node may take nothing of what it asked for.
const STALL: Duration = Duration::from_secs(60);

/// Pieces of an archive that wait for the network.
const PIECES: usize = 8;

/// Answers for the images of this node. Clones share everything.
#[derive(Clone, Debug)]
pub struct ImagePort {
    /// `None` where the engine keeps no images.
    yard: Option<Yard>,
    sources: Sources,
    name: Arc<str>,
    turns: Arc<Semaphore>,
}

impl ImagePort {
    pub(crate) fn new(yard: Option<Yard>, sources: Sources, name: &str) -> Self {
        Self {
            yard,
            sources,
            name: name.into(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Answers what the node `from` asks.
    ///
    /// # Errors
    /// The request, untouched, where it is not about images of this node.
    pub async fn answer<B>(&self, from: NodeId, request: Request<B>) -> Result<Response<Body>, Request<B>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let path = request.uri().path();
        if ![EXPORT_PATH, LOAD_PATH, REMOVE_PATH].contains(&path) {
            return Err(request);
        }
        let Some(yard) = &self.yard else {
            let text = "this node runs no Docker, and keeps no images";
            return Ok(words(StatusCode::CONFLICT, text));
        };
        let query = request.uri().query().unwrap_or_default();
        if path == EXPORT_PATH {
            return Ok(self.export(yard, query).await);
        }
        if !self.sources.is_controller(from) {
            return Ok(words(
                StatusCode::FORBIDDEN,
                "only a controller may change what is here",
            ));
        }
        if path == REMOVE_PATH {
            let id = value(query, "id").unwrap_or_default();
            return Ok(match yard.remove(id).await {
                Ok(()) => words(StatusCode::OK, ""),
                Err(text) => words(StatusCode::CONFLICT, format!("{}: {text}", self.name)),
            });
        }
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = BodyStream::new(request.into_body()).filter_map(|frame| {
            let piece: Result<_, BoxError> = frame.map(|frame| frame.into_data().ok()).map_err(Into::into);
            std::future::ready(piece.transpose())
        });
        Ok(self.load(yard, length, Box::pin(body)).await)
    }

    async fn load(&self, yard: &Yard, length: Option<u64>, archive: Bytestream) -> Response<Body> {
        match yard.take(length, archive).await {
            Ok(loaded) => {
                info!(images = ?loaded.images.keys(), "took images");
                let mut response = Response::new(Body::other(Full::new(Bytes::from(encode(&loaded)))));
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(error) => {
                warn!(%error, "did not take an archive of images");
                let status = match error {
                    LoadError::Archive(_) => StatusCode::BAD_REQUEST,
                    LoadError::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
                    LoadError::Engine(_) => StatusCode::BAD_GATEWAY,
                };
                words(status, format!("{}: {error}", self.name))
            }
        }
    }

    async fn export(&self, yard: &Yard, query: &str) -> Response<Body> {
        let platform = value(query, "platform").and_then(|text| text.parse::<Platform>().ok());
        let offset = value(query, "offset").map_or(Some(0), |text| text.parse().ok());
        let (Some(platform), Some(offset)) = (platform, offset) else {
            return words(
                StatusCode::BAD_REQUEST,
                "the address does not say which image from where on",
            );
        };
        let need = Need {
            digest: String::new(),
            platform,
            ids: value(query, "ids")
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect(),
            content: None,
        };
        let Ok(Ok(turn)) = timeout(TURN, self.turns.clone().acquire_owned()).await else {
            return words(StatusCode::SERVICE_UNAVAILABLE, "others are being given images");
        };
        let docker = match yard.docker().await {
            Ok(docker) => docker,
            Err(error) => return words(StatusCode::BAD_GATEWAY, error.in_words()),
        };
        let held = match yard.find(&docker, &need).await {
            Ok(Some(held)) => held,
            Ok(None) => return words(StatusCode::NOT_FOUND, "this node does not hold it"),
            Err(error) => return words(StatusCode::BAD_GATEWAY, error.to_string()),
        };
        let archive = resume(
            yard.export(&docker, &held.id),
            offset,
            value(query, "prefix").unwrap_or_default(),
        );
        let archive = match archive.await {
            Ok(archive) => archive,
            Err(ResumeError::Differs) => return words(StatusCode::CONFLICT, "it begins differently"),
            Err(ResumeError::Engine(error)) => return words(StatusCode::BAD_GATEWAY, error.to_string()),
        };
        info!(image = held.id, offset, "gives an image");
        let body = StreamBody::new(pumped(archive, turn).map(|piece| piece.map(http_body::Frame::data)));
        let mut response = Response::new(Body::other(body));
        let headers = [
            (NODE_HEADER, self.name.to_string()),
            (CONTENT_HEADER, held.content),
            (SIZE_HEADER, held.size_bytes.to_string()),
        ];
        for (name, text) in headers {
            if let Ok(text) = text.parse() {
                response.headers_mut().insert(name, text);
            }
        }
        response
    }
}

/// Sends `archive` on while somebody takes it; the turn ends with it. Who takes nothing for too long is given up.
fn pumped(mut archive: Bytestream, turn: OwnedSemaphorePermit) -> Bytestream {
    let (give, take) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _turn = turn;
        while let Some(piece) = archive.next().await {
            if !matches!(timeout(STALL, give.send(piece)).await, Ok(Ok(()))) {
                return;
            }
        }
        // The end is told by a word of its own: a pump that was given up must not pass for it.
        _ = timeout(STALL, give.send(Ok(Bytes::new()))).await;
    });
    Box::pin(stream::unfold((take, false), |(mut take, done)| async move {
        match take.recv().await {
            Some(Ok(piece)) if piece.is_empty() => Some((Ok(piece), (take, true))),
            Some(piece) => Some((piece, (take, done))),
            None if done => None,
            None => Some((Err("the node gave up".into()), (take, true))),
        }
    }))
}

fn words(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::other(Full::new(text.into())));
    *response.status_mut() = status;
    response
}
