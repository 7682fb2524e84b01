//! How nodes find each other before they are one bramble: who is in sight, and what each says of itself.
//!
//! All of it is told to anyone who listens, so nothing here is a secret and nothing of it is proof: it says where to
//! knock. What a node may rely on is proved by the join protocol (the `transport` room).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Memory, NodeId, ids::short_digest, versioned::Versioned};

/// Which bramble: the first 16 bytes of the SHA-256 of its authority's certificate (DER).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrambleId([u8; 16]);

impl BrambleId {
    /// The bramble whose authority has this certificate (DER).
    pub fn from_authority(certificate_der: &[u8]) -> Self {
        Self(short_digest(certificate_der))
    }

    /// An id made of `number`, for tests and simulations.
    pub const fn from_number(number: u128) -> Self {
        Self(number.to_be_bytes())
    }
}

written_in_hexadecimal!(BrambleId, 16, "the identity of a bramble");

/// By which holders of the same join key recognise each other in sight: eight bytes derived from the stretched key.
/// Two keys with one tag are told apart by the proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyTag([u8; 8]);

impl KeyTag {
    /// The tag with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

written_in_hexadecimal!(KeyTag, 8, "the tag of a join key");

/// What a member of a bramble is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Leads, since this term.
    Leader(u64),
    /// Runs a controller.
    Controller,
    /// Neither.
    Node,
}

/// What a node is to the brambles around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Part of no bramble.
    Candidate {
        /// The join key that it holds; a node without one waits to be admitted by a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<KeyTag>,
    },
    /// Part of a bramble.
    Member {
        /// Which.
        bramble: BrambleId,
        /// The join key that lets nodes into it; without one, a person admits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<KeyTag>,
        /// What it is there.
        role: Role,
        /// Whether a person has ever changed anything in that bramble. Never turns back.
        work: bool,
    },
}

/// What a node says of itself to all who listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Announcement {
    /// Who speaks.
    pub node: NodeId,
    /// What it is.
    pub standing: Standing,
    /// Its board in people's words.
    pub board: String,
    /// Its memory.
    pub memory: Memory,
    /// Version of the program that it runs.
    pub version: String,
}

impl Versioned for Announcement {
    const NAME: &'static str = "announcement";
    const VERSION: u32 = 1;
}

/// A node in sight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sighting {
    /// What it says of itself.
    pub announcement: Announcement,
    /// Where its node-to-node port may be reached, the best first. IPv6 link-local addresses carry their scope.
    pub addresses: Vec<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back_what_they_print() {
        let bramble = BrambleId::from_authority(b"some certificate");
        assert_eq!(bramble.to_string().parse::<BrambleId>().unwrap(), bramble);
        let key = KeyTag::from_bytes([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(key.to_string(), "00010203fcfdfeff");
        assert_eq!(key.to_string().parse::<KeyTag>().unwrap(), key);
    }

    #[test]
    fn an_identity_of_the_wrong_shape_is_refused() {
        for bad in [
            "",
            "00010203fcfdfef",
            "00010203fcfdfefg",
            "+0010203fcfdfeff",
            "äöüäöüää",
        ] {
            assert!(bad.parse::<KeyTag>().is_err(), "{bad}");
        }
    }
}
