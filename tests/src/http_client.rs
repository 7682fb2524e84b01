//! A blocking HTTP client that sends exactly what it is told, as an unmodified client of the contract would.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::following::Following;

/// One runtime for all clients of a test program.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made")
    })
}

/// Speaks to one address.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    headers: Vec<(String, String)>,
    patience: Option<Duration>,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// What came back, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Client {
    /// For `http://host:port`.
    pub fn new(base: &str) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            headers: Vec::new(),
            patience: None,
            pool,
        }
    }

    /// The same with a header in every request.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with Basic credentials.
    pub fn signed_in(self, user: &str, password: &str) -> Self {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.with("authorization", &format!("Basic {credentials}"))
    }

    /// The same with the cookie that the portal's sign-in page gives for these credentials.
    pub fn with_session(self, user: &str, password: &str) -> Self {
        let password = password.replace('%', "%25").replace('+', "%2B");
        let answer = self
            .clone()
            .with("content-type", "application/x-www-form-urlencoded")
            .post("/ui/sign-in", format!("user={user}&password={password}"));
        assert_eq!(answer.status, 303, "{}", answer.text());
        let cookie = answer.header("set-cookie").split(';').next();
        self.with("cookie", cookie.expect("a cookie"))
    }

    /// The same, at another address.
    pub fn at(mut self, base: &str) -> Self {
        base.trim_end_matches('/').clone_into(&mut self.base);
        self
    }

    /// The same, from this address of the computer.
    pub fn from_address(mut self, address: IpAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(address));
        self.pool = Pool::builder(TokioExecutor::new()).build(connector);
        self
    }

    /// The same, for which nobody answers where no whole answer came within so long.
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    fn request(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body.into())).expect("a request")
    }

    /// GET of an answer that goes on: its lines, as they come.
    pub fn follow(&self, path: &str) -> Following {
        Following::begin(&self.pool, self.request("GET", path, Bytes::new()))
    }

    /// Sends a request; `None` where nobody answers it.
    pub fn try_send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Option<Answer> {
        let request = self.request(method, path, body);
        let exchange = async {
            let response = self.pool.request(request).await.ok()?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        runtime().block_on(async {
            match self.patience {
                Some(patience) => timeout(patience, exchange).await.ok()?,
                None => exchange.await,
            }
        })
    }

    /// Sends a request.
    pub fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        self.try_send(method, path, body)
            .unwrap_or_else(|| panic!("nobody answers {method} {}{path}", self.base))
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Bytes::new())
    }

    /// POST.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", path, body)
    }

    /// POST of JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, body.to_string())
    }
}
