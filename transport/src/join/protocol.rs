//! Both sides of the conversation, without I/O: bytes in, bytes and conclusions out. Randomness is passed in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{
    NodeFacts, NodeId,
    join::{Announcement, BrambleId, Sighting, Standing},
    versioned::{decode, encode},
};
use rustls_pki_types::CertificateDer;

use super::{
    Fingerprint, JoinError, JoinSecret, Refusal,
    host::{Decision, HostSelf},
    knock::Admitted,
    message::{Blob, FromHost, FromJoiner, Greeting, Request},
    proof::{Bytes32, Channel, Prover, commitment, hash, holds, prove},
};
use crate::{
    Authority, AuthorityError,
    verify::{node_of, vouches_for},
};

/// What a joiner tells of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduction {
    /// What it announces.
    pub announcement: Announcement,
    /// Its node-to-node port.
    pub port: u16,
    /// What it is.
    pub facts: NodeFacts,
    /// The board's serial number, where it has one: a card that was flashed anew is recognised by it.
    pub serial: Option<String>,
    /// The bramble that it was part of, if that bramble is gone.
    pub formerly: Option<BrambleId>,
}

/// A node that wants in. That it holds the key of its id is proved; what it tells of itself is its word.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinRequest {
    /// Who.
    pub node: NodeId,
    /// Where it knocks from.
    pub from: SocketAddr,
    /// Whether it proved that it holds the host's join key. If not, a person has to admit it.
    pub proved: bool,
    /// What a person compares; the node shows the same.
    pub fingerprint: Fingerprint,
    /// Whether it wants this node to found, if this node is a candidate.
    pub vote: bool,
    /// What it announces, with where its node-to-node port is likely to be reached.
    pub sighting: Sighting,
    /// What it is.
    pub facts: NodeFacts,
    /// The board's serial number.
    pub serial: Option<String>,
    /// The bramble that it was part of.
    pub formerly: Option<BrambleId>,
    /// Its request for a certificate (PKCS #10, DER), for [`Authority::issue`].
    pub certificate_request: Vec<u8>,
}

impl JoinRequest {
    /// The certificate with which this node is let in.
    ///
    /// # Errors
    /// [`AuthorityError`]; in particular where the request is for another key than the node knocked with.
    pub fn certify(&self, authority: &Authority) -> Result<CertificateDer<'static>, AuthorityError> {
        let (node, certificate) = authority.issue(&self.certificate_request)?;
        match node == self.node {
            true => Ok(certificate),
            false => Err(AuthorityError::AnotherKey {
                asked: self.node,
                named: node,
            }),
        }
    }
}

/// What the host does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Says this and hears on.
    Say(Vec<u8>),
    /// Says this, and that is all.
    SayAndEnd(Vec<u8>),
    /// Says nothing any more: the joiner has what it wanted.
    End,
    /// Asks what to do with this node, and says that.
    Decide(Box<JoinRequest>),
    /// Says no.
    Refuse(Refusal),
}

#[derive(Debug)]
enum HostState {
    Fresh,
    Greeted {
        keyed: bool,
        hello: Bytes32,
        commitment: Bytes32,
        greeting: Bytes32,
    },
    Heard,
}

/// The host's side of one conversation.
#[derive(Debug)]
pub(super) struct Host {
    me: HostSelf,
    channel: Channel,
    joiner: NodeId,
    from: SocketAddr,
    nonce: Bytes32,
    state: HostState,
}

impl Host {
    pub(super) fn new(
        me: HostSelf,
        channel: Channel,
        joiner: NodeId,
        from: SocketAddr,
        nonce: Bytes32,
    ) -> Self {
        Self {
            me,
            channel,
            joiner,
            from,
            nonce,
            state: HostState::Fresh,
        }
    }

