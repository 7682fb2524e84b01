//! What is said while joining. Each message is one JSON value in the usual envelope.
//!
//! What a proof covers travels as the very text that was proved, so that a field which only a newer program knows does
//! not make the proof wrong.

use std::{fmt, net::SocketAddr};

use api::{
    NodeFacts, NodeId,
    join::{Announcement, BrambleId},
    versioned::Versioned,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::proof::Bytes32;

/// Bytes that travel as Base64.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Blob<T>(pub(super) T);

impl<T> fmt::Debug for Blob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blob")
    }
}

impl<T: AsRef<[u8]>> Serialize for Blob<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de, T: TryFrom<Vec<u8>>> Deserialize<'de> for Blob<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD
            .decode(text.as_bytes())
            .map_err(D::Error::custom)?;
        T::try_from(bytes)
            .map(Self)
            .map_err(|_| D::Error::custom("the wrong number of bytes"))
    }
}

/// What the joiner says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromJoiner {
    /// It only wants to know who is there: what mDNS would say.
    Look,
    /// It wants in.
    Hello {
        /// Whether it will only go on with someone who proves the join key.
        keyed: bool,
        /// Commitment to the nonce that comes with the request.
        commitment: Blob<Bytes32>,
    },
    /// It knows the host now and wants no more. Proves the join key, so that nobody can call up proofs unnoticed.
    Enough {
        /// The proof.
        proof: Blob<Bytes32>,
    },
    /// Who it is and what it wants.
    Request {
        /// A [`Request`] as text.
        said: String,
        /// Proof of the join key, from a joiner that has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Blob<Bytes32>>,
    },
}

impl Versioned for FromJoiner {
    const NAME: &'static str = "message of a joining node";
    const VERSION: u32 = 1;
}

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromHost {
    /// The answer to a look.
    Here(Announcement),
    /// Who it is, and that it holds the join key.
    Greeting {
        /// A [`Greeting`] as text.
        said: String,
        /// Proof of the join key, if the joiner has one too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Blob<Bytes32>>,
    },
    /// Welcome.
    Admitted {
        /// The joiner's certificate, DER.
        certificate: Blob<Vec<u8>>,
        /// The bramble's name.
        name: String,
        /// The nodes that run a controller.
        controllers: Vec<(NodeId, SocketAddr)>,
    },
    /// A person has to admit the joiner; the next answer comes when that is decided. Repeated as a sign of life.
    Waiting,
    /// The joiner waits on, and somebody wants to see which board it is, for so many seconds from now; none ends it.
    Identify {
        /// How many.
        seconds: u32,
    },
    /// The host is a candidate itself.
    NotYet,
    /// The host runs no controller; these do.
    Elsewhere {
        /// Which, and where.
        controllers: Vec<(NodeId, SocketAddr)>,
    },
    /// No.
    Refused(Refusal),
}

impl Versioned for FromHost {
    const NAME: &'static str = "answer to a joining node";
    const VERSION: u32 = 1;
}

/// Who the host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub(super) announcement: Announcement,
    /// The certificate of the bramble's authority, DER; a candidate has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<Blob<Vec<u8>>>,
    pub(super) nonce: Blob<Bytes32>,
}

impl Versioned for Greeting {
    const NAME: &'static str = "greeting";
    const VERSION: u32 = 1;
}

/// Who the joiner is and what it wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) nonce: Blob<Bytes32>,
    /// Whether a candidate may found with this node's vote.
    pub(super) vote: bool,
    pub(super) announcement: Announcement,
    /// Its node-to-node port.
    pub(super) port: u16,
    pub(super) facts: NodeFacts,
    /// The board's serial number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<String>,
    /// The bramble that it was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) formerly: Option<BrambleId>,
    /// PKCS #10, DER.
    pub(super) certificate_request: Blob<Vec<u8>>,
}

impl Versioned for Request {
    const NAME: &'static str = "request to join";
    const VERSION: u32 = 1;
}

