//! Who answers for which name, asked as any computer on the network asks.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tests::hosts::{Answer, Lan};

use crate::{SOON, bramble};

/// Longest time for which an answer may be believed.
const TTL_S: u32 = 120;

/// Whether this address is what all say that say anything, and it is said by who has it.
fn only(answers: &BTreeSet<Answer>, address: Ipv4Addr) -> bool {
    let right =
        |answer: &Answer| answer.from == address && answer.address == address && answer.ttl_s <= TTL_S;
    !answers.is_empty() && answers.iter().all(right)
}

/// Waits until the leader alone answers for the bramble's name, and goes on doing so; answers which host that is.
fn wait_for_the_name(lan: &Lan) -> usize {
    let began = Instant::now();
    let leader = lan.wait("the leader to answer for the bramble's name", SOON, |lan| {
        let nodes = lan.hosts.iter().find(|host| host.is_on())?.nodes();
        let leader = lan.leader_among(&nodes)?;
        only(&lan.ask("bramble.local"), lan.hosts[leader].address()).then_some(leader)
    });
    println!(
        "the leader, host {leader}, answers for the name {:?} later",
        began.elapsed()
    );
    for _ in 0..3 {
        let answers = lan.ask("bramble.local");
        assert!(
            only(&answers, lan.hosts[leader].address()),
            "host {leader} leads: {answers:?}"
        );
    }
    leader
}

#[test]
fn the_leader_alone_answers_for_the_brambles_name_and_every_node_for_its_own() {
    let Some(mut lan) = bramble(3) else { return };
    lan.wait_for_controllers(3, SOON);
    let leader = wait_for_the_name(&lan);
    for host in &lan.hosts {
        let name = format!("{}.local", host.name().unwrap());
        let answers = lan.ask(&name);
        assert!(
            only(&answers, host.address()),
            "{name} is {}: {answers:?}",
            host.address()
        );
    }

    // Who gets another name answers for it at once, and no longer for the old one.
    let renamed = (leader + 1) % 3;
    let old = lan.hosts[renamed].name().unwrap();
    let name = serde_json::json!({"name": "window"}).to_string();
    let answer = lan.hosts[leader]
        .client()
        .send("PUT", &format!("/api/v1/nodes/{old}/name"), name);
    assert_eq!(answer.status, 204, "{}", answer.text());
    lan.wait("the new name to lead to it", SOON, |lan| {
        only(&lan.ask("window.local"), lan.hosts[renamed].address()).then_some(())
    });
    assert_eq!(lan.ask(&format!("{old}.local")), BTreeSet::new());
    let address = lan.hosts[renamed].address();
    lan.hosts[renamed].unplug();
    lan.hosts[renamed].power_on();
    lan.wait("it to answer for the new name after a restart", SOON, |lan| {
        only(&lan.ask("window.local"), address).then_some(())
    });
    assert_eq!(lan.ask(&format!("{old}.local")), BTreeSet::new());
    let leader = wait_for_the_name(&lan);

    // The name moves with leadership, though the old leader cannot say goodbye.
    lan.hosts[leader].unplug();
    lan.wait_for_one_bramble(SOON);
    let next = wait_for_the_name(&lan);
    assert_ne!(next, leader);

    // Who comes back is told who leads, and does not answer for the name besides.
    lan.hosts[leader].power_on();
    lan.wait_for_one_bramble(SOON);
    std::thread::sleep(Duration::from_secs(2));
    let leader = wait_for_the_name(&lan);

    // Whom no majority follows any more cannot know whether somebody else leads, and gives the name up.
    for other in (0..3).filter(|host| *host != leader) {
        lan.hosts[other].unplug();
    }
    lan.wait("the name to be given up", SOON, |lan| {
        lan.ask("bramble.local").is_empty().then_some(())
    });
}
