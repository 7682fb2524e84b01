//! `fwatchdog`: turns HTTP requests into runs of a process, or into requests to a server it started.
//!
//! It behaves like OpenFaaS's of-watchdog (same variables, paths, statuses and log lines) in a fraction of the
//! memory. One thread does it all; others wait for what can only be waited for: a reader of the log, the end of standard
//! input.
//!
//! ```text
//!   connection ──► server ──► service ──► mode ──► function
//!   (cut when      (accept,   (health,    (streaming, serializing: a process per request
//!    too late)      drain)     limit,      http: one server, asked over a kept connection
//!                              metrics)    static: files, no function)
//! ```
//!
//! `config` alone reads the environment, `children` alone starts, collects and kills processes.
//!
//! Three variables are ours: `bramble_exit_with_stdin=true` ends the watchdog and its processes when its standard
//! input ends (the engine that runs functions as plain processes holds the other end), `bramble_listen_address`
//! restricts where it listens, and `bramble_metrics_port` moves `/metrics` or switches it off.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what `-version` and a refused start say"
)]

mod answer;
mod cgi;
mod children;
mod config;
mod deadline;
mod duration;
mod limit;
mod lock;
mod log;
mod metrics;
mod mode;
mod names;
mod outlet;
mod server;
mod service;
mod upload;
mod upstream;
mod variables;

