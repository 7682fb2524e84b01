//! What Raspberry Pi Imager leaves on a card: `rpi-preseed.toml`, `custom.toml`, or `user-data` with `network-config`.
//!
//! Taken are Wi-Fi, country, time zone and ssh keys. Not taken are the host name, which all cards written with the same
//! settings would share, and users with passwords, since the appliance has none.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::card::{self, Card, Wifi};

/// Names of the files that Imager may leave, first come first served.
pub(crate) const NAMES: [&str; 4] = ["rpi-preseed.toml", "custom.toml", "user-data", "network-config"];

/// Fills gaps of `card` with what stands in the file called `name`.
///
/// # Errors
/// Why the file cannot be read, in words.
pub(crate) fn fill(card: &mut Card, name: &str, text: &str) -> Result<(), String> {
    let unreadable = |error: String| {
        let first = error.lines().next().unwrap_or_default().to_owned();
        format!(
            "{name}, left by Raspberry Pi Imager, cannot be read ({first}); write the card again, or use bramble.toml"
        )
    };
    let found = match name {
        "user-data" => user_data(text).map_err(unreadable)?,
        "network-config" => network_config(text).map_err(unreadable)?,
        _ => preseed(text).map_err(unreadable)?,
    };
    if card.wifi.is_empty() {
        card.wifi = found.wifi;
    }
    card.country = card.country.take().or(found.country);
    card.time_zone = card.time_zone.take().or(found.time_zone);
    if card.ssh_keys.is_empty() {
        card.ssh_keys = found.ssh_keys;
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Preseed {
    ssh: Ssh,
    wlan: Wlan,
    locale: Locale,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ssh {
    authorized_keys: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wlan {
    ssid: Option<String>,
    ssid_hex: Option<String>,
    password: Option<String>,
    hidden: bool,
    country: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Locale {
    timezone: Option<String>,
}

fn preseed(text: &str) -> Result<Card, String> {
    let read: Preseed = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Card {
        country: read.wlan.country,
        ..Card::default()
    };
    let ssid = match (read.wlan.ssid, read.wlan.ssid_hex) {
        (Some(ssid), _) => Some(ssid.into_bytes()),
        (None, Some(hex)) => unhex(&hex),
        (None, None) => None,
    };
    if let Some(ssid) = ssid {
        let password = read.wlan.password.filter(|password| !password.is_empty());
        found.wifi.push(Wifi::new(ssid, password, read.wlan.hidden)?);
    }
    found.time_zone = read
        .locale
        .timezone
        .map(|zone| card::time_zone(&zone))
        .transpose()?;
    found.ssh_keys = keys(&read.ssh.authorized_keys)?;
    Ok(found)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserData {
    timezone: Option<String>,
    ssh_authorized_keys: Vec<String>,
    user: User,
    users: Vec<MaybeUser>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    ssh_authorized_keys: Vec<String>,
}

/// cloud-init allows the bare name `default` among users.
#[derive(Deserialize)]
#[serde(untagged)]
enum MaybeUser {
    User(User),
    Name(String),
}

fn user_data(text: &str) -> Result<Card, String> {
    let read: UserData = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut all = read.ssh_authorized_keys;
    all.extend(read.user.ssh_authorized_keys);
    for user in read.users {
        match user {
            MaybeUser::User(user) => all.extend(user.ssh_authorized_keys),
            MaybeUser::Name(name) => drop(name),
        }
    }
    Ok(Card {
        time_zone: read.timezone.map(|zone| card::time_zone(&zone)).transpose()?,
        ssh_keys: keys(&all)?,
        ..Card::default()
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkConfig {
    network: Option<Network>,
    wifis: BTreeMap<String, Wifis>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    wifis: BTreeMap<String, Wifis>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Wifis {
    regulatory_domain: Option<String>,
    access_points: BTreeMap<String, AccessPoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessPoint {
    password: Option<String>,
    hidden: bool,
}

fn network_config(text: &str) -> Result<Card, String> {
    let read: NetworkConfig = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Card::default();
    for wifis in read
        .network
        .unwrap_or_default()
        .wifis
        .into_values()
        .chain(read.wifis.into_values())
    {
        found.country = found.country.take().or(wifis.regulatory_domain);
        for (ssid, point) in wifis.access_points {
            found
                .wifi
                .push(Wifi::new(ssid.into_bytes(), point.password, point.hidden)?);
        }
    }
    Ok(found)
}

fn keys(texts: &[String]) -> Result<Vec<String>, String> {
    texts.iter().map(|text| card::ssh_key(text.trim())).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(name: &str, text: &str) -> Card {
        let mut card = Card::default();
        fill(&mut card, name, text).unwrap();
        card
    }

    #[test]
    fn wifi_country_zone_and_key_are_taken_from_each_kind_of_file() {
        let preseed = filled(
            "rpi-preseed.toml",
            "config_version = \"1.0\"\n[system]\nhostname = \"pi\"\n[ssh]\nenabled = true\nauthorized_keys = [\"ssh-ed25519 AAAA me\"]\n[wlan]\nssid_hex = \"484f4d45\"\npassword = \"long enough\"\ncountry = \"GB\"\n[locale]\ntimezone = \"Europe/London\"\n",
        );
        let mut cloud = filled(
            "user-data",
            "#cloud-config\nhostname: pi\ntimezone: Europe/London\nuser:\n  name: me\n  ssh_authorized_keys:\n    - ssh-ed25519 AAAA me\n",
        );
        fill(
            &mut cloud,
            "network-config",
            "network:\n  version: 2\n  wifis:\n    wlan0:\n      dhcp4: true\n      regulatory-domain: \"GB\"\n      access-points:\n        \"HOME\":\n          password: \"long enough\"\n      optional: true\n",
        )
        .unwrap();
        assert_eq!(preseed, cloud);
        assert_eq!(preseed.wifi[0].ssid, b"HOME");
        assert_eq!(preseed.country.as_deref(), Some("GB"));
        assert_eq!(preseed.ssh_keys, ["ssh-ed25519 AAAA me"]);
    }

    #[test]
    fn what_the_card_says_itself_comes_first() {
        let mut card = Card {
            country: Some("DE".to_owned()),
            ..Card::default()
        };
        fill(
            &mut card,
            "custom.toml",
            "[wlan]\nssid = \"a\"\ncountry = \"GB\"\n",
        )
        .unwrap();
        assert_eq!(card.country.as_deref(), Some("DE"));
        assert_eq!(card.wifi.len(), 1);
    }

    #[test]
    fn a_broken_file_is_named_and_changes_nothing() {
        let mut card = Card::default();
        let error = fill(&mut card, "custom.toml", "[wlan\n").unwrap_err();
        assert!(
            error.starts_with("custom.toml, left by Raspberry Pi Imager, cannot be read"),
            "{error}"
        );
        assert_eq!(card, Card::default());
    }
}