    /// The joiner said something.
    pub(super) fn heard(&mut self, message: &[u8]) -> Turn {
        let Ok(said) = decode::<FromJoiner>(message) else {
            return Turn::Refuse(Refusal::Damaged);
        };
        match (std::mem::replace(&mut self.state, HostState::Heard), said) {
            (HostState::Fresh, FromJoiner::Look) => {
                Turn::SayAndEnd(encode(&FromHost::Here(self.me.announcement.clone())))
            }
            (HostState::Fresh, FromJoiner::Hello { keyed, commitment }) => {
                self.greet(keyed, commitment.0, hash(message))
            }
            (
                HostState::Greeted {
                    keyed,
                    hello,
                    commitment,
                    greeting,
                },
                FromJoiner::Request { said, proof },
            ) if keyed == proof.is_some() => {
                self.asked([hello, greeting], &commitment, &said, proof.map(|proof| proof.0))
            }
            (HostState::Greeted { hello, greeting, .. }, FromJoiner::Enough { proof }) => {
                let secret = self.me.secret.as_deref();
                let said = [hello, greeting];
                match secret.is_some_and(|it| holds(it, Prover::Joiner, &self.channel, &said, &proof.0)) {
                    true => Turn::End,
                    false => Turn::Refuse(Refusal::WrongKey),
                }
            }
            _ => Turn::Refuse(Refusal::Damaged),
        }
    }

    fn greet(&mut self, keyed: bool, commitment: Bytes32, hello: Bytes32) -> Turn {
        let greeting = Greeting {
            announcement: self.me.announcement.clone(),
            authority: self
                .me
                .authority
                .as_ref()
                .map(|authority| Blob(authority.to_vec())),
            nonce: Blob(self.nonce),
        };
        let said = String::from_utf8(encode(&greeting)).expect("JSON is text");
        let greeting = hash(said.as_bytes());
        let secret = self.me.secret.as_deref().filter(|_| keyed);
        let proof = secret.map(|secret| Blob(prove(secret, Prover::Host, &self.channel, &[hello, greeting])));
        self.state = HostState::Greeted {
            keyed,
            hello,
            commitment,
            greeting,
        };
        Turn::Say(encode(&FromHost::Greeting { said, proof }))
    }

    fn asked(
        &self,
        [hello, greeting]: [Bytes32; 2],
        promised: &Bytes32,
        said: &str,
        proof: Option<Bytes32>,
    ) -> Turn {
        let proved = match (&self.me.secret, proof) {
            (Some(secret), Some(proof)) => {
                let said = [hello, greeting, hash(said.as_bytes())];
                if !holds(secret, Prover::Joiner, &self.channel, &said, &proof) {
                    return Turn::Refuse(Refusal::WrongKey);
                }
                true
            }
            (None, Some(_)) => return Turn::Refuse(Refusal::WrongKey),
            (_, None) => false,
        };
        let request = match decode::<Request>(said.as_bytes()) {
            Ok(request)
                if request.announcement.node == self.joiner && commitment(&request.nonce.0) == *promised =>
            {
                request
            }
            _ => return Turn::Refuse(Refusal::Damaged),
        };
        Turn::Decide(Box::new(JoinRequest {
            node: self.joiner,
            from: self.from,
            proved,
            fingerprint: Fingerprint::of(
                &self.channel,
                &authority_hash(self.me.authority.as_ref()),
                &request.nonce.0,
                &self.nonce,
            ),
            vote: request.vote,
            sighting: Sighting {
                announcement: request.announcement,
                addresses: vec![with_port(self.from, request.port)],
            },
            facts: request.facts,
            serial: request.serial,
            formerly: request.formerly,
            certificate_request: request.certificate_request.0,
        }))
    }

    /// What was decided, as a message.
    pub(super) fn say(decision: &Decision) -> Vec<u8> {
        encode(&match decision {
            Decision::Admitted(grant) => FromHost::Admitted {
                certificate: Blob(grant.certificate.to_vec()),
                name: grant.name.clone(),
                controllers: grant.controllers.clone(),
            },
            Decision::Waiting { .. } => FromHost::Waiting,
            Decision::NotYet => FromHost::NotYet,
            Decision::Elsewhere(controllers) => FromHost::Elsewhere {
                controllers: controllers.clone(),
            },
            Decision::Refused(refusal) => FromHost::Refused(*refusal),
        })
    }

