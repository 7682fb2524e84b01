//! From gateway to gateway: the one hop that an invocation may take, seen from both ends.
//!
//! The path is `/v1/invoke/{replica}/{name.namespace}{path and query for the function}`, the headers are those that the
//! function gets. The far end serves it with a replica of its own or refuses it; it never hands it on.

use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tracing::debug;
use transport::Peer;

use api::{NodeId, ReplicaId};

use crate::{
    Body, Gateway, answers,
    choose::choose,
    gateway::Inner,
    headers::{self, NODE, REFUSED},
    path,
    request::{Missed, Outgoing},
    table::{Entry, Place, Target},
    tunnel,
};

/// Why a gateway refuses a hop: neither that replica is here, nor another of its function.
const REPLICA_GONE: &str = "replica-gone";

impl Gateway {
    /// Serves an invocation that the gateway of `peer` hands on: by the replica that it names, else by another of the
    /// same function on this node, else not at all (503 with `X-Bramble-Refused`).
    pub async fn invoke_hop(&self, peer: NodeId, mut request: Request<Incoming>) -> Response<Body> {
        let upgrade = tunnel::wanted(&mut request);
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri);
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let Some((replica, called)) = path::hop(path) else {
            return answers::no_such_path();
        };
        // HTTP/2 has none.
        if parts.version != Version::HTTP_2 {
            headers::remove_hop_by_hop(&mut parts.headers);
        }
        let mut outgoing = Outgoing::new(parts, body, upgrade);
        let path = path::to_replica(called.rest);
        let mut refused = None;
        // Two, for one of them may have died just now.
        for _ in 0..2 {
            let Some(target) = self.0.own_replica(replica, called.function, refused) else {
                break;
            };
            let Place::Here(local) = &target.place else { break };
            match self.0.deliver(local, &target.load, path.clone(), &outgoing).await {
                Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let dug = tunnel::dig(outgoing.upgrade.take(), answer, ());
                    return dug.unwrap_or_else(|| self.0.broken_off(called.function));
                }
                Ok(answer) => return answer,
                Err(Missed::Refused) => {
                    target.load.avoid(self.0.now_ms());
                    refused = Some(target.replica);
                }
                Err(Missed::Broken) => return self.0.broken_off(called.function),
            }
        }
        debug!(%peer, %replica, "refused a hop: the replica is gone");
        answers::refused(REPLICA_GONE)
    }
}

impl Inner {
    /// The replica that another gateway asked for if it is here, else one of the same function.
    fn own_replica(&self, wanted: ReplicaId, function: &str, refused: Option<ReplicaId>) -> Option<Target> {
        let table = self.table.load();
        if Some(wanted) != refused
            && let Some(target) = table.here(wanted)
        {
            return Some(target.clone());
        }
        let targets = &table.find(function)?.targets;
        let here: Vec<Target> = targets
            .iter()
            .filter(|target| matches!(target.place, Place::Here(_)))
            .cloned()
            .collect();
        choose(&here, refused, self.now_ms(), |below| fastrand::usize(..below)).cloned()
    }

    /// A replica of this node began and did not finish its answer.
    fn broken_off(&self, function: &str) -> Response<Body> {
        let mut answer = answers::unreachable(function.split('.').next().unwrap_or(function));
        answer.headers_mut().insert(NODE, self.node_name.clone());
        answer
    }

    /// Hands a client's request on to `target`, which is at `peer`.
    pub(crate) async fn hand_on(
        &self,
        peer: Peer,
        target: &Target,
        entry: &Entry,
        rest: &str,
        outgoing: &Outgoing,
    ) -> Result<Response<Body>, Missed> {
        let uri = path::to_hop(target.replica, &entry.function, rest);
        let uri = Uri::try_from(uri).expect("a path in front of the end of another is a path");
        let request = outgoing.to_gateway(uri).ok_or(Missed::Broken)?;
        let sent = if outgoing.upgrade.is_some() {
            Box::pin(self.client.upgrade(peer, request)).await
        } else {
            self.client.request(peer, request).await
        };
        let mut answer = sent.map_err(|error| {
            debug!(error = &error as &dyn std::error::Error, "a hop failed");
            if error.nothing_was_begun() {
                Missed::Refused
            } else {
                Missed::Broken
            }
        })?;
        // Without a node's name it is not from a gateway: that node does not know us any more.
        if answer.headers().contains_key(REFUSED) || !answer.headers().contains_key(NODE) {
            return Err(Missed::Refused);
        }
        outgoing.source.settle();
        if answer.version() != Version::HTTP_2 && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::remove_hop_by_hop(answer.headers_mut());
        }
        Ok(answer.map(Body::from))
    }
}
