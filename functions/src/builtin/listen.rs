//! The HTTP server of functions that need no watchdog.
//!
//! It keeps the contract of a function without a watchdog: listens on `$port` (8080), answers `/_/health`, finishes
//! what is under way at SIGTERM. Like the watchdog it ends with its standard input if `bramble_exit_with_stdin=true`,
//! and listens only on `bramble_listen_address` if that is set.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::args;
use crate::tools::Failure;

/// What the watchdog lets through, and what it adds.
const MAX_HEADER_BYTES: usize = (1 << 20) + (16 << 10);
const MAX_HEADERS: usize = 1100;

/// The longest that answers under way are waited for at the end: the watchdog's default.
const DRAIN: Duration = Duration::from_secs(30);

/// Rest after a failed accept: out of file descriptors is not cured by asking again at once.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Serves until it is asked to stop.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn until_asked_to_stop<S, F, B>(service: S) -> Result<u8, Failure>
where
    S: Fn(Request<Incoming>) -> F + Copy + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(serve(service))
}

/// Whether this asks how the function is; that is answered without the function.
pub(crate) fn asks_for_health<B>(request: &Request<B>) -> bool {
    matches!(request.uri().path(), "/_/health" | "/_/ready")
}

async fn serve<S, F, B>(service: S) -> Result<u8, Failure>
where
    S: Fn(Request<Incoming>) -> F + Copy + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let port = variable("port").map_or(Ok(8080), |text| args::parse(&text))?;
    let address = variable("bramble_listen_address")
        .map(|text| args::parse::<IpAddr>(&text))
        .transpose()?;
    let exit_with_stdin = matches!(variable("bramble_exit_with_stdin").as_deref(), Some("true" | "1"));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin_ends = stdin_ends(exit_with_stdin)?;
    let listener = listen(address, port).await?;
    let closing = watch::Sender::new(false);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => _ = spawn_local(connection(stream, service, closing.subscribe())),
                Err(_) => sleep(ACCEPT_REST).await,
            }
        }
    };
    tokio::select! {
        never = accept => never,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => return Ok(0),
        () = stdin_ends => return Ok(0),
    }
    drop(listener);
    closing.send_replace(true);
    // Longer than this nobody waits; whoever is still there is cut off.
    _ = timeout(DRAIN, closing.closed()).await;
    Ok(0)
}

async fn listen(address: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match address {
        Some(address) => TcpListener::bind((address, port)).await,
        // One IPv6 socket takes IPv4 as well, unless this system has no IPv6.
        None => match TcpListener::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await,
        },
    }
}

async fn connection<S, F, B>(stream: TcpStream, service: S, mut closing: watch::Receiver<bool>)
where
    S: Fn(Request<Incoming>) -> F + Copy + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let serving = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let mut serving = pin!(serving);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            // Whatever went wrong, the other side is gone or spoke no HTTP.
            _ = serving.as_mut() => return,
            _ = closing.wait_for(|closing| *closing), if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Resolves at the end of standard input, if that shall end us. A thread reads it, because it may be of any kind and
/// must not be made non-blocking: whoever gave it to us shares that flag.
fn stdin_ends(wanted: bool) -> io::Result<impl Future<Output = ()>> {
    let (ended, when_ended) = oneshot::channel();
    if wanted {
        std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
            _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            _ = ended.send(());
        })?;
    }
    Ok(async move {
        match wanted {
            true => _ = when_ended.await,
            false => pending().await,
        }
    })
}
