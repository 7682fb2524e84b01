//! Servers for functions that ask others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use simple_dns::rdata::{A, AAAA, MX, RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord, TYPE};

/// An HTTP server that keeps connections and, as a gateway, has the function `echo`. Its port.
///
/// `/healthz` answers `OK`, `/big` more than a function takes, `/away` redirects to `/healthz`, as `/folder/up` does, `/folder/beside` to `/folder/page?x=1`, `/echo` answers with
/// the request's head and body; everything else is 404.
pub fn http() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || converse(stream.unwrap()));
        }
    });
    port
}

fn converse(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = read_request(&mut stream) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (status, headers, answer) = match path.as_str() {
            "/healthz" => ("200 OK", "", b"OK".to_vec()),
            "/folder/up" => ("302 Found", "Location: ../healthz\r\n", Vec::new()),
            "/folder/beside" => ("307 Temporary Redirect", "Location: page?x=1\r\n", Vec::new()),
            "/folder/page?x=1" => ("200 OK", "", b"the page beside".to_vec()),
            "/big" => ("200 OK", "", vec![b'x'; 2 * 1024 * 1024]),
            "/away" => ("302 Found", "Location: /healthz\r\n", Vec::new()),
            "/function/echo" => ("200 OK", "", b"echoed".to_vec()),
            "/echo" => ("200 OK", "", [head.as_bytes(), &body].concat()),
            _ => ("404 Not Found", "", b"nothing here".to_vec()),
        };
        let length = answer.len();
        let answer = if head.starts_with("HEAD") {
            Vec::new()
        } else {
            answer
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Bramble-Node: pi-1\r\n{headers}Content-Length: \
             {length}\r\n\r\n"
        );
        let whole = [head.as_bytes(), &answer].concat();
        if stream
            .get_mut()
            .write_all(&whole)
            .and_then(|()| stream.get_mut().flush())
            .is_err()
        {
            return;
        }
    }
}

fn read_request(stream: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let line = head[start..].to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The same over TLS, with a certificate for `localhost` and `127.0.0.1` that nobody signed. Its port.
pub fn https() -> u16 {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            thread::spawn(move || converse(stream));
        }
    });
    port
}

/// A name server that knows `school.test`; of `long.test` it says only over TCP what it knows. Its port.
pub fn dns() -> u16 {
    // One port for both: tried until there is one.
    let (udp, tcp) = (0..100)
        .find_map(|_| {
            let tcp = TcpListener::bind("127.0.0.1:0").ok()?;
            let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
            Some((udp, tcp))
        })
        .unwrap();
    let port = udp.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&dns_answer(&buffer[..length], true), from).unwrap();
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            answer_over_tcp(stream.unwrap());
        }
    });
    port
}

fn answer_over_tcp(mut stream: TcpStream) {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).unwrap();
    let answer = dns_answer(&query, false);
    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, answer.as_slice()].concat()).unwrap();
}

fn dns_answer(query: &[u8], over_udp: bool) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let question = query.questions[0].clone();
    let name = question.qname.to_string();
    let mut reply = Packet::new_reply(query.id());
    reply.questions.push(question.clone());
    let is = |kind: TYPE| question.qtype == kind.into();
    let data = match name.as_str() {
        "school.test" if is(TYPE::A) => vec![RData::A(A { address: 0x0a00_0007 })],
        "school.test" if is(TYPE::AAAA) => vec![RData::AAAA(AAAA { address: 1 })],
        "school.test" if is(TYPE::MX) => vec![RData::MX(MX {
            preference: 10,
            exchange: Name::new_unchecked("mail.school.test"),
        })],
        "school.test" if is(TYPE::TXT) => vec![RData::TXT(TXT::new().with_string("v=spf1 -all").unwrap())],
        "long.test" if over_udp => {
            reply.set_flags(PacketFlag::TRUNCATION);
            Vec::new()
        }
        "long.test" => vec![RData::TXT(TXT::new().with_string("the whole truth").unwrap())],
        _ => {
            *reply.rcode_mut() = RCODE::NameError;
            Vec::new()
        }
    };
    for data in data {
        let record = ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data);
        reply.answers.push(record);
    }
    reply.build_bytes_vec().unwrap()
}
