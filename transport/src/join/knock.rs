//! The joiner's side, on a socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use api::{
    NodeId,
    join::{Announcement, BrambleId, Sighting},
    versioned::DecodeError,
};
use rustls_pki_types::CertificateDer;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Fingerprint, Introduction, JoinSecret, Refusal, frame,
    proof::Bytes32,
    protocol::{self, Greeted, Heard, Joiner},
    tls,
};
use crate::{IdentityError, NodeKey, reach, verify::server_name};

/// Time to reach a host: TCP and TLS. A host that is busy with a hundred others takes a while.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Time to each message of the host.
const MESSAGE_LIMIT: Duration = Duration::from_secs(15);

/// Silence on a line that waits after which it is taken for dead: three missed signs of life.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Why knocking came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// This node's own key cannot be used.
    #[error("failed to prepare this node's key for joining")]
    OwnKey(#[source] IdentityError),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// Nobody answers there.
    #[error("failed to reach {0}")]
    Unreachable(SocketAddr, #[source] io::Error),
    /// Someone answers, but not in TLS, or not the node that was meant, or turns us away.
    #[error("{0} did not agree on TLS")]
    Tls(SocketAddr, #[source] io::Error),
    /// The conversation broke off.
    #[error("the conversation with {0} broke off")]
    BrokeOff(SocketAddr, #[source] io::Error),
    /// Nothing came for too long.
    #[error("{0} took too long to answer")]
    TimedOut(SocketAddr),
    /// It has too much to do to even greet.
    #[error("turned away at the door")]
    TurnedAway(#[source] Refusal),
    /// It does not hold a join key.
    #[error("the other side holds no join key; this node has one and joins only who has the same")]
    HoldsNoKey,
    /// It claims to hold the join key, and its proof is wrong: another key, or someone in between.
    #[error(
        "the other side does not hold this node's join key: compare `join_key` in the bramble.toml of both cards"
    )]
    WrongKey,
    /// Its certificate is not of the bramble that it says it is of, or it certified somebody else.
    #[error("the other side is not of the bramble that it claims to be of")]
    NotOfItsBramble,
    /// It said something that cannot be read.
    #[error("failed to understand the other side")]
    Damaged(#[source] DecodeError),
    /// It said something that makes no sense at this point.
    #[error("the other side does not keep to the join protocol")]
    OutOfTurn,
}

impl JoinError {
    /// Whether the other side is not what it claims to be, as opposed to being out of reach or busy.
    pub fn is_distrust(&self) -> bool {
        matches!(
            self,
            Self::WrongKey | Self::NotOfItsBramble | Self::Damaged(_) | Self::OutOfTurn
        )
    }
}

/// How and where to knock.
#[derive(Clone, Debug)]
pub struct Knock<'a> {
    /// This node's key.
    pub key: &'a NodeKey,
    /// Where the host's node-to-node port is.
    pub to: SocketAddr,
    /// Who must answer, where that is known; anybody else is hung up on.
    pub meant: Option<NodeId>,
    /// The join key. With one, a host that does not prove it is told nothing.
    pub secret: Option<Arc<JoinSecret>>,
    /// What to tell.
    pub introduction: &'a Introduction,
    /// Whether the host, if it is a candidate, may found with this node's vote.
    pub vote: bool,
}

/// What a host answered.
#[derive(Debug)]
pub enum Answer {
    /// Welcome.
    Admitted(Box<Admitted>),
    /// A person has to admit this node.
    Waiting(Box<WaitingLine>),
    /// The host is a candidate itself; this is what it says of itself.
    NotYet(Announcement),
    /// The host runs no controller; these do.
    Elsewhere(Vec<(NodeId, SocketAddr)>),
    /// No.
    Refused(Refusal),
}

/// What a node that is let in gets. With its key, this makes an [`Identity`](crate::Identity).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Which bramble.
    pub bramble: BrambleId,
    /// The bramble's name.
    pub name: String,
    /// The node's certificate, DER; checked against its key and the authority.
    pub certificate: CertificateDer<'static>,
    /// The certificate of the bramble's authority, DER.
    pub authority: CertificateDer<'static>,
    /// The nodes that run a controller, and where they are reached.
    pub controllers: Vec<(NodeId, SocketAddr)>,
}

/// The open connection of a node that waits for a person. While it is held, the node is on the bramble's list.
#[derive(Debug)]
pub struct WaitingLine {
    line: Line,
    greeted: Greeted,
    bramble: BrambleId,
}

impl WaitingLine {
    /// What this node shows, and the portal too.
    pub fn fingerprint(&self) -> Fingerprint {
        self.greeted.fingerprint
    }

    /// On whose list this node is.
    pub fn bramble(&self) -> BrambleId {
        self.bramble
    }

    /// What was decided; hours may pass. Never [`Answer::Waiting`]. Meanwhile `identify` is told for how long from now
    /// this node is to show which board it is, whenever somebody wants that.
    ///
    /// # Errors
    /// [`JoinError::BrokeOff`] and [`JoinError::TimedOut`] where the host is gone: knock again, there or elsewhere.
    pub async fn decided(mut self, mut identify: impl FnMut(Duration)) -> Result<Answer, JoinError> {
        loop {
            let message = self.line.hear(SILENCE_LIMIT).await?;
            match self.line.joiner.answered(&self.greeted, &message)? {
                Heard::Waiting => {}
                Heard::Identify(long) => identify(long),
                heard => return self.line.answer(self.greeted, heard),
            }
        }
    }
}

/// Asks to be let in.
///
/// # Errors
/// [`JoinError`]; see [`JoinError::is_distrust`].
pub async fn knock(knock: Knock<'_>) -> Result<Answer, JoinError> {
    let certificate_request = knock.key.request().map_err(JoinError::OwnKey)?;
    let (mut line, greeted) = Line::greet(knock.key, knock.to, knock.meant, knock.secret).await?;
    let request = line
        .joiner
        .request(&greeted, knock.introduction, knock.vote, certificate_request);
    line.say(&request).await?;
    let message = line.hear(MESSAGE_LIMIT).await?;
    let heard = line.joiner.answered(&greeted, &message)?;
    line.answer(greeted, heard)
}

/// Lets the node at `to` prove that it holds the join key, tells it nothing, and says what it is. Before a bramble
/// dissolves into another, this is how it makes sure of the other.
///
/// # Errors
/// [`JoinError`]; see [`JoinError::is_distrust`].
pub async fn prove(
    key: &NodeKey,
    to: SocketAddr,
    meant: Option<NodeId>,
    secret: Arc<JoinSecret>,
) -> Result<Announcement, JoinError> {
    let (mut line, greeted) = Line::greet(key, to, meant, Some(secret)).await?;
    if let Some(enough) = line.joiner.enough(&greeted) {
        line.say(&enough).await?;
    }
    Ok(greeted.announcement)
}

/// What the node at `to` says of itself: what mDNS would say, where that does not reach. Nothing of it is proved but its
/// id.
///
/// # Errors
/// [`JoinError`].
pub async fn look(key: &NodeKey, to: SocketAddr) -> Result<Sighting, JoinError> {
    let mut line = Line::open(key, to, None, None).await?;
    line.say(&protocol::look()).await?;
    let message = line.hear(MESSAGE_LIMIT).await?;
    Ok(Sighting {
        announcement: protocol::looked(&message, line.host)?,
        addresses: vec![to],
    })
}

/// A conversation.
#[derive(Debug)]
struct Line {
    stream: TlsStream<TcpStream>,
    to: SocketAddr,
    /// Who is at the other end.
    host: NodeId,
    joiner: Joiner,
}

impl Line {
    async fn open(
        key: &NodeKey,
        to: SocketAddr,
        meant: Option<NodeId>,
        secret: Option<Arc<JoinSecret>>,
    ) -> Result<Self, JoinError> {
        let config = tls::joiner(key, meant).map_err(JoinError::OwnKey)?;
        let connect = async {
            let unreachable = |source| JoinError::Unreachable(to, source);
            let socket = reach::connect(to).await.map_err(unreachable)?;
            socket.set_nodelay(true).map_err(unreachable)?;
            // The name is not looked at; who answers is.
            let name = server_name(meant.unwrap_or(key.id()));
            let stream = TlsConnector::from(config).connect(name, socket).await;
            stream.map_err(|source| JoinError::Tls(to, source))
        };
        let stream = timeout(CONNECT_LIMIT, connect)
            .await
            .map_err(|_| JoinError::TimedOut(to))??;
        let strange = |error: rustls::Error| JoinError::Tls(to, io::Error::other(error));
        let connection = stream.get_ref().1;
        let (host, certificate) = tls::other_end(connection).map_err(strange)?;
        let own = key.self_signed().map_err(JoinError::OwnKey)?;
        let channel = tls::channel(connection, &certificate, &own).map_err(strange)?;
        let joiner = Joiner::new(key.id(), channel, certificate, secret, nonce()?);
        Ok(Self {
            stream,
            to,
            host,
            joiner,
        })
    }

    async fn greet(
        key: &NodeKey,
        to: SocketAddr,
        meant: Option<NodeId>,
        secret: Option<Arc<JoinSecret>>,
    ) -> Result<(Self, Greeted), JoinError> {
        let mut line = Self::open(key, to, meant, secret).await?;
        let hello = line.joiner.hello().to_vec();
        line.say(&hello).await?;
        let message = line.hear(MESSAGE_LIMIT).await?;
        let greeted = line.joiner.greeted(&message)?;
        Ok((line, greeted))
    }

    async fn say(&mut self, message: &[u8]) -> Result<(), JoinError> {
        let said = frame::write(&mut self.stream, message).await;
        said.map_err(|source| JoinError::BrokeOff(self.to, source))
    }

    async fn hear(&mut self, limit: Duration) -> Result<Vec<u8>, JoinError> {
        match timeout(limit, frame::read(&mut self.stream, frame::LONG)).await {
            Ok(heard) => heard.map_err(|source| JoinError::BrokeOff(self.to, source)),
            Err(_) => Err(JoinError::TimedOut(self.to)),
        }
    }

    fn answer(self, greeted: Greeted, heard: Heard) -> Result<Answer, JoinError> {
        Ok(match heard {
            Heard::Admitted(admitted) => Answer::Admitted(admitted),
            Heard::Waiting => {
                let authority = greeted.authority.as_ref().ok_or(JoinError::OutOfTurn)?;
                Answer::Waiting(Box::new(WaitingLine {
                    bramble: BrambleId::from_authority(authority),
                    line: self,
                    greeted,
                }))
            }
            Heard::Identify(_) => return Err(JoinError::OutOfTurn),
            Heard::NotYet => Answer::NotYet(greeted.announcement),
            Heard::Elsewhere(controllers) => Answer::Elsewhere(controllers),
            Heard::Refused(refusal) => Answer::Refused(refusal),
        })
    }
}

/// A number that nobody can foresee.
pub(super) fn nonce() -> Result<Bytes32, JoinError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| JoinError::NoRandomness)?;
    Ok(nonce)
}
