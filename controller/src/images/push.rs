//! An archive of images on its way from a user to the engine of a node with room, and never kept in between.

use api::{
    NodeId,
    images::{LOAD_PATH, Loaded, REMOVE_PATH},
    versioned::decode,
};
use axum::body::Body;
use futures_util::TryStreamExt as _;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use transport::{Answer, Peer};

use crate::{Controller, http::ApiError};

/// Longest answer of a node that is read.
const MAX_BYTES: usize = 1 << 20;

impl Controller {
    /// Has `node` load the archive in `body`; answers what was in it.
    pub(super) async fn load_images(
        &self,
        node: NodeId,
        length: Option<u64>,
        body: Body,
    ) -> Result<Loaded, ApiError> {
        let body = http_body_util::StreamBody::new(
            body.into_data_stream()
                .map_ok(http_body::Frame::data)
                .map_err(Into::into),
        );
        let mut request = Request::post(LOAD_PATH)
            .body(transport::Body::other(body))
            .expect("a constant path");
        if let Some(length) = length {
            request
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
        let answer = self.ask_node(node, request).await?;
        let (parts, body) = answer.into_parts();
        let bytes = Limited::new(body, MAX_BYTES)
            .collect()
            .await
            .map_err(|_| self.lost(node))?;
        let bytes = bytes.to_bytes();
        if !parts.status.is_success() {
            let words = String::from_utf8_lossy(&bytes).into_owned();
            return Err(ApiError::with_status(parts.status, words));
        }
        decode(&bytes).map_err(|error| ApiError::with_status(StatusCode::BAD_GATEWAY, error.to_string()))
    }

    /// Has `node` remove the image that its engine calls `id`, if Bramble brought it there.
    pub(super) async fn remove_image_on(&self, node: NodeId, id: &str) -> Result<(), ApiError> {
        let request = Request::post(format!("{REMOVE_PATH}?id={id}"))
            .body(transport::Body::empty())
            .map_err(|_| ApiError::bad_request(format!("`{id}` does not name an image")))?;
        let answer = self.ask_node(node, request).await?;
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() {
            return Ok(());
        }
        let bytes = Limited::new(body, MAX_BYTES)
            .collect()
            .await
            .map_err(|_| self.lost(node))?;
        let words = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
        Err(ApiError::with_status(parts.status, words))
    }

    async fn ask_node(
        &self,
        node: NodeId,
        request: Request<transport::Body>,
    ) -> Result<Response<Answer>, ApiError> {
        let address = self.state().node(node).map(|node| node.facts.address);
        let peer = Peer {
            id: node,
            address: address.ok_or_else(|| self.lost(node))?,
        };
        self.bulk
            .request(peer, request)
            .await
            .map_err(|_| self.lost(node))
    }

    fn lost(&self, node: NodeId) -> ApiError {
        let name = self.state().node_name(node);
        ApiError::with_status(
            StatusCode::BAD_GATEWAY,
            format!("the connection to {name} broke; try again"),
        )
    }
}
