//! The other nodes, as this one asks them for images, and the leader, as it is asked about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use api::{
    FunctionName, NodeId,
    images::{
        CLEANED_PATH, CREDENTIALS_PATH, Cleaned, CredentialsAnswer, EXPORT_PATH, RegistryCredentials,
        USED_PATH, UsedImages,
    },
    versioned::{Versioned, decode, encode},
};
use bytes::Bytes;
use futures_util::StreamExt;
use gateway::Gateway;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Limited};
use tokio::sync::watch;
use transport::{Answer, Body, Client, Peer};

use super::{
    Need,
    copy::{Holders, Part, Refused},
};

/// Name of the node that answers.
pub(super) const NODE_HEADER: &str = "x-bramble-node";
/// What the image in the archive is told by.
pub(super) const CONTENT_HEADER: &str = "x-bramble-content";
/// About how long the archive is, in bytes.
pub(super) const SIZE_HEADER: &str = "x-bramble-size";

/// Longest small answer that is read.
const MAX_BYTES: usize = 1 << 20;

/// Who holds which image, by its digest, as the leader last said.
pub type HoldersByDigest = BTreeMap<String, BTreeSet<NodeId>>;

/// Where images come from.
#[derive(Clone, Debug)]
pub struct Sources(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    client: Client,
    bulk: Client,
    gateway: Gateway,
    holders: watch::Receiver<HoldersByDigest>,
}

impl Sources {
    /// A node by itself: images come from registries only.
    pub fn none() -> Self {
        Self(None)
    }

    /// The other nodes, reached by `client`, and by `bulk` for images; `holders` is what the leader last said.
    pub fn new(
        client: Client,
        bulk: Client,
        gateway: Gateway,
        holders: watch::Receiver<HoldersByDigest>,
    ) -> Self {
        Self(Some(Arc::new(Inner {
            client,
            bulk,
            gateway,
            holders,
        })))
    }

    /// The nodes that hold what is needed.
    pub(crate) fn holders_of(&self, need: &Need) -> Peers {
        Peers {
            inner: self.0.clone(),
            need: need.clone(),
        }
    }

    /// Who the registry of the function's image lets in, as far as the leader knows.
    pub(crate) async fn credentials(&self, function: &FunctionName) -> Option<RegistryCredentials> {
        let path = format!(
            "{CREDENTIALS_PATH}?name={}&namespace={}",
            function.name(),
            function.namespace()
        );
        let answer: CredentialsAnswer = self.ask_leader(Request::get(path), Body::empty()).await?;
        answer.credentials
    }

    /// What functions use; `None` while no leader answers.
    pub(crate) async fn used(&self) -> Option<UsedImages> {
        self.ask_leader(Request::get(USED_PATH), Body::empty()).await
    }

    /// Tells the leader what was removed. Lost where none answers: it is only told to people.
    pub(crate) async fn cleaned(&self, cleaned: &Cleaned) {
        let body = Body::from(Bytes::from(encode(cleaned)));
        _ = self.send_to_leader(Request::post(CLEANED_PATH), body).await;
    }

    async fn ask_leader<T: Versioned>(&self, request: http::request::Builder, body: Body) -> Option<T> {
        let answer = self.send_to_leader(request, body).await?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let bytes = Limited::new(answer.into_body(), MAX_BYTES).collect().await.ok()?;
        decode(&bytes.to_bytes()).ok()
    }

    async fn send_to_leader(&self, request: http::request::Builder, body: Body) -> Option<Response<Answer>> {
        let inner = self.0.as_ref()?;
        let routes = inner.gateway.routes();
        let id = routes.leader?;
        let peer = Peer {
            id,
            address: *routes.nodes.get(&id)?,
        };
        inner.client.request(peer, request.body(body).ok()?).await.ok()
    }

    /// Whether `node` runs a controller: only those may change what is here.
    pub(super) fn is_controller(&self, node: NodeId) -> bool {
        let is = |inner: &Arc<Inner>| inner.gateway.routes().controllers.contains(&node);
        self.0.as_ref().is_some_and(is)
    }
}

/// The nodes that hold one image.
#[derive(Debug)]
pub(crate) struct Peers {
    inner: Option<Arc<Inner>>,
    need: Need,
}

impl Holders for Peers {
    /// Each node begins with another holder, so that they do not all ask the same one.
    fn now(&self) -> Vec<NodeId> {
        let Some(inner) = &self.inner else {
            return Vec::new();
        };
        let me = inner.bulk.id();
        let mut all: Vec<NodeId> = inner
            .holders
            .borrow()
            .get(&self.need.digest)
            .map(|nodes| nodes.iter().copied().filter(|node| *node != me).collect())
            .unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (me, &self.need.digest).hash(&mut hasher);
        let length = u64::try_from(all.len().max(1)).unwrap_or(1);
        all.rotate_left(usize::try_from(hasher.finish() % length).unwrap_or(0));
        all
    }

    async fn open(&self, holder: NodeId, offset: u64, prefix: &str) -> Result<Part, Refused> {
        let failed = |what: String| Refused::Failed(what);
        let gone = || failed("the node that holds it is out of reach".to_owned());
        let inner = self.inner.as_ref().ok_or_else(gone)?;
        let address = inner
            .gateway
            .routes()
            .nodes
            .get(&holder)
            .copied()
            .ok_or_else(gone)?;
        let ids: Vec<&str> = self.need.ids.iter().map(String::as_str).collect();
        let path = format!(
            "{EXPORT_PATH}?platform={}&ids={}&offset={offset}&prefix={prefix}",
            self.need.platform,
            ids.join(",")
        );
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| failed(error.to_string()))?;
        let peer = Peer { id: holder, address };
        let answer = inner.bulk.request(peer, request).await.map_err(|_| gone())?;
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        match answer.status() {
            StatusCode::OK => Ok(Part {
                node: header(NODE_HEADER),
                content: header(CONTENT_HEADER),
                size_bytes: header(SIZE_HEADER).parse().unwrap_or(0),
                bytes: Box::pin(
                    BodyStream::new(answer.into_body())
                        .filter_map(|frame| async { frame.map(|frame| frame.into_data().ok()).transpose() }),
                ),
            }),
            StatusCode::SERVICE_UNAVAILABLE => Err(Refused::Busy),
            StatusCode::NOT_FOUND => Err(Refused::NotHeld),
            StatusCode::CONFLICT => Err(Refused::Differs),
            status => {
                let bytes = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
                let words = bytes.map_or_else(
                    |_| String::new(),
                    |bytes| String::from_utf8_lossy(&bytes.to_bytes()).into_owned(),
                );
                Err(failed(format!("a node does not give it ({status}): {words}")))
            }
        }
    }
}
