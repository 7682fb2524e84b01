//! A client of a bramble's HTTP API, for the commands of this program.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};

/// Longest answer that is read into memory.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest wait for an answer: an invocation may wait a minute for its replica.
const PATIENCE: Duration = Duration::from_secs(70);

/// Speaks to one bramble.
#[derive(Clone)]
pub(crate) struct ApiClient {
    base: String,
    authorization: String,
    client: Client<HttpConnector, Full<Bytes>>,
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
}

impl ApiClient {
    /// For the bramble at `base` (`http://host:port`), as `user`.
    pub(crate) fn new(base: &str, user: &str, password: &str) -> Self {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self {
            base: base.trim_end_matches('/').to_owned(),
            authorization: format!("Basic {credentials}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends `body` to `path` and takes any answer for an answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let doing = || format!("failed to reach {url}");
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Full::new(body.into()))
            .with_context(doing)?;
        let exchange = async {
            let response = self.client.request(request).await.with_context(doing)?;
            let status = response.status();
            let node = response
                .headers()
                .get("x-bramble-node")
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned);
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await;
            let body = body
                .map_err(|error| anyhow::anyhow!(error))
                .with_context(doing)?
                .to_bytes();
            Ok(Answer { status, body, node })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .with_context(doing)?
    }

    /// Sends `value` as JSON; anything but success is an error with the bramble's own words.
    pub(crate) async fn send_json(&self, method: Method, path: &str, value: &impl Serialize) -> Result<()> {
        let answer = self
            .send(
                method,
                path,
                serde_json::to_vec(value).context("failed to write JSON")?,
            )
            .await?;
        if !answer.status.is_success() {
            bail!("{} ({})", answer.text().trim(), answer.status);
        }
        Ok(())
    }

    /// Reads JSON from `path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        if !answer.status.is_success() {
            bail!("{} ({})", answer.text().trim(), answer.status);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} answered something unexpected"))
    }
}
