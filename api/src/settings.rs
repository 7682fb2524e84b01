//! `bramble.toml`: what somebody may write on a card before its first start. Text in, settings and complaints out.
//!
//! Nothing in it stops a node: what is wrong is named with its line and its cure, and everything else counts. All of it
//! may be missing. docs/bramble.toml is the documented example, and tested.
//!
//! Not here: finding and reading the file (`cli`), writing it onto cards (`image-builder`).

use std::{collections::BTreeSet, fmt, net::SocketAddr};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::node::EngineKind;

/// Name of the file, on the first partition of a card.
pub const FILE_NAME: &str = "bramble.toml";

/// The node-to-node port where a peer is written without one.
pub const NODE_PORT: u16 = 7443;

/// Every key that is known, as it is suggested for a misspelt one.
const KEYS: [&str; 10] = [
    "bramble",
    "portal",
    "join_key",
    "node_name",
    "first_visit_code",
    "interfaces",
    "peers",
    "engine",
    "docker",
    "light",
];

/// What a card may say. `None` and empty are "nothing said".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of the bramble, for founding it.
    pub bramble: Option<String>,
    /// The `.local` name of the portal, where it is not the bramble's name.
    pub portal: Option<String>,
    /// The join key. Whether it is long enough is checked where it is used.
    pub join_key: Option<String>,
    /// The node's name.
    pub node_name: Option<String>,
    /// With this code the first visitor chooses the admin password.
    pub first_visit_code: Option<String>,
    /// Network interfaces on which nodes look for each other; none is all real ones.
    pub interfaces: BTreeSet<String>,
    /// Where other nodes are reached, where multicast is filtered: `address`, `address:port` or `name`.
    pub peers: Vec<Peer>,
    /// How replicas run.
    pub engine: Option<EngineKind>,
    /// Where Docker Engine is reached.
    pub docker: Option<String>,
    /// Lights, as `hardware` reads them.
    pub lights: Vec<String>,
}

impl fmt::Debug for Settings {
    /// Without the join key and the code.
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

impl Peer {
    /// Reads `192.168.1.20`, `192.168.1.20:7443`, `[fe80::1]:7443` or `pi-4b-7f2a.local`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                place: address.ip().to_string(),
                port: address.port(),
            });
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self {
                place: bare.to_owned(),
                port: NODE_PORT,
            });
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
        match name.split('.').all(is_label) && port > 0 {
            true => Ok(Self {
                place: name.to_owned(),
                port,
            }),
            false => Err(format!(
                "`{text}` is no address such as 192.168.1.20 or pi-4b-7f2a.local"
            )),
        }
    }
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
        if let Err(words) = reader.take(key.get_ref(), value.get_ref()) {
            reader.complain(key.span().start, words);
        }
    }
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
    fn complain(&mut self, at: usize, words: String) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or(self.text);
        self.complaints.push(Complaint {
            line: before.matches('\n').count() + 1,
            words,
        });
    }

    fn take(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "bramble" => self.settings.bramble = Some(name(key, value)?),
            "portal" => self.settings.portal = Some(name(key, value)?),
            "node_name" => self.settings.node_name = Some(name(key, value)?),
            "join_key" => self.settings.join_key = Some(words(key, value)?),
            "first_visit_code" => {
                let code = words(key, value)?;
                if code.chars().count() < 8 {
                    return Err(
                        "first_visit_code needs at least 8 characters, so that nobody guesses it".to_owned(),
                    );
                }
                self.settings.first_visit_code = Some(code);
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
            "interfaces" => self.settings.interfaces = list(key, value)?.into_iter().collect(),
            "light" => self.settings.lights = list(key, value)?,
            "peers" => {
                let mut bad = None;
                for text in list(key, value)? {
                    match Peer::parse(&text) {
                        Ok(peer) => self.settings.peers.push(peer),
                        Err(words) => bad = Some(format!("peers: {words}")),
                    }
                }
                return bad.map_or(Ok(()), Err);
            }
            unknown => return Err(not_known(unknown)),
        }
        Ok(())
    }
}

fn not_known(key: &str) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let near = KEYS
        .iter()
        .find(|known| plain(known) == plain(key) || plain(known).starts_with(&plain(key)) && key.len() > 2);
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

