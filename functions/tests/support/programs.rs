//! The programs under test: this build's, or another architecture's under an emulator.
//!
//! `BRAMBLE_FUNCTIONS_UNDER_TEST` is a folder with `functions` and `fwatchdog`; `BRAMBLE_EMULATOR` a program that runs
//! them, such as `qemu-aarch64-static`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

/// Emulated programs start slowly, and so do builds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Programs {
    functions: PathBuf,
    /// Not there when only this package was built.
    watchdog: Option<PathBuf>,
    emulator: Option<String>,
    /// What images have in `/bin`: every tool by its name, and the functions.
    bin: TempDir,
}

impl Programs {
    pub fn find() -> Self {
        let own = Path::new(env!("CARGO_BIN_EXE_functions"));
        let (functions, watchdog) = match env::var_os("BRAMBLE_FUNCTIONS_UNDER_TEST") {
            Some(folder) => {
                let folder = PathBuf::from(folder).canonicalize().unwrap();
                (folder.join("functions"), Some(folder.join("fwatchdog")))
            }
            None => {
                let beside = own.with_file_name("fwatchdog");
                (own.to_owned(), beside.exists().then_some(beside))
            }
        };
        let emulator = env::var("BRAMBLE_EMULATOR").ok().filter(|text| !text.is_empty());
        let bin = TempDir::new().unwrap();
        let programs = Self {
            functions,
            watchdog,
            emulator,
            bin,
        };
        let list = programs.list();
        let tools = list["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool.as_str().unwrap());
        for tool in tools.chain(["functions"]) {
            programs.put_into_bin(tool);
        }
        programs
    }

    /// A link, as in an image. Under an emulator a script, because the kernel cannot start foreign programs.
    fn put_into_bin(&self, name: &str) {
        let path = self.bin.path().join(name);
        let Some(emulator) = &self.emulator else {
            return std::os::unix::fs::symlink(&self.functions, path).unwrap();
        };
        let functions = self.functions.display();
        let tool = if name == "functions" { "" } else { "tool " };
        let name = if name == "functions" { "" } else { name };
        fs::write(
            &path,
            format!("#!/bin/sh\nexec {emulator} {functions} {tool}{name} \"$@\"\n"),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn is_emulated(&self) -> bool {
        self.emulator.is_some()
    }

    pub fn has_watchdog(&self) -> bool {
        self.watchdog.is_some()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = match &self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        let path = env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", self.bin.path().display()));
        command
    }

    /// `functions`, with nothing in its environment but a path.
    pub fn functions(&self) -> Command {
        self.command(&self.functions)
    }

    /// What `functions list --json` says.
    pub fn list(&self) -> serde_json::Value {
        let output = self.functions().args(["list", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A function that runs as an image of it would.
    pub fn start(&self, function: &serde_json::Value) -> Running {
        let port = free_port();
        let text = |name: &str| function[name].as_str().unwrap_or_default().to_owned();
        let env: BTreeMap<String, String> = serde_json::from_value(function["env"].clone()).unwrap();
        let mut command = match text("mode").as_str() {
            "direct" => {
                let entrypoint: Vec<String> = serde_json::from_value(function["entrypoint"].clone()).unwrap();
                assert_eq!(entrypoint[0], "functions");
                let mut command = self.functions();
                command.args(&entrypoint[1..]);
                command
            }
            mode => {
                let mut command = self.command(self.watchdog.as_ref().unwrap());
                command
                    .env("mode", mode)
                    .env("fprocess", text("fprocess"))
                    .env("suppress_lock", "true")
                    .env("bramble_metrics_port", "0");
                command
            }
        };
        command
            .envs(env)
            .env(text("port_env"), port.to_string())
            .env("bramble_listen_address", "127.0.0.1")
            .stdin(Stdio::null());
        Running::start(command, port)
    }

    /// The function of this name, as the list has it.
    pub fn described(&self, name: &str) -> serde_json::Value {
        let list = self.list();
        let mut functions = list["functions"].as_array().unwrap().iter();
        functions
            .find(|function| function["name"] == name)
            .unwrap()
            .clone()
    }

    /// The function of this name, running.
    pub fn start_named(&self, name: &str) -> Running {
        self.start(&self.described(name))
    }
}

/// A port that nobody listens on, and that no other test of this process gets: below those that the kernel gives to
/// outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(97) % 16_000 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(16_000 + offset % 16_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running server. Dropped, it is ended.
pub struct Running {
    child: Child,
    port: u16,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Running {
    fn start(mut command: Command, port: u16) -> Self {
        let running = Self {
            child: command.stderr(Stdio::null()).spawn().unwrap(),
            port,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "it never listened: {command:?}");
            thread::sleep(Duration::from_millis(5));
        }
        running
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, &[], body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        use std::io::Write;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: function\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut sender = stream.try_clone().unwrap();
        let request = [head.as_bytes(), body].concat();
        // It may answer before it has read everything.
        let sending = thread::spawn(move || _ = sender.write_all(&request));
        let answer = read_answer(&mut BufReader::new(&mut stream));
        drop(stream);
        sending.join().unwrap();
        answer
    }

    /// Memory in use now, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn read_answer(stream: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{line:?}"))
        .parse()
        .unwrap();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    // A refused body may end the connection early, after the answer.
    if let Err(error) = stream.read_to_end(&mut body) {
        assert!(!body.is_empty(), "{error}");
    }
    Answer {
        status,
        headers,
        body,
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
