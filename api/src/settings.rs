//! `bramble.toml`: what somebody may write on a card before its first start. Text in, settings and complaints out.
//!
//! Nothing in it stops a node: what is wrong is named with its line and its cure, and everything else counts. All of it
//! may be missing. docs/bramble.toml is the documented example, and tested.
//!
//! Not here: finding and reading the file (`cli`), writing it onto cards (`image-builder`).

use std::{fmt, net::SocketAddr};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::node::EngineKind;

/// Name of the file, on the first partition of a card.
pub const FILE_NAME: &str = "bramble.toml";

/// The node-to-node port where a peer is written without one.
pub const NODE_PORT: u16 = 7443;

/// The bramble's name where its founder's card says none.
pub const DEFAULT_NAME: &str = "bramble";

/// Every key that is known, as it is suggested for a misspelt one.
const KEYS: [&str; 11] = [
    "bramble",
    "portal",
    "join_key",
    "node_name",
    "first_visit_code",
    "admin_password_hash",
    "interfaces",
    "peers",
    "engine",
    "docker",
    "light",
];

/// Shortest join key, in characters: five words have more, and a word or a date has less.
pub const SHORTEST_JOIN_KEY: usize = 16;

/// Longest join key, in characters: longer ones are a file that was pasted by mistake.
pub const LONGEST_JOIN_KEY: usize = 256;

/// Something that is written on a card, and where, so that what is wrong with it can be named with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The line, counted from 1.
    pub line: usize,
    /// What is written there.
    pub text: String,
}

/// What a card may say. `None` and empty are "nothing said".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of the bramble, for founding it.
    pub bramble: Option<String>,
    /// The `.local` name of the portal, where it is not the bramble's name.
    pub portal: Option<String>,
    /// The join key, neither too short nor too long.
    pub join_key: Option<String>,
    /// The node's name.
    pub node_name: Option<String>,
    /// With this code the first visitor chooses the admin password.
    pub first_visit_code: Option<String>,
    /// Hash of the admin password, where it was chosen beforehand.
    pub admin_password_hash: Option<String>,
    /// Network interfaces on which nodes look for each other; none is all real ones.
    pub interfaces: Vec<Written>,
    /// Where other nodes are reached, where multicast is filtered: `address`, `address:port` or `name`.
    pub peers: Vec<Peer>,
    /// How replicas run.
    pub engine: Option<EngineKind>,
    /// Where Docker Engine is reached.
    pub docker: Option<String>,
    /// Lights, as `hardware` reads them.
    pub lights: Vec<Written>,
}

impl fmt::Debug for Settings {
    /// Without join key, code and hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bramble", &self.bramble)
            .field("node_name", &self.node_name)
            .finish_non_exhaustive()
    }
}

/// Where another node may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// An address or a name.
    pub place: String,
    /// Its node-to-node port.
    pub port: u16,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self {
            place: match address {
                SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
                address => address.ip().to_string(),
            },
            port: address.port(),
        }
    }
}

impl Peer {
    /// Reads `192.168.1.20`, `192.168.1.20:7443`, `[fe80::1%eth0]:7443` or `pi-4b-7f2a.local`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(address) = text.parse::<SocketAddr>().ok().filter(|it| it.port() > 0) {
            return Ok(address.into());
        }
        if let Some((place, port)) = ip_and_port(text) {
            return Ok(Self {
                place: place.to_owned(),
                port,
            });
        }
        // What has brackets or an interface is meant as an address, and is none.
        if text.contains(['[', ']', '%']) {
            return Err(no_place(text));
        }
        let (name, port) = match text.split_once(':') {
            None => (text, NODE_PORT),
            Some((name, port)) => (
                name,
                port.parse()
                    .map_err(|_| format!("`{port}` is no port between 1 and 65535"))?,
            ),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        // Four numbers that are no address were meant as one.
        let is_name = name.contains(|c: char| !c.is_ascii_digit() && c != '.');
        match is_name && name.split('.').all(is_label) && port > 0 {
            true => Ok(Self {
                place: name.to_owned(),
                port,
            }),
            false => Err(no_place(text)),
        }
    }
}

