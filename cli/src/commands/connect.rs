//! From what was said about the gateway to somebody who answers there, signed in where somebody is.
//!
//! A saved login goes to the gateway that it was saved for and nowhere else; downloads carry none.

use std::time::Duration;

use api::{FunctionName, ids::DEFAULT_NAMESPACE};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method, Response, header};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    failure::Failure,
    gateway::{self, Said},
    logins::LoginFile,
    suggest,
};
use crate::client::{Answer, ApiClient, ClientError, RequestBody, Trust};

/// How long this computer's network may take to say where `bramble.local` is.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(1);

/// How often a download may be sent on to another address.
const MAX_REDIRECTS: usize = 5;

/// How long a download may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(30);

/// Which gateway is meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Target {
    /// Any node of the bramble [else: OPENFAAS_URL, the last login, bramble.local, this computer]
    #[arg(help_heading = "Where", short, long, value_name = "URL")]
    pub(crate) gateway: Option<String>,

    /// Take any certificate
    #[arg(help_heading = "Where", long)]
    pub(crate) tls_no_verify: bool,
}

impl Target {
    /// Whose certificates are taken.
    pub(crate) fn trust(&self) -> Trust {
        if self.tls_no_verify {
            Trust::Everybody
        } else {
            Trust::System
        }
    }

    /// The gateway that is meant, where `stack` is what a stack file says and `login` where somebody signed in last.
    pub(crate) async fn url(&self, stack: Option<&str>, login: Option<&str>) -> Result<String, Failure> {
        let said = Said {
            flag: self.gateway.clone(),
            stack: stack.map(str::to_owned),
            environment: std::env::var("OPENFAAS_URL").ok(),
            login: login.map(str::to_owned),
        };
        match gateway::choose(&said).map_err(Failure::usage)? {
            Some(url) => Ok(url),
            None => Ok(default_gateway().await.to_owned()),
        }
    }

    /// Speaks to the gateway, as who signed in there.
    ///
    /// # Errors
    /// [`Failure`] where the address or the file of logins makes no sense.
    pub(crate) async fn connect(&self, stack: Option<&str>) -> Result<Api, Failure> {
        let logins = LoginFile::of_user().read()?;
        let url = self.url(stack, logins.newest()).await?;
        self.connect_to(&url, logins.token(&url))
    }

    /// Speaks to `url`, with the base64 of `user:password` or as nobody.
    ///
    /// # Errors
    /// [`Failure`] where TLS is wanted and nobody trusted.
    pub(crate) fn connect_to(&self, url: &str, token: Option<&str>) -> Result<Api, Failure> {
        let client = ApiClient::with_token(url, token, self.trust())
            .map_err(|error| Failure::of_client(error, url, token.is_some()))?;
        Ok(Api { client })
    }
}

/// A bramble on this network if its name is known here, else a gateway on this computer.
async fn default_gateway() -> &'static str {
    let found = tokio::time::timeout(LOOK_UP_LIMIT, tokio::net::lookup_host(("bramble.local", 80))).await;
    let known = found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()));
    if known { gateway::BY_NAME } else { gateway::LOCAL }
}

/// A bramble that answers commands.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: ApiClient,
}

impl Api {
    /// Its address.
    pub(crate) fn base(&self) -> &str {
        self.client.base()
    }

    /// What an error of the client means.
    pub(crate) fn failure(&self, error: ClientError) -> Failure {
        Failure::of_client(error, self.base(), self.client.has_credentials())
    }

    /// Reads JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.get(path).await.map_err(|error| self.failure(error))
    }

    /// Reads an answer as it is.
    pub(crate) async fn get_answer(&self, path: &str) -> Result<Answer, Failure> {
        let answer = self.client.get_answer(path).await;
        answer.map_err(|error| self.failure(error))
    }

    /// Sends JSON.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        value: &impl Serialize,
    ) -> Result<Answer, Failure> {
        let answer = self.client.send_json(method, path, value).await;
        answer.map_err(|error| self.failure(error))
    }

    /// Sends a request as it is and leaves the body of the answer to the caller; every status is an answer.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, Failure> {
        let opened = self.client.open(method, path, headers, body, None).await;
        opened.map_err(|error| self.failure(error))
    }

    /// What an answer that is no success means; nothing where it is one.
    pub(crate) async fn refusal(&self, response: Response<Incoming>) -> Failure {
        match self.client.read(response).await {
            Ok(answer) => self.failure(ClientError::Refused {
                status: answer.status,
                words: answer.words(),
            }),
            Err(error) => self.failure(error),
        }
    }

    /// Adds the name that was probably meant to a failure because there is no function `name`.
    pub(crate) async fn with_nearest(&self, failure: Failure, name: &FunctionName) -> Failure {
        if failure.exit != super::failure::Exit::NotFound {
            return failure;
        }
        let path = format!("/system/functions?namespace={}", name.namespace());
        let there = self.get::<Vec<api::openfaas::FunctionStatus>>(&path).await;
        let names: Vec<String> = there.unwrap_or_default().into_iter().map(|f| f.name).collect();
        let base = format!("There is no function {} at {}.", of(name), self.base());
        Failure::not_found(match suggest::nearest(name.name(), &names) {
            Some(near) => format!("{base} Did you mean {near}?"),
            None => format!("{base} `bramble functions` lists what there is."),
        })
    }
}

