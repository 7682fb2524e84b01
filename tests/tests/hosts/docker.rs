//! Hosts that each have a Docker Engine of their own, and containers in their own network.

use std::{collections::BTreeSet, io::Write, process::Command};

use serde_json::json;
use tests::hosts::{Host, Lan};

use crate::{CARD, FOUNDING, SOON};

/// Whether there is Docker for this test; says so where there is not.
fn has_docker() -> bool {
    let why = if std::env::var_os("BRAMBLE_TEST_WITHOUT_DOCKER").is_some() {
        "BRAMBLE_TEST_WITHOUT_DOCKER=1"
    } else if Command::new("dockerd").arg("--version").output().is_err() {
        "there is no `dockerd` program"
    } else {
        return true;
    };
    _ = std::io::stderr().write_all(format!("\nnot run: hosts with Docker Engines ({why})\n").as_bytes());
    false
}

/// The name of the container that answers through this host; none while none does.
fn answered_by(host: &Host) -> Option<String> {
    let answer = host.client().try_send("GET", "/function/nodeinfo", "")?;
    let text = answer.text();
    let name = text.lines().find_map(|line| line.strip_prefix("Hostname: "));
    (answer.status == 200).then(|| name.map(str::to_owned)).flatten()
}

fn scale(host: &Host, replicas: u32) {
    let wanted = json!({"serviceName": "nodeinfo", "replicas": replicas});
    let answer = host
        .client()
        .post_json("/system/scale-function/nodeinfo", &wanted);
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[test]
fn a_function_in_containers_of_two_hosts_answers_through_both() {
    if !has_docker() {
        return;
    }
    let Some(mut lan) = Lan::lay() else { return };
    lan.add(2, CARD);
    for host in &mut lan.hosts {
        host.start_docker();
    }
    for host in &lan.hosts {
        let engine = host.docker.as_ref().unwrap();
        engine.wait();
        host.set_card(&CARD.replace(
            "\"process\"",
            &format!("\"docker\"\ndocker = \"{}\"", engine.place()),
        ));
    }
    lan.hosts[0].power_on_alone();
    lan.wait_for_one_bramble(FOUNDING);
    lan.hosts[1].power_on();
    lan.wait_for_one_bramble(FOUNDING);

    let deployment = json!({"service": "nodeinfo", "image": "bramble/nodeinfo:latest"});
    lan.wait("the function to be taken", SOON, |lan| {
        let answer = lan.hosts[0]
            .client()
            .try_send("POST", "/system/functions", deployment.to_string());
        answer.filter(|answer| answer.status == 202)
    });
    scale(&lan.hosts[1], 2);
    lan.wait("a replica on each", FOUNDING, |lan| {
        let function = lan.hosts[1]
            .client()
            .try_send("GET", "/system/function/nodeinfo", "")?
            .json();
        (function["availableReplicas"] == 2).then_some(())
    });
    let mut by = BTreeSet::new();
    lan.wait("both containers to answer", SOON, |lan| {
        // Who has a replica itself prefers it.
        by.extend(lan.hosts.iter().filter_map(answered_by));
        (by.len() == 2).then_some(())
    });

    // With one replica left, whoever does not have it carries invocations over.
    scale(&lan.hosts[1], 1);
    lan.wait("one container to answer through both", SOON, |lan| {
        let by: Option<BTreeSet<_>> = (0..20)
            .map(|number| answered_by(&lan.hosts[number % 2]))
            .collect();
        (by?.len() == 1).then_some(())
    });
}
