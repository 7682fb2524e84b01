//! A machine of its own, as far as its network, its host name and what is mounted go.
//!
//! A process that does nothing holds the namespaces. It ends when the test program does, however that ends, and with
//! it everything goes that was plugged in.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{fd::AsFd, unix::fs::MetadataExt},
    panic::resume_unwind,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// What every machine calls itself: nodes must not mind.
pub const HOSTNAME: &str = "raspberrypi";

/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(10);

/// A machine without interfaces, but for the loopback.
#[derive(Debug)]
pub(super) struct Machine {
    holder: Child,
    network: File,
}

impl Machine {
    /// `Err` says why there can be none here.
    pub(super) fn start() -> Result<Self, String> {
        // What is said of interfaces in /sys depends on who mounted it.
        let begin = format!(
            "mount -t sysfs sysfs /sys && hostname {HOSTNAME} && ip link set lo up && echo ready && exec cat"
        );
        let mut holder = Command::new("unshare")
            .args(["--net", "--uts", "--mount", "--propagation", "slave"])
            .args(["sh", "-c", &begin])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("there is no `unshare` program ({error})"))?;
        let mut line = String::new();
        let out = holder.stdout.take().expect("piped above");
        _ = BufReader::new(out).read_line(&mut line);
        let network = File::open(format!("/proc/{}/ns/net", holder.id()));
        match network {
            Ok(network) if line == "ready\n" => Ok(Self { holder, network }),
            _ => {
                let output = holder.wait_with_output();
                let why = output.map_or_else(
                    |error| error.to_string(),
                    |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                );
                Err(format!("no network namespace can be made here ({why})"))
            }
        }
    }

    /// The process that stands for this machine, for `ip link add … netns PID`.
    pub(super) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A command that runs on this machine.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid().to_string()])
            .args(["--net", "--uts", "--mount", "--"])
            .arg(program);
        command
    }

    /// A command in this machine's network, with the files of the computer that the test runs on.
    pub(super) fn command_in_network(&self, program: &str) -> Command {
        // A daemon must not outlive the test, whatever becomes of it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "nsenter"])
            .args(["--target", &self.pid().to_string()])
            .args(["--net", "--uts", "--", program]);
        command
    }

    /// Runs a command line on this machine, which has to work; answers what it prints.
    pub(super) fn run(&self, line: &str) -> String {
        let output = self.command("sh").args(["-c", line]).output();
        let output = output.expect("nsenter and sh are there where unshare is");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Does something in this machine's network: sockets that are made stay in it.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                enter(&self.network);
                work()
            });
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// This machine's network, to [`enter`].
    pub(super) fn network(&self) -> File {
        self.network.try_clone().expect("there are file descriptors left")
    }

    /// Ends whatever runs on this machine, as if its plug were pulled.
    pub(super) fn end_everything(&self) {
        let deadline = Instant::now() + DYING;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            for pid in left {
                // It may have ended meanwhile.
                _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All processes in this machine's network, but the one that holds it.
    fn processes(&self) -> Vec<Pid> {
        let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let ours = self.network.metadata().map(inode).ok();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != self.pid())
            .filter(|pid| {
                let network = fs::metadata(format!("/proc/{pid}/ns/net"));
                ours.is_some() && network.map(inode).ok() == ours
            })
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end_everything();
        drop(self.holder.stdin.take());
        _ = self.holder.wait();
    }
}

/// Takes this thread, and it alone, into a network.
pub(super) fn enter(network: &File) {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("who made a namespace may enter it");
}
