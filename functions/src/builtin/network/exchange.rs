//! HTTP over a connection.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::task::{JoinHandle, spawn_local};

use super::connect::Target;
use super::tls;
use crate::builtin::call::Refusal;

/// An HTTP connection. Dropped, it is closed.
pub(super) struct Exchange {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    host: String,
}

impl Exchange {
    pub(super) async fn open(target: &Target, config: &Arc<ClientConfig>) -> Result<Self, Refusal> {
        let stream = target.open(config).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|why| broken(&target.host, &why))?;
        // Its end is seen by whoever waits for an answer.
        let driver = spawn_local(async move { _ = connection.await });
        Ok(Self {
            sender,
            driver,
            host: target.authority(),
        })
    }

    /// Whether it can take no more requests.
    pub(super) fn is_over(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request; the answer's body is still to be read.
    pub(super) async fn send(
        &mut self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Refusal> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(method).uri(path);
        if !headers.contains_key(HOST) {
            request = request.header(HOST, &self.host);
        }
        if !headers.contains_key(USER_AGENT) {
            request = request.header(
                USER_AGENT,
                concat!("bramble-functions/", env!("CARGO_PKG_VERSION")),
            );
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| Refusal::new(format!("`{uri}` is no address.")))?;
        let failed = |why| broken(&self.host, &why);
        self.sender.ready().await.map_err(failed)?;
        self.sender
            .send_request(request)
            .await
            .map_err(|why| broken(&self.host, &why))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Fetches a page and forgets it, but for its head.
///
/// # Errors
/// When there is no answer, or only part of one.
pub(in crate::builtin) async fn head_of(address: &str) -> Result<Parts, Refusal> {
    let (target, uri) = Target::of(address)?;
    let mut exchange = Exchange::open(&target, &tls::careful()).await?;
    let headers = HeaderMap::new();
    let response = exchange.send(Method::GET, &uri, &headers, Bytes::new()).await?;
    let (head, mut body) = response.into_parts();
    while let Some(frame) = body.frame().await {
        frame.map_err(|why| broken(&target.host, &why))?;
    }
    Ok(head)
}

pub(super) fn broken(host: &str, why: &hyper::Error) -> Refusal {
    Refusal::with_status(502, format!("{host} broke off: {why}."))
}
