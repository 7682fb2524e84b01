//! The node-to-node port: what other nodes of the bramble may ask, over mutual TLS.

use std::{convert::Infallible, sync::Arc};

use anyhow::Result;
use axum::{Router, body::Body as AxumBody};
use bytes::Bytes;
use controller::Controller;
use gateway::{Body, Gateway};
use http::{Request, Response, StatusCode, Uri};
use hyper::{body::Incoming, service::service_fn};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use transport::{Identity, PeerId};

use super::pass_on;

/// Where a request of another node goes.
#[derive(Clone, Debug)]
pub(super) struct NodePort {
    gateway: Gateway,
    controller: Option<Controller>,
    portal: Option<Router>,
}

impl NodePort {
    pub(super) fn new(gateway: Gateway, controller: Option<Controller>, portal: Option<Router>) -> Self {
        Self {
            gateway,
            controller,
            portal,
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
        if let (true, Some(portal)) = (path.starts_with(pass_on::PREFIX), self.portal) {
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
        match self.controller {
            Some(controller) => Ok(controller
                .node_request(peer, request.map(AxumBody::new))
                .await
                .map(Body::other)),
            None => Ok(empty(StatusCode::NOT_FOUND)),
        }
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

/// Serves nodes of this bramble until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    port: NodePort,
    stop: CancellationToken,
) -> Result<()> {
    let removed = port.controller.clone();
    // A certificate of the bramble's CA admits; a node that was removed is refused all the same.
    let admitted = move |node| {
        !removed
            .as_ref()
            .is_some_and(|controller| controller.is_removed(node))
    };
    let service = service_fn(move |request| port.clone().answer(request));
    transport::serve(listener, identity, admitted, service, stop).await;
    Ok(())
}
