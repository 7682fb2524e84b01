//! The settings of a class written into an image, and a card to cut out.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use qrcode::{QrCode, render::svg};

use crate::{inspect::Image, overlay};

/// How the first person signs in to the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// With this code the first visitor chooses the admin password.
    Code(String),
    /// The admin password was chosen beforehand: its hash.
    Password(String),
}

impl Default for WayIn {
    fn default() -> Self {
        Self::Code(String::new())
    }
}

/// What a class wants to be on all of its cards.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Name of the bramble.
    pub bramble: String,
    /// Shared by all cards; whoever holds it may join.
    pub join_key: String,
    /// How the first person signs in.
    pub way_in: WayIn,
    /// Another name for the portal.
    pub portal: Option<String>,
    /// Lights, as docs/lights names them.
    pub lights: Vec<String>,
    /// Network and password.
    pub wifi: Option<(String, String)>,
    /// Network to make, and password.
    pub access_point: Option<(String, String)>,
    /// Two letters.
    pub country: Option<String>,
    /// As in `Europe/London`.
    pub time_zone: Option<String>,
    /// Public keys.
    pub ssh_keys: Vec<String>,
}

impl Settings {
    /// The text of `bramble.toml`. Whoever reads it back must find the same, without a complaint.
    ///
    /// # Errors
    /// What is wrong with the settings, in words.
    pub fn toml(&self) -> Result<String> {
        let mut text =
            String::from("# Written by bramble-image customise. The same on all cards of this bramble.\n");
        let mut say = |key: &str, value: &str| text += &format!("{key} = {}\n", quoted(value));
        say("bramble", &self.bramble);
        say("join_key", &self.join_key);
        match &self.way_in {
            WayIn::Code(code) => say("first_visit_code", code),
            WayIn::Password(hash) => say("admin_password_hash", hash),
        }
        if let Some(portal) = &self.portal {
            say("portal", portal);
        }
        if !self.lights.is_empty() {
            text += &format!("light = [{}]\n", list(&self.lights));
        }
        text += "\n[card]\n";
        let network = |(name, password): &(String, String)| {
            let password = match password.is_empty() {
                true => String::new(),
                false => format!(", password = {}", quoted(password)),
            };
            format!("{{ ssid = {}{password} }}", quoted(name))
        };
        if let Some(wifi) = &self.wifi {
            text += &format!("wifi = [{}]\n", network(wifi));
        }
        if let Some(made) = &self.access_point {
            text += &format!("access_point = {}\n", network(made));
        }
        for (key, value) in [("country", &self.country), ("time_zone", &self.time_zone)] {
            if let Some(value) = value {
                text += &format!("{key} = {}\n", quoted(value));
            }
        }
        if !self.ssh_keys.is_empty() {
            text += &format!("ssh_keys = [{}]\n", list(&self.ssh_keys));
        }
        let (node, card) = appliance::card::split(&text);
        let wrong: Vec<String> = api::settings::read(&node)
            .1
            .iter()
            .chain(&appliance::card::read(&card).1)
            .map(|complaint| complaint.words.clone())
            .collect();
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(text)
    }

    /// Where browsers find the portal.
    pub fn address(&self) -> String {
        format!("http://{}.local/", self.portal.as_ref().unwrap_or(&self.bramble))
    }

    /// What whoever comes first needs besides the address.
    pub fn how_to_sign_in(&self) -> String {
        match &self.way_in {
            WayIn::Code(code) => format!("first visit: {code}"),
            WayIn::Password(_) => "sign in as admin".to_owned(),
        }
    }

    /// A card to cut out, as SVG in the size of a bank card: address, its code to photograph, and the code of the first visit.
    ///
    /// # Errors
    /// When the address is too long for a code.
    pub fn card(&self) -> Result<String> {
        let code = QrCode::new(self.address())?;
        let drawn = code
            .render::<svg::Color<'_>>()
            .min_dimensions(200, 200)
            .quiet_zone(true)
            .build();
        let drawn = drawn.split_once("?>").map_or(drawn.as_str(), |(_, rest)| rest);
        let wifi = self.access_point.as_ref().or(self.wifi.as_ref());
        let mut lines = vec![
            (24, "bold", self.bramble.clone()),
            (15, "normal", self.address()),
            (12, "normal", self.how_to_sign_in()),
        ];
        lines.extend(wifi.map(|(name, _)| (12, "normal", format!("Wi-Fi: {name}"))));
        let mut text = String::new();
        let mut y = 44;
        for (size, weight, line) in lines {
            text += &format!(
                "<text x=\"220\" y=\"{y}\" font-size=\"{size}\" font-weight=\"{weight}\">{}</text>\n",
                escaped(&line)
            );
            y += 30;
        }
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"130mm\" height=\"54mm\" viewBox=\"0 0 520 216\" font-family=\"sans-serif\">\n\
             <rect x=\"1\" y=\"1\" width=\"518\" height=\"214\" rx=\"12\" fill=\"#fff\" stroke=\"#000\" stroke-dasharray=\"6 4\"/>\n\
             <svg x=\"8\" y=\"8\" width=\"200\" height=\"200\">{drawn}</svg>\n{text}</svg>\n"
        ))
    }
}

