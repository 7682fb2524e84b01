//! What a proof of the join key is made over.

use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use super::key::JoinSecret;

/// A proof, a hash, a nonce.
pub(super) type Bytes32 = [u8; 32];

/// One TLS connection between two keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    /// What only the two ends of this connection can know (RFC 9266, `tls-exporter`).
    pub(super) exporter: Bytes32,
    /// SHA-256 of the host's public key (SubjectPublicKeyInfo, DER).
    pub(super) host_key: Bytes32,
    /// SHA-256 of the joiner's. The exporter does not cover a client's certificate.
    pub(super) joiner_key: Bytes32,
}

/// Who proves. It keeps one side's proof from being sent back as the other's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prover {
    Host,
    Joiner,
}

/// SHA-256.
pub(super) fn hash(bytes: &[u8]) -> Bytes32 {
    Sha256::digest(bytes).into()
}

/// The commitment to a nonce.
pub(super) fn commitment(nonce: &Bytes32) -> Bytes32 {
    let mut hash = Sha256::new();
    hash.update(b"bramble join 1: commitment");
    hash.update(nonce);
    hash.finalize().into()
}

/// The proof that its maker holds the join key and said what hashes to `said`, in order, on this channel.
pub(super) fn prove(secret: &JoinSecret, who: Prover, channel: &Channel, said: &[Bytes32]) -> Bytes32 {
    mac(secret, who, channel, said).finalize().into_bytes().into()
}

/// Whether `proof` is that; takes the same time either way.
pub(super) fn holds(
    secret: &JoinSecret,
    who: Prover,
    channel: &Channel,
    said: &[Bytes32],
    proof: &Bytes32,
) -> bool {
    mac(secret, who, channel, said).verify_slice(proof).is_ok()
}

fn mac(secret: &JoinSecret, who: Prover, channel: &Channel, said: &[Bytes32]) -> hmac::Hmac<Sha256> {
    let mut mac = secret.mac();
    mac.update(match who {
        Prover::Host => b"bramble join 1: the host  ",
        Prover::Joiner => b"bramble join 1: the joiner",
    });
    // Everything that follows has 32 bytes, and each side sends a fixed number of things.
    for part in [&channel.exporter, &channel.host_key, &channel.joiner_key]
        .into_iter()
        .chain(said)
    {
        mac.update(part);
    }
    mac
}
