//! Passes on what only a controller answers: management API and portal, over the node-to-node port.

use std::{net::IpAddr, time::Duration};

use agent::Contacts;
use bytes::Bytes;
use gateway::{Body, Gateway, RequestSource};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::time::sleep;
use transport::{Client, Peer};

/// How often it is looked whether somebody else leads.
const LOOK: Duration = Duration::from_millis(100);

/// How long an answer of a leader that was replaced may still be on its way.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What stands before the path of a request that is passed on.
pub(super) const PREFIX: &str = "/v1/http";

/// What a node says that runs no controller, perhaps for a moment only: others may.
pub(super) const NO_CONTROLLER: StatusCode = StatusCode::MISDIRECTED_REQUEST;

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
        let id = self
            .contacts
            .leader(&routes)
            .filter(|leader| *leader != self.client.id())?;
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
        // Between the nodes it is HTTP/2, which has none of these.
        gateway::remove_hop_by_hop(&mut parts.headers);
        let visitor = visitor.to_string();
        let visitor = HeaderValue::try_from(visitor).expect("an address has plain characters");
        parts.headers.insert(VISITOR, visitor);
        parts.extensions.clear();
        let source = RequestSource::new(body);
        // Nothing changes by asking twice.
        let only_asks = parts.method.is_safe() && matches!(source, RequestSource::Empty);
        for peer in self.candidates() {
            let Some(body) = source.reader() else { break };
            let mut attempt = Request::new(transport::Body::from(body));
            *attempt.method_mut() = parts.method.clone();
            *attempt.uri_mut() = parts.uri.clone();
            *attempt.headers_mut() = parts.headers.clone();
            let answered = tokio::select! {
                answered = self.client.request(peer, attempt) => answered,
                () = self.replaced(peer), if only_asks => continue,
            };
            match answered {
                Ok(response) if response.status() == NO_CONTROLLER => {}
                Ok(response) => {
                    source.settle();
                    return response.map(Body::from);
                }
                // One that follows waits for a new leader better than who asked.
                Err(error) if only_asks || error.nothing_was_begun() => {}
                Err(_) => {
                    return words(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "the controller that was asked fell silent, and whether the change was made is not known: look before you try again",
                    );
                }
            }
        }
        words(
            StatusCode::SERVICE_UNAVAILABLE,
            "no controller answers: functions go on serving, changes have to wait",
        )
    }

    /// Returns some time after another than `leader`, who leads, does; never where `leader` does not lead.
    async fn replaced(&self, leader: Peer) {
        let leads = || self.contacts.leader(&self.gateway.routes()) == Some(leader.id);
        if !leads() {
            return std::future::pending().await;
        }
        while leads() {
            sleep(LOOK).await;
        }
        sleep(LAST_WORDS).await;
    }
}

fn words(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
