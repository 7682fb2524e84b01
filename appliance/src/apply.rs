//! What follows from the files on a card: files below `/run`, and complaints. Pure.

use std::{collections::BTreeMap, fmt::Write as _};

use api::settings;

use crate::{
    card::{self, Card, Wifi},
    imager,
};

/// The address of a Pi in the Wi-Fi network that it makes.
pub const ACCESS_POINT_ADDRESS: &str = "10.86.0.1";

/// Where containers get their addresses from when the card does not say. Neither Docker's own habit, which schools use
/// too, nor what home routers give out.
const CONTAINERS: [u8; 2] = [10, 203];

/// What is known at each start.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The card's files by lower-case name; those that are not there are missing.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The board's serial number, or else what comes closest; for the host name.
    pub serial: String,
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Files by path from the root: mode and content.
    pub files: BTreeMap<String, (u32, String)>,
    /// Links by path from the root.
    pub links: BTreeMap<String, String>,
    /// What is wrong on the card and how to cure it, a sentence each.
    pub complaints: Vec<String>,
    /// The portal's name, before `.local`.
    pub portal: String,
}

/// Reads the card's files and says what they lead to. Anything may be missing, half-written or wrong.
pub fn apply(found: &Found) -> Applied {
    let mut complaints = Vec::new();
    let text = settings_file(found, &mut complaints);
    let (for_node, for_card) = card::split(&text);
    let (node, wrong) = settings::read(&for_node);
    complaints.extend(wrong.iter().map(ToString::to_string));
    let (mut card, wrong) = card::read(&for_card);
    complaints.extend(wrong.iter().map(ToString::to_string));
    for name in imager::NAMES {
        if let Some(bytes) = found.files.get(name)
            && let Err(words) = imager::fill(&mut card, name, &String::from_utf8_lossy(bytes))
        {
            complaints.push(words);
        }
    }
    if card.access_point.is_some() && !card.wifi.is_empty() {
        complaints.push(
            "bramble.toml: a Pi cannot make a Wi-Fi network and be in another; it makes its own, and needs a cable to others"
                .to_owned(),
        );
    }
    let portal = node
        .portal
        .or(node.bramble)
        .unwrap_or_else(|| "bramble".to_owned());
    let hostname = node.node_name.unwrap_or_else(|| host_name(&found.serial));

    let mut files = BTreeMap::new();
    let mut put = |path: &str, mode: u32, content: String| _ = files.insert(path.to_owned(), (mode, content));
    put("run/bramble/bramble.toml", 0o600, for_node);
    put(
        "run/bramble/hosts",
        0o644,
        hosts(&hostname, &portal, card.access_point.is_some()),
    );
    put("run/bramble/hostname", 0o644, format!("{hostname}\n"));
    put(
        "run/bramble/daemon.json",
        0o644,
        docker(card.container_addresses.unwrap_or(CONTAINERS)),
    );
    if !card.ssh_keys.is_empty() {
        put(
            "run/bramble/authorized_keys",
            0o600,
            card.ssh_keys.join("\n") + "\n",
        );
    }
    if card.access_point.is_some() || !card.wifi.is_empty() {
        put("run/bramble/wpa_supplicant.conf", 0o600, wpa_supplicant(&card));
    }
    if card.access_point.is_some() {
        put(
            "run/systemd/network/10-access-point.network",
            0o644,
            access_point(),
        );
        put(
            "run/systemd/resolved.conf.d/60-access-point.conf",
            0o644,
            format!("[Resolve]\nDNSStubListenerExtra={ACCESS_POINT_ADDRESS}\n"),
        );
    }
    let zone = card.time_zone.as_deref().unwrap_or("Etc/UTC");
    let links = [(
        "run/bramble/localtime".to_owned(),
        format!("/usr/share/zoneinfo/{zone}"),
    )]
    .into();
    Applied {
        files,
        links,
        complaints,
        portal,
    }
}

/// The text of `bramble.toml`, also where an editor wrote it in another way or under another name.
fn settings_file(found: &Found, complaints: &mut Vec<String>) -> String {
    let misnamed = "bramble.toml.txt";
    let Some(bytes) = found.files.get(settings::FILE_NAME).or_else(|| {
        let bytes = found.files.get(misnamed)?;
        complaints.push(format!(
            "{misnamed}: the name should be bramble.toml; it counts all the same"
        ));
        Some(bytes)
    }) else {
        return String::new();
    };
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => {
            let units = rest
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units)
                .map(|letter| letter.unwrap_or('\u{fffd}'))
                .collect()
        }
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    };
    if text.contains(['“', '”', '„']) {
        complaints.push(
            "bramble.toml: there are curly quotes in it; write straight ones, with a plain text editor"
                .to_owned(),
        );
    }
    text.trim_start_matches('\u{feff}')
        .replace(['“', '”', '„'], "\"")
        .replace('\0', " ")
}

fn host_name(serial: &str) -> String {
    let end: String = serial.chars().filter(char::is_ascii_alphanumeric).collect();
    let end = end
        .get(end.len().saturating_sub(4)..)
        .unwrap_or_default()
        .to_ascii_lowercase();
    match end.is_empty() {
        true => "pi".to_owned(),
        false => format!("pi-{end}"),
    }
}

fn hosts(hostname: &str, portal: &str, access_point: bool) -> String {
    let mut text = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname}\n");
    if access_point {
        // Tablets that know no .local try the bare name, or ask for the whole one in the ordinary way.
        _ = writeln!(text, "{ACCESS_POINT_ADDRESS} {portal}.local {portal}");
    }
    text
}

