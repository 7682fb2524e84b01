//! A Docker Engine that is a test's own: folder, socket and containers, which all go with it.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::demo::wait_for;

/// A running Docker Engine.
#[derive(Debug)]
pub struct DockerEngine {
    child: Child,
    place: String,
    folder: PathBuf,
}

impl DockerEngine {
    /// Starts one that keeps everything in `folder`, whose path has to be short: a socket is in it. `dockerd` runs the
    /// program, with `more` arguments. [`wait`](Self::wait) until it answers.
    pub fn start(mut dockerd: Command, folder: PathBuf, more: &[&str]) -> Self {
        fs::create_dir_all(&folder).expect("the test's folder is its own");
        let place = format!("unix://{}/docker.sock", folder.display());
        let log = File::create(folder.join("dockerd.log")).expect("made above");
        let child = dockerd
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .args(["-H", &place])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd is installed: `make test` does that");
        Self { child, place, folder }
    }

    /// Where it is reached, as `DOCKER_HOST` has it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Runs the docker command on it; answers what that prints.
    ///
    /// # Errors
    /// What it prints where it fails.
    pub fn docker(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            .args(["-H", &self.place])
            .args(args)
            .env("DOCKER_CONFIG", &self.folder)
            .output()
            .expect("docker is installed: `make test` does that");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Who `docker` on it signs in as.
    pub fn set_config(&self, config: &str) {
        fs::write(self.folder.join("config.json"), config).expect("the test's folder is its own");
    }

    /// Waits until it answers.
    pub fn wait(&self) {
        wait_for("dockerd to answer", || self.docker(&["version"]).ok());
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // Containers would outlive their engine.
        if let Ok(ids) = self.docker(&["ps", "-aq"]) {
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                _ = self.docker(&[&["rm", "-f"], ids.as_slice()].concat());
            }
        }
        if let Ok(ids) = self.docker(&["network", "ls", "-q", "--filter", "label=bramble.node"]) {
            for id in ids.split_whitespace() {
                _ = self.docker(&["network", "rm", id]);
            }
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            _ = kill_process(pid, Signal::TERM);
        }
        _ = self.child.wait();
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let its = self.folder.display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&its) {
                _ = Command::new("umount").arg(mount).status();
            }
        }
    }
}
