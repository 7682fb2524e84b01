//! What a card says to the system: the table `[card]` of `bramble.toml`. Text in, settings and complaints out.
//!
//! Not here: what the node itself reads from the same file (`api::settings`), what Imager leaves (`imager`).

use api::settings::Complaint;
use toml::de::{DeTable, DeValue};

/// What a card may say to the system. `None` and empty are "nothing said".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Wi-Fi networks to join; the first in reach that fits is taken.
    pub wifi: Vec<Wifi>,
    /// A Wi-Fi network to make, for schools whose own keeps its clients apart.
    pub access_point: Option<Wifi>,
    /// Two letters; without it Wi-Fi keeps to what is allowed everywhere.
    pub country: Option<String>,
    /// As in `Europe/London`.
    pub time_zone: Option<String>,
    /// Public keys that may sign in by ssh, as root. Without one, ssh is off.
    pub ssh_keys: Vec<String>,
    /// Where containers get their addresses from: a /16.
    pub container_addresses: Option<[u8; 2]>,
}

/// A Wi-Fi network.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name, which may be any bytes.
    pub ssid: Vec<u8>,
    /// 8 to 63 characters, or 64 hexadecimal digits; none for an open network.
    pub password: Option<String>,
    /// Whether it does not say its name.
    pub hidden: bool,
}

impl std::fmt::Debug for Wifi {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wifi")
            .field("ssid", &String::from_utf8_lossy(&self.ssid))
            .finish_non_exhaustive()
    }
}

/// The two parts of a `bramble.toml`, with every line where it was: what the node reads, and what the system does.
pub fn split(text: &str) -> (String, String) {
    let (mut node, mut card) = (String::new(), String::new());
    let mut in_card = false;
    for line in text.lines() {
        let start = line.trim_start_matches('\u{feff}').trim_start();
        if start.starts_with('[') && (start.ends_with(']') || start.contains("] #")) {
            in_card = start.starts_with("[card]");
        }
        match in_card {
            true => card += line,
            false => node += line,
        }
        node.push('\n');
        card.push('\n');
    }
    (node, card)
}

/// Reads what is good in the card's part, and says what is not.
pub fn read(text: &str) -> (Card, Vec<Complaint>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| {
        text.get(..at.min(text.len()))
            .unwrap_or(text)
            .matches('\n')
            .count()
            + 1
    };
    let mut complaints: Vec<Complaint> = errors
        .iter()
        .map(|error| Complaint {
            line: line(error.span().map_or(0, |span| span.start)),
            words: format!(
                "this cannot be read ({}); the rest counts all the same",
                error.message()
            ),
        })
        .collect();
    let mut card = Card::default();
    for (header, value) in table.get_ref() {
        let DeValue::Table(entries) = value.get_ref() else {
            continue;
        };
        if header.get_ref() != "card" {
            continue;
        }
        for (key, value) in entries {
            if let Err(words) = take(&mut card, key.get_ref(), value.get_ref()) {
                complaints.push(Complaint {
                    line: line(key.span().start),
                    words,
                });
            }
        }
    }
    complaints.sort_by_key(|complaint| complaint.line);
    (card, complaints)
}

fn take(card: &mut Card, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    match key {
        "wifi" => {
            let DeValue::Array(items) = value else {
                card.wifi.push(wifi(key, value)?);
                return Ok(());
            };
            for item in items {
                card.wifi.push(wifi(key, item.get_ref())?);
            }
        }
        "access_point" => {
            let made = wifi(key, value)?;
            if made.password.is_none() {
                return Err("access_point needs a password of 8 characters or more".to_owned());
            }
            card.access_point = Some(made);
        }
        "country" => {
            let country = words(key, value)?.to_ascii_uppercase();
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Err(format!(
                    "country = \"{country}\" must be two letters, such as GB or DE"
                ));
            }
            card.country = Some(country);
        }
        "time_zone" => card.time_zone = Some(time_zone(&words(key, value)?)?),
        "ssh_keys" => {
            let keys = match value {
                DeValue::Array(items) => items
                    .iter()
                    .map(|item| words(key, item.get_ref()))
                    .collect::<Result<_, _>>()?,
                _ => vec![words(key, value)?],
            };
            for key in keys {
                card.ssh_keys.push(ssh_key(&key)?);
            }
        }
        "container_addresses" => {
            let text = words(key, value)?;
            card.container_addresses = Some(block(&text).ok_or_else(|| {
                format!("container_addresses = \"{text}\" must be a private block such as 10.203.0.0/16")
            })?);
        }
        unknown => {
            return Err(format!(
                "`{unknown}` is not known below [card] and does nothing; known are wifi, access_point, country, \
                 time_zone, ssh_keys, container_addresses (settings of the node stand above [card])"
            ));
        }
    }
    Ok(())
}

