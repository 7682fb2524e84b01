//! Names of images, read as Docker reads them: `figlet` is `docker.io/library/figlet:latest`.

use std::{fmt, str::FromStr};

/// Where images live that name no registry.
const DOCKER_HUB: &str = "docker.io";

/// The name of an image, completed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: String,
    digest: Option<String>,
}

/// A text that names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name an image: write it as registry/name:tag, in lower case")]
pub struct ReferenceError(String);

impl Reference {
    /// Host, and port if it has one, of the registry: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path of the image in its registry: `library/figlet`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Its tag; `latest` where the name has none. Says nothing where there is a digest.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The digest that the name asks for, if so.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The name without tag and digest, short as people write it: `figlet`, `ghcr.io/x/y`.
    pub fn familiar_name(&self) -> String {
        match (self.registry.as_str(), self.repository.strip_prefix("library/")) {
            (DOCKER_HUB, Some(short)) => short.to_owned(),
            (DOCKER_HUB, None) => self.repository.clone(),
            (registry, _) => format!("{registry}/{}", self.repository),
        }
    }

    /// Whether its registry is this very machine, where no TLS is asked for.
    pub fn is_on_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, _)) if !host.is_empty() => host,
            _ => &self.registry,
        };
        let loopback = |address: std::net::IpAddr| address.is_loopback();
        host == "localhost" || host.parse().is_ok_and(loopback)
    }
}

impl fmt::Display for Reference {
    /// As people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.familiar_name();
        match &self.digest {
            Some(digest) => write!(f, "{name}@{digest}"),
            None => write!(f, "{name}:{}", self.tag),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = || ReferenceError(text.to_owned());
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, Some(digest.to_owned())),
            Some(_) => return Err(refuse()),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let is_registry =
            |first: &str| first == "localhost" || first.contains(['.', ':']) || first != first.to_lowercase();
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            other => other,
        };
        let repository = if registry == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        let tag = tag.unwrap_or("latest");
        if !repository.split('/').all(is_path_part) || !is_tag(tag) || registry.is_empty() {
            return Err(refuse());
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
        })
    }
}

fn is_path_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    part.bytes().all(allowed) && ends(part.as_bytes().first()) && ends(part.as_bytes().last())
}

fn is_tag(tag: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(hexadecimal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn short_names_are_completed_as_docker_does() {
        for (text, registry, repository, tag) in [
            ("figlet", "docker.io", "library/figlet", "latest"),
            ("figlet:1", "docker.io", "library/figlet", "1"),
            ("functions/figlet", "docker.io", "functions/figlet", "latest"),
            (
                "docker.io/functions/figlet:a",
                "docker.io",
                "functions/figlet",
                "a",
            ),
            ("index.docker.io/x/y", "docker.io", "x/y", "latest"),
            ("ghcr.io/x/y:1", "ghcr.io", "x/y", "1"),
            ("localhost/x", "localhost", "x", "latest"),
            ("localhost:5000/team/x", "localhost:5000", "team/x", "latest"),
            ("127.0.0.1:5000/x:2", "127.0.0.1:5000", "x", "2"),
        ] {
            let found = read(text);
            assert_eq!(
                (found.registry(), found.repository(), found.tag()),
                (registry, repository, tag),
                "{text}"
            );
        }
        assert_eq!(read("figlet"), read("docker.io/library/figlet:latest"));
        assert_eq!(read("docker.io/library/figlet").to_string(), "figlet:latest");
        assert_eq!(read("ghcr.io/x/y").to_string(), "ghcr.io/x/y:latest");
    }

    #[test]
    fn a_digest_goes_before_a_tag() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let found = read(&format!("ghcr.io/x/y:1@{digest}"));
        assert_eq!((found.tag(), found.digest()), ("1", Some(digest.as_str())));
        assert_eq!(found.to_string(), format!("ghcr.io/x/y@{digest}"));
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for text in [
            "",
            ":1",
            "A",
            "x/",
            "x:",
            "x@sha256:12",
            "x/-y",
            "x y",
            "ghcr.io/X",
            "x:-a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_registries_on_this_machine_do_without_tls() {
        for (text, is) in [
            ("localhost:5000/x", true),
            ("127.0.0.1:5000/x", true),
            ("127.9.9.9/x", true),
            ("192.168.1.5:5000/x", false),
            ("ghcr.io/x", false),
            ("localhost.example.org/x", false),
        ] {
            assert_eq!(read(text).is_on_loopback(), is, "{text}");
        }
    }
}
