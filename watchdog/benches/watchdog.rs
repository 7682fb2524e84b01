//! What the watchdog costs: `cargo bench -p watchdog`.
//!
//! ```text
//! wrk ──► fwatchdog ──► function     http: a server of this executable, forked by the watchdog
//!                                    serializing, streaming: `cat` with five bytes, one process per request
//!                                    static: a file of 1 KB
//! ```
//!
//! CPU per request is the watchdog's own (user and system, from `/proc/PID/stat`), without the function's. Memory is
//! what is resident at rest, and again some seconds after the load. `at most` are the aims. Needs `wrk`
//! (`apt-get install wrk`). `BENCH_SECONDS` (3) is the length of a run. Measured is `BENCH_WATCHDOG` if that is set, else
//! `target/builtin/fwatchdog`, the static file that images carry, as `make builtin` last made it, else the one that
//! Cargo just built.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Connections at once.
const LOADS: [u32; 2] = [1, 16];

/// After this the watchdog has closed what it kept for the next request.
const SETTLED: Duration = Duration::from_secs(3);

/// What is measured.
struct Way {
    mode: &'static str,
    /// Whether requests carry a body.
    posts: bool,
    /// Aims: microseconds of CPU per request at each of [`LOADS`], and MiB resident after load. A third of what
    /// of-watchdog takes in http mode, and no more than classic-watchdog takes per process.
    cpu_us: [f64; LOADS.len()],
    after_mib: f64,
}

const WAYS: [Way; 4] = [
    Way {
        mode: "http",
        posts: false,
        cpu_us: [55.0, 21.0],
        after_mib: 4.0,
    },
    Way {
        mode: "serializing",
        posts: true,
        cpu_us: [300.0, 300.0],
        after_mib: 4.0,
    },
    Way {
        mode: "streaming",
        posts: true,
        cpu_us: [300.0, 300.0],
        after_mib: 4.0,
    },
    Way {
        mode: "static",
        posts: false,
        cpu_us: [55.0, 21.0],
        after_mib: 4.0,
    },
];

/// Resident at rest, in MiB.
const AT_REST_MIB: f64 = 2.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["function", address] => function(address.parse()?),
        _ if arguments.iter().any(|argument| argument == "--bench") => bench(),
        // Built along with the tests, and not meant to run with them.
        _ => Ok(()),
    }
}

/// The server of http mode: says hello.
fn function(address: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let hello = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), hello));
        }
    })
}

fn bench() -> Result<()> {
    let binary = binary();
    let folder = TempDir::new()?;
    fs::write(folder.path().join("index.html"), [b'x'; 1024])?;
    fs::write(
        folder.path().join("post.lua"),
        "wrk.method = 'POST'\nwrk.body = 'hello'\n",
    )?;
    let length = Duration::from_secs(
        std::env::var("BENCH_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(3),
    );

    let size = fs::metadata(&binary)?.len() as f64 / 1e6;
    println!("{}, {size:.2} MB", binary.display());
    println!(
        "{:<12} {:>5} {:>9} {:>8} {:>8} {:>12} {:>8} {:>10} {:>11} {:>10}",
        "mode",
        "conns",
        "req/s",
        "p50 ms",
        "p99 ms",
        "CPU us/req",
        "at most",
        "rest MiB",
        "after MiB",
        "at most"
    );
    for way in &WAYS {
        let watchdog = Watchdog::start(&binary, way, folder.path())?;
        let at_rest = watchdog.resident_mib()?;
        for (connections, cpu_us) in LOADS.into_iter().zip(way.cpu_us) {
            let figures = watchdog.load(way, connections, length, folder.path())?;
            thread::sleep(SETTLED);
            println!(
                "{:<12} {connections:>5} {:>9.0} {:>8.3} {:>8.3} {:>12.1} {:>8.0} {:>10} {:>11.2} {:>10}",
                way.mode,
                figures.per_second,
                figures.p50_ms,
                figures.p99_ms,
                figures.cpu_us,
                cpu_us,
                format!("{at_rest:.2}/{AT_REST_MIB:.0}"),
                watchdog.resident_mib()?,
                way.after_mib,
            );
        }
    }
    Ok(())
}

fn binary() -> PathBuf {
    if let Some(asked) = std::env::var_os("BENCH_WATCHDOG") {
        return asked.into();
    }
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/builtin/fwatchdog");
    fs::canonicalize(built_in).unwrap_or_else(|_| env!("CARGO_BIN_EXE_fwatchdog").into())
}

/// A running `fwatchdog`; ends with its guard.
struct Watchdog {
    child: Child,
    port: u16,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Already gone is as good. Its function follows the end of its standard input.
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

/// One measurement.
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

impl Watchdog {
    fn start(binary: &Path, way: &Way, folder: &Path) -> Result<Self> {
        let upstream = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let fprocess = match way.mode {
            "http" => format!("{} function {upstream}", std::env::current_exe()?.display()),
            _ => "cat".to_owned(),
        };
        let mut child = Command::new(binary)
            .env("TMPDIR", folder)
            .env("mode", way.mode)
            .env("fprocess", fprocess)
            .env("upstream_url", format!("http://{upstream}"))
            .env("static_path", folder)
            .env("port", "0")
            .env("bramble_metrics_port", "0")
            .env("bramble_listen_address", "127.0.0.1")
            .env("bramble_exit_with_stdin", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().ok_or("its log is piped")?);
        let mut watchdog = Self { child, port: 0 };
        let mut line = String::new();
        while watchdog.port == 0 {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                return Err(format!("{} ended before it listened", binary.display()).into());
            }
            if let Some((_, port)) = line.trim().split_once("Listening on port: ") {
                watchdog.port = port.parse()?;
            }
        }
        // A log of every request is part of what it costs, and somebody has to read it.
        thread::spawn(move || _ = std::io::copy(&mut log, &mut std::io::sink()));
        // Until the function listens, and what start-up needed is settled.
        thread::sleep(Duration::from_millis(500));
        Ok(watchdog)
    }

    fn load(&self, way: &Way, connections: u32, length: Duration, folder: &Path) -> Result<Figures> {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "--latency", &format!("-c{connections}")])
            .arg(format!("-d{}s", length.as_secs()));
        if way.posts {
            wrk.arg("-s").arg(folder.join("post.lua"));
        }
        let before = self.ticks()?;
        let output = wrk
            .arg(format!("http://127.0.0.1:{}/", self.port))
            .output()
            .map_err(|error| format!("cannot run `wrk` (apt-get install wrk): {error}"))?;
        let ticks = self.ticks()? - before;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("{}: some requests failed:\n{text}", way.mode).into());
        }
        let requests: f64 = text
            .lines()
            .find_map(|line| line.split_once(" requests in "))
            .ok_or_else(|| text.clone())?
            .0
            .trim()
            .parse()?;
        let after = |label: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(label))
                .map(str::trim)
                .ok_or_else(|| text.clone())
        };
        Ok(Figures {
            per_second: after("Requests/sec:")?.parse()?,
            p50_ms: milliseconds(after("50%")?)?,
            p99_ms: milliseconds(after("99%")?)?,
            cpu_us: ticks * 10_000.0 / requests,
        })
    }

    /// User and system time of the watchdog alone, in ticks of 10 ms.
    fn ticks(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("a stat without a name")?;
        let times = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
        Ok(times.sum::<std::result::Result<f64, _>>()?)
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident
            .ok_or("a status without VmRSS")?
            .trim()
            .trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

/// Reads wrk's `12.34us`, `1.2ms` or `3.4s`.
fn milliseconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    Err(format!("`{text}` is no time").into())
}