fn block(text: &str) -> Option<[u8; 2]> {
    let mut parts = text.strip_suffix(".0.0/16")?.split('.');
    let (first, second) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let private = matches!((first, second), (10, _) | (172, 16..=31) | (192, 168));
    (private && parts.next().is_none()).then_some([first, second])
}

/// A time zone that cannot lead out of its folder.
pub(crate) fn time_zone(text: &str) -> Result<String, String> {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'))
    };
    match text.split('/').all(good) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "time_zone = \"{text}\" must be written like Europe/London"
        )),
    }
}

/// One line of `authorized_keys`.
pub(crate) fn ssh_key(text: &str) -> Result<String, String> {
    let known = [
        "ssh-ed25519 ",
        "ssh-rsa ",
        "ecdsa-sha2-",
        "sk-ssh-ed25519",
        "sk-ecdsa-sha2-",
    ];
    let one_line = !text.contains(['\n', '\r']);
    match one_line && known.iter().any(|kind| text.starts_with(kind)) {
        true => Ok(text.to_owned()),
        false => Err("ssh_keys must be public keys: the one line of a file ending in .pub".to_owned()),
    }
}

fn words(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        DeValue::String(_) => Err(format!("{key} is empty: remove the line, or fill it in")),
        _ => Err(format!("{key} must stand in quotes: {key} = \"…\"")),
    }
}

fn wifi(key: &str, value: &DeValue<'_>) -> Result<Wifi, String> {
    let DeValue::Table(entries) = value else {
        return Err(format!(
            "{key} must be written {key} = {{ ssid = \"…\", password = \"…\" }}"
        ));
    };
    let (mut ssid, mut password, mut hidden) = (None, None, false);
    for (name, value) in entries {
        match (name.get_ref().as_ref(), value.get_ref()) {
            // Spaces count in names and passwords.
            ("ssid", DeValue::String(text)) => ssid = Some(text.as_bytes().to_vec()),
            ("password", DeValue::String(text)) => password = Some(text.clone().into_owned()),
            ("hidden", DeValue::Boolean(value)) => hidden = *value,
            (other, _) => return Err(format!("{key}: `{other}` is not known, or not in quotes")),
        }
    }
    Wifi::new(ssid.unwrap_or_default(), password, hidden).map_err(|words| format!("{key}: {words}"))
}

impl Wifi {
    /// A network with a name and a password that can be.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn new(ssid: Vec<u8>, password: Option<String>, hidden: bool) -> Result<Self, String> {
        if !(1..=32).contains(&ssid.len()) {
            return Err("ssid, the network's name, must have 1 to 32 letters".to_owned());
        }
        if let Some(password) = &password {
            let printable = password.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let key = password.len() == 64 && password.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !(key || printable && (8..=63).contains(&password.len())) {
                return Err("the password must have 8 to 63 letters without accents".to_owned());
            }
        }
        Ok(Self {
            ssid,
            password,
            hidden,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "bramble = \"class-4b\"\n\n[card]\nwifi = [{ ssid = \"School\", password = \"long enough\" }]\ncountry = \"gb\"\ntime_zone = \"Europe/London\"\nssh_keys = [\"ssh-ed25519 AAAA teacher\"]\ncontainer_addresses = \"10.217.0.0/16\"\n";

    #[test]
    fn what_the_system_reads_and_what_the_node_reads_keep_their_lines() {
        let (node, card) = split(FULL);
        assert_eq!(api::settings::read(&node).1, []);
        assert_eq!(node.lines().next(), Some("bramble = \"class-4b\""));
        assert!(!node.contains("wifi") && card.starts_with("\n\n[card]\n"));
        let (read, complaints) = read(&card);
        assert_eq!(complaints, []);
        assert_eq!(read.wifi[0].ssid, b"School");
        assert_eq!(read.country.as_deref(), Some("GB"));
        assert_eq!(read.container_addresses, Some([10, 217]));
        assert_eq!(read.ssh_keys.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_rest_counts() {
        let text = "\n[card]\ncountry = \"England\"\ntime_zone = \"../../etc/shadow\"\nwifi = { ssid = \"a\", password = \"short\" }\naccess_point = { ssid = \"class\" }\ncolour = 3\nssh_keys = \"hello\"\ncontainer_addresses = \"8.8.0.0/16\"\n";
        let (card, complaints) = read(&split(text).1);
        assert_eq!(card, Card::default());
        let lines: Vec<usize> = complaints.iter().map(|complaint| complaint.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_half_written_line_does_not_take_the_others_along() {
        let (card, complaints) = read("[card]\ncountry = \"DE\"\nwifi = [{ ssid = \"Scho");
        assert_eq!(card.country.as_deref(), Some("DE"));
        assert!(!complaints.is_empty());
    }

    #[test]
    fn passwords_are_not_printed() {
        let (card, _) = read(&split(FULL).1);
        assert!(!format!("{card:?}").contains("long enough"));
    }
}
