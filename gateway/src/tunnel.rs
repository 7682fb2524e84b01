//! Connections that change to another protocol (WebSocket): bytes, both ways, until one side ends.

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::{Body, headers::upgrade_of, request::Upgrade};

/// What the client wants to change to, if it properly asks for that.
pub(crate) fn wanted(request: &mut Request<Incoming>) -> Option<Upgrade> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    Some(Upgrade {
        protocol: upgrade_of(request.headers())?,
        client: hyper::upgrade::on(request),
    })
}

/// Finishes a replica's agreement to change protocols: what client and replica then say is carried between them, and
/// `call` is under way until they are done. An agreement that nobody asked for gives `None`.
pub(crate) fn dig<G: Send + 'static>(
    upgrade: Option<Upgrade>,
    mut answer: Response<Body>,
    call: G,
) -> Option<Response<Body>> {
    debug_assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let client = upgrade?.client;
    let replica = hyper::upgrade::on(&mut answer);
    let (parts, body) = answer.into_parts();
    tokio::spawn(async move {
        // The replica agreed already; the client's side is there once it has been told.
        if let (Ok(client), Ok(replica)) = (client.await, replica.await) {
            // However it ends, there is nobody left to tell.
            _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(replica)).await;
        }
        drop((call, body));
    });
    Some(Response::from_parts(parts, Body::empty()))
}
