//! Asks registries what an image's name means (OCI distribution, version 2): a few small requests, never a layer.
//!
//! ```text
//!   manifest    reads manifests, lists of them and settings (pure)
//!   challenge   reads how a registry wants to be asked (pure)
//!   connection  one HTTP/1.1 request, over TLS with the system's roots; plain HTTP on loopback only
//! ```
//!
//! Not here: when to ask and what to do with the answer ([`crate::images`]), fetching images (the agent's engine).

mod challenge;
mod connection;
mod manifest;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use api::{
    Platform, Timestamp,
    images::{ImageFacts, ImageSource, ImageVariant, Reference, RegistryCredentials},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, Uri, header};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use challenge::Challenge;
use connection::{Answer, FetchError, get};
use manifest::{Entry, Manifest};

/// Longest time that a look-up may take in all: a slow school line answers a few small requests in a fraction of it.
const LIMIT: Duration = Duration::from_secs(30);

/// Redirects that are followed: registries send readers of blobs to a store of files.
const MAX_REDIRECTS: usize = 4;

/// Kinds of manifests that are understood.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Where Docker Hub really is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Why a registry did not say what an image is. Prints as a part of a sentence that names the image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// It does not answer.
    #[error("{registry} cannot be reached ({reason})")]
    Unreachable {
        /// Which.
        registry: String,
        /// Why, in few words.
        reason: String,
    },
    /// It has no such image.
    #[error("{registry} has no image of this name and tag")]
    NotFound {
        /// Which.
        registry: String,
    },
    /// It does not let us in.
    #[error(
        "{registry} does not give it {}: it is private, or there is none of this name", if *.with_credentials { "for these credentials" } else { "without credentials" }
    )]
    Denied {
        /// Which.
        registry: String,
        /// Whether credentials were shown.
        with_credentials: bool,
    },
    /// It was asked too often.
    #[error("{registry} allows no more questions for now")]
    TooMany {
        /// Which.
        registry: String,
    },
    /// It answers something else than a registry would.
    #[error("{registry} answers what is not understood: {what}")]
    Strange {
        /// Which.
        registry: String,
        /// What.
        what: String,
    },
}

/// Where one image is asked for, and as whom.
struct Visit<'a> {
    reference: &'a Reference,
    credentials: Option<&'a RegistryCredentials>,
    /// What the registry wants to see with every request, once that is known.
    authorization: Option<String>,
}

/// Asks the registry of `reference` what it means, for nodes that run these `platforms`.
///
/// # Errors
/// [`RegistryError`], in words.
pub(crate) async fn look_up(
    reference: &Reference,
    platforms: &BTreeSet<Platform>,
    credentials: Option<&RegistryCredentials>,
    now: Timestamp,
) -> Result<ImageFacts, RegistryError> {
    let mut visit = Visit {
        reference,
        credentials,
        authorization: None,
    };
    match timeout(LIMIT, visit.look_up(platforms, now)).await {
        Ok(found) => found,
        Err(_) => Err(visit.unreachable(format!("no answer within {} s", LIMIT.as_secs()))),
    }
}