/// Copies `image` to `out` with the settings on it, and puts the card to cut out beside it. `out` may be `image` itself.
///
/// # Errors
/// When the settings are wrong or the image is none; the image is not touched then.
pub fn customise(image: &Path, out: &Path, settings: &Settings) -> Result<()> {
    let text = settings.toml()?;
    let card = settings.card()?;
    Image::open(image, false)?.fat()?;
    if image != out {
        fs::copy(image, out).with_context(|| format!("cannot copy to {}", out.display()))?;
    }
    let opened = Image::open(out, true)?;
    let fat = opened.fat()?;
    fat.write("bramble.toml", text.as_bytes())?;
    fat.write("bramble-example.toml", overlay::settings().as_bytes())?;
    fat.close()?;
    opened.file.sync_all()?;
    let beside = out.with_extension("svg");
    fs::write(&beside, card).with_context(|| format!("cannot write {}", beside.display()))?;
    Ok(())
}

/// Letters that nobody mistakes for others, when they are read from a card and typed.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";

/// A new secret of so many groups of five letters, 5 bits each.
///
/// # Errors
/// When the system has no randomness.
pub fn secret(groups: usize) -> Result<String> {
    let mut bytes = vec![0; groups * 5];
    let mut text = String::new();
    for group in 0..groups {
        if group > 0 {
            text.push('-');
        }
        let mut length = 0;
        while length < 5 {
            getrandom::fill(&mut bytes[..1])
                .map_err(|error| anyhow::anyhow!("no randomness here: {error}"))?;
            // 31 letters: the hyphen is for between groups.
            if let Some(letter) = LETTERS
                .get(usize::from(bytes[0] & 31))
                .filter(|letter| **letter != b'-')
            {
                text.push(char::from(*letter));
                length += 1;
            }
        }
    }
    Ok(text)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted += &format!("\\u{:04x}", u32::from(letter)),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

fn list(texts: &[String]) -> String {
    texts
        .iter()
        .map(|text| quoted(text))
        .collect::<Vec<_>>()
        .join(", ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            bramble: "class-4b".to_owned(),
            join_key: secret(5).unwrap(),
            way_in: WayIn::Code("tall-lamp-42".to_owned()),
            wifi: Some(("Tom & \"Jerry\"".to_owned(), "back\\slash\"es".to_owned())),
            country: Some("GB".to_owned()),
            time_zone: Some("Europe/London".to_owned()),
            ssh_keys: vec!["ssh-ed25519 AAAA teacher".to_owned()],
            ..Settings::default()
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let settings = settings();
        let (node, card) = appliance::card::split(&settings.toml().unwrap());
        let (node, card) = (api::settings::read(&node).0, appliance::card::read(&card).0);
        assert_eq!(node.bramble.as_deref(), Some("class-4b"));
        assert_eq!(node.join_key, Some(settings.join_key));
        assert_eq!(card.wifi[0].ssid, b"Tom & \"Jerry\"");
        assert_eq!(card.wifi[0].password.as_deref(), Some("back\\slash\"es"));
    }

    #[test]
    fn of_a_password_only_its_hash_is_written() {
        let settings = Settings {
            way_in: WayIn::Password(password::hash("correct horse").unwrap()),
            ..settings()
        };
        let text = settings.toml().unwrap();
        assert!(!text.contains("correct horse") && !text.contains("first_visit_code"));
        let (node, _) = api::settings::read(&appliance::card::split(&text).0);
        assert!(password::is("correct horse", &node.admin_password_hash.unwrap()));
        assert!(!settings.card().unwrap().contains("argon2"));
    }

    #[test]
    fn what_would_be_complained_about_is_not_written() {
        let wrong = Settings {
            country: Some("England".to_owned()),
            ..settings()
        };
        assert!(wrong.toml().unwrap_err().to_string().contains("two letters"));
    }

    #[test]
    fn the_card_to_cut_out_holds_address_and_code_but_not_the_join_key() {
        let settings = settings();
        let card = settings.card().unwrap();
        assert!(card.contains("http://class-4b.local/") && card.contains("tall-lamp-42"));
        assert!(!card.contains(&settings.join_key));
        assert!(card.contains("Tom &amp; \"Jerry\""));
    }

    #[test]
    fn no_two_secrets_are_alike_and_both_are_easy_to_type() {
        let (one, other) = (secret(5).unwrap(), secret(5).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 29);
        assert!(!one.contains(['l', 'o', 'i', '0', '1']), "{one}");
    }
}
