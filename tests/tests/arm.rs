//! The programs for Pis, under user-mode emulation: each starts, and a bramble of one node comes to its first invocation.
//!
//! `make test` builds them and runs this, on a machine that `scripts/dist-emulate` taught to run them as its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
};

use serde_json::json;
use tests::{
    demo::{Demo, wait_for},
    http_client::Client,
};

/// One kind of Pi, and how its programs can be told from others'.
struct Arch {
    name: &'static str,
    /// Class and machine in an ELF file's header.
    elf: (u8, u16),
    /// What a program there finds itself on.
    calls_itself: &'static str,
}

const ARCHS: [Arch; 2] = [
    Arch {
        name: "arm64",
        elf: (2, 183),
        calls_itself: "arm64",
    },
    Arch {
        name: "armv7",
        elf: (1, 40),
        calls_itself: "arm",
    },
];

impl Arch {
    /// A program of this architecture: `bramble`, `builtin/fwatchdog` or `builtin/functions`.
    fn program(&self, name: &str) -> PathBuf {
        let dist = std::env::var_os("BRAMBLE_DIST_DIR").expect(
            "BRAMBLE_DIST_DIR has to name the folder with the programs for Pis: run `make test`, or \
             `make dist ARCH=\"arm64 armv7\"` and then \
             `BRAMBLE_DIST_DIR=$PWD/target/dist scripts/dist-emulate cargo test -p tests --test arm`",
        );
        let program = Path::new(&dist).join(self.name).join(name);
        assert!(
            program.exists(),
            "{} is missing: `make dist ARCH={}` makes it",
            program.display(),
            self.name
        );
        program
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let program = self.program(name);
        let output = Command::new(&program).args(arguments).output();
        output.unwrap_or_else(|error| {
            panic!(
                "{} does not run here ({error}): start this test with scripts/dist-emulate",
                program.display()
            )
        })
    }
}

fn little_endian(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[test]
fn each_program_is_made_for_the_processor_that_its_folder_names() {
    for arch in ARCHS {
        for name in ["bramble", "builtin/fwatchdog", "builtin/functions"] {
            let bytes = fs::read(arch.program(name)).unwrap();
            assert_eq!(&bytes[..4], b"\x7fELF", "{name} for {}", arch.name);
            assert_eq!(
                (bytes[4], little_endian(&bytes[18..])),
                arch.elf,
                "{name} for {}",
                arch.name
            );
        }
    }
}

#[test]
fn bramble_asks_for_no_newer_c_library_than_raspberry_pis_have() {
    // That of Debian 12.
    const NEWEST: u32 = 36;
    for arch in ARCHS {
        let bytes = fs::read(arch.program("bramble")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let versions: Vec<u32> = text
            .split("GLIBC_2.")
            .skip(1)
            .filter_map(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().ok()
            })
            .collect();
        let newest = versions.iter().max().copied().unwrap();
        assert!(newest <= NEWEST, "{}: glibc 2.{newest} is needed", arch.name);
    }
}

#[test]
fn each_program_starts_and_tells_its_version() {
    for arch in ARCHS {
        for (name, flag) in [
            ("bramble", "--version"),
            ("builtin/fwatchdog", "-version"),
            ("builtin/functions", "--version"),
        ] {
            let output = arch.run(name, &[flag]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let expected = format!(
                "{} {}\n",
                name.trim_start_matches("builtin/"),
                env!("CARGO_PKG_VERSION")
            );
            assert_eq!(text, expected, "{}: {output:?}", arch.name);
        }
    }
}

/// A watchdog that ends with the test.
struct Watchdog {
    child: Child,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Watchdog {
    /// In a folder where `bin` has the tools `cat` and `functions`, and `site` a page.
    fn start(arch: &Arch, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let functions = arch.program("builtin/functions").canonicalize().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["cat", "functions"] {
            symlink(&functions, bin.join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("site")).unwrap();
        fs::write(folder.path().join("site/index.html"), "<p>a page</p>").unwrap();

        let mut child = Command::new(arch.program("builtin/fwatchdog").canonicalize().unwrap())
            .env_clear()
            .env("PATH", format!("{}:/bin:/usr/bin", bin.display()))
            .env("TMPDIR", folder.path())
            .env("static_path", folder.path().join("site"))
            .env("port", "0")
            .env("bramble_listen_address", "127.0.0.1")
            .env("bramble_metrics_port", "0")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let port: u16 = loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("it ended: {said}"))
                .unwrap();
            said.push_str(&line);
            if let Some((_, port)) = line.split_once("Listening on port: ") {
                break port.trim().parse().unwrap();
            }
        };
        // What else it says must go somewhere.
        thread::spawn(move || lines.for_each(drop));
        let lock = folder.path().join(".lock");
        wait_for("the lock file", || lock.exists().then_some(()));
        Self {
            child,
            client: Client::new(&format!("http://127.0.0.1:{port}")),
            _folder: folder,
        }
    }
}

#[test]
fn the_watchdog_answers_in_every_mode() {
    for arch in ARCHS {
        for mode in ["serializing", "streaming"] {
            let watchdog = Watchdog::start(&arch, &[("mode", mode), ("fprocess", "cat")]);
            let answer = watchdog.client.post("/", "what goes in");
            assert_eq!(answer.status, 200, "{} {mode}", arch.name);
            assert_eq!(answer.text(), "what goes in", "{} {mode}", arch.name);
            assert_eq!(watchdog.client.get("/_/health").status, 200);
        }

        // The server gets the watchdog's variables, but its port has to be another.
        let upstream = free_port();
        let script = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            script.path(),
            format!("port={upstream} exec functions serve echo\n"),
        )
        .unwrap();
        let watchdog = Watchdog::start(
            &arch,
            &[
                ("mode", "http"),
                ("fprocess", &format!("sh {}", script.path().display())),
                ("upstream_url", &format!("http://localhost:{upstream}")),
            ],
        );
        let answer = watchdog.client.post("/", "what goes in");
        assert_eq!(answer.status, 200, "{} http: {}", arch.name, answer.text());
        assert!(
            answer.header("x-duration-seconds").parse::<f64>().is_ok(),
            "{}",
            arch.name
        );

        let watchdog = Watchdog::start(&arch, &[("mode", "static")]);
        let answer = watchdog.client.get("/");
        assert_eq!(answer.text(), "<p>a page</p>", "{} static", arch.name);
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_bramble_of_one_node_comes_to_its_first_invocation() {
    for arch in ARCHS {
        let demo = Demo::builder()
            .program(&arch.program("bramble"))
            .nodes(1)
            .engine("process")
            .start();
        demo.deploy(json!({
            "service": "nodeinfo",
            "image": "bramble/nodeinfo:latest",
            "limits": {"memory": "64Mi"},
        }));
        let answer = demo.client().get("/function/nodeinfo");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = format!("Arch: {}\n", arch.calls_itself);
        assert!(answer.text().contains(&found), "{}", answer.text());
        assert_eq!(demo.end(), Some(0));
    }
}
