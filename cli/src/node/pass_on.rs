//! Passes on what only a controller answers: management API and portal, over the node-to-node port.

use std::net::IpAddr;

use agent::Contacts;
use bytes::Bytes;
use gateway::{Body, Gateway, RequestSource};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use transport::{Client, Peer};

/// What stands before the path of a request that is passed on.
pub(super) const PREFIX: &str = "/v1/http";

/// The header in which a node that passes a request on says at which address it took it.
pub(super) const VISITOR: HeaderName = HeaderName::from_static("x-bramble-visitor");

/// Knows the controllers and how to reach them.
#[derive(Clone, Debug)]
pub(super) struct PassOn {
    gateway: Gateway,
    client: Client,
    contacts: Contacts,
}

impl PassOn {
    pub(super) fn new(gateway: Gateway, client: Client, contacts: Contacts) -> Self {
        Self {
            gateway,
            client,
            contacts,
        }
    }

    /// The controllers to try, the leader first; never this node itself, which has nothing to say.
    fn candidates(&self) -> impl Iterator<Item = Peer> {
        let me = self.client.id();
        let all = self.contacts.controllers(&self.gateway.routes()).into_iter();
        all.filter(move |(id, _)| *id != me)
            .map(|(id, address)| Peer { id, address })
    }

    /// The leader, where it is another node.
    pub(super) fn leader(&self) -> Option<Peer> {
        let routes = self.gateway.routes();
        let id = routes.leader.filter(|leader| *leader != self.client.id())?;
        let address = self.contacts.address(id, &routes)?;
        Some(Peer { id, address })
    }

    /// Sends `request`, which came from `visitor`, to a controller and answers what it answers.
    pub(super) async fn send(&self, request: Request<Incoming>, visitor: IpAddr) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        match format!("{PREFIX}{path}").parse::<Uri>() {
            Ok(uri) => parts.uri = uri,
            Err(_) => return words(StatusCode::BAD_REQUEST, "this is no address"),
        }
        // Between the nodes it is HTTP/2, which has neither of these.
        for name in [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        let visitor = visitor.to_string();
        let visitor = HeaderValue::try_from(visitor).expect("an address has plain characters");
        parts.headers.insert(VISITOR, visitor);
        parts.extensions.clear();
        let source = RequestSource::new(body);
        for peer in self.candidates() {
            let Some(body) = source.reader() else { break };
            let mut attempt = Request::new(transport::Body::from(body));
            *attempt.method_mut() = parts.method.clone();
            *attempt.uri_mut() = parts.uri.clone();
            *attempt.headers_mut() = parts.headers.clone();
            match self.client.request(peer, attempt).await {
                Ok(response) => {
                    source.settle();
                    return response.map(Body::from);
                }
                // One that follows waits for a new leader better than who asked.
                Err(error) if error.nothing_was_begun() => {}
                Err(_) => break,
            }
        }
        words(
            StatusCode::SERVICE_UNAVAILABLE,
            "no controller answers: functions go on serving, changes have to wait",
        )
    }
}

fn words(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
