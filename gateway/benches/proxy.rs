//! What an invocation costs, beside nginx doing the same: `cargo bench -p gateway`.
//!
//! ```text
//! wrk ──► upstream                                the function, directly
//! wrk ──► nginx ──► upstream                      a plain reverse proxy, 2 workers, keep-alive to the upstream
//! wrk ──► gateway ──► upstream                    a replica on the node that was asked
//! wrk ──► gateway ══ mutual TLS ══► gateway ──► upstream     a replica on another node
//! ```
//!
//! Every box is a process of its own, all on this machine, so only the ratios within one run mean anything. CPU per
//! request is that of the proxying processes alone (user and system, from `/proc`). Needs `wrk`, and `nginx` for the
//! comparison (`apt-get install wrk nginx-light`). `BENCH_ROUNDS` (3) and `BENCH_SECONDS` (2) are the rounds and the
//! length of each; figures are medians over the rounds, which take turns.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use api::{
    Generation, NodeId, ReplicaId,
    sync::{FunctionRoute, Routes},
};
use bytes::Bytes;
use gateway::{Gateway, GatewayConfig};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use transport::{Authority, Client, Identity, PeerId};

const CONNECTIONS: [u32; 3] = [1, 16, 64];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match *args {
        ["upstream"] => run(upstream()),
        ["gateway", identity, upstream, routed_to] => run(serve_gateway(identity, upstream, routed_to)),
        _ if args.contains(&"--bench") => bench(),
        // Built along with the tests, and not meant to run with them.
        _ => Ok(()),
    }
}

fn run(role: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(role)
}

/// The function: says hello.
async fn upstream() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&[listener.local_addr()?])?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let hello = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), hello));
    }
}

/// A node: its own replica if `upstream` says where, else another's by way of `routed_to` (`id@address`).
async fn serve_gateway(identity: &str, upstream: &str, routed_to: &str) -> Result<()> {
    let identity = Arc::new(Identity::load(Path::new(identity))?);
    let config = GatewayConfig {
        node: identity.id(),
        name: "pi".to_owned(),
        version: "bench".to_owned(),
        ..GatewayConfig::default()
    };
    let gateway = Gateway::new(config, Client::new(identity.clone()));
    let mut routes = Routes {
        revision: Generation { epoch: 1, number: 1 },
        ..Routes::default()
    };
    let mut at = identity.id();
    if let Some((node, address)) = routed_to.split_once('@') {
        at = node.parse::<NodeId>()?;
        routes.nodes.insert(at, address.parse()?);
    } else {
        gateway.set_local(&BTreeMap::from([(ReplicaId(1), upstream.parse()?)]));
    }
    let ready = BTreeMap::from([(ReplicaId(1), at)]);
    routes.functions.insert("hello".parse()?, FunctionRoute { ready });
    gateway.set_routes(routes);

    let public = TcpListener::bind("127.0.0.1:0").await?;
    let nodes = TcpListener::bind("127.0.0.1:0").await?;
    announce(&[public.local_addr()?, nodes.local_addr()?])?;
    let hops = service_fn({
        let gateway = gateway.clone();
        move |request: Request<Incoming>| {
            let gateway = gateway.clone();
            async move {
                let peer = request
                    .extensions()
                    .get::<PeerId>()
                    .map_or_else(NodeId::default, |peer| peer.0);
                Ok::<_, Infallible>(gateway.invoke_hop(peer, request).await)
            }
        }
    });
    tokio::spawn(transport::serve(
        nodes,
        identity,
        |_| true,
        hops,
        CancellationToken::new(),
    ));
    loop {
        let (socket, client) = public.accept().await?;
        socket.set_nodelay(true)?;
        let gateway = gateway.clone();
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, Infallible>(gateway.invoke(request, client).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(30))
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        tokio::spawn(connection);
    }
}

/// Tells the parent where this process listens.
fn announce(addresses: &[SocketAddr]) -> Result<()> {
    let line: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    println!("{}", line.join(" "));
    Ok(std::io::stdout().flush()?)
}

/// A process of the bench; ends with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Politely, for nginx ends its workers then. Already gone is as good.
        _ = Command::new("kill").arg(self.0.id().to_string()).status();
        _ = self.0.wait();
    }
}

impl Process {
    /// This executable in another role, and where it listens.
    fn start(role: &[&str]) -> Result<(Self, Vec<SocketAddr>)> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(role).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("its output is piped")?;
        let process = Self(child);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let addresses = line.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        Ok((process, addresses.context("it did not say where it listens")?))
    }
}

/// User and system time of a process and its children, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let own: u64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    own + children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .map(ticks)
        .sum::<u64>()
}

/// What is measured: one way to the upstream.
struct Way {
    name: &'static str,
    url: String,
    /// The processes whose CPU counts.
    pids: Vec<u32>,
}

/// One measurement of a way.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