use std::env;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::children::{Children, Ended};
use crate::config::Config;
use crate::duration::AsGo;
use crate::log::log;
use crate::mode::{Forked, Runner};
use crate::outlet::Stream;
use crate::server::Server;
use crate::service::{Door, Service};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match arguments
        .next()
        .as_deref()
        .map(|flag| flag.trim_start_matches('-'))
    {
        None => {}
        Some("run-healthcheck") => {
            let healthy = lock::is_there(&env::temp_dir().join(".lock"));
            return if healthy {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Some("version" | "v") => {
            println!("fwatchdog {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            eprintln!(
                "usage: fwatchdog [-run-healthcheck | -version]; all else is set by environment variables"
            );
            return ExitCode::FAILURE;
        }
    }
    let config = match Config::from_env(env::vars_os(), env::temp_dir()) {
        Ok(config) => config,
        Err(why) => {
            eprintln!("fwatchdog: {why}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("fwatchdog: cannot start: {why}");
            return ExitCode::FAILURE;
        }
    };
    let children = Rc::new(Children::default());
    let ended = runtime.block_on(run(&config, &children));
    // Whatever still runs was started for requests that nobody will answer any more.
    children.kill_all();
    let code = ended.unwrap_or_else(|why| {
        outlet::write(Stream::Stderr, format!("fwatchdog: {why}\n").into_bytes());
        ExitCode::FAILURE
    });
    outlet::finish();
    code
}

/// Why serving ended.
enum Stop {
    /// SIGTERM: give callers time to go elsewhere, then finish what is under way.
    Asked,
    /// SIGINT, or the end of standard input: at once.
    AtOnce,
    /// The server of http mode ended, and there is nothing to pass requests on to.
    FunctionEnded(Ended),
}

async fn run(config: &Config, children: &Rc<Children>) -> io::Result<ExitCode> {
    log!(
        "Watchdog mode: {}\tfprocess: {:?}",
        config.mode.name(),
        config.mode.command_line()
    );
    log!(
        "Timeouts: read: {} write: {} hard: {} health: {}",
        AsGo(config.read_timeout.unwrap_or_default()),
        AsGo(config.write_timeout),
        AsGo(config.exec_timeout.unwrap_or_default()),
        AsGo(config.healthcheck_interval)
    );
    // Before the first process starts, so that no end is missed.
    let mut signals = Signals::new(config)?;
    let when_child_ends = signal(SignalKind::child())?;
    let collector = children.clone();
    spawn_local(async move { collector.collect(when_child_ends).await });

    let server = Server::bind(config, Door::Function, config.port).await?;
    let metrics = metrics_server(config).await;
    let (runner, mut forked) = Runner::start(config, children)?;
    let service = Rc::new(Service::new(config, runner));
    log!("Listening on port: {}", server.port()?);
    if let Some(metrics) = metrics {
        let service = service.clone();
        spawn_local(async move { metrics.serve(&service).await });
    }

    let stop = tokio::select! {
        never = server.serve(&service) => match never {},
        failed = announce(&service, config) => {
            let why = failed.expect_err("announcing ends only when it fails");
            return Err(io::Error::new(why.kind(), format!("cannot write the lock file: {why}")));
        }
        stop = signals.next() => stop,
        ended = function_ended(&mut forked) => Stop::FunctionEnded(ended),
    };
    service.lock.remove();
    match stop {
        Stop::FunctionEnded(ended) => {
            log!("Forked function has terminated: {ended}");
            return Ok(ExitCode::FAILURE);
        }
        Stop::AtOnce => return Ok(ExitCode::SUCCESS),
        Stop::Asked => {}
    }
    log!(
        "SIGTERM: no new connections in {}",
        AsGo(config.healthcheck_interval)
    );
    if let Some(forked) = &forked {
        forked.group.ask_leader_to_end();
    }
    tokio::select! {
        never = server.serve(&service) => match never {},
        () = tokio::time::sleep(config.healthcheck_interval) => {}
        // A second signal, or a function that has followed the first: nothing is left to wait for.
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
        _ = function_ended(&mut forked) => {}
    }
    log!(
        "No new connections allowed, draining: {} requests",
        service.limiter.under_way()
    );
    tokio::select! {
        () = server.drain(&service) => {}
        _ = signals.next() => {}
    }
    log!("Exiting. Active connections: {}", service.limiter.under_way());
    Ok(ExitCode::SUCCESS)
}

/// Where Prometheus asks. Several replicas may run on one host without a container around each: the first one gets the
/// port, and the others do without.
async fn metrics_server(config: &Config) -> Option<Server> {
    let port = config.metrics_port?;
    let server = Server::bind(config, Door::Metrics, port).await;
    server
        .inspect_err(|error| log!("No metrics at port {port}: {error}"))
        .ok()
}

/// Writes the lock file once the function is ready, and then waits for ever.
async fn announce(service: &Service, config: &Config) -> io::Result<()> {
    if let Runner::Http(http) = &service.runner {
        http.started().await;
    }
    if config.suppress_lock {
        log!(
            "Warning: \"suppress_lock\" is enabled. No automated health-checks will be in place for your function."
        );
        service.lock.accept_without_file();
    } else {
        service.lock.set()?;
    }
    std::future::pending().await
}

/// Resolves when the server of http mode has ended; never in other modes.
async fn function_ended(forked: &mut Option<Forked>) -> Ended {
    match forked {
        Some(running) => {
            let ended = (&mut running.when_ended).await.unwrap_or(Ended::Exited(0));
            *forked = None;
            ended
        }
        None => std::future::pending().await,
    }
}

/// What can end this process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Resolves at the end of standard input, if that shall end us.
    stdin_ends: Option<oneshot::Receiver<()>>,
}

impl Signals {
    fn new(config: &Config) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stdin_ends: config.exit_with_stdin.then(watch_stdin).transpose()?,
        })
    }

    async fn next(&mut self) -> Stop {
        let stdin_ends = async {
            match &mut self.stdin_ends {
                Some(ends) => _ = ends.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Stop::Asked,
            _ = self.interrupt.recv() => Stop::AtOnce,
            () = stdin_ends => Stop::AtOnce,
        }
    }
}

/// A thread, because standard input may be anything (pipe, socket, terminal, file) and must not be made non-blocking:
/// whoever gave it to us shares that flag.
fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, when_ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            _ = ended.send(());
        })?;
    Ok(when_ended)
}
