//! The computer of somebody on the same network: asks by multicast who has a name, and is the way on which the test
//! program, which is in another network, reaches each host's HTTP port.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use simple_dns::{CLASS, Name, Packet, QTYPE, Question, TYPE, rdata::RData};
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

use super::machine::{Machine, enter};

/// Where everybody listens for questions of multicast DNS.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// How long answers are waited for: a second, since the same is not said by multicast more often than that, and some.
const ANSWERS: Duration = Duration::from_millis(1600);

/// The port on which hosts take HTTP.
const HTTP_PORT: u16 = 8080;

/// A host's address, which may change.
pub(super) type Lease = Arc<Mutex<Ipv4Addr>>;

/// One record of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// Who said so.
    pub from: Ipv4Addr,
    /// The address that the name has.
    pub address: Ipv4Addr,
    /// For how many seconds that holds.
    pub ttl_s: u32,
}

/// Somebody's computer.
#[derive(Debug)]
pub(super) struct Laptop {
    pub(super) machine: Machine,
    address: Ipv4Addr,
    ways: Option<UnboundedSender<(TcpListener, Lease)>>,
    carrier: Option<JoinHandle<()>>,
}

impl Laptop {
    /// A computer that has this address, once it is plugged in.
    pub(super) fn new(machine: Machine, address: Ipv4Addr) -> Self {
        let (ways, mut new_ways) = unbounded_channel::<(TcpListener, Lease)>();
        let network = machine.network();
        let carrier = thread::spawn(move || {
            enter(&network);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            // Everything that goes on ends with the runtime.
            runtime.block_on(async {
                while let Some((listener, to)) = new_ways.recv().await {
                    tokio::spawn(carry(listener, to));
                }
            });
        });
        Self {
            machine,
            address,
            ways: Some(ways),
            carrier: Some(carrier),
        }
    }

    /// An address at which the test program reaches `host`, wherever that is at the moment.
    pub(super) fn way_to(&self, host: &Lease) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let here = listener.local_addr().expect("bound above");
        listener
            .set_nonblocking(true)
            .expect("sockets can be told not to block");
        let ways = self.ways.as_ref().expect("taken only at the end");
        ways.send((listener, Arc::clone(host)))
            .expect("the thread lives as long as this");
        here
    }

    /// Asks everybody on the network for the addresses of a name; answers all that is said.
    pub(super) fn ask(&self, name: &str) -> BTreeSet<Answer> {
        let question = Question::new(
            Name::new(name).expect("a name as DNS has them").into_owned(),
            QTYPE::TYPE(TYPE::A),
            CLASS::IN.into(),
            false,
        );
        let mut query = Packet::new_query(0);
        query.questions.push(question);
        let query = query.build_bytes_vec().expect("a short question");
        self.machine.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("nobody else asks here");
            socket
                .join_multicast_v4(&GROUP, &self.address)
                .expect("the computer is plugged in");
            socket.set_multicast_ttl_v4(255).expect("as the protocol asks");
            socket
                .send_to(&query, (GROUP, PORT))
                .expect("the computer is plugged in");
            let (began, mut said) = (Instant::now(), BTreeSet::new());
            let mut bytes = [0; 9000];
            while let Some(left) = ANSWERS
                .checked_sub(began.elapsed())
                .filter(|left| !left.is_zero())
            {
                socket.set_read_timeout(Some(left)).expect("it is not zero");
                if let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut bytes) {
                    said.extend(records(&bytes[..length], name, *from.ip()));
                }
            }
            said
        })
    }
}

/// What a packet says of the addresses of `name`. A record that holds for no time at all takes one back.
fn records(packet: &[u8], name: &str, from: Ipv4Addr) -> Vec<Answer> {
    let Ok(packet) = Packet::parse(packet) else {
        return Vec::new();
    };
    let all = packet.answers.iter().chain(&packet.additional_records);
    all.filter(|record| record.ttl > 0 && record.name.to_string().eq_ignore_ascii_case(name))
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Answer {
                from,
                address: a.address.into(),
                ttl_s: record.ttl,
            }),
            _ => None,
        })
        .collect()
}

/// Carries every connection on to where the host is.
async fn carry(listener: TcpListener, to: Lease) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("within a runtime");
    while let Ok((mut here, _)) = listener.accept().await {
        let address = IpAddr::from(*to.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(async move {
            // Where nobody answers, whoever waits for it is cut off.
            if let Ok(mut there) = TcpStream::connect((address, HTTP_PORT)).await {
                _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        drop(self.ways.take());
        if let Some(carrier) = self.carrier.take() {
            _ = carrier.join();
        }
    }
}