fn measure(way: &Way, connections: u32, seconds: u32) -> Result<Figures> {
    let before: u64 = way.pids.iter().copied().map(ticks).sum();
    let output = Command::new("wrk")
        .args([
            "-t1",
            "--latency",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
            &way.url,
        ])
        .output()
        .context("`wrk` is missing: apt-get install wrk")?;
    let after: u64 = way.pids.iter().copied().map(ticks).sum();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("{}: some requests failed:\n{text}", way.name);
    }
    let word_after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
            .with_context(|| text.clone())
    };
    let milliseconds = |word: &str| -> Result<f64> {
        for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
            if let Some(number) = word.strip_suffix(unit) {
                return Ok(number.parse::<f64>()? * factor);
            }
        }
        bail!("`{word}` is no time")
    };
    let per_second: f64 = word_after("Requests/sec:")?.parse()?;
    let requests = per_second * f64::from(seconds);
    Ok(Figures {
        per_second,
        p50_ms: milliseconds(&word_after("50%")?)?,
        p99_ms: milliseconds(&word_after("99%")?)?,
        cpu_us: (after - before) as f64 * 10_000.0 / requests,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// nginx as a plain reverse proxy to `upstream`, if it is installed.
fn nginx(directory: &Path, upstream: SocketAddr) -> Result<Option<(Process, SocketAddr)>> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = format!(
        "worker_processes 2; daemon off; pid {dir}/pid; error_log {dir}/error.log;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
           uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e; keepalive_requests 1000000;
           upstream function {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}
           server {{
             listen {address};
             location / {{ proxy_pass http://function; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
           }}
         }}",
        dir = directory.display(),
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, config)?;
    let started = Command::new("nginx")
        .arg("-c")
        .arg(&path)
        .arg("-p")
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else { return Ok(None) };
    let process = Process(child);
    for _ in 0..100 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(Some((process, address)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!(
        "nginx does not listen: {}",
        std::fs::read_to_string(directory.join("error.log"))?
    )
}

fn bench() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (rounds, seconds) = (setting("BENCH_ROUNDS", 3), setting("BENCH_SECONDS", 2));
    let authority = Authority::create()?;
    let (near_home, far_home) = (directory.path().join("near"), directory.path().join("far"));
    let far_identity = Identity::issued_by(&authority)?;
    Identity::issued_by(&authority)?.save(&near_home)?;
    far_identity.save(&far_home)?;
    let text = |path: &Path| path.display().to_string();

    let (_upstream, upstream) = Process::start(&["upstream"])?;
    let upstream = upstream[0];
    let (far, far_at) = Process::start(&["gateway", &text(&far_home), &upstream.to_string(), "-"])?;
    let to_far = format!("{}@{}", far_identity.id(), far_at[1]);
    let (near, near_at) = Process::start(&["gateway", &text(&near_home), "-", &to_far])?;
    let nginx = nginx(directory.path(), upstream)?;

    let mut ways = vec![Way {
        name: "function",
        url: format!("http://{upstream}/"),
        pids: vec![],
    }];
    match &nginx {
        Some((process, address)) => ways.push(Way {
            name: "nginx",
            url: format!("http://{address}/"),
            pids: vec![process.0.id()],
        }),
        None => println!("nginx is not installed (apt-get install nginx-light): no ratios"),
    }
    ways.push(Way {
        name: "local",
        url: format!("http://{}/function/hello", far_at[0]),
        pids: vec![far.0.id()],
    });
    ways.push(Way {
        name: "hop",
        url: format!("http://{}/function/hello", near_at[0]),
        pids: vec![near.0.id(), far.0.id()],
    });

    println!("{rounds} rounds of {seconds} s, medians; CPU of the proxying processes");
    println!(
        "{:>5}  {:<9}{:>10}  {:>9}{:>9}{:>12}{:>10}",
        "conns", "way", "req/s", "p50 ms", "p99 ms", "CPU us/req", "of nginx"
    );
    for connections in CONNECTIONS {
        let mut runs: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (way, runs) in ways.iter().zip(&mut runs) {
                runs.push(measure(way, connections, seconds)?);
            }
        }
        let middle = |runs: &[Figures], of: fn(&Figures) -> f64| median(runs.iter().map(of).collect());
        let yardstick = ways.iter().position(|way| way.name == "nginx");
        let yardstick = yardstick.map(|index| middle(&runs[index], |figures| figures.per_second));
        for (way, runs) in ways.iter().zip(&runs) {
            let per_second = middle(runs, |figures| figures.per_second);
            let ratio =
                yardstick.map_or_else(String::new, |all| format!("{:.0} %", 100.0 * per_second / all));
            println!(
                "{connections:>5}  {:<9}{per_second:>10.0}  {:>9.3}{:>9.3}{:>12.1}{ratio:>10}",
                way.name,
                middle(runs, |figures| figures.p50_ms),
                middle(runs, |figures| figures.p99_ms),
                middle(runs, |figures| figures.cpu_us),
            );
        }
    }
    for (name, process) in [("near", &near), ("far", &far)] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id()))?;
        let memory = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default();
        println!(
            "memory at most, {name} gateway: {}",
            memory.trim_start_matches("VmHWM:").trim()
        );
    }
    Ok(())
}
