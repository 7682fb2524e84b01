//! The node-to-node port: what other nodes of the bramble may ask, over mutual TLS.

use std::{convert::Infallible, sync::Arc};

use agent::{images::ImagePort, logs::Logs};
use anyhow::Result;
use api::{
    Generation, NodeId,
    logs::{LOGS_PATH, LogsRequest},
    versioned::decode,
};
use axum::body::Body as AxumBody;
use bytes::Bytes;
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
use transport::{Admittance, Identity, PeerId, join::JoinHost};

use super::{pass_on, running::Running};

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
        if let (true, Some((portal, _))) = (path.starts_with(pass_on::PREFIX), self.running.router()) {
            let Some(uri) = without_prefix(request.uri()) else {
                return Ok(empty(StatusCode::BAD_REQUEST));
            };
            *request.uri_mut() = uri;
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

/// Whether a node is let in, by the newer of what this node's controller has applied and what the leader told its
/// gateway: a controller that is behind knows less than its gateway, and must not shut out those who bring the rest.
/// Who knows nothing goes by the certificate.
fn is_admitted(by_state: Option<(Generation, bool)>, by_routes: Option<(Generation, bool)>) -> bool {
    let newer = match (by_state, by_routes) {
        (Some(state), Some(routes)) => Some(if routes.0 > state.0 { routes } else { state }),
        (state, routes) => state.or(routes),
    };
    newer.is_none_or(|(_, admitted)| admitted)
}

/// Serves nodes of this bramble until `stop`, and lets others knock at `join`.
pub(super) async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    port: NodePort,
    join: JoinHost,
    stop: CancellationToken,
) -> Result<()> {
    let (running, gateway) = (port.running.clone(), port.gateway.clone());
    // A certificate of the bramble's authority is not enough: whoever was removed has one, too. Until this node knows
    // who takes part, at its start, the certificate has to do.
    let admitted = move |node| {
        let routes = gateway.routes();
        let by_routes =
            (!routes.nodes.is_empty()).then(|| (routes.revision, routes.nodes.contains_key(&node)));
        let controller = running.controller();
        let by_state = controller.as_ref().and_then(|controller| controller.admits(node));
        let controller = controller.as_ref();
        if is_admitted(by_state, by_routes) || controller.is_some_and(|controller| controller.is_member(node))
        {
            Admittance::Member
        } else if controller.is_some_and(|controller| controller.has_removed(node)) {
            Admittance::Removed
        } else {
            Admittance::Stranger
        }
    };
    let service = service_fn(move |request| port.clone().answer(request));
    transport::serve_with_join(listener, identity, admitted, service, join, stop).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, admitted: bool) -> Option<(Generation, bool)> {
        Some((Generation { epoch: 1, number }, admitted))
    }

    #[test]
    fn a_controller_that_is_behind_lets_in_whom_the_leader_names() {
        assert!(is_admitted(at(7, false), at(9, true)));
        assert!(
            !is_admitted(at(7, true), at(9, false)),
            "and nobody who was removed meanwhile"
        );
    }

    #[test]
    fn a_controller_that_is_ahead_of_its_gateway_goes_by_its_state() {
        assert!(!is_admitted(at(9, false), at(7, true)));
        assert!(!is_admitted(at(9, false), at(9, true)));
        assert!(is_admitted(at(9, true), at(7, false)));
    }

    #[test]
    fn before_anything_is_known_the_certificate_counts() {
        assert!(is_admitted(None, None));
        assert!(is_admitted(None, at(1, true)) && !is_admitted(None, at(1, false)));
        assert!(is_admitted(at(1, true), None) && !is_admitted(at(1, false), None));
    }
}