/// The function that is meant by `NAME` or `NAME.NAMESPACE`, and `--namespace`.
///
/// # Errors
/// A sentence where it is no name.
pub(crate) fn function(name: &str, namespace: Option<&str>) -> Result<FunctionName, Failure> {
    let parsed = match namespace {
        Some(namespace) => FunctionName::new(name, namespace),
        None => name.parse(),
    };
    parsed.map_err(|error| Failure::usage(format!("{name} cannot be a function: {error}")))
}

/// A function's name as people write it: with its namespace only where that is another than usual.
pub(crate) fn of(name: &FunctionName) -> String {
    shown(name.name(), name.namespace())
}

/// The same from two texts.
pub(crate) fn shown(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || namespace == DEFAULT_NAMESPACE {
        name.to_owned()
    } else {
        format!("{name}.{namespace}")
    }
}

/// Fetches `url` from anywhere, without credentials.
///
/// # Errors
/// [`Failure`] that names the address.
pub(crate) async fn download(url: &str) -> Result<Bytes, Failure> {
    let mut url = url.to_owned();
    for _ in 0..MAX_REDIRECTS {
        let failure = |error| Failure::of_client(error, &url, false);
        let (base, path) = split(&url)?;
        let client = ApiClient::with_token(base, None, Trust::System).map_err(failure)?;
        let answer = client
            .send_with(Method::GET, path, HeaderMap::new(), Bytes::new(), DOWNLOAD_LIMIT)
            .await
            .map_err(failure)?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let location = answer
            .headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        url = match location {
            Some(next) if answer.status.is_redirection() && next.starts_with("http") => next.to_owned(),
            Some(next) if answer.status.is_redirection() && next.starts_with('/') => format!("{base}{next}"),
            _ if answer.status == http::StatusCode::NOT_FOUND => {
                return Err(Failure::not_found(format!("there is nothing at {url}")));
            }
            _ => return Err(Failure::failed(format!("{url} answered {}", answer.status))),
        };
    }
    Err(Failure::failed(format!("{url} is sent on again and again")))
}

/// An address and the path at it.
fn split(url: &str) -> Result<(&str, &str), Failure> {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let url = url.split('#').next().unwrap_or(url);
    match url[begin..].find('/') {
        Some(slash) => Ok(url.split_at(begin + slash)),
        None if begin > 0 => Ok((url, "/")),
        None => Err(Failure::usage(format!(
            "{url} is no address: it has to begin with http:// or https://"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_with_or_without_its_namespace() {
        let rows = [
            ("env", None, "env", "env.openfaas-fn"),
            ("env.lab", None, "env.lab", "env.lab"),
            ("env", Some("lab"), "env.lab", "env.lab"),
            ("env.openfaas-fn", None, "env", "env.openfaas-fn"),
        ];
        for (name, namespace, short, long) in rows {
            let function = function(name, namespace).unwrap();
            assert_eq!(
                (of(&function).as_str(), function.to_string().as_str()),
                (short, long)
            );
        }
        assert!(
            function("Not A Name", None)
                .unwrap_err()
                .words
                .contains("cannot be a function")
        );
    }

    #[test]
    fn an_address_is_split_where_its_path_begins() {
        assert_eq!(
            split("https://x.example/a/b?c").unwrap(),
            ("https://x.example", "/a/b?c")
        );
        assert_eq!(split("http://x:80").unwrap(), ("http://x:80", "/"));
        assert_eq!(split("http://x/y#z").unwrap(), ("http://x", "/y"));
        assert!(split("x/y").is_ok_and(|(base, _)| base == "x"));
    }
}
