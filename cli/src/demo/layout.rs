//! Where the demo keeps what: the folder that `--data` names.
//!
//! ```text
//! DIR/password                 the admin password (mode 0600)
//! DIR/bramble.toml             what every card says, with the join key (DIR/join-key)
//! DIR/nodes/<name>/            state of one node, and:
//!     identity/                its key, and once it has joined its certificate
//!     addresses.toml           where it is reached
//!     pid  http  log           while it runs: process id, its own address, what it says
//!     unplugged                there while somebody has pulled the plug
//! ```

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The demo's folder.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder `root`, made if it is not there.
    pub(super) fn create(root: &Path) -> Result<Self> {
        let doing = || format!("failed to make the folder {}", root.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root.join("nodes"))
            .with_context(doing)?;
        Ok(Self {
            root: root.canonicalize().with_context(doing)?,
        })
    }

    /// The folder of a demo that runs: `root`, or the one started last by this user.
    pub(super) fn find(root: Option<&Path>) -> Result<Self> {
        let root = match root {
            Some(root) => root.to_owned(),
            None => fs::read_link(pointer()).map_err(|_| {
                anyhow::anyhow!(
                    "no demo runs here: start one with `bramble demo`, or name its folder with --data DIR"
                )
            })?,
        };
        if !root.join("nodes").is_dir() {
            bail!("{} is not the folder of a demo", root.display());
        }
        Ok(Self { root })
    }

    /// Lets [`find`](Self::find) find this demo.
    pub(super) fn announce(&self) {
        let pointer = pointer();
        _ = fs::remove_file(&pointer);
        // Only a convenience: `--data` always works.
        _ = symlink(&self.root, &pointer);
    }

    /// Takes back [`announce`](Self::announce).
    pub(super) fn withdraw(&self) {
        let pointer = pointer();
        if fs::read_link(&pointer).is_ok_and(|target| target == self.root) {
            _ = fs::remove_file(&pointer);
        }
    }

    /// A file or folder directly in the demo's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of the node `name`.
    pub(super) fn node(&self, name: &str) -> NodeFolder {
        NodeFolder(self.root.join("nodes").join(name))
    }

    /// Names of all nodes, in the order in which they were made.
    pub(super) fn node_names(&self) -> Result<Vec<String>> {
        let list = self.root.join("nodes.list");
        match fs::read_to_string(&list) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", list.display())),
        }
    }

    /// Remembers the names of all nodes.
    pub(super) fn set_node_names(&self, names: &[String]) -> Result<()> {
        let list = self.root.join("nodes.list");
        fs::write(&list, names.join("\n") + "\n")
            .with_context(|| format!("failed to write {}", list.display()))
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write_private(&self, name: &str, content: &str) -> Result<()> {
        let path = self.file(name);
        fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, content.as_bytes()))
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

/// Where the running demo of this user is found by the other commands.
fn pointer() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || std::env::temp_dir().join(format!("bramble-demo-of-{}", rustix::process::getuid().as_raw())),
        |folder| PathBuf::from(folder).join("bramble-demo"),
    )
}

/// The folder of one virtual Pi.
#[derive(Clone, Debug)]
pub(super) struct NodeFolder(PathBuf);

impl NodeFolder {
    /// The folder itself: the node's state.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether somebody has pulled the plug.
    pub(super) fn is_unplugged(&self) -> bool {
        self.file("unplugged").exists()
    }

    /// Pulls the plug, or puts it back in. The running demo sees it.
    pub(super) fn set_unplugged(&self, unplugged: bool) -> io::Result<()> {
        let marker = self.file("unplugged");
        if unplugged {
            fs::write(marker, "")
        } else {
            match fs::remove_file(marker) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }
    }

    /// Whether the node's process runs, as far as its files tell.
    pub(super) fn is_running(&self) -> bool {
        self.file("pid").exists()
    }

    /// Forgets the process that has ended.
    pub(super) fn forget_process(&self) {
        for name in ["pid", "http"] {
            _ = fs::remove_file(self.file(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plug_is_pulled_once_and_put_back_in_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let node = layout.node("pi-3b-0001");
        fs::create_dir_all(node.path()).unwrap();

        assert!(!node.is_unplugged());
        node.set_unplugged(true).unwrap();
        node.set_unplugged(true).unwrap();
        assert!(node.is_unplugged());
        node.set_unplugged(false).unwrap();
        node.set_unplugged(false).unwrap();
        assert!(!node.is_unplugged());
    }

    #[test]
    fn private_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        layout.write_private("password", "s3cret").unwrap();
        let mode = fs::metadata(layout.file("password"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
