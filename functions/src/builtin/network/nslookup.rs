//! `nslookup`: what the name servers know about a name.

use std::net::{IpAddr, SocketAddr};

use simple_dns::TYPE;

use super::resolve::{ResolveError, lookup};
use crate::builtin::call::{Answer, Call, Refusal, Reply};

const WANTED: &str =
    "a name, and perhaps a kind of record (A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT) and a server";

pub(crate) async fn answer(call: Call) -> Reply {
    let mut words = call.line(WANTED)?.split_whitespace();
    let name = words.next().unwrap_or_default();
    let (mut kind, mut server) = (None, None);
    for word in words {
        if let Some(known) = kind_of(word) {
            kind = Some(known);
        } else {
            server = Some(server_of(word)?);
        }
    }
    let mut asked = name.to_owned();
    if let (Ok(address), None) = (name.parse(), kind) {
        kind = Some(TYPE::PTR);
        asked = reverse(address);
    }
    let found = lookup(&asked, kind, server).await.map_err(|why| {
        let status = if matches!(why, ResolveError::Unknown(_)) {
            404
        } else {
            502
        };
        let why = why.to_string();
        let (first, rest) = why.split_at(why.chars().next().map_or(0, char::len_utf8));
        Refusal::with_status(status, format!("{}{rest}.", first.to_uppercase()))
    })?;
    let mut text = format!("{name}\n");
    for record in &found.records {
        text += &format!("  {:6} {}\n", record.kind, record.value);
    }
    Ok(Answer::text(text + &format!("answered by {}\n", found.source)))
}

fn kind_of(word: &str) -> Option<TYPE> {
    Some(match word.to_ascii_uppercase().as_str() {
        "A" => TYPE::A,
        "AAAA" => TYPE::AAAA,
        "CNAME" => TYPE::CNAME,
        "MX" => TYPE::MX,
        "NS" => TYPE::NS,
        "PTR" => TYPE::PTR,
        "SOA" => TYPE::SOA,
        "SRV" => TYPE::SRV,
        "TXT" => TYPE::TXT,
        _ => return None,
    })
}

fn server_of(word: &str) -> Result<SocketAddr, Refusal> {
    let with_port = word.parse();
    let alone = || {
        word.parse()
            .map(|address: IpAddr| SocketAddr::from((address, 53)))
    };
    with_port.or_else(|_| alone()).map_err(|_| {
        Refusal::new(format!(
            "`{word}` is neither a kind of record nor the address of a server. Send {WANTED}."
        ))
    })
}

/// The name under which the name of an address is found.
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::new();
            for byte in address.octets().iter().rev() {
                name += &format!("{:x}.{:x}.", byte & 15, byte >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_around() {
        assert_eq!(reverse([192, 0, 2, 7].into()), "7.2.0.192.in-addr.arpa");
        assert!(reverse("2001:db8::1".parse().unwrap()).starts_with("1.0.0.0.0."));
        assert!(reverse("2001:db8::1".parse().unwrap()).ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
    }
}
