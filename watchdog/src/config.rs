//! What the environment variables of section 5.1 of the OpenFaaS contract mean for one watchdog.
//!
//! Pure: a list of variables in, a [`Config`] or a [`ConfigError`] out. Nothing else in this crate reads the
//! environment.
//!
//! Variables that only the classic watchdog has (`combine_output`, `cgi_headers`, `marshal_request`, `write_debug`,
//! `debug_headers`) mean nothing here; README.md says why.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use crate::upstream::Upstream;
use crate::variables::Variables;

/// Variable of ours: leave when standard input ends. Kept from the function's environment.
pub(crate) const EXIT_WITH_STDIN: &str = "bramble_exit_with_stdin";

/// Variable of ours: where `/metrics` is served; 0 is nowhere. Kept from the function's environment.
pub(crate) const METRICS_PORT: &str = "bramble_metrics_port";

/// Upstream's default for the longest line of a log.
const DEFAULT_LINE: usize = 64 * 1024;

/// Upstream's default for all three timeouts.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything one watchdog needs to know, as meant.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    /// Where to listen; `None` is every address, IPv6 and IPv4.
    pub(crate) listen_address: Option<IpAddr>,
    /// 0 lets the system choose; the log line `Listening on port:` tells which.
    pub(crate) port: u16,
    /// Where `/metrics` is served, if that port can be had.
    pub(crate) metrics_port: Option<u16>,
    /// Longest wait for the head of a request, and for the next piece of its body; `None` is no limit.
    pub(crate) read_timeout: Option<Duration>,
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
    pub(crate) relaying: Relaying,
    pub(crate) log_call_id: bool,
    pub(crate) ready_path: Option<PathAndQuery>,
    pub(crate) lock_path: PathBuf,
    pub(crate) exit_with_stdin: bool,
}

/// How requests reach the function.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// A process per request; what it prints is passed on as it comes.
    Streaming(Fprocess),
    /// A process per request; its whole output is the answer.
    Serializing(Fprocess),
    /// One process that speaks HTTP itself.
    Http {
        fprocess: Fprocess,
        upstream: Upstream,
        buffer_requests: bool,
    },
    /// No process: the files of this folder.
    Static(PathBuf),
}

impl Mode {
    /// Every mode this watchdog has, for messages.
    const NAMES: &str = "streaming, serializing, http, static";

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Streaming(_) => "streaming",
            Self::Serializing(_) => "serializing",
            Self::Http { .. } => "http",
            Self::Static(_) => "static",
        }
    }

    /// The command as it was given; empty where there is none.
    pub(crate) fn command_line(&self) -> &str {
        match self {
            Self::Streaming(fprocess) | Self::Serializing(fprocess) | Self::Http { fprocess, .. } => {
                &fprocess.line
            }
            Self::Static(_) => "",
        }
    }
}

/// How what a process writes gets into the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relaying {
    /// Date and stream name before each line. Without, the process writes to our own streams.
    pub(crate) prefix: bool,
    /// Longer lines are passed on in pieces of this many bytes.
    pub(crate) longest_line: usize,
}

