//! One request on its way, from which each attempt to send it is made.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header::HOST, request::Parts, uri::PathAndQuery};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use crate::{
    headers::put_upgrade,
    request_body::{RequestBody, Source},
};

/// Why an attempt gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Nothing was begun: another replica may be tried.
    Refused,
    /// It may have been carried out.
    Broken,
}

/// A client that wants to speak another protocol.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) protocol: HeaderValue,
    /// Its connection, once it was told that it may.
    pub(crate) client: OnUpgrade,
}

/// A request that is to reach a replica. Its headers are those that the function gets, but for the Host.
#[derive(Debug)]
pub(crate) struct Outgoing {
    method: Method,
    headers: HeaderMap,
    pub(crate) source: Source,
    pub(crate) upgrade: Option<Upgrade>,
}

impl Outgoing {
    pub(crate) fn new(parts: Parts, body: Incoming, upgrade: Option<Upgrade>) -> Self {
        Self {
            method: parts.method,
            headers: parts.headers,
            source: Source::new(body),
            upgrade,
        }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Whether sending it twice does what sending it once does: then a connection that broke is no reason to give up.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method.is_safe() && matches!(self.source, Source::Empty) && self.upgrade.is_none()
    }

    /// The request as a replica on this node gets it; `None` if its body cannot be sent once more.
    pub(crate) fn to_replica(&self, path: PathAndQuery, host: &HeaderValue) -> Option<Request<RequestBody>> {
        let mut request = self.attempt(path.into(), self.source.reader()?);
        request.headers_mut().insert(HOST, host.clone());
        Some(request)
    }

    /// The request as another node's gateway gets it; `None` if its body cannot be sent once more.
    pub(crate) fn to_gateway(&self, uri: Uri) -> Option<Request<transport::Body>> {
        Some(self.attempt(uri, self.source.reader()?.into()))
    }

    fn attempt<B>(&self, uri: Uri, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if let Some(upgrade) = &self.upgrade {
            put_upgrade(request.headers_mut(), upgrade.protocol.clone());
        }
        request
    }
}
