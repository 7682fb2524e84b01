//! What a node keeps on its card, beside what its parts keep: who it is, and which bramble it is part of.
//!
//! ```text
//! DIR/identity/key.pem                            who it is, from its first start
//! DIR/identity/certificate.pem, authority.pem     once it is part of a bramble
//! DIR/member.toml                                 that bramble's name and controllers
//! DIR/founding.pem                                while it founds: the authority, until the bramble keeps it itself
//! DIR/raft/                                       while it runs a controller
//! DIR/nodes                                       who takes part in the bramble, as this node heard last
//! DIR/removed                                     once it was removed: from which bramble
//! DIR/leaving                                     while it forgets all of the above but its key
//! ```
//!
//! Written at a few moments in a node's life, so that a power cut between any two of them does no harm: a founder
//! that was interrupted founds the same bramble again.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use api::{
    NodeId,
    versioned::{decode, encode},
};
use serde::{Deserialize, Serialize};
use transport::{Authority, Identity, NodeKey};

use super::insiders::Known;

/// The node's folder.
#[derive(Clone, Debug)]
pub(super) struct Home(PathBuf);

/// Which bramble a node is part of, for the first contact after a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    /// The bramble's name.
    pub(super) name: String,
    /// Whether a person is known to have changed anything in it: this node never leaves it by itself then.
    #[serde(default)]
    pub(super) work: bool,
    /// What the bramble calls this node, where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node_name: Option<String>,
    /// The nodes that ran a controller when this one joined.
    #[serde(default)]
    pub(super) controllers: Vec<Contact>,
}

/// A node, and where it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contact {
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
}

impl Home {
    /// The folder `path`, made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let doing = || format!("failed to use {} as this node's folder", path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(doing)?;
        let home = Self(path.canonicalize().with_context(doing)?);
        if home.leaving_file().exists() {
            home.leave()?;
        }
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn identity_dir(&self) -> PathBuf {
        self.0.join("identity")
    }

    pub(super) fn raft_dir(&self) -> PathBuf {
        self.0.join("raft")
    }

    fn membership_file(&self) -> PathBuf {
        self.0.join("member.toml")
    }

    fn founding_file(&self) -> PathBuf {
        self.0.join("founding.pem")
    }

    fn nodes_file(&self) -> PathBuf {
        self.0.join("nodes")
    }

    fn removed_file(&self) -> PathBuf {
        self.0.join("removed")
    }

    fn leaving_file(&self) -> PathBuf {
        self.0.join("leaving")
    }

    /// The node's key; a new one at its first start.
    pub(super) fn key(&self) -> Result<NodeKey> {
        let directory = self.identity_dir();
        if directory.join("key.pem").exists() {
            return NodeKey::load(&directory).context("failed to read the node's key");
        }
        let key = NodeKey::generate().context("failed to make the node's key")?;
        key.save(&directory).context("failed to keep the node's key")?;
        Ok(key)
    }

    /// Whose part this node is, if it is part of a bramble.
    pub(super) fn membership(&self) -> Result<Option<(Identity, Membership)>> {
        let directory = self.identity_dir();
        if !directory.join("certificate.pem").exists() || !directory.join("authority.pem").exists() {
            return Ok(None);
        }
        let Ok(text) = fs::read_to_string(self.membership_file()) else {
            return Ok(None);
        };
        let identity = Identity::load(&directory).context("failed to read the node's identity")?;
        let membership = toml::from_str(&text).context("member.toml is damaged")?;
        Ok(Some((identity, membership)))
    }

    /// Keeps that a person has changed something in the bramble: written once in a membership.
    pub(super) fn note_work(&self) -> Result<()> {
        self.note(|membership| membership.work = true)
    }

    /// Keeps what the bramble calls this node.
    pub(super) fn note_name(&self, name: &str) -> Result<()> {
        self.note(|membership| membership.node_name = Some(name.to_owned()))
    }

