//! Who this node is: its key, the certificate that lets it into a bramble, and that bramble's authority.
//!
//! Kept as three PEM files in one directory, readable by their owner alone. The key never leaves the node.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use api::NodeId;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use sha2::Sha256;

use crate::{Authority, AuthorityError, tls::Configs, verify};

const KEY_FILE: &str = "key.pem";
const CERTIFICATE_FILE: &str = "certificate.pem";
const AUTHORITY_FILE: &str = "authority.pem";

/// What is wrong with a node's key or certificate, or with the files they are kept in.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key could not be made or used.
    #[error("failed to make the node's key")]
    Key(#[source] rcgen::Error),
    /// A file could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("failed to write `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what its name says.
    #[error("`{path}` is damaged: it holds no {what} in PEM")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The certificate is about another key.
    #[error("the certificate is not this node's: it belongs to {theirs}, the key to {ours}")]
    AnotherKey {
        /// Whose key it is.
        ours: NodeId,
        /// Whose key the certificate is about.
        theirs: NodeId,
    },
    /// The certificate's name, signature or purpose is not what a node's must be.
    #[error("the certificate of node {node} is not valid in this bramble")]
    NotValid {
        /// Whose certificate.
        node: NodeId,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// A node's private key (P-256), before or after a bramble certified it.
pub struct NodeKey {
    key: KeyPair,
    id: NodeId,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Clone for NodeKey {
    fn clone(&self) -> Self {
        let key = KeyPair::try_from(self.key.serialized_der()).expect("a key reads back what it wrote");
        Self { key, id: self.id }
    }
}

impl NodeKey {
    /// A new key, and with it a new node.
    ///
    /// # Errors
    /// [`IdentityError::Key`] if the system gives no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        KeyPair::generate()
            .map(Self::from_pair)
            .map_err(IdentityError::Key)
    }

    fn from_pair(key: KeyPair) -> Self {
        let id = NodeId::from_public_key(&key.subject_public_key_info());
        Self { key, id }
    }

    /// Reads the key from `directory`, where [`save`](Self::save) or [`Identity::save`] put it.
    ///
    /// # Errors
    /// [`IdentityError::Read`] and [`IdentityError::Damaged`].
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(KEY_FILE);
        let text = read(&path)?;
        KeyPair::from_pem(&text)
            .map(Self::from_pair)
            .map_err(|_| IdentityError::Damaged {
                path,
                what: "private key",
            })
    }

    /// Writes the key into `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// [`IdentityError::Write`].
    pub fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        write(directory, KEY_FILE, &self.key.serialize_pem())
    }

    /// The id of the node that has this key.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// A certificate that nobody but this node vouches for: all that it can show before it joins.
    pub(crate) fn self_signed(&self) -> Result<CertificateDer<'static>, IdentityError> {
        let params = CertificateParams::new([verify::san_of(self.id)]).map_err(IdentityError::Key)?;
        let certificate = params.self_signed(&self.key).map_err(IdentityError::Key)?;
        Ok(certificate.der().clone())
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// The request with which this node asks [`Authority::issue`] for a certificate (PKCS #10, DER).
    ///
    /// # Errors
    /// [`IdentityError::Key`] if signing fails.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let request = CertificateParams::default()
            .serialize_request(&self.key)
            .map_err(IdentityError::Key)?;
        Ok(request.der().to_vec())
    }
}

/// A node that a bramble has certified. Everything that [`serve`](crate::serve) and [`Client`](crate::Client) need.
#[derive(Debug)]
pub struct Identity {
    key: NodeKey,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    pub(crate) configs: Configs,
}

impl Identity {
    /// Puts together a key, its certificate and the certificate of the bramble's authority (both DER), and checks
    /// that they belong together.
    ///
    /// # Errors
    /// [`IdentityError::AnotherKey`] and [`IdentityError::NotValid`].
    pub fn new(
        key: NodeKey,
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
    ) -> Result<Self, IdentityError> {
        let refuse = |source| IdentityError::NotValid { node: key.id, source };
        let public_key = verify::public_key_of(&certificate).map_err(refuse)?;
        let theirs = NodeId::from_public_key(&public_key);
        if theirs != key.id {
            return Err(IdentityError::AnotherKey { ours: key.id, theirs });
        }
        let configs = Configs::new(&key.private(), &certificate, &authority).map_err(refuse)?;
        Ok(Self {
            key,
            certificate,
            authority,
            configs,
        })
    }

    /// A new node, certified by `authority` on the spot: for a bramble that is made in one place.
    ///
    /// # Errors
    /// [`AuthorityError::Create`] if the system gives no randomness.
    pub fn issued_by(authority: &Authority) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()
            .map(NodeKey::from_pair)
            .map_err(AuthorityError::Create)?;
        let certificate = authority.certify(key.id, &key.key)?;
        Ok(Self::new(key, certificate, authority.certificate().clone())
            .expect("what an authority certifies, it recognises"))
    }

    /// Reads an identity from the directory that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`IdentityError`], which says which file is missing, damaged or not a match.
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let key = NodeKey::load(directory)?;
        let certificate = |file, what| {
            let path = directory.join(file);
            CertificateDer::from_pem_slice(read(&path)?.as_bytes())
                .map_err(|_| IdentityError::Damaged { path, what })
        };
        Self::new(
            key,
            certificate(CERTIFICATE_FILE, "certificate")?,
            certificate(AUTHORITY_FILE, "certificate")?,
        )
    }

    /// Writes `key.pem`, `certificate.pem` and `authority.pem` into `directory`, each whole or not at all.
    ///
    /// # Errors
    /// [`IdentityError::Write`].
    pub fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        self.key.save(directory)?;
        write(directory, CERTIFICATE_FILE, &pem(&self.certificate))?;
        write(directory, AUTHORITY_FILE, &pem(&self.authority))
    }

    /// Who this is.
    pub fn id(&self) -> NodeId {
        self.key.id
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        self.key.private()
    }

    /// A key that only this node can derive, one for each `purpose`.
    ///
    /// # Panics
    /// Never: a MAC takes a key of any length.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let private = self.key.private();
        let mut mac = Hmac::<Sha256>::new_from_slice(private.secret_der()).expect("takes any key");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The certificate of the bramble's authority, DER.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// This node's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only its owner may read: beside it first, then moved into place, so that a power cut leaves the
/// old one or the new one.
fn write(directory: &Path, file: &str, text: &str) -> Result<(), IdentityError> {
    let path = directory.join(file);
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let unfinished = directory.join(format!("{file}.new"));
        // Left over from a write that was cut off, with whatever mode.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(directory)?.sync_all()
    };
    attempt().map_err(|source| IdentityError::Write {
        path: path.clone(),
        source,
    })
}

/// A certificate as PEM (RFC 7468).
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
