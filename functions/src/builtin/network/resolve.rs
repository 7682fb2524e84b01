//! Names to addresses: `/etc/hosts`, then the servers of `/etc/resolv.conf` over UDP, and TCP for what is too long.
//!
//! The C library would do this with modules that it loads at run time, which a static program cannot.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long a server may take; every server is asked twice.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer over UDP that is read.
const LONGEST: usize = 4096;

/// Servers and search domains beyond these are not asked, as in the C library.
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 6;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("nobody knows a computer called `{0}`; is the name spelled right?")]
    Unknown(String),
    #[error("`{0}` is no name: its parts may have 63 letters, all of it 255")]
    Name(String),
    #[error("there is no name server in /etc/resolv.conf; write the address instead of the name")]
    NoServer,
    #[error("the name server {server} does not answer; is there a connection to the Internet?")]
    Silent { server: SocketAddr },
    #[error("the name server {server} refuses to answer ({code:?})")]
    Refused { server: SocketAddr, code: RCODE },
}

/// One line of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// `A`, `MX` …
    pub(super) kind: String,
    pub(super) value: String,
    address: Option<IpAddr>,
}

/// What was found, and who said so.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    pub(super) source: String,
}

/// The addresses of a name, or of what is an address already. IPv4 first: what is on a classroom's table has that.
pub(super) async fn addresses(name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse() {
        return Ok(vec![address]);
    }
    let found = lookup(name, None, None).await?;
    let mut addresses: Vec<_> = found.records.iter().filter_map(|record| record.address).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    if addresses.is_empty() {
        return Err(ResolveError::Unknown(name.to_owned()));
    }
    Ok(addresses)
}