    /// Changes the membership, if there is one; written only where it is another one then.
    fn note(&self, change: impl FnOnce(&mut Membership)) -> Result<()> {
        let Some((_, before)) = self.membership()? else {
            return Ok(());
        };
        let mut membership = before.clone();
        change(&mut membership);
        if membership == before {
            return Ok(());
        }
        let text = toml::to_string(&membership).context("failed to write the membership as TOML")?;
        write(&self.membership_file(), &text)
    }

    /// Who takes part in the bramble, as this node heard last; `None` where it has heard nothing yet.
    pub(super) fn known(&self) -> Result<Option<Known>> {
        match fs::read(self.nodes_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.context("failed to read the list of nodes")?;
                decode(&text).map(Some).context("the list of nodes is damaged")
            }
        }
    }

    /// Keeps who takes part.
    pub(super) fn keep_known(&self, known: &Known) -> Result<()> {
        let text = String::from_utf8(encode(known)).expect("JSON is text");
        write(&self.nodes_file(), &text)
    }

    /// Keeps that this node was removed from the bramble of this name.
    pub(super) fn note_removed(&self, bramble: &str) -> Result<()> {
        write(&self.removed_file(), bramble)
    }

    /// The bramble that this node was removed from, until somebody lets it in again.
    pub(super) fn removed_from(&self) -> Option<String> {
        fs::read_to_string(self.removed_file()).ok()
    }

    /// Forgets the bramble, and what was kept for it. Who this node is stays. Goes on where it was interrupted.
    pub(super) fn leave(&self) -> Result<()> {
        write(&self.leaving_file(), "")?;
        self.forget_controller()?;
        let identity = self.identity_dir();
        for file in [
            self.founding_file(),
            self.membership_file(),
            self.nodes_file(),
            identity.join("certificate.pem"),
            identity.join("authority.pem"),
            self.leaving_file(),
        ] {
            remove(&file)?;
        }
        Ok(())
    }

    /// Keeps that this node is part of a bramble.
    pub(super) fn join(&self, identity: &Identity, membership: &Membership) -> Result<()> {
        let text = toml::to_string(membership).context("failed to write the membership as TOML")?;
        write(&self.membership_file(), &text)?;
        identity
            .save(&self.identity_dir())
            .context("failed to keep the node's certificate")?;
        remove(&self.removed_file())
    }

    /// Keeps the authority of the bramble that this node begins to found.
    pub(super) fn begin_founding(&self, authority: &Authority) -> Result<()> {
        let text = format!("{}{}", authority.certificate_pem(), authority.key_pem());
        write(&self.founding_file(), &text)
    }

    /// The authority of the bramble that this node founds, as long as the bramble does not keep it itself.
    pub(super) fn founding(&self) -> Result<Option<Authority>> {
        let text = match fs::read_to_string(self.founding_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.context("failed to read founding.pem")?,
        };
        let key = text
            .find("-----BEGIN PRIVATE KEY")
            .context("founding.pem is damaged; remove it, and this node looks for a bramble again")?;
        let (certificate, key) = text.split_at(key);
        let authority = Authority::from_pem(certificate, key).context("founding.pem is damaged")?;
        Ok(Some(authority))
    }

    /// The bramble keeps its authority itself now.
    pub(super) fn end_founding(&self) -> Result<()> {
        remove(&self.founding_file())
    }

    /// Whether this node has run a controller.
    pub(super) fn has_controller(&self) -> bool {
        self.raft_dir().exists()
    }

    /// Forgets what the controller kept.
    pub(super) fn forget_controller(&self) -> Result<()> {
        match fs::remove_dir_all(self.raft_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("failed to remove what the controller kept")
            }
            _ => Ok(()),
        }
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let unfinished = path.with_extension("new");
    let doing = || format!("failed to write {}", path.display());
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(doing)?;
    io::Write::write_all(&mut file, text.as_bytes()).with_context(doing)?;
    file.sync_all().with_context(doing)?;
    fs::rename(&unfinished, path).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("state")).unwrap();
        (folder, home)
    }

    #[test]
    fn a_node_keeps_its_key_and_is_part_of_nothing_at_first() {
        let (_folder, home) = home();
        let id = home.key().unwrap().id();
        assert_eq!(home.key().unwrap().id(), id);
        assert!(home.membership().unwrap().is_none());
    }

    #[test]
    fn a_founder_that_was_interrupted_finds_its_authority_again() {
        let (_folder, home) = home();
        assert!(home.founding().unwrap().is_none());
        let authority = Authority::create().unwrap();
        home.begin_founding(&authority).unwrap();
        let again = home.founding().unwrap().unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        home.end_founding().unwrap();
        home.end_founding().unwrap();
        assert!(home.founding().unwrap().is_none());
    }

    /// Becomes part of a bramble of its own.
    fn joins(home: &Home) -> (Identity, Membership) {
        let authority = Authority::create().unwrap();
        let key = home.key().unwrap();
        let (_, certificate) = authority.issue(&key.request().unwrap()).unwrap();
        let identity = Identity::new(key, certificate, authority.certificate().clone()).unwrap();
        let membership = Membership {
            name: "garden".to_owned(),
            work: false,
            node_name: None,
            controllers: vec![Contact {
                id: NodeId::from_number(1),
                address: "192.168.1.20:7443".parse().unwrap(),
            }],
        };
        home.join(&identity, &membership).unwrap();
        (identity, membership)
    }

    #[test]
    fn a_member_stays_one_after_a_restart() {
        let (_folder, home) = home();
        let (identity, membership) = joins(&home);
        let (kept, again) = home.membership().unwrap().unwrap();
        assert_eq!((kept.id(), again), (identity.id(), membership));
    }

    #[test]
    fn who_takes_part_is_kept_and_forgotten_with_the_bramble() {
        let (_folder, home) = home();
        joins(&home);
        assert_eq!(home.known().unwrap(), None);
        let known = Known {
            nodes: [NodeId::from_number(1)].into(),
            removed: [NodeId::from_number(2)].into(),
        };
        home.keep_known(&known).unwrap();
        assert_eq!(home.known().unwrap(), Some(known));
        home.leave().unwrap();
        assert_eq!(home.known().unwrap(), None);
    }

    #[test]
    fn that_somebody_worked_with_a_bramble_and_what_it_calls_a_node_is_kept() {
        let (_folder, home) = home();
        joins(&home);
        home.note_work().unwrap();
        home.note_name("window").unwrap();
        home.note_work().unwrap();
        let (_, membership) = home.membership().unwrap().unwrap();
        assert!(membership.work && membership.node_name.as_deref() == Some("window"));
        assert_eq!(membership.controllers.len(), 1);
    }

    #[test]
    fn who_leaves_forgets_the_bramble_and_stays_who_it_is() {
        let (_folder, home) = home();
        let (identity, _) = joins(&home);
        fs::create_dir_all(home.raft_dir().join("log")).unwrap();
        home.begin_founding(&Authority::create().unwrap()).unwrap();
        home.leave().unwrap();
        assert!(home.membership().unwrap().is_none() && home.founding().unwrap().is_none());
        assert!(!home.has_controller());
        assert_eq!(home.key().unwrap().id(), identity.id());
    }

    #[test]
    fn who_was_removed_knows_it_until_somebody_lets_it_in_again() {
        let (_folder, home) = home();
        joins(&home);
        home.note_removed("garden").unwrap();
        home.leave().unwrap();
        assert_eq!(home.removed_from().as_deref(), Some("garden"));
        joins(&home);
        assert_eq!(home.removed_from(), None);
    }

    #[test]
    fn leaving_that_was_interrupted_goes_on_at_the_next_start() {
        let (_folder, home) = home();
        joins(&home);
        fs::create_dir_all(home.raft_dir()).unwrap();
        write(&home.leaving_file(), "").unwrap();
        let again = Home::open(home.path()).unwrap();
        assert!(again.membership().unwrap().is_none() && !again.has_controller());
        assert!(!again.leaving_file().exists());
    }
}
