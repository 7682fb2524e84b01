//! Where the server of http mode is, as `upstream_url` says it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;
use hyper::header::HeaderValue;

/// Where the forked server of http mode listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// For requests that came without a Host header.
    pub(crate) authority: HeaderValue,
    /// Put before the path of every request; empty or without a final slash.
    pub(crate) base_path: String,
}

/// The machine of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// Tried in this order; `localhost` has two.
    Addresses(Vec<IpAddr>),
    /// To be looked up for each connection, since its address may change.
    Name(String),
}

impl Upstream {
    /// Reads `http://HOST[:PORT][/base]`.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return None;
        }
        let authority = uri.authority()?;
        let host = authority.host().trim_matches(['[', ']']);
        let host = if host.eq_ignore_ascii_case("localhost") {
            Host::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        } else if let Ok(address) = host.parse() {
            Host::Addresses(vec![address])
        } else if is_name(host) {
            Host::Name(host.to_owned())
        } else {
            return None;
        };
        Some(Self {
            host,
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).ok()?,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Whether this can be the name of a machine.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_may_be_an_address_or_a_name() {
        for (url, host, port) in [
            (
                "http://10.0.0.7",
                Host::Addresses(vec!["10.0.0.7".parse().unwrap()]),
                80,
            ),
            (
                "http://[fd00::7]:81/",
                Host::Addresses(vec!["fd00::7".parse().unwrap()]),
                81,
            ),
            (
                "http://my_db.room-1.:82",
                Host::Name("my_db.room-1.".to_owned()),
                82,
            ),
        ] {
            let upstream = Upstream::parse(url).unwrap();
            assert_eq!((upstream.host, upstream.port), (host, port), "{url}");
        }
    }

    #[test]
    fn a_base_path_has_no_slash_at_its_end() {
        for (url, base_path) in [("http://db", ""), ("http://db/", ""), ("http://db/a/b/", "/a/b")] {
            assert_eq!(Upstream::parse(url).unwrap().base_path, base_path);
        }
    }

    #[test]
    fn what_names_no_machine_is_no_upstream() {
        for url in [
            "",
            "db:3000",
            "https://db",
            "http://a..b",
            "http://db/?x",
            "http://d\u{f6}",
        ] {
            assert_eq!(Upstream::parse(url), None, "{url}");
        }
    }
}
