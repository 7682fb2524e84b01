//! The client's side: requests to other nodes over pooled connections.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use api::NodeId;
use http::{Request, Response, Uri, uri::Scheme};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    Answer, Body, BoxError, Identity,
    guarded::{Guarded, hold},
    liveness::Watched,
    peers::PeerPool,
    reach,
    verify::{san_of, server_name},
};

/// Time to reach a peer, TCP and TLS together. A node that is up answers within milliseconds; half a second of
/// handshake on a busy Pi 2 is the worst that was seen.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// HTTP/2 connections to one peer for small calls. Each is one task at either end, so that two keep two cores busy;
/// the second opens only when the first has enough to do.
const CALL_CONNECTIONS: usize = 2;

/// A node, and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who must answer: the connection is refused where another key does.
    pub id: NodeId,
    /// Where its node-to-node port is.
    pub address: SocketAddr,
}

/// Why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens there, or the network says no.
    #[error("failed to connect")]
    Tcp(#[source] std::io::Error),
    /// Someone else is there, or we are refused.
    #[error("failed to agree on TLS")]
    Tls(#[source] std::io::Error),
    /// HTTP did not begin.
    #[error("failed to begin HTTP")]
    Http(#[source] BoxError),
    /// It is not to be spoken with ([`Client::shut_out`]).
    #[error("it was removed from the bramble")]
    ShutOut,
    /// Nothing happened for too long.
    #[error("no answer within {} s", CONNECT_LIMIT.as_secs())]
    TimedOut,
}

/// Why a request got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection: nothing was sent.
    #[error("failed to reach node {} at {}", peer.id, peer.address)]
    Connect {
        /// Whom.
        peer: Peer,
        /// Why.
        #[source]
        source: Arc<ConnectError>,
    },
    /// The peer did not take the request: it was not begun.
    #[error("node {} at {} did not take the request", peer.id, peer.address)]
    NotTaken {
        /// Who.
        peer: Peer,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke, or the peer gave up, after the request was sent: it may have been carried out.
    #[error("node {} at {} did not answer", peer.id, peer.address)]
    Broken {
        /// Who.
        peer: Peer,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether the peer surely did not begin with the request, so that it may be made elsewhere.
    pub fn nothing_was_begun(&self) -> bool {
        !matches!(self, Self::Broken { .. })
    }
}

/// Makes requests to other nodes. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    identity: Arc<Identity>,
    pools: Arc<RwLock<Pools>>,
    connections_per_peer: usize,
}

#[derive(Debug, Default)]
struct Pools {
    open: HashMap<NodeId, Arc<PeerPool>>,
    /// Nodes that are not to be spoken with. None of them is among the open ones.
    shut_out: BTreeSet<NodeId>,
}

impl Client {
    /// A client for calls, with connections of its own.
    pub fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            pools: Arc::default(),
            connections_per_peer: CALL_CONNECTIONS,
        }
    }

    /// A client for bulk transfer (images, snapshots), so that it does not delay calls and heartbeats: connections of
    /// its own, one per peer.
    pub fn bulk(identity: Arc<Identity>) -> Self {
        Self {
            connections_per_peer: 1,
            ..Self::new(identity)
        }
    }

    /// Who the requests come from.
    pub fn id(&self) -> NodeId {
        self.identity.id()
    }

    /// From now on these nodes, and no others, are not to be spoken with: connections to them end at once, whatever goes
    /// over them, and requests to them fail.
    pub fn shut_out(&self, nodes: &BTreeSet<NodeId>) {
        let mut pools = self.pools.write().expect("no panic while held");
        if pools.shut_out == *nodes {
            return;
        }
        pools.shut_out.clone_from(nodes);
        for node in nodes {
            if let Some(pool) = pools.open.remove(node) {
                pool.cut.cancel();
            }
        }
    }

    /// This node may be spoken with again.
    pub fn pardon(&self, node: NodeId) {
        let mut pools = self.pools.write().expect("no panic while held");
        pools.shut_out.remove(&node);
    }

    /// Sends `request`, whose address is a plain path such as `/v1/sync`, to `peer`. There is no limit on the time to
    /// an answer; a peer that died is noticed within seconds.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::nothing_was_begun`].
    pub async fn request(
        &self,
        peer: Peer,
        mut request: Request<Body>,
    ) -> Result<Response<Answer>, ClientError> {
        let pool = self.pool(peer)?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(pool.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).expect("scheme, authority and path are an address");
        pool.send(&self.identity, request).await
    }

    /// Sends `request`, which asks for an upgrade, to `peer`: over an HTTP/1.1 connection of its own. With a 101,
    /// `hyper::upgrade::on(answer)` is that connection.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::nothing_was_begun`].
    pub async fn upgrade(
        &self,
        peer: Peer,
        mut request: Request<Body>,
    ) -> Result<Response<Answer>, ClientError> {
        let unreachable = |source| unreachable(peer, source);
        let cut = self.pool(peer)?.cut.clone();
        let connect = async {
            let stream = dial(&self.identity, peer, Alpn::Http1).await?;
            let socket = hold(stream.get_ref().0.socket()).map_err(ConnectError::Tcp)?;
            let (stream, guard) = Guarded::new(stream, socket);
            tokio::spawn(async move {
                tokio::select! {
                    () = guard.gone() => {}
                    () = cut.cancelled() => guard.cut(),
                }
            });
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| ConnectError::Http(error.into()))?;
            Ok((sender, connection))
        };
        let (mut sender, connection) = timeout(CONNECT_LIMIT, connect)
            .await
            .unwrap_or(Err(ConnectError::TimedOut))
            .map_err(unreachable)?;
        // Ends with the connection, or once it is handed over.
        tokio::spawn(connection.with_upgrades());
        let name = san_of(peer.id)
            .try_into()
            .expect("a node's name is a header's value");
        request.headers_mut().insert(http::header::HOST, name);
        let answer = sender.send_request(request).await;
        answer
            .map(|answer| answer.map(Answer::http1))
            .map_err(|source| ClientError::Broken {
                peer,
                source: Arc::new(source),
            })
    }

    /// The connections to `peer`; new ones if it moved.
    fn pool(&self, peer: Peer) -> Result<Arc<PeerPool>, ClientError> {
        let known = self
            .pools
            .read()
            .expect("no panic while held")
            .open
            .get(&peer.id)
            .cloned();
        if let Some(pool) = known.filter(|pool| pool.peer == peer) {
            return Ok(pool);
        }
        let mut pools = self.pools.write().expect("no panic while held");
        if pools.shut_out.contains(&peer.id) {
            return Err(unreachable(peer, ConnectError::ShutOut));
        }
        let cut = match pools.open.get(&peer.id) {
            Some(pool) if pool.peer == peer => return Ok(pool.clone()),
            // What is still under way to where it was is cut along with the rest.
            Some(pool) => pool.cut.clone(),
            None => CancellationToken::new(),
        };
        let pool = Arc::new(PeerPool::new(peer, self.connections_per_peer, cut));
        pools.open.insert(peer.id, pool.clone());
        Ok(pool)
    }
}

fn unreachable(peer: Peer, source: ConnectError) -> ClientError {
    ClientError::Connect {
        peer,
        source: Arc::new(source),
    }
}

/// What will be spoken on a connection.
#[derive(Clone, Copy)]
pub(crate) enum Alpn {
    H2,
    Http1,
}

/// A connection to `peer` and nobody else.
pub(crate) async fn dial(
    identity: &Identity,
    peer: Peer,
    alpn: Alpn,
) -> Result<TlsStream<Watched>, ConnectError> {
    let config = match alpn {
        Alpn::H2 => &identity.configs.client_h2,
        Alpn::Http1 => &identity.configs.client_http1,
    };
    let attempt = async {
        let socket = reach::connect(peer.address).await.map_err(ConnectError::Tcp)?;
        socket.set_nodelay(true).map_err(ConnectError::Tcp)?;
        TlsConnector::from(config.clone())
            .connect(server_name(peer.id), Watched::new(socket))
            .await
            .map_err(ConnectError::Tls)
    };
    timeout(CONNECT_LIMIT, attempt)
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
}
