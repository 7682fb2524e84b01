//! Which interfaces count: an address on a bridge or on Docker's network is of no use to others, unless somebody says
//! that it is.

use std::{thread::sleep, time::Duration};

use tests::hosts::{Host, Lan};

use crate::{CARD, FOUNDING, SOON};

/// The addresses that the network hears for a host's name.
fn heard(lan: &Lan, host: &Host) -> Vec<String> {
    let name = host.name().map(|name| format!("{name}.local"));
    let answers = name.map(|name| lan.ask(&name)).unwrap_or_default();
    answers.iter().map(|answer| answer.address.to_string()).collect()
}

#[test]
fn bridges_and_dockers_interfaces_count_only_if_the_card_names_them() {
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(2, CARD);
    // As every machine with Docker has them: a bridge with containers' cables, and one of a network.
    lan.hosts[0].run(
        "ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up \
         && ip link add veth1a2b3c4 type veth peer name inside && ip link set veth1a2b3c4 master docker0 \
         && ip link set veth1a2b3c4 up && ip link set inside up \
         && ip link add br-0a1b2c3d4e5f type bridge && ip addr add 172.18.0.1/16 dev br-0a1b2c3d4e5f \
         && ip link set br-0a1b2c3d4e5f up \
         && ip link add veth5d6e7f8 type veth peer name other && ip addr add 172.19.0.1/16 dev veth5d6e7f8 \
         && ip link set veth5d6e7f8 up",
    );
    lan.hosts[1].put_bridge_before_cable("lan0");
    lan.hosts.iter_mut().for_each(Host::power_on_alone);

    // Only the address on the cable is told, and who has none but on a bridge tells and does nothing.
    lan.wait("the first to be heard", SOON, |lan| {
        (!heard(lan, &lan.hosts[0]).is_empty()).then_some(())
    });
    assert_eq!(heard(&lan, &lan.hosts[0]), [lan.hosts[0].address().to_string()]);
    lan.wait("the first to found alone", FOUNDING, |lan| {
        lan.hosts[0].authority()
    });
    sleep(Duration::from_secs(5));
    let other = &lan.hosts[1];
    assert!(other.name().is_some(), "it runs");
    assert_eq!(heard(&lan, other), [] as [&str; 0]);
    assert_eq!(other.authority(), None, "without a link, nobody founds");

    // Its card can say that the bridge is the way to the others.
    lan.hosts[1].unplug();
    lan.hosts[1].set_card(&format!("{CARD}interfaces = [\"lan0\"]\n"));
    lan.hosts[1].power_on();
    lan.wait_for_one_bramble(FOUNDING);
    assert_eq!(heard(&lan, &lan.hosts[1]), [lan.hosts[1].address().to_string()]);
}
