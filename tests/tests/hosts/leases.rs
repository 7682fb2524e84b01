//! Addresses that change: nodes are known by their keys.

use std::time::Instant;

use serde_json::json;
use tests::hosts::{Host, Lan};

use crate::{FOUNDING, SOON, bramble};

/// Waits until the function answers through each host.
fn wait_for_answers(lan: &Lan) {
    lan.wait("the function to answer through each host", SOON, |lan| {
        let answers = |host: &Host| {
            let answer = host.client().try_send("GET", "/function/env", "");
            answer.is_some_and(|answer| answer.status == 200)
        };
        lan.hosts.iter().all(answers).then_some(())
    });
}

#[test]
fn a_node_that_is_lent_another_address_is_found_again_whether_it_leads_or_not() {
    let Some(mut lan) = bramble(3) else { return };
    let leader = lan.wait_for_controllers(3, SOON);
    let deployment = json!({"service": "env", "image": "bramble/env:latest"});
    let answer = lan.hosts[leader]
        .client()
        .post_json("/system/functions", &deployment);
    assert_eq!(answer.status, 202, "{}", answer.text());
    wait_for_answers(&lan);
    for (what, host) in [("a node", (leader + 1) % 3), ("the leader", leader)] {
        let (before, address) = (lan.hosts[host].address(), lan.fresh_address());
        lan.hosts[host].lend(address);
        let began = Instant::now();
        lan.wait_for_one_bramble(SOON);
        wait_for_answers(&lan);
        println!(
            "{what} is found again {:?} after {before} became {address}",
            began.elapsed()
        );
        let name = format!("{}.local", lan.hosts[host].name().unwrap());
        lan.wait("the node's name to lead to its new address", SOON, |lan| {
            let answers = lan.ask(&name);
            let right = answers.iter().all(|answer| answer.address == address);
            (right && !answers.is_empty()).then_some(())
        });
    }
}

#[test]
fn a_bramble_whose_addresses_all_changed_while_it_was_off_finds_itself_again() {
    let Some(mut lan) = bramble(3) else { return };
    lan.wait_for_controllers(3, SOON);
    lan.hosts.iter_mut().for_each(Host::unplug);
    for host in 0..3 {
        let address = lan.fresh_address();
        lan.hosts[host].lend(address);
    }
    let began = Instant::now();
    lan.power_on();
    lan.wait_for_one_bramble(FOUNDING);
    println!(
        "one bramble again {:?} after power on, at other addresses",
        began.elapsed()
    );
}
