//! One question to one name server: over UDP, and over TCP where the answer does not fit.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, SimpleDnsError, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// More than any server sends over UDP to somebody who did not ask for more (RFC 1035: 512).
const LONGEST: usize = 4096;

/// Which kind of address is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    V4,
    V6,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    /// There is no such name, or it has no address of this kind.
    Nothing,
}

impl Answer {
    pub(super) fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::Addresses(addresses) => addresses,
            Self::Nothing => Vec::new(),
        }
    }
}

/// Why a server is of no help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("no answer in time")]
    Silent,
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    #[error("it answered with an error ({0:?})")]
    Refused(RCODE),
    #[error("its answer makes no sense ({0})")]
    Garbled(#[from] SimpleDnsError),
    #[error("it answered another question")]
    Astray,
}

/// Asks `server` for addresses of the full name `name`.
pub(super) async fn ask(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, Trouble> {
    let query = Query::new(name, kind)?;
    match query.over_udp(server).await? {
        Some(answer) => Ok(answer),
        None => query.over_tcp(server).await,
    }
}

struct Query<'a> {
    id: u16,
    question: Question<'a>,
    bytes: Vec<u8>,
}

impl<'a> Query<'a> {
    fn new(name: &'a str, kind: Kind) -> Result<Self, Trouble> {
        // The standard library's source of chance: enough that nobody far away guesses it, together with the port.
        let chance = RandomState::new().build_hasher().finish().to_ne_bytes();
        let id = u16::from_ne_bytes([chance[0], chance[1]]);
        let kind = match kind {
            Kind::V4 => TYPE::A,
            Kind::V6 => TYPE::AAAA,
        };
        let question = Question::new(Name::new(name)?, kind.into(), CLASS::IN.into(), false);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(question.clone());
        let bytes = packet.build_bytes_vec()?;
        Ok(Self { id, question, bytes })
    }

    /// `None` where the answer was cut short, and is to be had over TCP.
    async fn over_udp(&self, server: SocketAddr) -> Result<Option<Answer>, Trouble> {
        let any = match server {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        // From now on nobody else's packets arrive.
        socket.connect(server).await?;
        socket.send(&self.bytes).await?;
        let mut bytes = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut bytes).await?;
            // What does not answer this very question may be late, or forged: the right one may still come.
            let Ok(packet) = Packet::parse(&bytes[..length]) else {
                if is_cut_short(&bytes[..length], self.id) {
                    return Ok(None);
                }
                continue;
            };
            if !self.is_answered_by(&packet) {
                continue;
            }
            if packet.has_flags(PacketFlag::TRUNCATION) {
                return Ok(None);
            }
            return read(&packet).map(Some);
        }
    }

    async fn over_tcp(&self, server: SocketAddr) -> Result<Answer, Trouble> {
        let mut stream = TcpStream::connect(server).await?;
        let length =
            u16::try_from(self.bytes.len()).expect("a question for one name has some 270 bytes at the most");
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&self.bytes);
        stream.write_all(&message).await?;
        let length = stream.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await?;
        let packet = Packet::parse(&bytes)?;
        if self.is_answered_by(&packet) {
            read(&packet)
        } else {
            Err(Trouble::Astray)
        }
    }

    fn is_answered_by(&self, packet: &Packet<'_>) -> bool {
        packet.id() == self.id
            && packet.has_flags(PacketFlag::RESPONSE)
            && packet.questions.iter().all(|question| {
                question.qtype == self.question.qtype
                    && question
                        .qname
                        .to_string()
                        .eq_ignore_ascii_case(&self.question.qname.to_string())
            })
    }
}

/// Whether this is the beginning of an answer that ended in the middle of a record.
fn is_cut_short(bytes: &[u8], id: u16) -> bool {
    matches!(bytes, [high, low, flags, ..] if [*high, *low] == id.to_be_bytes() && flags & 0x82 == 0x82)
}

fn read(packet: &Packet<'_>) -> Result<Answer, Trouble> {
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Answer::Nothing),
        other => return Err(Trouble::Refused(other)),
    }
    // A name that stands for another comes with that one's addresses: who asks a server to do the work gets the end of
    // the chain.
    let addresses: Vec<IpAddr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(a) => Some(Ipv6Addr::from(a.address).into()),
            _ => None,
        })
        .collect();
    if addresses.is_empty() {
        return Ok(Answer::Nothing);
    }
    Ok(Answer::Addresses(addresses))
}
