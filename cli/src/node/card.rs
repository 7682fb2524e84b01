//! What the card says: finds `bramble.toml`, and says what is wrong in it.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use api::settings::{self, Complaint, Peer, Settings};
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

/// The join key, ready for use. One that is too short is said to be so and does not count.
pub(super) fn join_secret(settings: &Settings) -> Option<Arc<JoinSecret>> {
    match JoinSecret::stretch(settings.join_key.as_ref()?) {
        Ok(secret) => Some(Arc::new(secret)),
        Err(error) => {
            warn!("bramble.toml, join_key: {error}");
            None
        }
    }
}

/// Where peers are reached. Names that lead nowhere are said to.
pub(super) async fn resolve(peers: &[Peer]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for peer in peers {
        match tokio::net::lookup_host((peer.place.as_str(), peer.port)).await {
            Ok(found) => addresses.extend(found),
            Err(error) => warn!(peer = peer.place, %error, "this peer's name leads nowhere"),
        }
    }
    addresses
}
