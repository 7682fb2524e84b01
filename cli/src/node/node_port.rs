//! The node-to-node port: what other nodes of the bramble may ask, over mutual TLS.

use std::{convert::Infallible, sync::Arc};

use agent::{images::ImagePort, logs::Logs};
use anyhow::Result;
use api::{
    NodeId,
    logs::{LOGS_PATH, LogsRequest},
    versioned::decode,
};
use axum::body::Body as AxumBody;
use bytes::Bytes;
use controller::Visitor;
use futures_util::StreamExt;
use gateway::{Body, Gateway};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use transport::{Identity, PeerId, join::JoinHost};

use super::{insiders::Insiders, pass_on, running::Running};

/// Longest question for logs that is read.
const MAX_LOGS_REQUEST_BYTES: usize = 4096;

/// Where a request of another node goes.
#[derive(Clone, Debug)]
pub(super) struct NodePort {
    gateway: Gateway,
    images: ImagePort,
    logs: Logs,
    running: Running,
}

impl NodePort {
    pub(super) fn new(gateway: Gateway, images: ImagePort, logs: Logs, running: Running) -> Self {
        Self {
            gateway,
            images,
            logs,
            running,
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let Some(PeerId(peer)) = request.extensions().get().copied() else {
            return Ok(empty(StatusCode::FORBIDDEN));
        };
        let path = request.uri().path();
        if path.starts_with(gateway::HOP_PREFIX) {
            return Ok(self.gateway.invoke_hop(peer, request).await);
        }
        if path.starts_with(pass_on::PREFIX) {
            let Some((portal, _)) = self.running.router() else {
                return Ok(empty(pass_on::NO_CONTROLLER));
            };
            let Some(uri) = without_prefix(request.uri()) else {
                return Ok(empty(StatusCode::BAD_REQUEST));
            };
            *request.uri_mut() = uri;
            let visitor = request.headers_mut().remove(pass_on::VISITOR);
            let visitor = visitor.and_then(|address| address.to_str().ok()?.parse().ok());
            if let Some(address) = visitor {
                request.extensions_mut().insert(Visitor::at(address));
            }
            let response = portal
                .oneshot(request.map(AxumBody::new))
                .await
                .unwrap_or_else(|never| match never {});
            return Ok(response.map(Body::other));
        }
        if path == LOGS_PATH {
            return Ok(self.answer_logs(peer, request).await);
        }
        let request = match self.images.answer(peer, request).await {
            Ok(answer) => return Ok(answer),
            Err(request) => request,
        };
        match self.running.controller() {
            Some(controller) => Ok(controller
                .node_request(peer, request.map(AxumBody::new))
                .await
                .map(Body::other)),
            None => Ok(empty(StatusCode::NOT_FOUND)),
        }
    }
}

impl NodePort {
    /// What replicas here write, as JSON lines; only for controllers, which know who asked.
    async fn answer_logs(&self, peer: NodeId, request: Request<Incoming>) -> Response<Body> {
        if !self.gateway.routes().controllers.contains(&peer) {
            return empty(StatusCode::FORBIDDEN);
        }
        let body = Limited::new(request.into_body(), MAX_LOGS_REQUEST_BYTES)
            .collect()
            .await;
        let Some(wanted) = body
            .ok()
            .and_then(|body| decode::<LogsRequest>(&body.to_bytes()).ok())
        else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let lines = self.logs.read(wanted).map(|line| {
            let mut line = serde_json::to_vec(&line)?;
            line.push(b'\n');
            Ok::<_, serde_json::Error>(Frame::data(Bytes::from(line)))
        });
        Response::new(Body::other(StreamBody::new(lines)))
    }
}

fn without_prefix(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(pass_on::PREFIX)?;
    rest.parse().ok()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Serves nodes of this bramble until `stop`, and lets others knock at `join`.
pub(super) async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    port: NodePort,
    insiders: Insiders,
    join: JoinHost,
    stop: CancellationToken,
) -> Result<()> {
    let admitted = move |node| insiders.admittance(node);
    let service = service_fn(move |request| port.clone().answer(request));
    transport::serve_with_join(listener, identity, admitted, service, join, stop).await;
    Ok(())
}
