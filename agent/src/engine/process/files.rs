//! The directories that replicas run in, below the node's own.
//!
//! ```text
//! run/root/   what every replica finds as /: the two built-in files, links for the tools, empty places for the rest
//! run/r7/     what replica r7 finds as /tmp
//! ```

use std::{fs, io, net::IpAddr, os::unix::fs::symlink, path::PathBuf};

use api::ReplicaId;

use super::sandbox::{DEVICES, SECRETS};
use crate::{builtin::Builtins, engine::GATEWAY_NAMES};

/// Where the replicas of one node live.
#[derive(Clone, Debug)]
pub(super) struct Files {
    run: PathBuf,
}

impl Files {
    /// Below `run`, which belongs to this engine alone.
    pub(super) fn new(run: PathBuf) -> Self {
        Self { run }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.run.join("root")
    }

    pub(super) fn tmp(&self, replica: ReplicaId) -> PathBuf {
        self.run.join(replica.to_string())
    }

    /// Lays out the common root anew.
    pub(super) fn lay_out(&self, builtins: &Builtins, gateway: IpAddr) -> io::Result<()> {
        match fs::remove_dir_all(&self.run) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let root = self.root();
        for directory in ["usr/bin", "bin", "tmp", "proc", "dev", "etc", SECRETS] {
            fs::create_dir_all(root.join(directory))?;
        }
        for device in DEVICES {
            fs::write(root.join("dev").join(device), "")?;
        }
        fs::write(
            root.join("etc/passwd"),
            "app:x:12000:12000:app:/tmp:/sbin/nologin\n",
        )?;
        fs::write(
            root.join("etc/hosts"),
            format!(
                "127.0.0.1 localhost\n::1 localhost\n{gateway} {}\n",
                GATEWAY_NAMES.join(" ")
            ),
        )?;
        for (from, name) in [
            (builtins.watchdog(), "fwatchdog"),
            (builtins.functions(), "functions"),
        ] {
            let to = root.join("usr/bin").join(name);
            // A link costs nothing, but not over a border between file systems.
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to)?;
            }
        }
        for tool in &builtins.table.tools {
            symlink("../usr/bin/functions", root.join("bin").join(tool))?;
        }
        Ok(())
    }

    /// Has replicas look names up as this machine does now.
    pub(super) fn copy_resolver(&self) {
        // Without it they know this node's names only.
        _ = fs::copy("/etc/resolv.conf", self.root().join("etc/resolv.conf"));
    }

    /// An empty directory for this replica, that `user` may write.
    pub(super) fn make_tmp(&self, replica: ReplicaId, user: Option<u32>) -> io::Result<PathBuf> {
        let tmp = self.tmp(replica);
        _ = fs::remove_dir_all(&tmp);
        fs::create_dir_all(&tmp)?;
        if user.is_some() {
            std::os::unix::fs::chown(&tmp, user, user)?;
        }
        Ok(tmp)
    }

    pub(super) fn remove_tmp(&self, replica: ReplicaId) {
        // What is left costs a little room until the next start.
        _ = fs::remove_dir_all(self.tmp(replica));
    }
}