fn no_place(text: &str) -> String {
    format!("`{text}` is no address such as 192.168.1.20 or pi-4b-7f2a.local")
}

/// An address of IPv6 with or without brackets, port and interface, or a bare one of IPv4.
fn ip_and_port(text: &str) -> Option<(&str, u16)> {
    let (place, port) = match text.strip_prefix('[') {
        None => (text, NODE_PORT),
        Some(rest) => match rest.split_once(']')? {
            (place, "") => (place, NODE_PORT),
            (place, port) => (
                place,
                port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
            ),
        },
    };
    let (ip, interface) = place.split_once('%').unwrap_or((place, "eth0"));
    let is_one = match place.contains('%') {
        true => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        false => ip.parse::<std::net::IpAddr>().is_ok(),
    };
    let is_interface = !interface.is_empty() && !interface.contains(|c: char| c.is_whitespace() || c == '/');
    (is_one && is_interface).then_some((place, port))
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do about it: a sentence without a full stop.
    pub words: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FILE_NAME}, line {}: {}", self.line, self.words)
    }
}

/// Reads what is good in `text`, and says what is not.
pub fn read(text: &str) -> (Settings, Vec<Complaint>) {
    // Notepad's mark before the first letter.
    let text = text.trim_start_matches('\u{feff}');
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        settings: Settings::default(),
        complaints: Vec::new(),
    };
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.complain(
            at,
            format!(
                "this cannot be read ({}); the rest counts all the same",
                error.message()
            ),
        );
    }
    // In the order of the file, so that complaints are in the order of its lines.
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        if let Err(words) = reader.take(key.get_ref(), value) {
            reader.complain(key.span().start, words);
        }
    }
    reader.compare_names(&table);
    reader.complaints.sort_by_key(|complaint| complaint.line);
    reader.complaints.dedup();
    (reader.settings, reader.complaints)
}

struct Reader<'a> {
    text: &'a str,
    settings: Settings,
    complaints: Vec<Complaint>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    fn complain(&mut self, at: usize, words: String) {
        let line = self.line(at);
        self.complaints.push(Complaint { line, words });
    }

    fn take(&mut self, key: &str, spanned: &Spanned<DeValue<'_>>) -> Result<(), String> {
        let value = spanned.get_ref();
        match key {
            "bramble" => self.settings.bramble = Some(name(key, value)?),
            "portal" => self.settings.portal = Some(name(key, value)?),
            "node_name" => match name(key, value)? {
                everybody if everybody == "localhost" => {
                    return Err(
                        "node_name = \"localhost\" means every computer itself: choose another".to_owned(),
                    );
                }
                name => self.settings.node_name = Some(name),
            },
            "join_key" => self.settings.join_key = Some(join_key(words(key, value)?)?),
            "first_visit_code" => {
                let code = words(key, value)?;
                if code.chars().count() < 8 {
                    return Err(
                        "first_visit_code needs at least 8 characters, so that nobody guesses it".to_owned(),
                    );
                }
                self.settings.first_visit_code = Some(code);
            }
            "admin_password_hash" => {
                let hash = words(key, value)?;
                if !is_password_hash(&hash) {
                    return Err(
                        "admin_password_hash is none that bramble-image made: remove the line, and the first visitor chooses the password"
                            .to_owned(),
                    );
                }
                self.settings.admin_password_hash = Some(hash);
            }
            "docker" => self.settings.docker = Some(words(key, value)?),
            "engine" => {
                self.settings.engine = Some(match words(key, value)?.as_str() {
                    "docker" => EngineKind::Docker,
                    "process" => EngineKind::Process,
                    other => {
                        return Err(format!(
                            "engine = \"{other}\" is unknown: write \"docker\" or \"process\""
                        ));
                    }
                });
            }
            "interfaces" => self.settings.interfaces = self.list(key, spanned)?,
            "light" => self.settings.lights = self.list(key, spanned)?,
            "peers" => {
                for Written { line, text } in self.list(key, spanned)? {
                    match Peer::parse(&text) {
                        Ok(peer) => self.settings.peers.push(peer),
                        Err(words) => self.complaints.push(Complaint {
                            line,
                            words: format!("peers: {words}"),
                        }),
                    }
                }
            }
            unknown => return Err(not_known(unknown)),
        }
        Ok(())
    }

    /// A node that is called as the bramble is, or as its portal, would answer in the place of the leader.
    fn compare_names(&mut self, table: &Spanned<DeTable<'_>>) {
        let bramble = self.settings.bramble.as_deref().unwrap_or(DEFAULT_NAME);
        let leaders = [Some(bramble), self.settings.portal.as_deref()];
        if self.settings.node_name.is_none() || !leaders.contains(&self.settings.node_name.as_deref()) {
            return;
        }
        let name = self.settings.node_name.take().unwrap_or_default();
        let key = table
            .get_ref()
            .iter()
            .find(|(key, _)| key.get_ref() == "node_name");
        self.complain(
            key.map_or(0, |(key, _)| key.span().start),
            format!(
                "node_name = \"{name}\" is the name of the bramble itself: choose another, or remove the line"
            ),
        );
    }

    /// The texts of a list; those that are none are complained of, and the others count.
    fn list(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<Written>, String> {
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::String(_) => vec![value],
            _ => return Err(format!("{key} must be a list: {key} = [\"…\", \"…\"]")),
        };
        let is_list = matches!(value.get_ref(), DeValue::Array(_));
        let mut good = Vec::new();
        for item in items {
            let at = item.span().start;
            if is_list && !item.get_ref().is_str() {
                self.complain(
                    at,
                    format!("{key}: each must stand in quotes: {key} = [\"…\", \"…\"]"),
                );
                continue;
            }
            match words(key, item.get_ref()) {
                Ok(text) => good.push(Written {
                    line: self.line(at),
                    text,
                }),
                Err(words) => self.complain(at, words),
            }
        }
        Ok(good)
    }
}

