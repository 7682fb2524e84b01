//! What a card may say, good and bad.

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/bramble.toml");

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

/// Every key with what may be wrong with it, and words of the cure.
const WRONG: [(&str, &str, &[&str]); 34] = [
    ("bramble", "3", &["must stand in quotes: bramble = "]),
    (
        "bramble",
        "\"Class 4 B\"",
        &["Class 4 B", "letters, digits and hyphens"],
    ),
    ("bramble", "\"\"", &["is empty: remove the line, or fill it in"]),
    ("portal", "true", &["must stand in quotes"]),
    (
        "portal",
        "\"class_4b\"",
        &["class_4b", "letters, digits and hyphens"],
    ),
    ("join_key", "12345678901234567", &["must stand in quotes"]),
    (
        "join_key",
        "\"otter violet\"",
        &["has 12 characters", "at least 16", "five random words"],
    ),
    ("join_key", "LONG", &["has 300 characters", "at most 256"]),
    (
        "join-key",
        "\"otter paper violet engine\"",
        &["is spelt `join_key`"],
    ),
    ("node_name", "[\"window\"]", &["must stand in quotes"]),
    (
        "node_name",
        "\"-window\"",
        &["-window", "letters, digits and hyphens"],
    ),
    (
        "node_name",
        "\"bramble\"",
        &["is the name of the bramble itself", "choose another"],
    ),
    ("node_name", "\"localhost\"", &["means every computer itself"]),
    ("nodename", "\"window\"", &["is spelt `node_name`"]),
    ("first_visit_code", "12345678", &["must stand in quotes"]),
    ("first_visit_code", "\"1234567\"", &["at least 8 characters"]),
    ("admin_password_hash", "3", &["must stand in quotes"]),
    (
        "admin_password_hash",
        "\"correct horse\"",
        &["none that bramble-image made", "the first visitor chooses"],
    ),
    ("interfaces", "3", &["must be a list: interfaces = ["]),
    (
        "interfaces",
        "[\"wlan0\", 3]",
        &["each must stand in quotes: interfaces = [\"…\""],
    ),
    ("interface", "[\"wlan0\"]", &["is spelt `interfaces`"]),
    ("peers", "{}", &["must be a list: peers = ["]),
    (
        "peers",
        "[\"10.0.0.9\", \"not a place\"]",
        &["`not a place`", "192.168.1.20 or pi-4b-7f2a.local"],
    ),
    ("peers", "[\"300.1.1.1\"]", &["`300.1.1.1` is no address"]),
    (
        "peers",
        "[\"10.0.0.9\", 7]",
        &["each must stand in quotes: peers = ["],
    ),
    ("peers", "[\"pi:70000\"]", &["`70000` is no port"]),
    ("engine", "1", &["must stand in quotes"]),
    ("engine", "\"podman\"", &["podman", "\"docker\" or \"process\""]),
    ("docker", "false", &["must stand in quotes"]),
    ("docker", "\" \"", &["is empty"]),
    ("light", "3", &["must be a list: light = ["]),
    ("lights", "[\"led:ACT\"]", &["is spelt `light`"]),
    ("lihgt", "[\"led:ACT\"]", &["is spelt `light`"]),
    ("colour", "\"red\"", &["does nothing; known are bramble, portal"]),
];

#[test]
fn whatever_is_wrong_with_a_key_is_named_with_line_and_cure_and_the_good_rest_counts() {
    for key in KEYS {
        assert!(WRONG.iter().any(|(of, ..)| *of == key), "{key} is not looked at");
    }
    for (key, value, cure) in WRONG {
        let value = value.replace("LONG", &format!("\"{}\"", "x".repeat(300)));
        // Something good of everything else, before and after.
        let near = |other: &str| other == key || other.replace('_', "") == key.replace(['_', '-'], "");
        let name = match key == "node_name" {
            true => "\"bramble\"",
            false => "\"garden\"",
        };
        let good = [
            ("bramble", name),
            ("node_name", "\"desk\""),
            ("engine", "\"process\""),
            ("peers", "[\"10.0.0.1\"]"),
        ];
        let lines = |of: &[(&str, &str)]| -> String {
            let others = of.iter().filter(|(other, _)| !near(other));
            others.map(|(key, value)| format!("{key} = {value}\n")).collect()
        };
        let (before, after) = (lines(&good[..2]), lines(&good[2..]));
        let line = 2 + before.lines().count();
        let text = format!("# A card.\n{before}{key} = {value}\n{after}");
        let (settings, complaints) = read(&text);
        assert_eq!(complaints.len(), 1, "{text}: {complaints:?}");
        assert_eq!(complaints[0].line, line, "{text}: {complaints:?}");
        for words in cure {
            assert!(complaints[0].words.contains(words), "{words}: {complaints:?}");
        }
        assert_eq!(settings.bramble.is_some(), !near("bramble"), "{text}");
        assert_eq!(settings.node_name.is_some(), !near("node_name"), "{text}");
        assert_eq!(settings.engine.is_some(), !near("engine"), "{text}");
        // Of a list with something wrong in it, the rest counts.
        assert_eq!(
            settings.peers.len(),
            usize::from(!near("peers") || value.contains("10.0.0.9")),
            "{text}"
        );
        assert_eq!(
            settings.interfaces.len(),
            usize::from(value.contains("wlan0") && key == "interfaces")
        );
    }
}

#[test]
fn what_can_only_be_checked_on_the_pi_carries_its_line() {
    let (settings, _) = read("# A card.\nlight = [\n  \"blinkt\",\n  \"gpio:99\"]\ninterfaces = \"eht0\"\n");
    let lines = |all: &[Written]| all.iter().map(|one| one.line).collect::<Vec<_>>();
    assert_eq!(lines(&settings.lights), [3, 4]);
    assert_eq!(lines(&settings.interfaces), [5]);
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
    assert_eq!(peer("[fe80::1]"), Ok(("fe80::1".to_owned(), 7443)));
    assert_eq!(peer("[fe80::1%3]:99"), Ok(("fe80::1%3".to_owned(), 99)));
    assert_eq!(peer("fe80::1%eth0"), Ok(("fe80::1%eth0".to_owned(), 7443)));
    assert_eq!(peer("[fe80::1%eth0]:99"), Ok(("fe80::1%eth0".to_owned(), 99)));
    assert_eq!(peer("fe80::1"), Ok(("fe80::1".to_owned(), 7443)));
    assert_eq!(
        peer("pi-4b-7f2a.local"),
        Ok(("pi-4b-7f2a.local".to_owned(), 7443))
    );
    for bad in [
        "a b",
        "pi:0",
        "",
        "[fe80::1]:0",
        "[fe80::1%]",
        "10.0.0.1%eth0",
        "[fe80::1",
    ] {
        assert!(peer(bad).is_err(), "{bad}");
    }
}

#[test]
fn neither_join_key_nor_code_is_printed() {
    let (settings, _) = read("join_key = \"five random words are good\"\nfirst_visit_code = \"12345678\"\n");
    let text = format!("{settings:?}");
    assert!(!text.contains("random") && !text.contains("1234"), "{text}");
}
