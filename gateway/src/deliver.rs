//! The last step: to a replica on this node. The same for a client of this node and for another node's gateway.

use std::sync::Arc;

use http::{Response, StatusCode, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::{
    Body,
    counters::{Here, ReplicaLoad},
    gateway::Inner,
    headers::{self, NODE, REFUSED},
    local::{Local, LocalError, connect, protocol},
    request::{Missed, Outgoing},
};

impl Inner {
    /// Makes the request of a replica here and gives back its answer, marked with this node's name.
    pub(crate) async fn deliver(
        &self,
        local: &Arc<Local>,
        load: &Arc<ReplicaLoad>,
        path: PathAndQuery,
        outgoing: &Outgoing,
    ) -> Result<Response<Body>, Missed> {
        let here = Here::begin(load.clone());
        let request = outgoing
            .to_replica(path.clone(), &local.host)
            .ok_or(Missed::Broken)?;
        let sent = if outgoing.upgrade.is_some() {
            Box::pin(upgrade(local, request)).await
        } else {
            let again = || outgoing.to_replica(path, &local.host);
            let sent = local.send(request, again).await;
            sent.map(|answer| answer.map(Body::from))
        };
        let answer = sent.map_err(|error| {
            debug!(
                error = &error as &dyn std::error::Error,
                "a replica did not answer"
            );
            match error {
                LocalError::Refused { .. } => Missed::Refused,
                LocalError::Stale(_) | LocalError::Broken(_) => Missed::Broken,
            }
        })?;
        outgoing.source.settle();
        let mut answer = answer.map(|body| body.ends_here(here));
        self.mark(&mut answer);
        Ok(answer)
    }

    /// Takes from a function's answer what is about the connection, and what only gateways may say.
    fn mark(&self, answer: &mut Response<Body>) {
        let is_tunnel = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        let protocol = headers::upgrade_of(headers).filter(|_| is_tunnel);
        headers::remove_hop_by_hop(headers);
        if let Some(protocol) = protocol {
            headers::put_upgrade(headers, protocol);
        }
        headers.remove(REFUSED);
        headers.insert(NODE, self.node_name.clone());
    }
}

/// A request that may change the protocol, on a connection of its own.
async fn upgrade(
    local: &Local,
    request: http::Request<crate::request_body::RequestBody>,
) -> Result<Response<Body>, LocalError> {
    let stream = connect(local.address)
        .await
        .map_err(|source| LocalError::Refused {
            address: local.address,
            source,
        })?;
    let (mut sender, connection) = protocol()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(LocalError::Broken)?;
    // Ends with the connection, or once it is handed over.
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await.map_err(LocalError::Broken)?;
    Ok(answer.map(Body::from))
}