/// A key that is long enough for nobody to guess.
fn join_key(text: String) -> Result<String, String> {
    match text.chars().count() {
        short if short < SHORTEST_JOIN_KEY => Err(format!(
            "join_key has {short} characters and needs at least {SHORTEST_JOIN_KEY}: take five random words, for example; until \
             then this node waits until somebody admits it"
        )),
        long if long > LONGEST_JOIN_KEY => Err(format!(
            "join_key has {long} characters and may have at most {LONGEST_JOIN_KEY}: take five random words, for example"
        )),
        _ => Ok(text),
    }
}

/// Whether `text` has the form of a hash that `bramble-image customise` makes. Others would take a Pi more memory or time
/// than it has.
fn is_password_hash(text: &str) -> bool {
    let is_base64 = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    };
    text.strip_prefix("$argon2id$v=19$m=19456,t=2,p=1$")
        .and_then(|rest| rest.split_once('$'))
        .is_some_and(|(salt, hash)| is_base64(salt, 22) && is_base64(hash, 43))
}

fn not_known(key: &str) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let near = KEYS.iter().find(|known| {
        let (known, key) = (plain(known), plain(key));
        let begun = known.starts_with(&key) && key.len() > 2;
        begun || key.len() > 3 && strsim::osa_distance(&known, &key) <= 2
    });
    match near {
        Some(known) => format!("`{key}` is not known; it is spelt `{known}`"),
        None => format!(
            "`{key}` is not known and does nothing; known are {}",
            KEYS.join(", ")
        ),
    }
}

fn words(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => {
            Err(format!("{key} is empty: remove the line, or fill it in"))
        }
        DeValue::String(text) => Ok(text.trim().to_owned()),
        _ => Err(format!("{key} must stand in quotes: {key} = \"…\"")),
    }
}

/// A name that can stand before `.local`.
fn name(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    let text = words(key, value)?;
    let name = text.to_ascii_lowercase();
    match is_host_name(&name) {
        true => Ok(name),
        false => Err(format!(
            "{key} = \"{text}\" cannot be a name on the network: use letters, digits and hyphens, at most 63"
        )),
    }
}

/// Whether `name` can be a host's name: lower case letters, digits, and hyphens within.
pub fn is_host_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
