//! Cards that are powered on become exactly one bramble.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::hosts::{HOSTNAME, Lan};

use crate::{CARD, FOUNDING, SOON};

/// So many cards at once; answers them, their nodes, and how long they took.
fn powered_on(count: usize) -> Option<(Lan, Vec<Value>, Duration)> {
    let mut lan = Lan::lay()?;
    lan.add(count, CARD);
    let began = Instant::now();
    lan.power_on();
    let nodes = lan.wait_for_one_bramble(FOUNDING);
    Some((lan, nodes, began.elapsed()))
}

#[test]
fn four_identical_cards_that_are_powered_on_together_become_one_bramble() {
    let Some((lan, nodes, took)) = powered_on(4) else {
        return;
    };
    println!("4 cards are one bramble, and say so, {took:?} after they were powered on");
    for host in &lan.hosts {
        assert_eq!(host.run("hostname"), HOSTNAME, "a name that all have in common");
    }
    let names: BTreeSet<_> = nodes.iter().map(|node| node["name"].to_string()).collect();
    assert_eq!(names.len(), 4, "each node has a name of its own: {names:?}");
    let founded = lan
        .hosts
        .iter()
        .filter(|host| host.log().contains("founds a bramble"));
    assert_eq!(founded.count(), 1, "one founds, the others join");
    print!("{}", lan.memory());
}

#[test]
fn twelve_cards_that_are_powered_on_together_become_one_bramble() {
    let Some((lan, _, took)) = powered_on(12) else {
        return;
    };
    println!("12 cards are one bramble, and say so, {took:?} after they were powered on");
    print!("{}", lan.memory());
}

#[test]
fn cards_that_boot_one_after_the_other_and_a_cable_that_comes_late_make_one_bramble() {
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(4, CARD);
    let (late, early) = (3, 0..3);
    // Without a cable there is nobody to lend an address.
    lan.cable(late, false);
    lan.hosts[late].run("ip addr flush dev eth0");
    lan.hosts[late].power_on();
    let mut offsets: Vec<u64> = early.clone().map(|_| fastrand::u64(0..25_000)).collect();
    offsets.sort_unstable();
    println!("three cards are powered on {offsets:?} ms after the one without a cable");
    let began = Instant::now();
    for (host, offset) in early.zip(offsets) {
        sleep(Duration::from_millis(offset).saturating_sub(began.elapsed()));
        lan.hosts[host].power_on();
    }
    sleep(Duration::from_secs(35).saturating_sub(began.elapsed()));
    assert_eq!(
        lan.hosts[late].authority(),
        None,
        "who sees nobody founds nothing"
    );
    lan.cable(late, true);
    let address = lan.hosts[late].address();
    lan.hosts[late].lend(address);
    let plugged = Instant::now();
    lan.wait_for_one_bramble(FOUNDING);
    println!(
        "one bramble {:?} after the last cable was plugged in",
        plugged.elapsed()
    );
}

#[test]
fn on_a_network_that_loses_every_fifth_packet_cards_become_one_bramble() {
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(3, CARD);
    for host in &lan.hosts {
        for tables in ["iptables", "ip6tables"] {
            host.run(&format!(
                "{tables} -A INPUT -i eth0 -m statistic --mode random --probability 0.2 -j DROP"
            ));
        }
    }
    let began = Instant::now();
    lan.power_on();
    lan.wait_for_one_bramble(FOUNDING);
    println!(
        "one bramble {:?} after power on, though every fifth packet is lost",
        began.elapsed()
    );
    for host in &lan.hosts {
        host.run("iptables -F && ip6tables -F");
    }
    lan.wait_for_one_bramble(SOON);
}

#[test]
fn on_a_slow_network_cards_become_one_bramble() {
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(4, CARD);
    for host in &lan.hosts {
        host.run("tc qdisc add dev eth0 root tbf rate 256kbit burst 4kb latency 400ms");
    }
    let began = Instant::now();
    lan.power_on();
    lan.wait_for_one_bramble(FOUNDING);
    println!(
        "one bramble {:?} after power on, at 256 kbit/s a node",
        began.elapsed()
    );
}