fn list(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(items) => items
            .iter()
            .map(|item: &Spanned<DeValue<'_>>| words(key, item.get_ref()))
            .collect(),
        DeValue::String(_) => Ok(vec![words(key, value)?]),
        _ => Err(format!("{key} must be a list: {key} = [\"…\", \"…\"]")),
    }
}

/// A name that can stand before `.local`.
fn name(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    let name = words(key, value)?.to_ascii_lowercase();
    match is_host_name(&name) {
        true => Ok(name),
        false => Err(format!(
            "{key} = \"{name}\" cannot be a name on the network: use letters, digits and hyphens, at most 63"
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
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../docs/bramble.toml");

    fn complaints(text: &str) -> Vec<String> {
        read(text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_documented_example_says_nothing_as_it_is_and_everything_when_its_lines_are_used() {
        assert_eq!(read(EXAMPLE), (Settings::default(), Vec::new()));
        let used: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let (settings, complaints) = read(&used);
        assert_eq!(complaints, []);
        for key in KEYS {
            assert!(
                used.contains(&format!("\n{key} = ")),
                "{key} is not in docs/bramble.toml"
            );
        }
        assert_eq!(settings.bramble.as_deref(), Some("class-4b"));
        assert_eq!(settings.engine, Some(EngineKind::Docker));
        assert_eq!(settings.peers.len(), 2);
    }

    #[test]
    fn an_empty_or_missing_file_is_a_good_one() {
        assert_eq!(read(""), (Settings::default(), Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_cure_and_the_rest_counts() {
        let text = "bramble = \"Class-4B\"\njoin-key = \"five random words are good\"\nengine = \"podman\"\n\nnode_name = \"no spaces please\"\npeers = [\"192.168.1.20\", \"not an address\"]\nlight = 3\n";
        let (settings, _) = read(text);
        assert_eq!(settings.bramble.as_deref(), Some("class-4b"));
        assert_eq!(
            settings.peers,
            [Peer {
                place: "192.168.1.20".to_owned(),
                port: 7443
            }]
        );
        assert_eq!(
            complaints(text),
            [
                "bramble.toml, line 2: `join-key` is not known; it is spelt `join_key`",
                "bramble.toml, line 3: engine = \"podman\" is unknown: write \"docker\" or \"process\"",
                "bramble.toml, line 5: node_name = \"no spaces please\" cannot be a name on the network: use letters, digits and hyphens, at most 63",
                "bramble.toml, line 6: peers: `not an address` is no address such as 192.168.1.20 or pi-4b-7f2a.local",
                "bramble.toml, line 7: light must be a list: light = [\"…\", \"…\"]",
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_toml_does_not_take_the_others_along() {
        for broken in [
            "join_key = five words without quotes",
            "this is no setting",
            "engine = \"docker",
        ] {
            let text = format!("bramble = \"garden\"\n{broken}\n");
            let (settings, complaints) = read(&text);
            assert_eq!(settings.bramble.as_deref(), Some("garden"), "{broken}");
            assert!(
                !complaints.is_empty() && complaints[0].line >= 2,
                "{broken}: {complaints:?}"
            );
        }
    }

    #[test]
    fn files_as_windows_writes_them_are_read() {
        let (settings, complaints) = read("\u{feff}bramble = \"garden\"\r\nengine = \"docker\"\r\n");
        assert_eq!(complaints, []);
        assert_eq!(settings.bramble.as_deref(), Some("garden"));
    }

    #[test]
    fn peers_are_addresses_or_names_with_or_without_port() {
        let peer = |text: &str| Peer::parse(text).map(|peer| (peer.place, peer.port));
        assert_eq!(peer("10.0.0.1:99"), Ok(("10.0.0.1".to_owned(), 99)));
        assert_eq!(peer("[fe80::1]:7443"), Ok(("fe80::1".to_owned(), 7443)));
        assert_eq!(peer("fe80::1"), Ok(("fe80::1".to_owned(), 7443)));
        assert_eq!(
            peer("pi-4b-7f2a.local"),
            Ok(("pi-4b-7f2a.local".to_owned(), 7443))
        );
        assert!(peer("a b").is_err() && peer("pi:0").is_err() && peer("").is_err());
    }

    #[test]
    fn neither_join_key_nor_code_is_printed() {
        let (settings, _) =
            read("join_key = \"five random words are good\"\nfirst_visit_code = \"12345678\"\n");
        let text = format!("{settings:?}");
        assert!(!text.contains("random") && !text.contains("1234"), "{text}");
    }
}