/// The command, split at single spaces as upstream does: no quoting, and two spaces make an empty argument.
#[derive(Debug, Clone)]
pub(crate) struct Fprocess {
    pub(crate) line: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

/// Why a watchdog cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConfigError {
    #[error("set `fprocess` (or `function_process`) to the command of the function")]
    NoProcess,
    #[error("mode `{0}` is not supported; supported: {names}", names = Mode::NAMES)]
    UnknownMode(String),
    #[error(
        "mode `inproc` is not supported: it is for handlers compiled into a watchdog, and their images bring that \
         watchdog; supported: {names}",
        names = Mode::NAMES
    )]
    InProcess,
    #[error(
        "mode `afterburn` is not supported: OpenFaaS removed it, use http instead; supported: {names}",
        names = Mode::NAMES
    )]
    Afterburn,
    #[error("`jwt_auth` is not supported: this watchdog checks no tokens; unset it to let everybody in")]
    Tokens,
    #[error("http mode needs `upstream_url` (or `http_upstream_url`), for example http://127.0.0.1:3000")]
    NoUpstream,
    #[error("`upstream_url` is `{0}`; it must look like http://127.0.0.1:3000 or http://name:3000/base")]
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
        let variables = Variables::new(variables);
        // A function that asks for its callers to be checked must not run open to everybody.
        if variables.flag("jwt_auth") {
            return Err(ConfigError::Tokens);
        }
        let write_timeout = variables.duration("write_timeout", DEFAULT_TIMEOUT);
        if write_timeout.is_zero() {
            return Err(ConfigError::NoWriteTimeout);
        }
        Ok(Self {
            mode: variables.mode()?,
            listen_address: variables.parsed("bramble_listen_address", "IP address")?,
            port: variables.parsed("port", "port number")?.unwrap_or(8080),
            metrics_port: Some(variables.parsed(METRICS_PORT, "port number")?.unwrap_or(8081))
                .filter(|port| *port != 0),
            read_timeout: variables.limit("read_timeout", DEFAULT_TIMEOUT),
            write_timeout,
            exec_timeout: variables.limit("exec_timeout", DEFAULT_TIMEOUT),
            healthcheck_interval: variables.duration("healthcheck_interval", write_timeout),
            content_type: variables.content_type()?,
            max_inflight: variables
                .get("max_inflight")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            suppress_lock: variables.flag("suppress_lock"),
            relaying: Relaying {
                prefix: variables.go_bool("prefix_logs").unwrap_or(true),
                longest_line: variables.longest_line(),
            },
            log_call_id: variables.go_bool("log_callid").unwrap_or(false),
            ready_path: variables.parsed("ready_path", "path")?,
            lock_path: temp_dir.join(".lock"),
            exit_with_stdin: variables.flag(EXIT_WITH_STDIN),
        })
    }
}

