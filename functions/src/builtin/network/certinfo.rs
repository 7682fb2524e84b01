//! `certinfo`: who a server says it is, and whether browsers would believe it.

use std::time::Duration;

use jiff::Timestamp;
use rustls::ProtocolVersion;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::connect::Target;
use super::tls;
use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// For all of it.
const TIME: Duration = Duration::from_secs(10);

/// Names beyond these are counted only.
const MOST_NAMES: usize = 20;

pub(crate) async fn answer(call: Call) -> Reply {
    let line = call
        .line("the name of a server such as example.com, or example.com:8443")?
        .trim();
    let address = line.strip_prefix("https://").unwrap_or(line);
    let (mut target, uri) = Target::of(&format!("https://{address}"))?;
    target.tls = true;
    target.port = uri.port_u16().unwrap_or(443);
    timeout(TIME, look(target))
        .await
        .unwrap_or_else(|_| Err(Refusal::with_status(504, "That took longer than 10 seconds.")))
}

async fn look(target: Target) -> Reply {
    let stream = target.tls(tls::careless()).await?;
    let connection = stream.get_ref().1;
    let chain = connection.peer_certificates().unwrap_or_default();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "another",
    };
    let unreadable =
        || Refusal::with_status(502, format!("{} has a certificate nobody can read.", target.host));
    let first = chain.first().ok_or_else(unreadable)?;
    let (_, certificate) = X509Certificate::from_der(first).map_err(|_| unreadable())?;
    let now = Timestamp::now();
    let verdict = match tls::judge(chain, &target.server_name()?, UnixTime::now()) {
        Ok(()) => "yes, browsers trust it".to_owned(),
        Err(why) => format!("no: {}", in_words(&why)),
    };
    Ok(Answer::text(format!(
        "Server:       {}:{} ({version})\n{}Fingerprint:  {}\nTrusted:      {verdict}\n",
        target.host,
        target.port,
        describe(&certificate, now),
        fingerprint(first),
    )))
}

fn describe(certificate: &X509Certificate<'_>, now: Timestamp) -> String {
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let day = |seconds: i64| {
        Timestamp::from_second(seconds)
            .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
    };
    let days = (until - now.as_second()) / 86_400;
    let left = match now.as_second() {
        now if now < from => "not yet valid; does this node's clock go right?".to_owned(),
        now if now > until => format!("expired {} days ago", -days),
        _ => format!("{days} days left"),
    };
    format!(
        "Subject:      {}\nIssuer:       {}\nNames:        {}\nValid from:   {}\nValid until:  {} ({left}; today is {})\n",
        certificate.subject(),
        certificate.issuer(),
        names(certificate),
        day(from),
        day(until),
        now.strftime("%Y-%m-%d"),
    )
}

fn names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return "none".to_owned();
    };
    let all: Vec<String> = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match *bytes {
                [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
                bytes => <[u8; 16]>::try_from(bytes)
                    .ok()
                    .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            },
            _ => None,
        })
        .collect();
    let mut text = all
        .iter()
        .take(MOST_NAMES)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if all.len() > MOST_NAMES {
        text += &format!(" and {} more", all.len() - MOST_NAMES);
    }
    text
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("SHA-256 {}", bytes.join(":"))
}

fn in_words(why: &rustls::Error) -> String {
    use rustls::CertificateError as Error;
    match why {
        rustls::Error::InvalidCertificate(Error::UnknownIssuer) => {
            "nobody whom browsers trust has signed it".to_owned()
        }
        rustls::Error::InvalidCertificate(Error::Expired | Error::ExpiredContext { .. }) => {
            "it has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(Error::NotValidYet | Error::NotValidYetContext { .. }) => {
            "it is not valid yet; does this node's clock go right?".to_owned()
        }
        rustls::Error::InvalidCertificate(Error::NotValidForName | Error::NotValidForNameContext { .. }) => {
            "it is for another name".to_owned()
        }
        other => other.to_string(),
    }
}
