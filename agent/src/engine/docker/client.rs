//! The connection to Docker, and what its errors mean in plain words.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};

use crate::engine::EngineError;

/// Longest that Docker may take to begin an answer: on a Pi with a worn card a create takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Longest that Docker may take to greet.
const GREETING_LIMIT: Duration = Duration::from_secs(10);

/// Where Docker is reached if nobody says otherwise.
const USUAL_SOCKET: &str = "unix:///var/run/docker.sock";

/// Where Docker is reached: as told, else as `DOCKER_HOST` says, else where it usually is.
pub(super) fn place(told: Option<&str>) -> String {
    let from_environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    told.map(str::to_owned)
        .or_else(from_environment)
        .unwrap_or_else(|| USUAL_SOCKET.to_owned())
}

/// Connects to the Docker at `place` (`/path`, `unix:///path` or `tcp://host:port`; `None` is what `DOCKER_HOST` says,
/// else the usual socket), and agrees on a version of its API: 20.10 speaks 1.41.
///
/// # Errors
/// [`EngineError::Unreachable`] where no Docker answers there.
pub async fn connect(place: Option<&str>) -> Result<Docker, EngineError> {
    let place = self::place(place);
    let seconds = ANSWER_LIMIT.as_secs();
    let attempt = async {
        let docker = if place.starts_with("tcp://") || place.starts_with("http://") {
            Docker::connect_with_http(&place, seconds, API_DEFAULT_VERSION)?
        } else {
            Docker::connect_with_unix(&place, seconds, API_DEFAULT_VERSION)?
        };
        docker.with_timeout(GREETING_LIMIT).negotiate_version().await
    };
    match attempt.await {
        Ok(docker) => Ok(docker.with_timeout(ANSWER_LIMIT)),
        Err(source) => Err(unreachable(&place, source)),
    }
}

pub(super) fn unreachable(place: &str, source: Error) -> EngineError {
    let place = place.trim_start_matches("unix://");
    EngineError::Unreachable {
        what: format!(
            "Docker does not answer at {place}: is it installed and running? This node waits for it"
        ),
        source: Box::new(source),
    }
}

/// Whether Docker itself is gone, and not only this request refused.
pub(super) fn is_gone(error: &Error) -> bool {
    !matches!(
        error,
        Error::DockerResponseServerError { .. }
            | Error::DockerStreamError { .. }
            | Error::DockerContainerWaitError { .. }
            | Error::JsonDataError { .. }
            | Error::JsonSerdeError { .. }
            | Error::RequestTimeoutError
    )
}

/// The HTTP status with which Docker refused.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Forgives the statuses that say that a thing is so already: 304 not modified, 404 not there, 409 under way.
pub(super) fn forgive(result: Result<(), Error>, statuses: &[u16]) -> Result<(), Error> {
    match result {
        Err(error) if status(&error).is_some_and(|s| statuses.contains(&s)) => Ok(()),
        other => other,
    }
}

/// What Docker said, without its wrapping.
pub(super) fn said(error: &Error) -> Option<&str> {
    match error {
        Error::DockerResponseServerError { message, .. } => Some(message),
        Error::DockerStreamError { error } => Some(error),
        _ => None,
    }
}

/// Why an image could not be fetched.
pub(super) fn pull_failed(image: &str, platform: &str, error: Error) -> EngineError {
    let Some(said) = said(&error) else {
        return EngineError::Failed {
            doing: format!("fetch image `{image}`"),
            source: Box::new(error),
        };
    };
    let lower = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let text = if any(&[
        "no matching manifest",
        "does not match the specified platform",
        "no match for platform",
    ]) {
        format!(
            "image `{image}` is not made for this kind of node ({platform}); build it for several platforms"
        )
    } else if any(&["manifest unknown", "not found", "does not exist", "name unknown"]) {
        format!("there is no image `{image}`, or it is private; check its name and tag")
    } else if any(&["toomanyrequests", "rate limit"]) {
        format!("the registry of image `{image}` allows no more downloads for now; it is tried again")
    } else if any(&["denied", "unauthorized", "authentication required"]) {
        format!("the registry refuses image `{image}`: it is private, or its name is wrong")
    } else if any(&["no space left"]) {
        format!("there is no room for image `{image}`: this node's card is full")
    } else if any(&[
        "dial tcp",
        "no such host",
        "i/o timeout",
        "network is unreachable",
        "connection refused",
        "timeout exceeded",
        "tls handshake timeout",
        "request canceled",
        "server misbehaving",
        "connection reset",
        ": eof",
    ]) {
        format!(
            "image `{image}` is not on this node, and its registry cannot be reached; is this node on the Internet? ({said})"
        )
    } else {
        format!("image `{image}` cannot be fetched: {said}")
    };
    EngineError::Refused(text)
}

/// Why a container could not be made or started.
pub(super) fn start_failed(image: &str, platform: &str, error: Error) -> EngineError {
    let known = said(&error).and_then(|said| {
        let lower = said.to_lowercase();
        if lower.contains("exec format error") {
            Some(format!(
                "image `{image}` is made for another processor than this node's ({platform})"
            ))
        } else if lower.contains("executable file not found") || lower.contains("no such file or directory") {
            Some(format!(
                "image `{image}` lacks the program that it names as its start: {}",
                last_part(said)
            ))
        } else if lower.contains("permission denied") && lower.contains("exec") {
            Some(format!(
                "the program that image `{image}` names as its start may not be run: {}",
                last_part(said)
            ))
        } else if lower.contains("no command specified") {
            Some(format!(
                "image `{image}` does not say what to start: it needs a CMD or an ENTRYPOINT"
            ))
        } else if lower.contains("minimum memory limit") {
            Some(format!("limits.memory is too small for Docker: {said}"))
        } else if lower.contains("no space left") {
            Some("this node's card is full".to_owned())
        } else {
            None
        }
    });
    known.map_or_else(
        || EngineError::Failed {
            doing: "start the container".to_owned(),
            source: Box::new(error),
        },
        EngineError::Refused,
    )
}

/// Docker's reports of failed starts begin with every program that took part; the end says what it is about.
fn last_part(said: &str) -> &str {
    let said = said.trim_end_matches([':', ' ']).trim_end_matches(": unknown");
    said.rfind("exec: ")
        .map_or(said, |at| &said[at + "exec: ".len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Error {
        Error::DockerResponseServerError {
            status_code: 500,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_failed_fetch_is_told_with_what_to_do() {
        let cases = [
            (
                "manifest for nope:latest not found: manifest unknown: manifest unknown",
                "there is no image `x`",
            ),
            (
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                "is this node on the Internet?",
            ),
            (
                "no matching manifest for linux/arm/v7 in the manifest list entries",
                "not made for this kind of node (linux/arm64)",
            ),
            (
                "toomanyrequests: You have reached your pull rate limit",
                "tried again",
            ),
            (
                "write /var/lib/docker/tmp/x: no space left on device",
                "card is full",
            ),
        ];
        for (message, words) in cases {
            let text = pull_failed("x", "linux/arm64", refused(message)).in_words();
            assert!(text.contains(words), "{message}: {text}");
        }
    }

    #[test]
    fn a_failed_start_is_told_by_what_it_is_about() {
        let message = "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown";
        let text = start_failed("x", "linux/arm64", refused(message)).in_words();
        assert_eq!(
            text,
            "image `x` lacks the program that it names as its start: \"nope\": executable file not found in $PATH"
        );
        let text = start_failed("x", "linux/arm64", refused("something new")).in_words();
        assert!(
            text.starts_with("failed to start the container") && text.contains("something new"),
            "{text}"
        );
    }
}
