//! Hosts on a real network, each with the real program and a card: they find each other by multicast, go by one name,
//! and put up with what networks do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docker;
mod founding;
mod idle;
mod interfaces;
mod leases;
mod names;
mod partition;

use std::time::Duration;

use tests::hosts::{Host, Lan};

/// What is on every card.
const CARD: &str = "engine = \"process\"\njoin_key = \"otter paper violet engine\"\n";

/// How long cards may take to be one bramble: looking around alone takes ten seconds, and machines are shared.
const FOUNDING: Duration = Duration::from_secs(180);

/// How long anything else may take.
const SOON: Duration = Duration::from_secs(90);

/// So many hosts that are one bramble already, which was founded by the first alone.
fn bramble(hosts: usize) -> Option<Lan> {
    let mut lan = Lan::lay()?.brisk();
    lan.add(hosts, CARD);
    lan.hosts[0].power_on();
    lan.wait_for_one_bramble(FOUNDING);
    lan.hosts[1..].iter_mut().for_each(Host::power_on);
    lan.wait_for_one_bramble(FOUNDING);
    Some(lan)
}

/// Whether a change of this name is acknowledged.
fn keeps(host: &Host, name: &str) -> bool {
    let secret = serde_json::json!({"name": name, "value": "x"}).to_string();
    let answer = host.client().try_send("POST", "/system/secrets", secret);
    match answer.map(|answer| answer.status.as_u16()) {
        Some(200 | 202) => true,
        // An attempt that got no answer may have been carried out all the same.
        Some(409) => kept(host).contains(&format!("\"{name}\"")),
        _ => false,
    }
}

/// Which of those changes a host knows of.
fn kept(host: &Host) -> String {
    let answer = host.client().try_send("GET", "/system/secrets", "");
    answer.map_or_else(String::new, |answer| answer.text())
}