    /// That a joiner that waits is to show which board it is for so long, as a message.
    pub(super) fn identify(long: Duration) -> Vec<u8> {
        // What was begun is a second more, so that the last one is not lost.
        let begun = u64::from(long.subsec_nanos() > 0);
        let seconds = u32::try_from(long.as_secs().saturating_add(begun)).unwrap_or(u32::MAX);
        encode(&FromHost::Identify { seconds })
    }
}

/// The address from which someone came, with the port that it listens on; the scope of a link-local one stays.
fn with_port(mut from: SocketAddr, port: u16) -> SocketAddr {
    from.set_port(port);
    from
}

/// A candidate has no authority yet, and shows nobody a fingerprint.
fn authority_hash(authority: Option<&CertificateDer<'_>>) -> Bytes32 {
    authority.map_or([0; 32], |authority| hash(authority))
}

/// What the joiner heard at last.
#[derive(Debug)]
pub(super) enum Heard {
    Admitted(Box<Admitted>),
    Waiting,
    Identify(Duration),
    NotYet,
    Elsewhere(Vec<(NodeId, SocketAddr)>),
    Refused(Refusal),
}

/// The host, once the joiner knows it.
#[derive(Clone, Debug)]
pub(super) struct Greeted {
    pub(super) announcement: Announcement,
    pub(super) authority: Option<CertificateDer<'static>>,
    pub(super) fingerprint: Fingerprint,
    /// Hash of the text that was proved.
    said: Bytes32,
}

/// The joiner's side of one conversation.
#[derive(Debug)]
pub(super) struct Joiner {
    id: NodeId,
    channel: Channel,
    /// The certificate that the host showed.
    host: CertificateDer<'static>,
    secret: Option<Arc<JoinSecret>>,
    nonce: Bytes32,
    hello: Vec<u8>,
}

impl Joiner {
    pub(super) fn new(
        id: NodeId,
        channel: Channel,
        host: CertificateDer<'static>,
        secret: Option<Arc<JoinSecret>>,
        nonce: Bytes32,
    ) -> Self {
        let hello = encode(&FromJoiner::Hello {
            keyed: secret.is_some(),
            commitment: Blob(commitment(&nonce)),
        });
        Self {
            id,
            channel,
            host,
            secret,
            nonce,
            hello,
        }
    }

    /// What is said first.
    pub(super) fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// The host greeted. An error means: go away and say nothing.
    pub(super) fn greeted(&self, message: &[u8]) -> Result<Greeted, JoinError> {
        let (said, proof) = match decode::<FromHost>(message).map_err(JoinError::Damaged)? {
            FromHost::Greeting { said, proof } => (said, proof),
            FromHost::Refused(refusal) => return Err(JoinError::TurnedAway(refusal)),
            _ => return Err(JoinError::OutOfTurn),
        };
        let said_hash = hash(said.as_bytes());
        if let Some(secret) = &self.secret {
            let proof = proof.ok_or(JoinError::HoldsNoKey)?.0;
            if !holds(
                secret,
                Prover::Host,
                &self.channel,
                &[hash(&self.hello), said_hash],
                &proof,
            ) {
                return Err(JoinError::WrongKey);
            }
        }
        let greeting = decode::<Greeting>(said.as_bytes()).map_err(JoinError::Damaged)?;
        let authority = greeting
            .authority
            .map(|authority| CertificateDer::from(authority.0));
        self.check_host(&greeting.announcement, authority.as_ref())?;
        Ok(Greeted {
            announcement: greeting.announcement,
            fingerprint: Fingerprint::of(
                &self.channel,
                &authority_hash(authority.as_ref()),
                &self.nonce,
                &greeting.nonce.0,
            ),
            authority,
            said: said_hash,
        })
    }