/// Records of a kind, or both kinds of addresses. The files of this computer are not asked when `server` is given.
pub(super) async fn lookup(
    name: &str,
    kind: Option<TYPE>,
    server: Option<SocketAddr>,
) -> Result<Found, ResolveError> {
    let name = name.trim_end_matches('.');
    if kind.is_none() && server.is_none() {
        let known = known(name, &fs::read_to_string("/etc/hosts").unwrap_or_default());
        if !known.is_empty() {
            return Ok(Found {
                records: known.into_iter().map(Record::of_address).collect(),
                source: "/etc/hosts of this replica".to_owned(),
            });
        }
    }
    let settings = Settings::read(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let servers = server.map_or(settings.servers.clone(), |server| vec![server]);
    if servers.is_empty() {
        return Err(ResolveError::NoServer);
    }
    let kinds = kind.map_or(vec![TYPE::A, TYPE::AAAA], |kind| vec![kind]);
    for candidate in settings.candidates(name) {
        let mut records = Vec::new();
        let mut source = String::new();
        let mut exists = true;
        for kind in &kinds {
            match ask(&servers, &candidate, *kind).await {
                Ok((found, server)) => {
                    records.extend(found);
                    source = server.to_string();
                }
                Err(ResolveError::Unknown(_)) => {
                    exists = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if exists && !records.is_empty() {
            return Ok(Found { records, source });
        }
    }
    Err(ResolveError::Unknown(name.to_owned()))
}

/// Asks the servers, one after the other, twice, until one answers.
async fn ask(
    servers: &[SocketAddr],
    name: &str,
    kind: TYPE,
) -> Result<(Vec<Record>, SocketAddr), ResolveError> {
    let mut last = ResolveError::NoServer;
    for server in servers.iter().chain(servers) {
        match ask_one(*server, name, kind).await {
            Ok(records) => return Ok((records, *server)),
            // That the name does not exist is an answer.
            Err(error @ (ResolveError::Unknown(_) | ResolveError::Name(_))) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, name: &str, kind: TYPE) -> Result<Vec<Record>, ResolveError> {
    let id = any_id();
    let query = query(name, kind, id).ok_or_else(|| ResolveError::Name(name.to_owned()))?;
    let silent = || ResolveError::Silent { server };
    let mut answer = timeout(PATIENCE, over_udp(server, &query))
        .await
        .map_err(|_| silent())?
        .map_err(|_| silent())?;
    if Packet::parse(&answer).is_ok_and(|packet| packet.has_flags(PacketFlag::TRUNCATION)) {
        answer = timeout(PATIENCE, over_tcp(server, &query))
            .await
            .map_err(|_| silent())?
            .map_err(|_| silent())?;
    }
    let packet = Packet::parse(&answer).map_err(|_| silent())?;
    match packet.rcode() {
        RCODE::NoError => Ok(packet
            .answers
            .iter()
            .map(|record| Record::of(&record.rdata))
            .collect()),
        RCODE::NameError => Err(ResolveError::Unknown(name.to_owned())),
        code => Err(ResolveError::Refused { server, code }),
    }
}

fn query(name: &str, kind: TYPE, id: u16) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

/// The answer with the query's own id and question; whatever else arrives is none.
async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected, so that only this server is heard.
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 12 && answer[..2] == query[..2] && answer[2] & 0x80 != 0 {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Hard enough to guess together with the port, which the system chooses.
fn any_id() -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mixed = (now.subsec_nanos() ^ std::process::id().rotate_left(16)).wrapping_mul(0x9e37_79b9);
    u16::try_from(mixed >> 16).unwrap_or_default()
}

/// What `/etc/hosts` knows, and that `localhost` is here, whatever it says.
fn known(name: &str, hosts: &str) -> Vec<IpAddr> {
    if name.eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    let mut known = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else {
            continue;
        };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !known.contains(&address) {
            known.push(address);
        }
    }
    known
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    servers: Vec<SocketAddr>,
    domains: Vec<String>,
    /// Names with at least so many dots are tried as they are first.
    dots: usize,
}

impl Settings {
    fn read(text: &str) -> Self {
        let mut settings = Self {
            dots: 1,
            ..Self::default()
        };
        for line in text.lines() {
            let mut words = line
                .split(['#', ';'])
                .next()
                .unwrap_or_default()
                .split_whitespace();
            match words.next() {
                Some("nameserver") if settings.servers.len() < MOST_SERVERS => {
                    let address: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
                    settings
                        .servers
                        .extend(address.map(|address| SocketAddr::from((address, 53))));
                }
                Some("search" | "domain") => {
                    settings.domains = words.take(MOST_DOMAINS).map(str::to_owned).collect();
                }
                Some("options") => {
                    let dots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    settings.dots = dots.unwrap_or(settings.dots);
                }
                _ => {}
            }
        }
        settings
    }

    /// The names to try, in this order.
    fn candidates(&self, name: &str) -> Vec<String> {
        let domains = self.domains.iter().filter(|domain| *domain != ".");
        let mut candidates: Vec<_> = domains.map(|domain| format!("{name}.{domain}")).collect();
        let place = match name.matches('.').count() >= self.dots {
            true => 0,
            false => candidates.len(),
        };
        candidates.insert(place, name.to_owned());
        candidates
    }
}

impl Record {
    fn of_address(address: IpAddr) -> Self {
        Self {
            kind: if address.is_ipv4() { "A" } else { "AAAA" }.to_owned(),
            value: address.to_string(),
            address: Some(address),
        }
    }

    fn of(data: &RData<'_>) -> Self {
        let value = match data {
            RData::A(a) => return Self::of_address(Ipv4Addr::from(a.address).into()),
            RData::AAAA(aaaa) => return Self::of_address(Ipv6Addr::from(aaaa.address).into()),
            RData::CNAME(name) => name.0.to_string(),
            RData::NS(name) => name.0.to_string(),
            RData::PTR(name) => name.0.to_string(),
            RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
            RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
            RData::SOA(soa) => format!("{} {} {}", soa.mname, soa.rname, soa.serial),
            RData::TXT(txt) => {
                let parts = txt.iter_raw().map(|(key, value)| {
                    let value = value.map(|value| format!("={}", String::from_utf8_lossy(value)));
                    format!("{}{}", String::from_utf8_lossy(key), value.unwrap_or_default())
                });
                parts.collect::<Vec<_>>().join(" ")
            }
            _ => "(not shown here)".to_owned(),
        };
        Self {
            kind: format!("{:?}", data.type_code()),
            value,
            address: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_by_any_of_their_names() {
        let hosts = "# a comment\n10.0.0.7 gateway gw # the gateway\n::1 ip6-localhost\n10.0.0.8 other\n";
        assert_eq!(known("GW", hosts), [IpAddr::from([10, 0, 0, 7])]);
        assert!(known("comment", hosts).is_empty());
        assert_eq!(known("localhost", "").len(), 2);
    }

    #[test]
    fn settings_are_read_as_the_c_library_does() {
        let settings = Settings::read(
            "nameserver 127.0.0.11\nsearch home lan\noptions edns0 ndots:0\nnameserver nonsense\n",
        );
        assert_eq!(settings.servers, ["127.0.0.11:53".parse().unwrap()]);
        assert_eq!(settings.candidates("pi"), ["pi", "pi.home", "pi.lan"]);
        let settings = Settings::read("search home\n");
        assert_eq!(settings.candidates("pi"), ["pi.home", "pi"]);
        assert_eq!(settings.candidates("a.b"), ["a.b", "a.b.home"]);
    }
}
