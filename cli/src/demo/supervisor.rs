//! Keeps the processes of the virtual Pis as they should be: running, or dead while unplugged.
//!
//! Level-triggered: each pass compares what is wanted (the folder's `unplugged` file, whether the demo ends) with what
//! is there. A node that dies by itself is started again after [`RESTART_PAUSE`], as a Pi takes time to boot.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use api::NodeId;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{layout::NodeFolder, power::PowerStrip};
use crate::node::VirtualBoard;

/// How long a node that died stays dead.
const RESTART_PAUSE: Duration = Duration::from_secs(3);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// How long a node may take to stop in good order.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Has the C library give large pieces of memory back as soon as they are free: checking a password takes 19 MiB for a
/// moment, which would otherwise stay with the process for good. Few arenas, since a node has few threads.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_ARENA_MAX", "2")];

/// One virtual Pi.
#[derive(Clone, Debug)]
pub(super) struct VirtualPi {
    /// Its name.
    pub(super) name: String,
    /// Who it is.
    pub(super) id: NodeId,
    /// Where it takes HTTP.
    pub(super) http: SocketAddr,
    /// Its folder.
    pub(super) folder: NodeFolder,
    /// Where it takes other nodes.
    pub(super) node_port: SocketAddr,
    /// The settings on its card.
    pub(super) settings: PathBuf,
    /// What it pretends to be.
    pub(super) board: VirtualBoard,
}

/// What the processes need beside their folder.
#[derive(Clone, Debug)]
pub(super) struct Wiring {
    /// For the containers of a node whose plug is pulled.
    pub(super) power: PowerStrip,
    /// Given to all: whoever leads makes it the admin's.
    pub(super) password: String,
}

/// Runs `pi` until `stop`; then stops it in good order.
///
/// `say` is told in a sentence whatever a spectator wants to know.
pub(super) async fn supervise(
    pi: VirtualPi,
    wiring: Wiring,
    stop: CancellationToken,
    say: impl Fn(String),
) -> Result<()> {
    pi.folder.forget_process();
    let mut child: Option<Child> = None;
    let mut not_before = Instant::now();
    let mut was_unplugged = false;
    loop {
        let unplugged = pi.folder.is_unplugged();
        if let Some(running) = &mut child {
            if unplugged || stop.is_cancelled() {
                end(running, unplugged).await;
                if unplugged {
                    wiring.power.cut(pi.id).await?;
                }
                pi.folder.forget_process();
                child = None;
            } else if let Some(status) = running.try_wait().context("failed to look after a node")? {
                pi.folder.forget_process();
                child = None;
                not_before = Instant::now() + RESTART_PAUSE;
                let how = match status.signal() {
                    Some(signal) => format!("signal {signal}"),
                    None => last_words(&pi.folder.file("log")).unwrap_or_else(|| status.to_string()),
                };
                say(format!(
                    "{} died ({how}); it starts again in {} s.",
                    pi.name,
                    RESTART_PAUSE.as_secs()
                ));
            }
        } else if !unplugged && !stop.is_cancelled() && Instant::now() >= not_before {
            child = Some(start(&pi, &wiring)?);
        }
        if unplugged != was_unplugged {
            say(format!(
                "{} is {}.",
                pi.name,
                if unplugged {
                    "unplugged"
                } else {
                    "plugged in again"
                }
            ));
            was_unplugged = unplugged;
        }
        if stop.is_cancelled() && child.is_none() {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled(), if child.is_some() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// What a node said when it gave up: the last line of its log, where that is no event but its last words.
fn last_words(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next_back()?;
    Some(line.strip_prefix("bramble: ")?.to_owned())
}

fn start(pi: &VirtualPi, wiring: &Wiring) -> Result<Child> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let log_path = pi.folder.file("log");
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&log_path)
        .with_context(|| format!("failed to open {}", log_path.display()))?;
    let board = serde_json::to_string(&pi.board).context("failed to describe a board")?;
    let mut command = Command::new(program);
    command
        .args([
            "node",
            "--until-stdin-ends",
            "--no-multicast",
            "--brisk",
            "--state",
        ])
        .arg(pi.folder.path())
        .arg("--settings")
        .arg(&pi.settings)
        .args(["--http", &pi.http.to_string()])
        .args(["--node-port", &pi.node_port.to_string()])
        .args(["--virtual-board", &board])
        // The computer's own lights are not the virtual Pis'.
        .args(["--light", "none"])
        // The demo holds the other end: should it be killed, its nodes end as well.
        .stdin(Stdio::piped())
        .stdout(log.try_clone().context("failed to open the log twice")?)
        .stderr(log)
        // Ctrl-C is for the demo, which then stops its nodes in good order.
        .process_group(0)
        .kill_on_drop(true);
    command.envs(ALLOCATOR);
    let machine = pi.folder.file("machine");
    if machine.is_dir() {
        command.arg("--root").arg(machine);
    }
    command.env("BRAMBLE_ADMIN_PASSWORD", &wiring.password);
    let child = command
        .spawn()
        .with_context(|| format!("failed to start {}", pi.name))?;
    if let Some(id) = child.id() {
        fs::write(pi.folder.file("pid"), format!("{id}\n")).context("failed to write a pid file")?;
        fs::write(pi.folder.file("http"), format!("http://{}\n", pi.http))
            .context("failed to write an address file")?;
    }
    Ok(child)
}

/// Ends a node: at once when its plug is pulled, else in good order.
async fn end(child: &mut Child, pulled: bool) {
    if !pulled
        && let Some(pid) = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended in between; then there is nothing to stop.
        _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        if timeout(STOP_GRACE, child.wait()).await.is_ok() {
            return;
        }
    }
    // Fails only when it has ended already.
    _ = child.kill().await;
}
