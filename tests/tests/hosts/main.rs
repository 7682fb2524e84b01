//! Hosts on a real network, each with the real program and a card: they find each other by multicast, go by one name,
//! and put up with what networks do.

#![expect(clippy::print_stdout, reason = "seconds are printed")]

mod docker;
mod founding;
mod idle;
mod interfaces;
mod leases;
mod link_local;
mod names;
mod partition;
mod rogue;

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
    let mut lan = Lan::lay()?;
    lan.add(hosts, CARD);
    lan.hosts[0].power_on_alone();
    lan.wait_for_one_bramble(FOUNDING);
    lan.hosts[1..].iter_mut().for_each(Host::power_on);
    lan.wait_for_one_bramble(FOUNDING);
    Some(lan)
}
