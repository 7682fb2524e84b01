//! What the card says: finds `bramble.toml`, and says what is wrong in it.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use api::settings::{self, Complaint, Settings, Written};
use tracing::{info, warn};
use transport::join::JoinSecret;

/// Where the file is looked for when nobody says, the first that is there.
const PLACES: [&str; 3] = [
    "/boot/firmware/bramble.toml",
    "/boot/bramble.toml",
    "/etc/bramble/bramble.toml",
];

/// Reads the settings, from `told` where somebody says so. What is wrong is said, and the rest counts.
pub(super) fn read(told: Option<PathBuf>) -> Settings {
    let place = told.or_else(|| PLACES.iter().map(PathBuf::from).find(|place| place.exists()));
    let Some(place) = place else {
        info!("no bramble.toml: everything is as it usually is");
        return Settings::default();
    };
    match fs::read(&place) {
        Ok(bytes) => {
            // A half-written file may end in anything.
            let (settings, complaints) = settings::read(&String::from_utf8_lossy(&bytes));
            complaints.iter().for_each(complain);
            settings
        }
        Err(error) => {
            warn!(place = %place.display(), %error, "bramble.toml cannot be read; everything is as it usually is");
            Settings::default()
        }
    }
}

fn complain(complaint: &Complaint) {
    warn!("{complaint}");
}

/// Says what is wrong with something that is written on the card and could only be checked here.
pub(super) fn complain_of(written: &Written, words: impl Into<String>) {
    complain(&Complaint {
        line: written.line,
        words: words.into(),
    });
}

/// Says which of the interfaces that the card names are not there. They count as soon as they are: a stick for Wi-Fi may
/// be plugged in later.
pub(super) fn check_interfaces(settings: &Settings) {
    let there = agent::discovery::interfaces::all();
    for written in &settings.interfaces {
        if !there.contains(&written.text) {
            complain_of(written, not_there(&written.text, &there));
        }
    }
}

fn not_there(name: &str, there: &BTreeSet<String>) -> String {
    let there: Vec<_> = there
        .iter()
        .filter(|name| *name != "lo")
        .map(String::as_str)
        .collect();
    let there = match there.is_empty() {
        true => "this machine has none".to_owned(),
        false => format!("there are {}", there.join(", ")),
    };
    format!("interfaces: there is no `{name}` at this moment; {there}: compare the spelling, or plug it in")
}

/// The join key, ready for use. One that is too short is said to be so and does not count.
pub(super) fn join_secret(settings: &Settings) -> Option<Arc<JoinSecret>> {
    match JoinSecret::stretch(settings.join_key.as_ref()?) {
        Ok(secret) => Some(Arc::new(secret)),
        // How long it is was looked at when the card was read.
        Err(error) => {
            warn!("bramble.toml, join_key: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named_with_those_that_are() {
        let there = ["eth0", "lo", "wlan0"].map(str::to_owned).into();
        assert_eq!(
            not_there("eht0", &there),
            "interfaces: there is no `eht0` at this moment; there are eth0, wlan0: compare the spelling, or plug it in"
        );
        let words = not_there("eth0", &["lo".to_owned()].into());
        assert!(words.contains("this machine has none"), "{words}");
    }
}