impl Variables {
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
        match self.get("mode").unwrap_or("streaming") {
            "streaming" => Ok(Mode::Streaming(self.fprocess()?)),
            "serializing" => Ok(Mode::Serializing(self.fprocess()?)),
            "http" => {
                let url = self
                    .get("http_upstream_url")
                    .or_else(|| self.get("upstream_url"))
                    .ok_or(ConfigError::NoUpstream)?;
                Ok(Mode::Http {
                    fprocess: self.fprocess()?,
                    upstream: Upstream::parse(url).ok_or_else(|| ConfigError::BadUpstream(url.to_owned()))?,
                    buffer_requests: self.flag("http_buffer_req_body") || self.flag("buffer_http"),
                })
            }
            "static" => Ok(Mode::Static(
                self.get("static_path").unwrap_or("/home/app/public").into(),
            )),
            "inproc" => Err(ConfigError::InProcess),
            "afterburn" => Err(ConfigError::Afterburn),
            other => Err(ConfigError::UnknownMode(other.to_owned())),
        }
    }

    /// `log_buffer_size`; a negative one asks for lines of any length.
    fn longest_line(&self) -> usize {
        let asked = self
            .get("log_buffer_size")
            .and_then(|text| text.parse::<i64>().ok());
        match asked {
            None | Some(0) => DEFAULT_LINE,
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
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
    fn a_bare_process_is_streaming_with_upstreams_defaults() {
        let config = config(&[("fprocess", "cat")]).unwrap();

        assert_eq!(config.mode.name(), "streaming");
        assert_eq!((config.port, config.metrics_port), (8080, Some(8081)));
        assert_eq!(config.read_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.write_timeout, Duration::from_secs(30));
        assert_eq!(config.exec_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.healthcheck_interval, config.write_timeout);
        assert_eq!(config.content_type, "application/octet-stream");
        assert_eq!(config.max_inflight, 0);
        assert!(config.relaying.prefix && config.relaying.longest_line == 65_536);
        assert!(!config.suppress_lock && !config.exit_with_stdin);
        assert_eq!(config.lock_path, PathBuf::from("/tmp/.lock"));
    }

    #[test]
    fn the_process_is_split_at_single_spaces() {
        let mode = config(&[("fprocess", "echo 'a  b' c")]).unwrap().mode;
        let Mode::Streaming(fprocess) = mode else {
            panic!("not streaming")
        };

        assert_eq!(fprocess.program, "echo");
        assert_eq!(fprocess.arguments, ["'a", "", "b'", "c"]);
    }

    #[test]
    fn function_process_wins_over_fprocess() {
        let config = config(&[("fprocess", "cat"), ("function_process", "rev")]).unwrap();

        assert_eq!(config.mode.command_line(), "rev");
    }

    #[test]
    fn the_health_interval_follows_the_write_timeout() {
        let config = config(&[("fprocess", "cat"), ("write_timeout", "5s")]).unwrap();

        assert_eq!(config.healthcheck_interval, Duration::from_secs(5));
    }

    #[test]
    fn a_timeout_of_zero_is_no_limit_and_a_broken_one_is_the_default() {
        for (text, expected) in [("0", None), ("0s", None), ("soon", Some(30)), ("1m", Some(60))] {
            let expected = expected.map(Duration::from_secs);
            let config = config(&[
                ("fprocess", "cat"),
                ("exec_timeout", text),
                ("read_timeout", text),
            ])
            .unwrap();
            assert_eq!(
                (config.exec_timeout, config.read_timeout),
                (expected, expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_health_interval_of_zero_is_no_quiet_time() {
        let config = config(&[("fprocess", "cat"), ("healthcheck_interval", "0")]).unwrap();

        assert_eq!(config.healthcheck_interval, Duration::ZERO);
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_variable_named() {
        for (variables, part) in [
            (&[("port", "8080")][..], "fprocess"),
            (
                &[("fprocess", "cat"), ("mode", "carrier-pigeon")],
                "mode `carrier-pigeon` is not supported; supported: streaming, serializing, http, static",
            ),
            (&[("mode", "inproc")], "their images bring that watchdog"),
            (&[("fprocess", "cat"), ("mode", "afterburn")], "use http instead"),
            (&[("fprocess", "cat"), ("jwt_auth", "true")], "`jwt_auth`"),
            (&[("mode", "serializing")], "fprocess"),
            (
                &[("mode", "http"), ("upstream_url", "http://127.0.0.1:1")],
                "fprocess",
            ),
            (
                &[("fprocess", "cat"), ("bramble_metrics_port", "x")],
                "bramble_metrics_port",
            ),
            (&[("fprocess", "cat"), ("mode", "http")], "upstream_url"),
            (
                &[
                    ("fprocess", "cat"),
                    ("mode", "http"),
                    ("upstream_url", "http://a..b:1"),
                ],
                "`http://a..b:1`",
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
    fn static_mode_needs_no_process() {
        for (variables, folder) in [
            (&[("mode", "static")][..], "/home/app/public"),
            (&[("mode", "static"), ("static_path", "/srv")], "/srv"),
        ] {
            let mode = config(variables).unwrap().mode;
            assert!(
                matches!(&mode, Mode::Static(path) if path == &PathBuf::from(folder)),
                "{mode:?}"
            );
        }
    }

    #[test]
    fn the_longest_line_of_a_log_can_be_set_and_a_negative_one_is_no_limit() {
        for (text, expected) in [
            ("100", 100),
            ("-1", usize::MAX),
            ("0", DEFAULT_LINE),
            ("much", DEFAULT_LINE),
        ] {
            let config = config(&[("fprocess", "cat"), ("log_buffer_size", text)]).unwrap();
            assert_eq!(config.relaying.longest_line, expected, "{text}");
        }
    }

    #[test]
    fn metrics_can_be_moved_and_switched_off() {
        for (text, expected) in [("0", None), ("9000", Some(9000))] {
            let config = config(&[("fprocess", "cat"), ("bramble_metrics_port", text)]).unwrap();
            assert_eq!(config.metrics_port, expected);
        }
    }

    #[test]
    fn every_word_for_true_that_upstream_takes_is_taken() {
        for (text, go, flag) in [
            ("true", true, true),
            ("1", true, true),
            ("T", true, false),
            ("False", false, false),
        ] {
            let config =
                config(&[("fprocess", "cat"), ("log_callid", text), ("suppress_lock", text)]).unwrap();
            assert_eq!((config.log_call_id, config.suppress_lock), (go, flag), "{text}");
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
        assert_eq!(upstream, Upstream::parse("http://localhost:3000/base").unwrap());
    }
}
