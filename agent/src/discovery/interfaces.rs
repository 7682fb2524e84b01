//! Which network interfaces count. The real ones do; bridges, what is plugged into them and Docker's own do not, since an
//! address on those is of no use to another machine.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use if_addrs::{IfOperStatus, Interface};

/// Which network interfaces count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// These and no others, whatever they are; empty is "the real ones".
    pub only: BTreeSet<String>,
    /// Loopback too, for nodes that share a machine.
    pub loopback: bool,
}

/// What matters of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// Whether it is a bridge.
    pub bridge: bool,
    /// Whether it is plugged into a bridge, which then has the address.
    pub member: bool,
}

/// Names of all interfaces of this machine, also those without an address.
pub fn all() -> BTreeSet<String> {
    let listed = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    listed
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Names that Docker gives: its first bridge, those of its networks, and the host's ends of its containers' cables.
const DOCKERS: [&str; 3] = ["docker", "br-", "veth"];

impl Interfaces {
    /// Whether this interface counts.
    pub fn include(&self, facts: &Facts<'_>) -> bool {
        if !self.only.is_empty() {
            return self.only.contains(facts.name);
        }
        if facts.loopback {
            return self.loopback;
        }
        let dockers = DOCKERS.iter().any(|prefix| facts.name.starts_with(prefix));
        !(facts.bridge || facts.member || dockers)
    }

    /// Whether an interface that counts is up and has an address: what `cluster::bootstrap` wants to know of the link.
    pub fn link_is_up(&self) -> bool {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.iter().any(|interface| {
            // Some drivers do not say; having an address is the better sign then.
            let up = matches!(interface.oper_status, IfOperStatus::Up | IfOperStatus::Unknown);
            up && self.counts(interface)
        })
    }

    /// The addresses of this machine that others may reach it at.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let counting = interfaces.iter().filter(|interface| self.counts(interface));
        counting.map(Interface::ip).collect()
    }

    /// The address that others are told: of a cable before one of Wi-Fi, IPv4 before IPv6, else the first by name.
    pub(crate) fn best(&self, port: u16) -> SocketAddr {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let counting = interfaces.iter().filter(|interface| self.counts(interface));
        let best = counting.min_by_key(|interface| {
            let (ip, name) = (interface.ip(), interface.name.clone());
            let link_local = match ip {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            };
            let wireless = name.starts_with("wl");
            (
                interface.is_loopback(),
                link_local,
                ip.is_ipv6(),
                wireless,
                name,
                ip,
            )
        });
        match best.map(Interface::ip) {
            Some(ip) => SocketAddr::new(ip, port),
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        }
    }

    pub(super) fn counts(&self, interface: &Interface) -> bool {
        let of = |what: &str| {
            Path::new("/sys/class/net")
                .join(&interface.name)
                .join(what)
                .exists()
        };
        self.include(&Facts {
            name: &interface.name,
            loopback: interface.is_loopback(),
            bridge: of("bridge"),
            member: of("brport"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str) -> Facts<'_> {
        Facts {
            name,
            loopback: false,
            bridge: false,
            member: false,
        }
    }

    #[test]
    fn real_interfaces_count_and_dockers_do_not() {
        let usual = Interfaces::default();
        for real in ["eth0", "end0", "wlan0", "enx001122334455", "usb0", "bridge-less0"] {
            assert!(usual.include(&plain(real)), "{real}");
        }
        for dockers in ["docker0", "docker_gwbridge", "br-0a1b2c3d4e5f", "veth12ab34c"] {
            assert!(!usual.include(&plain(dockers)), "{dockers}");
        }
    }

    #[test]
    fn bridges_and_their_members_do_not_count_whatever_they_are_called() {
        let usual = Interfaces::default();
        assert!(!usual.include(&Facts {
            bridge: true,
            ..plain("lan")
        }));
        assert!(!usual.include(&Facts {
            member: true,
            ..plain("eth0")
        }));
    }

    #[test]
    fn loopback_counts_only_if_asked_for() {
        let lo = Facts {
            loopback: true,
            ..plain("lo")
        };
        assert!(!Interfaces::default().include(&lo));
        let asked = Interfaces {
            loopback: true,
            ..Interfaces::default()
        };
        assert!(asked.include(&lo) && asked.include(&plain("eth0")));
    }

    #[test]
    fn a_list_is_taken_at_its_word() {
        let list = Interfaces {
            only: BTreeSet::from(["veth1".to_owned(), "br-lan".to_owned()]),
            loopback: true,
        };
        assert!(list.include(&plain("veth1")));
        assert!(list.include(&Facts {
            bridge: true,
            ..plain("br-lan")
        }));
        assert!(!list.include(&plain("eth0")));
        assert!(!list.include(&Facts {
            loopback: true,
            ..plain("lo")
        }));
    }
}
