//! The listeners for people and functions: plain HTTP/1.1, on the node's address and inside its container network.
//!
//! Invocations go straight to the gateway; everything else goes to a controller.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use anyhow::Result;
use axum::Router;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, info};

use super::pass_on::PassOn;
use gateway::{Body, Gateway, Lingering};

/// How long a client may take to send a request's headers.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

/// How much of headers one request may have; OpenFaaS' own limit is 1 MB, of which this is the buffer.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// How long connections may take to finish when the node stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The port on which functions reach the gateway from inside their network; part of the contract.
const INSIDE_PORT: u16 = 8080;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Front {
    gateway: Gateway,
    portal: Option<Router>,
    pass_on: PassOn,
}

impl Front {
    /// `portal` answers what is not an invocation; without one, such requests are passed on.
    pub(super) fn new(gateway: Gateway, portal: Option<Router>, pass_on: PassOn) -> Self {
        Self {
            gateway,
            portal,
            pass_on,
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        if request.uri().path().starts_with("/function/") {
            return Ok(self.gateway.invoke(request, client).await);
        }
        Ok(match self.portal {
            Some(portal) => {
                let response = portal
                    .oneshot(request.map(|body| axum::body::Body::new(Lingering::from(body))))
                    .await
                    .unwrap_or_else(|never| match never {});
                response.map(Body::other)
            }
            None => self.pass_on.send(request).await,
        })
    }
}

/// Serves `front` on `listener` until `stop`, then lets connections finish.
pub(super) async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) -> Result<()> {
    let connections = TaskTracker::new();
    loop {
        let (stream, client) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the client is gone: the next one may fare better.
                    debug!(%error, "accepts nobody");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        connections.spawn(serve_connection(stream, client, front.clone(), stop.clone()));
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn serve_connection(stream: TcpStream, client: SocketAddr, front: Front, stop: CancellationToken) {
    _ = stream.set_nodelay(true);
    let service = service_fn(move |request| front.clone().answer(request, client));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // A client that goes away in the middle is no news.
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            _ = timeout(DRAIN, connection).await;
        }
    }
}

/// Serves `front` inside the node's container network, wherever `bridge` says that it is, so that functions reach
/// `http://gateway:8080`.
pub(super) async fn serve_inside(
    mut bridge: watch::Receiver<Option<IpAddr>>,
    front: Front,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        let address = *bridge.borrow_and_update();
        let stop_this = stop.child_token();
        let serving = async {
            let Some(address) = address else {
                return std::future::pending().await;
            };
            match TcpListener::bind((address, INSIDE_PORT)).await {
                Ok(listener) => {
                    info!(%address, "functions reach the gateway");
                    _ = serve(listener, front.clone(), stop_this.clone()).await;
                }
                // On a Pi the node's own listener has this port on all addresses already.
                Err(error) => {
                    debug!(%address, %error, "no listener of its own inside the container network");
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            () = serving => {}
            changed = bridge.changed() => if changed.is_err() { stop.cancelled().await },
            () = stop.cancelled() => {}
        }
        stop_this.cancel();
        if stop.is_cancelled() {
            return Ok(());
        }
    }
}
