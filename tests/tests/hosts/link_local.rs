//! A network that lends no addresses: all that nodes have is an address of IPv6 that is good on their cable alone.

use std::time::Duration;

use serde_json::Value;
use tests::hosts::{Host, Lan, PASSWORD};

use crate::{CARD, FOUNDING, SOON};

/// What a host answers to somebody who sits in front of it: no other computer can reach it.
fn ask(host: &Host, more: &str) -> String {
    host.run(&format!(
        "curl --silent --max-time 10 --user admin:'{PASSWORD}' {more} || true"
    ))
}

fn nodes(host: &Host) -> Vec<Value> {
    let text = ask(host, "http://127.0.0.1:8080/api/v1/nodes");
    serde_json::from_str(&text).unwrap_or_default()
}

#[test]
fn without_any_other_address_than_that_of_their_cable_cards_become_a_bramble_that_works() {
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(3, CARD);
    for host in &lan.hosts {
        host.run("ip -4 addr flush dev eth0");
    }
    lan.hosts[0].power_on_alone();
    lan.wait("the first to be a bramble", FOUNDING, |lan| {
        lan.hosts[0].authority()
    });
    lan.hosts[1..].iter_mut().for_each(Host::power_on);
    lan.wait("all to be up, and to say so", FOUNDING, |lan| {
        let all = |host: &Host| {
            let nodes = nodes(host);
            nodes.len() == 3 && nodes.iter().all(|node| node["phase"] == "up")
        };
        lan.hosts.iter().all(all).then_some(())
    });
    for node in nodes(&lan.hosts[0]) {
        let address = node["address"].as_str().unwrap_or_default();
        assert!(
            address.starts_with("[fe80::") && !address.contains('%'),
            "{address}"
        );
    }
    lan.wait("three controllers", SOON, |lan| {
        let nodes = nodes(&lan.hosts[1]);
        (nodes.iter().filter(|node| node["controller"] == true).count() == 3).then_some(())
    });

    // Calls go from each node to each.
    let deployment = serde_json::json!({
        "service": "env", "image": "bramble/env:latest", "labels": {"com.openfaas.scale.min": "3"}
    });
    ask(
        &lan.hosts[2],
        &format!("--data '{deployment}' http://127.0.0.1:8080/system/functions"),
    );
    lan.wait("a replica on each", SOON, |lan| {
        let text = ask(&lan.hosts[2], "http://127.0.0.1:8080/system/function/env");
        let function: Value = serde_json::from_str(&text).ok()?;
        (function["availableReplicas"] == 3).then_some(())
    });
    for host in &lan.hosts {
        let answered = lan.wait("all three to answer here", SOON, |_| {
            let calls = "for call in $(seq 20); do curl --silent --max-time 10 --output /dev/null \
                --write-out '%{http_code} %header{x-bramble-node}\\n' http://127.0.0.1:8080/function/env; done | sort -u";
            let answers = host.run(calls);
            (answers.lines().count() >= 3).then_some(answers)
        });
        assert!(
            answered.lines().all(|line| line.starts_with("200 ")),
            "{answered}"
        );
    }

    // And the bramble outlives the one that leads.
    let leader = nodes(&lan.hosts[1])
        .into_iter()
        .find(|node| node["leader"] == true)
        .unwrap_or_default();
    let leads = |host: &Host| leader["name"] == host.name().unwrap_or_default();
    let at = lan.hosts.iter().position(leads).expect("one of them leads");
    lan.hosts[at].unplug();
    let rest = (at + 1) % 3;
    lan.wait("another to lead", SOON, |lan| {
        std::thread::sleep(Duration::from_millis(500));
        let nodes = nodes(&lan.hosts[rest]);
        let leads = nodes.iter().find(|node| node["leader"] == true)?;
        (leads["name"] != leader["name"] && leads["phase"] == "up").then_some(())
    });
}