fn docker(block: [u8; 2]) -> String {
    let [first, second] = block;
    format!(
        r#"{{
  "bip": "{first}.{second}.0.1/24",
  "default-address-pools": [{{"base": "{first}.{second}.128.0/17", "size": 24}}],
  "live-restore": true,
  "log-driver": "local",
  "log-opts": {{"max-size": "1m", "max-file": "2"}},
  "max-concurrent-downloads": 1,
  "no-new-privileges": true,
  "userland-proxy": false
}}
"#
    )
}

fn wpa_supplicant(card: &Card) -> String {
    let mut text = String::new();
    if let Some(country) = &card.country {
        _ = writeln!(text, "country={country}");
    }
    match &card.access_point {
        // Channel 6: allowed everywhere, and every board and tablet can.
        Some(made) => text += &network(made, "mode=2\n  frequency=2437\n  proto=RSN\n  pairwise=CCMP\n"),
        None => card.wifi.iter().for_each(|wifi| text += &network(wifi, "")),
    }
    text
}

fn network(wifi: &Wifi, more: &str) -> String {
    let ssid: String = wifi.ssid.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("network={{\n  ssid={ssid}\n");
    match &wifi.password {
        None => text += "  key_mgmt=NONE\n",
        Some(key) if key.len() == 64 => _ = writeln!(text, "  key_mgmt=WPA-PSK\n  psk={key}"),
        Some(password) => _ = writeln!(text, "  key_mgmt=WPA-PSK\n  psk=\"{password}\""),
    }
    if wifi.hidden {
        text += "  scan_ssid=1\n";
    }
    if !more.is_empty() {
        _ = write!(text, "  {more}");
    }
    text + "}\n"
}

fn access_point() -> String {
    // No way to the Internet is offered: tablets keep theirs.
    format!(
        "[Match]\nName=wlan0\n\n[Network]\nAddress={ACCESS_POINT_ADDRESS}/24\nDHCPServer=yes\nIPv6AcceptRA=no\n\
         ConfigureWithoutCarrier=yes\n\n[DHCPServer]\nPoolOffset=10\nPoolSize=240\nEmitDNS=yes\nDNS={ACCESS_POINT_ADDRESS}\n\
         EmitRouter=no\nPersistLeases=no\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(files: &[(&str, &[u8])]) -> Applied {
        apply(&Found {
            files: files
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
            serial: "10000000abcd7F2A".to_owned(),
        })
    }

    fn content<'a>(applied: &'a Applied, path: &str) -> &'a str {
        &applied.files.get(path).unwrap_or_else(|| panic!("no {path}")).1
    }

    #[test]
    fn an_empty_card_leads_to_a_cable_no_ssh_and_a_name_of_its_own() {
        let applied = card(&[]);
        assert_eq!(applied.complaints, [""; 0]);
        assert_eq!(applied.portal, "bramble");
        assert_eq!(content(&applied, "run/bramble/hostname"), "pi-7f2a\n");
        assert!(!applied.files.contains_key("run/bramble/authorized_keys"));
        assert!(!applied.files.contains_key("run/bramble/wpa_supplicant.conf"));
        assert!(content(&applied, "run/bramble/daemon.json").contains("\"10.203.0.1/24\""));
    }

    #[test]
    fn one_line_makes_a_pi_the_access_point_of_the_class() {
        let applied = card(&[(
            "bramble.toml",
            b"bramble = \"class-4b\"\n[card]\naccess_point = { ssid = \"Class 4b\", password = \"otter paper\" }\n",
        )]);
        assert_eq!(applied.complaints, [""; 0]);
        let wifi = content(&applied, "run/bramble/wpa_supplicant.conf");
        assert!(
            wifi.contains("ssid=436c617373203462\n") && wifi.contains("mode=2\n"),
            "{wifi}"
        );
        assert!(content(&applied, "run/systemd/network/10-access-point.network").contains("DHCPServer=yes"));
        assert!(content(&applied, "run/bramble/hosts").contains("10.86.0.1 class-4b.local class-4b\n"));
    }

    #[test]
    fn files_as_editors_spoil_them_still_count() {
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(
                "bramble = \"garden\"\r\n"
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes),
            )
            .collect();
        assert_eq!(card(&[("bramble.toml", &utf16)]).portal, "garden");
        let curly = card(&[("bramble.toml.txt", "bramble = “garden”\n".as_bytes())]);
        assert_eq!(curly.portal, "garden");
        assert_eq!(curly.complaints.len(), 2, "{:?}", curly.complaints);
    }

    #[test]
    fn no_bytes_on_a_card_stop_the_boot() {
        let mut seed = 1_u32;
        let whole = b"bramble = \"x\"\n[card]\nwifi = [{ ssid = \"a\", password = \"12345678\" }]\nssh_keys = [\"ssh-rsa A\"]\n";
        for _ in 0..2_000 {
            let mut bytes = whole.to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = u8::try_from(seed >> 24).unwrap();
            }
            bytes.truncate((seed >> 4) as usize % (whole.len() + 1));
            let applied = card(&[
                ("bramble.toml", &bytes),
                ("user-data", &bytes),
                ("custom.toml", &bytes),
            ]);
            assert!(applied.files.contains_key("run/bramble/daemon.json"));
        }
    }

    #[test]
    fn a_password_cannot_add_lines_to_the_wifi_settings() {
        let applied = card(&[(
            "bramble.toml",
            b"[card]\nwifi = [{ ssid = \"a\", password = \"12345678\\nmode=2\" }]\n",
        )]);
        assert!(!applied.files.contains_key("run/bramble/wpa_supplicant.conf"));
        assert_eq!(applied.complaints.len(), 1);
    }
}