/// Why a node is not let in, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The proof of the join key is wrong.
    #[error("the join key is not this bramble's: compare `join_key` in the bramble.toml of both cards")]
    WrongKey,
    /// It was removed, and a person has to admit it again.
    #[error("this node was removed from the bramble: admit it again in the portal")]
    Removed,
    /// A person said no.
    #[error("a person refused this node in the portal; who writes its card anew is asked again")]
    ByPerson,
    /// The host has enough to do, or cannot decide at the moment.
    #[error("the bramble is busy: this node tries again by itself")]
    Busy,
    /// The request contradicts itself.
    #[error("the request to join is damaged: update this node and the bramble to the same version")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use api::{
        Cpu, Memory,
        join::{KeyTag, Role, Standing},
        node::EngineKind,
        versioned::{decode, encode},
    };

    use super::*;

    fn matches_golden<T: Versioned + PartialEq + fmt::Debug>(name: &str, value: &T) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name);
        let text = encode(value);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read(&path).unwrap();
        assert_eq!(
            String::from_utf8(text),
            String::from_utf8(kept.clone()),
            "{name} is written differently now: raise its version, or give the new field a default"
        );
        assert_eq!(&decode::<T>(&kept).unwrap(), value, "{name} reads back as it was");
    }

    fn announcement() -> Announcement {
        Announcement {
            node: NodeId::from_number(1),
            standing: Standing::Member {
                bramble: BrambleId::from_number(2),
                key: Some(KeyTag::from_bytes([3; 8])),
                role: Role::Leader(4),
                work: true,
            },
            board: "Raspberry Pi 3 Model B Plus Rev 1.3".to_owned(),
            memory: Memory::from_mib(924),
            version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn what_a_joiner_says_is_written_as_it_always_was() {
        matches_golden("join-look.json", &FromJoiner::Look);
        let hello = FromJoiner::Hello {
            keyed: true,
            commitment: Blob([5; 32]),
        };
        matches_golden("join-hello.json", &hello);
        matches_golden("join-enough.json", &FromJoiner::Enough { proof: Blob([9; 32]) });
        let request = Request {
            nonce: Blob([6; 32]),
            vote: true,
            announcement: Announcement {
                standing: Standing::Candidate { key: None },
                ..announcement()
            },
            port: 7443,
            facts: NodeFacts {
                name: "pi-3b-plus-0001".to_owned(),
                address: "192.168.1.20:7443".parse().unwrap(),
                board: "Raspberry Pi 3 Model B Plus Rev 1.3".to_owned(),
                memory: Memory::from_mib(924),
                cpu: Cpu::from_cores(4),
                platforms: vec!["linux/arm64".parse().unwrap()],
                os: "Debian GNU/Linux 13 (trixie)".to_owned(),
                page_bytes: 4096,
                engine: EngineKind::Docker,
                version: "0.1.0".to_owned(),
                serial: None,
                devices: Default::default(),
                details: Default::default(),
            },
            serial: Some("10000000abcdef01".to_owned()),
            formerly: Some(BrambleId::from_number(9)),
            certificate_request: Blob(vec![1, 2, 3]),
        };
        matches_golden("join-request.json", &request);
        let said = FromJoiner::Request {
            said: "…".to_owned(),
            proof: Some(Blob([7; 32])),
        };
        matches_golden("join-request-said.json", &said);
    }

    #[test]
    fn what_a_host_says_is_written_as_it_always_was() {
        let greeting = Greeting {
            announcement: announcement(),
            authority: Some(Blob(vec![4, 5, 6])),
            nonce: Blob([8; 32]),
        };
        matches_golden("join-greeting.json", &greeting);
        let controllers = vec![(NodeId::from_number(1), "192.168.1.20:7443".parse().unwrap())];
        let said = [
            ("here", FromHost::Here(announcement())),
            (
                "greeting-said",
                FromHost::Greeting {
                    said: "…".to_owned(),
                    proof: None,
                },
            ),
            (
                "admitted",
                FromHost::Admitted {
                    certificate: Blob(vec![7, 8, 9]),
                    name: "bramble".to_owned(),
                    controllers: controllers.clone(),
                },
            ),
            ("waiting", FromHost::Waiting),
            ("identify", FromHost::Identify { seconds: 60 }),
            ("not-yet", FromHost::NotYet),
            ("elsewhere", FromHost::Elsewhere { controllers }),
            ("refused", FromHost::Refused(Refusal::WrongKey)),
        ];
        for (name, said) in said {
            matches_golden(&format!("join-{name}.json"), &said);
        }
    }
}
