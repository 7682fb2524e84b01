//! A client of a bramble's HTTP API, for the commands of this program: HTTP/1.1, over TLS where the address says so,
//! bodies streamed both ways.
//!
//! It knows one address and whose credentials go there, and sends them nowhere else: redirects are answers.
//!
//! Not here: which address and whose credentials ([`crate::commands`]), what status codes mean to people (there too).

mod tls;

use std::{io, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use tls::Trust;

/// Longest answer that is read into memory.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest wait for an answer: an invocation may wait a minute for its replica.
const PATIENCE: Duration = Duration::from_secs(70);

/// Longest wait for somebody to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);

/// How this program calls itself.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("bramble/", env!("CARGO_PKG_VERSION")));

/// What is sent: whole, or as it comes.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address makes no sense.
    #[error("{url} is no address that can be asked")]
    Address {
        /// Which.
        url: String,
        #[source]
        source: http::Error,
    },
    /// Nobody answers there.
    #[error("{base} cannot be reached")]
    Unreachable {
        /// Who was asked.
        base: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody took the request and was not heard of again.
    #[error("{base} gave no answer within {} s", .within.as_secs())]
    Silent {
        /// Who was asked.
        base: String,
        /// How long it had.
        within: Duration,
    },
    /// An answer that is no success, in the words of the bramble.
    #[error("{words} ({status})")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What the bramble says.
        words: String,
    },
    /// An answer of another kind than what was asked for.
    #[error("{url} answered what is not understood")]
    Strange {
        /// What was asked.
        url: String,
        #[source]
        source: serde_json::Error,
    },
    /// The system's certificates cannot be used.
    #[error("no certificates to trust were found; install the package ca-certificates")]
    NoRoots,
}

/// Speaks to one bramble.
#[derive(Clone)]
pub(crate) struct ApiClient {
    base: String,
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, RequestBody>,
}

impl std::fmt::Debug for ApiClient {
    /// Without the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// Name of the node whose replica answered, for invocations.
    pub(crate) node: Option<String>,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What went wrong, in the bramble's words: the text of the answer, or the sentence in its JSON.
    pub(crate) fn words(&self) -> String {
        if let Ok(error) = serde_json::from_slice::<api::v1::Error>(&self.body) {
            return error.error;
        }
        self.text().trim().to_owned()
    }
}

/// The name of the node that answered an invocation.
pub(crate) fn answering_node(headers: &HeaderMap) -> Option<String> {
    headers
        .get("x-bramble-node")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl ApiClient {
    /// For the bramble at `base` (`http://host:port`), as `user`.
    ///
    /// # Errors
    /// [`ClientError::NoRoots`] where TLS is wanted and the system trusts nobody.
    pub(crate) fn new(base: &str, user: &str, password: &str) -> Result<Self, ClientError> {
        let token = STANDARD.encode(format!("{user}:{password}"));
        Self::with_token(base, Some(&token), Trust::System)
    }

    /// For `base`, with the base64 of `user:password` or as nobody.
    ///
    /// # Errors
    /// [`ClientError::NoRoots`] where TLS is wanted and the system trusts nobody.
    pub(crate) fn with_token(base: &str, token: Option<&str>, trust: Trust) -> Result<Self, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        tcp.set_nodelay(true);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(base.starts_with("https:"), trust)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let authorization = token.and_then(|token| {
            let mut value = HeaderValue::from_str(&format!("Basic {token}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            authorization,
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// Where it speaks to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether it shows credentials.
    pub(crate) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// Sends a request as it is, waits `patience` for the head of its answer, and leaves the body to the caller.
    ///
    /// # Errors
    /// [`ClientError`] where nobody answers; every status is an answer.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: RequestBody,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder().method(method).uri(&url).body(body);
        let mut request = request.map_err(|source| ClientError::Address { url, source })?;
        *request.headers_mut() = headers;
        let had = request.headers_mut();
        had.entry(header::USER_AGENT).or_insert(USER_AGENT);
        if let Some(authorization) = &self.authorization {
            had.entry(header::AUTHORIZATION)
                .or_insert_with(|| authorization.clone());
        }
        let exchange = self.client.request(request);
        let answered = match patience {
            None => exchange.await,
            Some(within) => {
                tokio::time::timeout(within, exchange)
                    .await
                    .map_err(|_| ClientError::Silent {
                        base: self.base.clone(),
                        within,
                    })?
            }
        };
        answered.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Unreachable {
            base: self.base.clone(),
            source: source.into(),
        }
    }

    /// Reads the rest of an answer.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] where it breaks off or is longer than 64 MiB.
    pub(crate) async fn read(&self, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(Answer {
            status: parts.status,
            node: answering_node(&parts.headers),
            headers: parts.headers,
            body: body.map_err(|source| self.unreachable(source))?.to_bytes(),
        })
    }

    /// Sends `body` to `path` and takes any answer for an answer.
    ///
    /// # Errors
    /// [`ClientError`] where nobody answers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, ClientError> {
        self.send_with(method, path, HeaderMap::new(), body, PATIENCE)
            .await
    }

    /// The same with headers and another patience for the whole exchange.
    ///
    /// # Errors
    /// [`ClientError`] where nobody answers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Answer, ClientError> {
        let exchange = async {
            let response = self.open(method, path, headers, whole(body), None).await?;
            self.read(response).await
        };
        tokio::time::timeout(within, exchange)
            .await
            .map_err(|_| ClientError::Silent {
                base: self.base.clone(),
                within,
            })?
    }

    /// Sends `value` as JSON; anything but success is an error with the bramble's own words.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        value: &impl Serialize,
    ) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(value).map_err(|source| ClientError::Strange {
            url: path.to_owned(),
            source,
        })?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        let answer = self.send_with(method, path, headers, body, PATIENCE).await?;
        success(answer)
    }

    /// Reads `path`; anything but success is an error with the bramble's own words.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn get_answer(&self, path: &str) -> Result<Answer, ClientError> {
        success(self.send(Method::GET, path, Bytes::new()).await?)
    }

    /// Reads JSON from `path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.get_answer(path).await?;
        serde_json::from_slice(&answer.body).map_err(|source| ClientError::Strange {
            url: format!("{}{path}", self.base),
            source,
        })
    }
}

fn success(answer: Answer) -> Result<Answer, ClientError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    Err(ClientError::Refused {
        status: answer.status,
        words: answer.words(),
    })
}
