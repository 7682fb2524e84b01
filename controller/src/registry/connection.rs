//! One small HTTP/1.1 request to somebody on the Internet, over a connection of its own.
//!
//! A look-up makes a handful of them, seldom; nothing is kept between them, least of all the system's roots, which
//! take megabytes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Time to reach somebody.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);

/// Longest answer that is read: manifests and settings have some kilobytes.
const MAX_BYTES: usize = 4 << 20;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) enum FetchError {
    /// Nobody answers, and why, in few words.
    Unreachable(String),
    /// More than is read.
    TooLong,
}

/// Asks for `uri`: `https`, or `http` where the caller allows it.
pub(super) async fn get(uri: &Uri, headers: HeaderMap) -> Result<Answer, FetchError> {
    let unreachable = |reason: &dyn std::fmt::Display| FetchError::Unreachable(reason.to_string());
    let host = uri.host().ok_or_else(|| unreachable(&"it has no address"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let socket = timeout(CONNECT_LIMIT, TcpStream::connect((host, port)))
        .await
        .map_err(|_| unreachable(&"no answer"))?
        .map_err(|error| unreachable(&in_words(&error)))?;
    if !tls {
        return ask(socket, uri, headers).await;
    }
    let config = tokio::task::spawn_blocking(tls_config)
        .await
        .map_err(|error| unreachable(&error))?
        .map_err(|error| unreachable(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(&error))?;
    let stream = timeout(CONNECT_LIMIT, TlsConnector::from(config).connect(name, socket))
        .await
        .map_err(|_| unreachable(&"no answer"))?
        .map_err(|error| unreachable(&in_words(&error)))?;
    ask(stream, uri, headers).await
}

/// What `error` means to people who know no networks.
fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    if text.contains("failed to lookup address") {
        return "its name is not found; is this bramble on the Internet?".to_owned();
    }
    if text.contains("CertExpired") || text.contains("NotValidYet") || text.contains("not valid yet") {
        return format!("{text}; is the clock of this node right?");
    }
    text
}

/// TLS with the roots that this system trusts.
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this node trusts nobody: install the package ca-certificates".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    headers: HeaderMap,
) -> Result<Answer, FetchError> {
    let unreachable = |error: hyper::Error| FetchError::Unreachable(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    // Ends with the request.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::USER_AGENT, concat!("bramble/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Unreachable(error.to_string()))?;
    request.headers_mut().extend(headers);
    if let Some(host) = uri.authority().and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let (parts, body) = sender
        .send_request(request)
        .await
        .map_err(unreachable)?
        .into_parts();
    let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            FetchError::TooLong
        } else {
            FetchError::Unreachable(error.to_string())
        }
    })?;
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes().into(),
    })
}
