//! What the environment variables of section 5.1 of the OpenFaaS contract mean for one watchdog.
//!
//! Pure: a list of variables in, a [`Config`] or a [`ConfigError`] out. Nothing else in this crate reads the
//! environment.
//!
//! `mode` unset means `serializing` here. Upstream's default is `streaming`, which this watchdog does not have;
//! images made for it name their mode, so the default only serves a bare `fprocess=cat fwatchdog`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use crate::duration;

/// Variable of ours: leave when standard input ends. Kept from the function's environment.
pub(crate) const EXIT_WITH_STDIN: &str = "bramble_exit_with_stdin";

/// Upstream's default for all three timeouts.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything one watchdog needs to know, as meant.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) fprocess: Fprocess,
    /// Where to listen; `None` is every address, IPv6 and IPv4.
    pub(crate) listen_address: Option<IpAddr>,
    /// 0 lets the system choose; the log line `Listening on port:` tells which.
    pub(crate) port: u16,
    /// Longest wait for the head of a request, and for the next piece of its body.
    pub(crate) read_timeout: Duration,
    /// From the head of a request to the end of its answer; the connection is cut then. Also the drain at the end.
    pub(crate) write_timeout: Duration,
    /// Limit for the function itself; `None` is no limit.
    pub(crate) exec_timeout: Option<Duration>,
    /// Quiet time between SIGTERM and closing the door.
    pub(crate) healthcheck_interval: Duration,
    pub(crate) content_type: HeaderValue,
    /// 0 is no limit.
    pub(crate) max_inflight: usize,
    pub(crate) suppress_lock: bool,
    pub(crate) prefix_logs: bool,
    pub(crate) log_call_id: bool,
    pub(crate) ready_path: Option<PathAndQuery>,
    pub(crate) lock_path: PathBuf,
    pub(crate) exit_with_stdin: bool,
}

/// How requests reach the function.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// A process per request; its whole output is the answer.
    Serializing,
    /// One process that speaks HTTP itself.
    Http {
        upstream: Upstream,
        buffer_requests: bool,
    },
}

impl Mode {
    /// Every mode this watchdog has, for messages.
    const NAMES: &str = "serializing, http";

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Serializing => "serializing",
            Self::Http { .. } => "http",
        }
    }
}

/// The command, split at single spaces as upstream does: no quoting, and two spaces make an empty argument.
#[derive(Debug, Clone)]
pub(crate) struct Fprocess {
    pub(crate) line: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

/// Where the forked server of http mode listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Tried in this order; `localhost` has two.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For requests that came without a Host header.
    pub(crate) authority: HeaderValue,
    /// Put before the path of every request; empty or without a final slash.
    pub(crate) base_path: String,
}

/// Why a watchdog cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConfigError {
    #[error("set `fprocess` (or `function_process`) to the command of the function")]
    NoProcess,
    #[error("mode `{0}` is not supported; supported: {names}", names = Mode::NAMES)]
    UnknownMode(String),
    #[error("http mode needs `upstream_url` (or `http_upstream_url`), for example http://127.0.0.1:3000")]
    NoUpstream,
    #[error(
        "`upstream_url` is `{0}`; it must look like http://127.0.0.1:3000, with an IP address or localhost"
    )]
    BadUpstream(String),
    #[error("`{name}` is `{value}`, which is not a valid {kind}")]
    BadValue {
        name: &'static str,
        value: String,
        kind: &'static str,
    },
    #[error("`write_timeout` must be over 0s")]
    NoWriteTimeout,
}

impl Config {
    /// Reads the variables. `temp_dir` is where the lock file goes.
    ///
    /// # Errors
    /// When the function cannot be run with these settings; the message names the variable and the cure.
    /// Durations that cannot be read fall back to their defaults, as upstream's do.
    pub(crate) fn from_env(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        temp_dir: PathBuf,
    ) -> Result<Self, ConfigError> {
        let variables = Variables(
            variables
                .into_iter()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        );
        let write_timeout = variables.duration("write_timeout", DEFAULT_TIMEOUT);
        if write_timeout.is_zero() {
            return Err(ConfigError::NoWriteTimeout);
        }
        let exec_timeout = variables.duration("exec_timeout", DEFAULT_TIMEOUT);
        Ok(Self {
            mode: variables.mode()?,
            fprocess: variables.fprocess()?,
            listen_address: variables.parsed("bramble_listen_address", "IP address")?,
            port: variables.parsed("port", "port number")?.unwrap_or(8080),
            read_timeout: variables.duration("read_timeout", DEFAULT_TIMEOUT),
            write_timeout,
            exec_timeout: (!exec_timeout.is_zero()).then_some(exec_timeout),
            healthcheck_interval: variables.duration("healthcheck_interval", write_timeout),
            content_type: variables.content_type()?,
            max_inflight: variables
                .get("max_inflight")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            suppress_lock: variables.flag("suppress_lock"),
            prefix_logs: variables.go_bool("prefix_logs").unwrap_or(true),
            log_call_id: variables.go_bool("log_callid").unwrap_or(false),
            ready_path: variables.parsed("ready_path", "path")?,
            lock_path: temp_dir.join(".lock"),
            exit_with_stdin: variables.flag(EXIT_WITH_STDIN),
        })
    }
}

struct Variables(HashMap<String, String>);