    /// Whether the host is the node that it says it is, and of the bramble that it says it is of.
    fn check_host(
        &self,
        says: &Announcement,
        authority: Option<&CertificateDer<'_>>,
    ) -> Result<(), JoinError> {
        let found = node_of(&self.host).map_err(|_| JoinError::NotOfItsBramble)?;
        let fits = match (says.standing, authority) {
            (Standing::Candidate { .. }, None) => true,
            (Standing::Member { bramble, .. }, Some(authority)) => {
                BrambleId::from_authority(authority) == bramble && vouches_for(authority, &self.host, found)
            }
            _ => false,
        };
        match fits && found == says.node {
            true => Ok(()),
            false => Err(JoinError::NotOfItsBramble),
        }
    }

    /// What to say to a host that is known now.
    pub(super) fn request(
        &self,
        greeted: &Greeted,
        introduction: &Introduction,
        vote: bool,
        certificate_request: Vec<u8>,
    ) -> Vec<u8> {
        let request = Request {
            nonce: Blob(self.nonce),
            vote,
            announcement: introduction.announcement.clone(),
            port: introduction.port,
            facts: introduction.facts.clone(),
            serial: introduction.serial.clone(),
            formerly: introduction.formerly,
            certificate_request: Blob(certificate_request),
        };
        let said = String::from_utf8(encode(&request)).expect("JSON is text");
        let proof = self.secret.as_ref().map(|secret| {
            let all = [hash(&self.hello), greeted.said, hash(said.as_bytes())];
            Blob(prove(secret, Prover::Joiner, &self.channel, &all))
        });
        encode(&FromJoiner::Request { said, proof })
    }

    /// What a joiner with a key says to a host that it only wanted to know.
    pub(super) fn enough(&self, greeted: &Greeted) -> Option<Vec<u8>> {
        let secret = self.secret.as_deref()?;
        let said = [hash(&self.hello), greeted.said];
        let proof = Blob(prove(secret, Prover::Joiner, &self.channel, &said));
        Some(encode(&FromJoiner::Enough { proof }))
    }

    /// The host answered.
    pub(super) fn answered(&self, greeted: &Greeted, message: &[u8]) -> Result<Heard, JoinError> {
        Ok(match decode::<FromHost>(message).map_err(JoinError::Damaged)? {
            FromHost::Admitted {
                certificate,
                name,
                controllers,
            } => {
                let certificate = CertificateDer::from(certificate.0);
                let authority = greeted.authority.clone().ok_or(JoinError::OutOfTurn)?;
                if !vouches_for(&authority, &certificate, self.id) {
                    return Err(JoinError::NotOfItsBramble);
                }
                Heard::Admitted(Box::new(Admitted {
                    bramble: BrambleId::from_authority(&authority),
                    certificate,
                    authority,
                    name,
                    controllers,
                }))
            }
            FromHost::Waiting => Heard::Waiting,
            FromHost::Identify { seconds } => Heard::Identify(Duration::from_secs(seconds.into())),
            FromHost::NotYet => Heard::NotYet,
            FromHost::Elsewhere { controllers } => Heard::Elsewhere(controllers),
            FromHost::Refused(refusal) => Heard::Refused(refusal),
            FromHost::Here(_) | FromHost::Greeting { .. } => return Err(JoinError::OutOfTurn),
        })
    }
}

/// A look instead of a wish.
pub(super) fn look() -> Vec<u8> {
    encode(&FromJoiner::Look)
}

/// The answer to a look at the node `found`.
pub(super) fn looked(message: &[u8], found: NodeId) -> Result<Announcement, JoinError> {
    match decode::<FromHost>(message).map_err(JoinError::Damaged)? {
        FromHost::Here(announcement) if announcement.node == found => Ok(announcement),
        _ => Err(JoinError::OutOfTurn),
    }
}

#[cfg(test)]
mod tests;