impl Visit<'_> {
    async fn look_up(
        &mut self,
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> Result<ImageFacts, RegistryError> {
        let wanted = self.reference.digest().unwrap_or(self.reference.tag()).to_owned();
        let (digest, manifest) = self.manifest(&wanted).await?;
        let mut facts = ImageFacts {
            digest,
            source: ImageSource::Registry,
            variants: Default::default(),
            resolved_at: now,
            problem: None,
        };
        match manifest {
            Manifest::Image { config, size_bytes } => {
                let bytes = self.blob(&config).await?;
                let platform = manifest::platform_of(&bytes).map_err(|what| self.strange(what))?;
                let variant = ImageVariant {
                    ids: [config, facts.digest.clone()].into(),
                    size_bytes,
                    ..ImageVariant::default()
                };
                facts.variants.insert(platform, variant);
            }
            Manifest::List(entries) => {
                for Entry { digest, platform } in entries {
                    let mut variant = ImageVariant {
                        ids: [digest.clone()].into(),
                        ..ImageVariant::default()
                    };
                    // What no node runs needs no further question.
                    if platforms.contains(&platform)
                        && let (_, Manifest::Image { config, size_bytes }) = self.manifest(&digest).await?
                    {
                        variant.ids.insert(config);
                        variant.size_bytes = size_bytes;
                    }
                    // The first of equal ones is what engines take.
                    facts.variants.entry(platform).or_insert(variant);
                }
            }
        }
        Ok(facts)
    }

    /// The manifest of a tag or digest, with its digest.
    async fn manifest(&mut self, which: &str) -> Result<(String, Manifest), RegistryError> {
        let path = format!("/v2/{}/manifests/{which}", self.reference.repository());
        let answer = self.ask(&path).await?;
        let digest = sha256(&answer.body);
        if which.starts_with("sha256:") && which != digest {
            return Err(self.strange("another image than the one asked for".to_owned()));
        }
        let manifest = Manifest::parse(&answer.body).map_err(|what| self.strange(what))?;
        Ok((digest, manifest))
    }

    async fn blob(&mut self, digest: &str) -> Result<Vec<u8>, RegistryError> {
        let path = format!("/v2/{}/blobs/{digest}", self.reference.repository());
        let answer = self.ask(&path).await?;
        if sha256(&answer.body) != digest {
            return Err(self.strange("damaged settings of the image".to_owned()));
        }
        Ok(answer.body)
    }

    /// Asks for `path`; shows what the registry wants to see if it says so.
    async fn ask(&mut self, path: &str) -> Result<Answer, RegistryError> {
        let mut uri = self.uri(path)?;
        let home = uri.authority().cloned();
        let mut redirects = 0;
        let mut challenged = false;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(ACCEPTED));
            // Credentials are for the registry, not for whom it sends us to.
            if let Some(text) = self
                .authorization
                .as_ref()
                .filter(|_| uri.authority() == home.as_ref())
                && let Ok(mut value) = header::HeaderValue::from_str(text)
            {
                value.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, value);
            }
            let answer = self.get(&uri, headers).await?;
            match answer.status {
                StatusCode::OK => return Ok(answer),
                StatusCode::UNAUTHORIZED if !challenged => {
                    challenged = true;
                    self.authorization = Some(self.authorize(&answer.headers).await?);
                }
                status if status.is_redirection() && redirects < MAX_REDIRECTS => {
                    redirects += 1;
                    uri = self.redirected(&uri, &answer.headers)?;
                }
                status => return Err(self.refused(status)),
            }
        }
    }

    fn uri(&self, path: &str) -> Result<Uri, RegistryError> {
        let registry = match self.reference.registry() {
            hub if hub == DOCKER_HUB.0 => DOCKER_HUB.1,
            other => other,
        };
        let scheme = if self.reference.is_on_loopback() {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{registry}{path}")
            .parse()
            .map_err(|_| self.strange(format!("`{registry}` is no address")))
    }

    fn redirected(&self, from: &Uri, headers: &HeaderMap) -> Result<Uri, RegistryError> {
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let target = location.and_then(|text| {
            let text = if text.starts_with('/') {
                format!("{}://{}{text}", from.scheme_str()?, from.authority()?)
            } else {
                text.to_owned()
            };
            text.parse::<Uri>().ok()
        });
        target
            .filter(|uri| uri.scheme_str() == Some("https") || self.reference.is_on_loopback())
            .ok_or_else(|| self.strange("it sends us to an address that we do not go to".to_owned()))
    }

    /// What to show with every request, as the registry wants it: a token that it gives out, or name and password.
    async fn authorize(&self, headers: &HeaderMap) -> Result<String, RegistryError> {
        let denied = || self.refused(StatusCode::UNAUTHORIZED);
        let basic = self.credentials.map(|credentials| {
            let text = format!("{}:{}", credentials.username, credentials.password);
            format!("Basic {}", STANDARD.encode(text))
        });
        let offers = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let challenge = offers.filter_map(Challenge::parse).next().ok_or_else(denied)?;
        let Challenge::Bearer { realm, query } = challenge else {
            return basic.ok_or_else(denied);
        };
        let scope = format!("repository:{}:pull", self.reference.repository());
        let uri = challenge::token_address(&realm, &query, &scope)
            .ok_or_else(|| self.strange("it names no address that gives tokens".to_owned()))?;
        if uri.scheme_str() != Some("https") && !self.reference.is_on_loopback() {
            return Err(self.strange("it wants credentials over a line that anybody can read".to_owned()));
        }
        let mut headers = HeaderMap::new();
        if let Some(mut value) = basic.and_then(|text| header::HeaderValue::from_str(&text).ok()) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let answer = self.get(&uri, headers).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(answer.status));
        }
        let token = challenge::token(&answer.body)
            .ok_or_else(|| self.strange("its token has another form".to_owned()))?;
        Ok(format!("Bearer {token}"))
    }

    async fn get(&self, uri: &Uri, headers: HeaderMap) -> Result<Answer, RegistryError> {
        get(uri, headers).await.map_err(|error| match error {
            FetchError::Unreachable(reason) => self.unreachable(reason),
            FetchError::TooLong => self.strange("more than any manifest has".to_owned()),
        })
    }

    fn registry(&self) -> String {
        match self.reference.registry() {
            hub if hub == DOCKER_HUB.0 => "Docker Hub".to_owned(),
            other => other.to_owned(),
        }
    }

    fn unreachable(&self, reason: String) -> RegistryError {
        RegistryError::Unreachable {
            registry: self.registry(),
            reason,
        }
    }

    fn strange(&self, what: String) -> RegistryError {
        RegistryError::Strange {
            registry: self.registry(),
            what,
        }
    }

    fn refused(&self, status: StatusCode) -> RegistryError {
        let registry = self.registry();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
                registry,
                with_credentials: self.credentials.is_some(),
            },
            StatusCode::NOT_FOUND => RegistryError::NotFound { registry },
            StatusCode::TOO_MANY_REQUESTS => RegistryError::TooMany { registry },
            status => self.strange(format!("status {status}")),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