impl Variables {
    /// A variable that is set and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn duration(&self, name: &str, default: Duration) -> Duration {
        self.get(name).and_then(duration::setting).unwrap_or(default)
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    fn go_bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        name: &'static str,
        kind: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let bad = |_| ConfigError::BadValue {
            name,
            value: value.to_owned(),
            kind,
        };
        value.parse().map(Some).map_err(bad)
    }

    fn content_type(&self) -> Result<HeaderValue, ConfigError> {
        let default = HeaderValue::from_static("application/octet-stream");
        Ok(self.parsed("content_type", "header value")?.unwrap_or(default))
    }

    fn fprocess(&self) -> Result<Fprocess, ConfigError> {
        let line = self
            .get("function_process")
            .or_else(|| self.get("fprocess"))
            .ok_or(ConfigError::NoProcess)?;
        let mut words = line.split(' ').map(str::to_owned);
        Ok(Fprocess {
            line: line.to_owned(),
            program: words.next().expect("splitting yields at least one piece"),
            arguments: words.collect(),
        })
    }

    fn mode(&self) -> Result<Mode, ConfigError> {
        match self.get("mode").unwrap_or("serializing") {
            "serializing" => Ok(Mode::Serializing),
            "http" => {
                let url = self
                    .get("http_upstream_url")
                    .or_else(|| self.get("upstream_url"))
                    .ok_or(ConfigError::NoUpstream)?;
                Ok(Mode::Http {
                    upstream: Upstream::parse(url).ok_or_else(|| ConfigError::BadUpstream(url.to_owned()))?,
                    buffer_requests: self.flag("http_buffer_req_body") || self.flag("buffer_http"),
                })
            }
            other => Err(ConfigError::UnknownMode(other.to_owned())),
        }
    }
}

impl Upstream {
    /// Reads `http://ADDRESS[:PORT][/base]`. Names are not looked up, except `localhost`: the server is a child of
    /// this process, and a resolver is the one thing a static binary in an empty image does not have.
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return None;
        }
        let authority = uri.authority()?;
        let port = authority.port_u16().unwrap_or(80);
        let hosts = match authority.host().trim_matches(['[', ']']) {
            "localhost" => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            host => vec![host.parse().ok()?],
        };
        Some(Self {
            addresses: hosts
                .into_iter()
                .map(|host| SocketAddr::new(host, port))
                .collect(),
            authority: HeaderValue::from_str(authority.as_str()).ok()?,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Config::from_env(variables, "/tmp".into())
    }

    #[test]
    fn a_bare_process_is_serializing_with_upstreams_defaults() {
        let config = config(&[("fprocess", "cat")]).unwrap();

        assert_eq!(config.mode.name(), "serializing");
        assert_eq!(config.port, 8080);
        assert_eq!(config.read_timeout, Duration::from_secs(30));
        assert_eq!(config.write_timeout, Duration::from_secs(30));
        assert_eq!(config.exec_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.healthcheck_interval, config.write_timeout);
        assert_eq!(config.content_type, "application/octet-stream");
        assert_eq!(config.max_inflight, 0);
        assert!(config.prefix_logs && !config.suppress_lock && !config.exit_with_stdin);
        assert_eq!(config.lock_path, PathBuf::from("/tmp/.lock"));
    }

    #[test]
    fn the_process_is_split_at_single_spaces() {
        let fprocess = config(&[("fprocess", "echo 'a  b' c")]).unwrap().fprocess;

        assert_eq!(fprocess.program, "echo");
        assert_eq!(fprocess.arguments, ["'a", "", "b'", "c"]);
    }

    #[test]
    fn function_process_wins_over_fprocess() {
        let config = config(&[("fprocess", "cat"), ("function_process", "rev")]).unwrap();

        assert_eq!(config.fprocess.program, "rev");
    }

    #[test]
    fn the_health_interval_follows_the_write_timeout() {
        let config = config(&[("fprocess", "cat"), ("write_timeout", "5s")]).unwrap();

        assert_eq!(config.healthcheck_interval, Duration::from_secs(5));
    }

    #[test]
    fn an_exec_timeout_of_zero_is_no_limit_and_a_broken_one_is_the_default() {
        assert_eq!(
            config(&[("fprocess", "cat"), ("exec_timeout", "0")])
                .unwrap()
                .exec_timeout,
            None
        );
        assert_eq!(
            config(&[("fprocess", "cat"), ("exec_timeout", "soon")])
                .unwrap()
                .exec_timeout,
            Some(Duration::from_secs(30))
        );
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_variable_named() {
        for (variables, part) in [
            (&[("port", "8080")][..], "fprocess"),
            (
                &[("fprocess", "cat"), ("mode", "streaming")],
                "supported: serializing, http",
            ),
            (&[("fprocess", "cat"), ("mode", "http")], "upstream_url"),
            (
                &[
                    ("fprocess", "cat"),
                    ("mode", "http"),
                    ("upstream_url", "http://db:1"),
                ],
                "`http://db:1`",
            ),
            (
                &[
                    ("fprocess", "cat"),
                    ("mode", "http"),
                    ("upstream_url", "https://127.0.0.1"),
                ],
                "https",
            ),
            (&[("fprocess", "cat"), ("port", "many")], "`port` is `many`"),
            (&[("fprocess", "cat"), ("write_timeout", "0")], "write_timeout"),
        ] {
            let message = config(variables).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_second_name_of_the_upstream_url_wins() {
        let mode = config(&[
            ("fprocess", "node index.js"),
            ("mode", "http"),
            ("upstream_url", "http://127.0.0.1:1"),
            ("http_upstream_url", "http://localhost:3000/base/"),
        ])
        .unwrap()
        .mode;

        let Mode::Http { upstream, .. } = mode else {
            panic!("not http mode")
        };
        assert_eq!(
            upstream.addresses,
            ["127.0.0.1:3000".parse().unwrap(), "[::1]:3000".parse().unwrap()]
        );
        assert_eq!(upstream.base_path, "/base");
    }
}
