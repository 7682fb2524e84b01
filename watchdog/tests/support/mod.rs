//! What the tests of the real binary share: a watchdog on a free port, a client that says exactly what a test wants
//! said, and a server that plays the function of http mode.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Nothing here takes nearly as long; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running `fwatchdog` with a temporary directory of its own.
pub struct Watchdog {
    pub port: u16,
    pub folder: TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Mutex<String>>,
}

impl Watchdog {
    /// Starts one with these variables and waits until it listens and has written its lock file.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let watchdog = Self::start_unready(variables);
        eventually("the lock file is written", || watchdog.lock_file().exists());
        watchdog
    }

    /// Starts one and waits only until it listens.
    pub fn start_unready(variables: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), variables)
    }

    pub fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_fwatchdog")), folder, variables)
    }

    /// Starts one that may use this much memory of its own.
    pub fn start_with_kib(most: u32, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -d {most} && exec \"$0\"")]);
        shell.arg(env!("CARGO_BIN_EXE_fwatchdog"));
        let watchdog = Self::start_as(shell, TempDir::new().unwrap(), variables);
        eventually("the lock file is written", || watchdog.lock_file().exists());
        watchdog
    }

    fn start_as(mut command: Command, folder: TempDir, variables: &[(&str, &str)]) -> Self {
        command.env_clear().env("PATH", std::env::var("PATH").unwrap());
        command
            .env("TMPDIR", folder.path())
            .env("port", "0")
            // All tests run on one host: those that want metrics say where.
            .env("bramble_metrics_port", "0")
            .envs(variables.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let written = log.clone();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                written.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut watchdog = Self {
            port: 0,
            folder,
            stdin: child.stdin.take(),
            child,
            log,
        };
        eventually("it listens", || {
            assert!(
                watchdog.child.try_wait().unwrap().is_none(),
                "ended early: {}",
                watchdog.log()
            );
            let log = watchdog.log();
            let port = log
                .split("Listening on port: ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            watchdog.port = port.map_or(0, |port| port.parse().unwrap());
            watchdog.port != 0
        });
        watchdog
    }

    pub fn lock_file(&self) -> PathBuf {
        self.folder.path().join(".lock")
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Opens a connection to it.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut stream = self.connect();
        send(&mut stream, method, target, headers, body);
        Response::read(&mut stream).expect("there is an answer")
    }

    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    pub fn post(&self, body: &[u8]) -> Response {
        self.request("POST", "/", &[], body)
    }

    /// Writes a shell script and returns the `fprocess` that runs it.
    pub fn script(folder: &TempDir, text: &str) -> String {
        let path = folder.path().join("function.sh");
        fs::write(&path, text).unwrap();
        format!("sh {}", path.display())
    }

    /// The processes whose parent is the watchdog, as (id, state).
    pub fn children(&self) -> Vec<(i32, char)> {
        let parent = self.pid().as_raw_nonzero().get();
        processes()
            .into_iter()
            .filter(|p| p.parent == parent)
            .map(|p| (p.id, p.state))
            .collect()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Sends a request that asks for the connection to be closed after it.
pub fn send(stream: &mut TcpStream, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // From another thread, as a real client may: an answer can come before all is sent.
    if body.len() > 64 * 1024 {
        let (mut stream, body) = (stream.try_clone().unwrap(), body.to_vec());
        thread::spawn(move || stream.write_all(&body));
    } else {
        stream.write_all(body).unwrap();
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Reads an answer up to the end of the connection. `None` when the connection ends before the head.
    pub fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let (status, headers) = read_head(&mut reader)?;
        let mut rest = Vec::new();
        // A connection may end with a reset; what came before counts.
        _ = reader.read_to_end(&mut rest);
        let mut response = Self {
            status,
            headers,
            body: Vec::new(),
        };
        response.body = if response.header("transfer-encoding").is_some() {
            unchunked(&rest)
        } else {
            rest
        };
        Some(response)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Status and headers of an answer.
pub fn read_head(reader: &mut impl BufRead) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line);
    }
    let status = lines[0].split(' ').nth(1)?.parse().ok()?;
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    Some((
        status,
        headers
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
    ))
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let piece = rest.get(end + 2..end + 2 + size);
        let Some(piece) = piece.filter(|piece| !piece.is_empty()) else {
            break;
        };
        body.extend_from_slice(piece);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}

/// Five million bytes of everything, the same in every run.
pub fn binary_body() -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..5 * 1024 * 1024).map(|_| next()).collect()
}

/// A server in this process that plays the function of http mode.
pub struct Upstream {
    pub url: String,
    connections: Arc<AtomicUsize>,
}

/// A request as that server got it.
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Upstream {
    /// Answers every request, each with what `answer` writes into the connection. The connection is kept.
    pub fn start(answer: impl Fn(Received, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let counted = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (answer, counted) = (answer.clone(), counted.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut is_first = true;
                    while let Some(received) = Received::read(&mut reader) {
                        // The watchdog looks whether the server listens; that is no connection for requests.
                        counted.fetch_add(usize::from(is_first), Ordering::SeqCst);
                        is_first = false;
                        answer(received, &mut stream);
                    }
                });
            }
        });
        Self { url, connections }
    }

    /// How many connections have carried requests.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Received {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let received = Self {
            head,
            body: Vec::new(),
        };
        let mut body = Vec::new();
        if let Some(length) = received.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            reader.read_exact(&mut body).ok()?;
        } else if received.header("transfer-encoding").is_some() {
            while !body.ends_with(b"0\r\n\r\n") {
                let read = reader.read_until(b'\n', &mut body).ok()?;
                assert_ne!(read, 0, "the body broke off");
            }
            body = unchunked(&body);
        }
        Some(Self { body, ..received })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// The first line without the version.
    pub fn target(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }
}

/// Writes an answer with a Content-Length.
pub fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    // The watchdog may have given up on it, which some tests want.
    _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
}

/// Waits until `fact` holds.
pub fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < until, "it never happened that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub struct Process {
    pub id: i32,
    pub parent: i32,
    pub state: char,
}

/// All processes of this machine.
pub fn processes() -> Vec<Process> {
    let folders = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // "42 (name) S 1 …": the name may hold anything, so look behind its last parenthesis.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some(Process {
            id,
            state: fields.next()?.parse().ok()?,
            parent: fields.next()?.parse().ok()?,
        })
    })
    .collect()
}

/// Whether that process runs (a zombie does not).
pub fn runs(id: i32) -> bool {
    processes()
        .iter()
        .any(|process| process.id == id && process.state != 'Z')
}
