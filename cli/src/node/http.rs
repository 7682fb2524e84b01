//! The listeners for people and functions: plain HTTP/1.1, on the node's address and inside its container network.
//!
//! Invocations go straight to the gateway; everything else goes to a controller.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, info};

use super::{
    pass_on::{self, PassOn},
    running::Running,
};
use controller::Visitor;
use gateway::{Body, Gateway, Lingering};

/// How long a client may take to send a request's headers.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

/// How much of headers one request may have: OpenFaaS' own limit, and its slack for the first line.
const MAX_HEADER_BYTES: usize = (1 << 20) + 4096;

/// How many headers one request may have. OpenFaaS counts none; hyper takes 100 unless it is told.
const MAX_HEADERS: usize = 1024;

/// How long connections may take to finish when the node stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The port on which functions reach the gateway from inside their network; part of the contract.
const INSIDE_PORT: u16 = 8080;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Front {
    gateway: Gateway,
    running: Running,
    pass_on: PassOn,
}

impl Front {
    /// What is no invocation is answered by the controller that leads, which alone knows how nodes are; by this node's
    /// own where nobody leads.
    pub(super) fn new(gateway: Gateway, running: Running, pass_on: PassOn) -> Self {
        Self {
            gateway,
            running,
            pass_on,
        }
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        if request.uri().path().starts_with("/function/") {
            return Ok(self.gateway.invoke(request, client).await);
        }
        let visitor = client.ip();
        // Only nodes say this, of those whom they answer for.
        request.headers_mut().remove(pass_on::VISITOR);
        request.extensions_mut().insert(Visitor::at(visitor));
        Ok(match self.running.router() {
            Some((router, leads)) if leads || self.pass_on.leader().is_none() => {
                let response = router
                    .oneshot(request.map(|body| axum::body::Body::new(Lingering::from(body))))
                    .await
                    .unwrap_or_else(|never| match never {});
                response.map(Body::other)
            }
            _ => self.pass_on.send(request, visitor).await,
        })
    }
}

/// Shows visitors what this node is doing while it is part of no bramble, until `stop`.
pub(super) async fn show(listener: TcpListener, shown: Arc<Mutex<String>>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (shown, stop) = (Arc::clone(&shown), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |_| {
                let words = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                std::future::ready(Ok::<_, Infallible>(page(&words)))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// A page that looks again by itself.
fn page(words: &str) -> Response<Body> {
    let text = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta http-equiv=refresh content=3><title>Bramble</title><body><h1>Bramble</h1><p>{words}</p></body></html>"
    );
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
    response
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
        .max_header_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
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
