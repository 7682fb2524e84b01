//! How a command fails: an exit code for scripts, words with the cure for people.

use std::io;

use http::StatusCode;

use crate::client::ClientError;

/// Exit codes, as `--help` and the documentation list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused, or it failed.
    Failed,
    /// The command makes no sense as it was written; the same number as the parser's.
    Usage,
    /// Nobody answers.
    Unreachable,
    /// Nobody is signed in.
    NotSignedIn,
    /// There is no such thing.
    NotFound,
    /// Whoever read the output went away: what a shell says of programs that a closed pipe ends.
    BrokenPipe,
}

impl Exit {
    /// As the system takes it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotSignedIn => 4,
            Self::NotFound => 5,
            Self::BrokenPipe => 141,
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For scripts.
    pub(crate) exit: Exit,
    /// For people; nothing where there is nothing to say.
    pub(crate) words: String,
}

impl Failure {
    /// Refused, or it failed.
    pub(crate) fn failed(words: impl Into<String>) -> Self {
        Self::new(Exit::Failed, words)
    }

    /// The command makes no sense as it was written.
    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::new(Exit::Usage, words)
    }

    /// There is no such thing.
    pub(crate) fn not_found(words: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, words)
    }

    /// With a code of its own.
    pub(crate) fn new(exit: Exit, words: impl Into<String>) -> Self {
        Self {
            exit,
            words: words.into(),
        }
    }

    /// An error of `base`, where `signed_in` says whether credentials were shown.
    pub(crate) fn of_client(error: ClientError, base: &str, signed_in: bool) -> Self {
        match error {
            ClientError::Refused { status, words } => Self::of_status(status, &words, base, signed_in),
            ClientError::Address { .. } => Self::usage(error.to_string()),
            ClientError::Unreachable { ref source, .. } => {
                let mut reason = source.to_string();
                let mut inner = source.source();
                while let Some(cause) = inner {
                    reason = cause.to_string();
                    inner = cause.source();
                }
                Self::new(
                    Exit::Unreachable,
                    format!("{error} ({reason}). {}", cure(&reason)),
                )
            }
            ClientError::Silent { .. } => Self::new(Exit::Unreachable, format!("{error}. Is it very busy?")),
            ClientError::Strange { .. } => Self::failed(format!(
                "{error}: is this a bramble, and of a version like this program's?"
            )),
            ClientError::NoRoots => Self::failed(error.to_string()),
        }
    }

    fn of_status(status: StatusCode, words: &str, base: &str, signed_in: bool) -> Self {
        let words = match words {
            "" => status.to_string(),
            words => words.to_owned(),
        };
        match status {
            StatusCode::UNAUTHORIZED if signed_in => Self::new(
                Exit::NotSignedIn,
                format!("{base} no longer takes the saved sign-in: run `bramble login -g {base}`."),
            ),
            StatusCode::UNAUTHORIZED => Self::new(
                Exit::NotSignedIn,
                format!("Nobody is signed in at {base}: run `bramble login -g {base}`."),
            ),
            StatusCode::FORBIDDEN => Self::failed(format!(
                "You may not do that: {words}. Ask an admin of the bramble, or sign in as one with `bramble login`."
            )),
            StatusCode::NOT_FOUND => Self::not_found(words),
            _ => Self::failed(words),
        }
    }
}

/// What to do about a connection that failed for `reason`.
fn cure(reason: &str) -> &'static str {
    if reason.contains("certificate") || reason.contains("UnknownIssuer") {
        "Its certificate is not one that this computer trusts: with `--tls-no-verify` it is taken all the same."
    } else if reason.contains("lookup address") {
        "Is the name right? Where a name is not known, an address does, for example http://192.168.1.20:8080."
    } else {
        "Is the Pi on, and is this its address? Choose another with `--gateway` or OPENFAAS_URL."
    }
}

impl From<io::Error> for Failure {
    /// An error of writing to the terminal or a pipe.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::BrokenPipe, "");
        }
        Self::failed(format!("the output cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, words: &str, signed_in: bool) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        let error = ClientError::Refused {
            status,
            words: words.to_owned(),
        };
        Failure::of_client(error, "http://bramble.local", signed_in)
    }

    #[test]
    fn each_refusal_has_its_exit_code_and_names_the_cure() {
        let rows = [
            (
                401,
                "invalid credentials",
                false,
                Exit::NotSignedIn,
                "bramble login",
            ),
            (
                401,
                "invalid credentials",
                true,
                Exit::NotSignedIn,
                "no longer takes",
            ),
            (
                403,
                "this needs change_functions",
                true,
                Exit::Failed,
                "Ask an admin",
            ),
            (
                404,
                "function x not found",
                true,
                Exit::NotFound,
                "function x not found",
            ),
            (
                400,
                "limits.memory: what is lots?",
                true,
                Exit::Failed,
                "what is lots?",
            ),
            (500, "", true, Exit::Failed, "500 Internal Server Error"),
        ];
        for (status, words, signed_in, exit, expected) in rows {
            let failure = of(status, words, signed_in);
            assert_eq!(failure.exit, exit, "{status}");
            assert!(failure.words.contains(expected), "{}", failure.words);
        }
    }

    #[test]
    fn a_closed_pipe_is_nothing_to_talk_about() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.words.as_str()), (Exit::BrokenPipe, ""));
    }
}
