//! How this node's controller reaches the others: over the node-to-node port.

use std::{io, net::SocketAddr};

use agent::Contacts;
use api::NodeId;
use bytes::Bytes;
use controller::{
    RAFT_PREFIX,
    raft::{BoxFuture, Peers},
};
use gateway::Gateway;
use http::Request;
use http_body_util::{BodyExt, Limited};
use transport::{Body, Client, Peer};

/// Longest answer that is read, in bytes: answers say "yes", "no" and how far somebody is.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Calls other controllers by id; where they are, the contacts say.
pub(super) struct RaftPeers {
    client: Client,
    gateway: Gateway,
    contacts: Contacts,
}

impl RaftPeers {
    pub(super) fn new(client: Client, gateway: Gateway, contacts: Contacts) -> Self {
        Self {
            client,
            gateway,
            contacts,
        }
    }

    fn address(&self, node: NodeId) -> io::Result<SocketAddr> {
        let address = self.contacts.address(node, &self.gateway.routes());
        address.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotConnected,
                format!("the address of node {node} is not known"),
            )
        })
    }
}

impl Peers for RaftPeers {
    fn call<'a>(&'a self, to: NodeId, rpc: &'static str, body: Bytes) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            let peer = Peer {
                id: to,
                address: self.address(to)?,
            };
            let request = Request::post(format!("{RAFT_PREFIX}{rpc}"))
                .body(Body::from(body))
                .map_err(io::Error::other)?;
            let response = self.client.request(peer, request).await.map_err(|error| {
                match error.nothing_was_begun() {
                    true => io::Error::new(io::ErrorKind::NotConnected, error),
                    false => io::Error::other(error),
                }
            })?;
            let status = response.status();
            let answer = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await;
            let answer = answer.map_err(io::Error::other)?.to_bytes();
            if status.is_success() {
                Ok(answer)
            } else {
                Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
            }
        })
    }
}
