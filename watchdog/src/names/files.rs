//! `/etc/hosts` and `/etc/resolv.conf`, as resolver(5) and hosts(5) describe them. Pure.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// As many as the C library asks.
const MOST_SERVERS: usize = 3;

/// What `resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) servers: Vec<IpAddr>,
    search: Vec<String>,
    /// A name with so many dots is tried as it is before the search list.
    dots: usize,
    /// For one question to one server.
    pub(super) timeout: Duration,
    /// How often all servers are asked in turn.
    pub(super) attempts: usize,
}

impl Settings {
    /// Reads the file; what it does not say has the C library's defaults.
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line
                .split(['#', ';'])
                .next()
                .unwrap_or_default()
                .split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(address);
                    settings.servers.extend(server);
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| settings.option(option)),
                _ => {}
            }
        }
        settings.servers.truncate(MOST_SERVERS);
        if settings.servers.is_empty() {
            settings.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        settings
    }

    fn option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else {
            return;
        };
        let Ok(value) = value.parse::<u8>() else { return };
        // The bounds are the C library's.
        match name {
            "ndots" => self.dots = usize::from(value.min(15)),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = usize::from(value.clamp(1, 5)),
            _ => {}
        }
    }

    /// The full names that `name` may stand for, the likeliest first.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let longer = self
            .search
            .iter()
            .map(|domain| format!("{name}.{}", domain.trim_matches('.')));
        let mut candidates: Vec<String> = longer.collect();
        let dots = name.matches('.').count();
        let place = if dots >= self.dots { 0 } else { candidates.len() };
        candidates.insert(place, name.to_owned());
        candidates
    }
}

/// An address, without the interface that a link-local one may name.
fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

/// The addresses that a hosts file gives for `name`, IPv4 first.
pub(super) fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(address) else {
            continue;
        };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_hosts_file_gives_all_addresses_of_a_name_in_any_spelling() {
        let text = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # as Debian has it\n\
            fd00::7 db\n10.0.0.7   db.example.org Db # the second one\n10.0.0.7 db\nnonsense db\n#10.0.0.8 db\n";

        assert_eq!(in_hosts(text, "DB"), [ip("10.0.0.7"), ip("fd00::7")]);
        assert_eq!(in_hosts(text, "localhost."), [ip("127.0.0.1"), ip("::1")]);
        assert_eq!(in_hosts(text, "second"), Vec::<IpAddr>::new());
        assert_eq!(in_hosts(text, "10.0.0.7"), Vec::<IpAddr>::new());
    }

    #[test]
    fn settings_are_read_as_the_c_library_reads_them() {
        let text = "# Docker's\nsearch first.example\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\n\
            nameserver nowhere\nnameserver 10.0.0.1 ; spare\nnameserver 10.0.0.2\n\
            search school.example lan\noptions ndots:2 timeout:1 attempts:9 rotate edns0\n";

        assert_eq!(
            Settings::parse(text),
            Settings {
                servers: vec![ip("127.0.0.11"), ip("fe80::1"), ip("10.0.0.1")],
                search: vec!["school.example".to_owned(), "lan".to_owned()],
                dots: 2,
                timeout: Duration::from_secs(1),
                attempts: 5,
            }
        );
    }

    #[test]
    fn a_missing_file_means_a_server_on_this_machine() {
        let settings = Settings::parse("");

        assert_eq!(settings.servers, [ip("127.0.0.1")]);
        assert_eq!((settings.timeout, settings.attempts), (Duration::from_secs(5), 2));
        assert_eq!(settings.candidates("db"), ["db"]);
    }

    #[test]
    fn short_names_are_searched_for_first_and_long_ones_last() {
        let settings = Settings::parse("search lan school.example.\noptions ndots:2");

        assert_eq!(settings.candidates("db"), ["db.lan", "db.school.example", "db"]);
        assert_eq!(
            settings.candidates("db.room.one"),
            ["db.room.one", "db.room.one.lan", "db.room.one.school.example"]
        );
        assert_eq!(settings.candidates("db."), ["db"]);
    }
}
