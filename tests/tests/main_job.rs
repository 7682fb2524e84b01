//! The main job, end to end: a function deployed over the OpenFaaS API runs on the node with room for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tests::demo::Demo;

/// Five megabytes that no text codec would leave alone.
fn binary() -> Vec<u8> {
    (0..5_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn by_node(function: &Value) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for placement in function["placements"].as_array().unwrap() {
        *count
            .entry(placement["node"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    count
}

#[test]
fn the_first_functions_answer_text_and_five_megabytes() {
    let demo = Demo::start();
    let client = demo.client();
    let hex = |bytes: &[u8]| {
        Sha512::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };

    demo.deploy(json!({"service": "shasum", "image": "bramble/shasum:latest"}));
    for body in [b"text".to_vec(), binary()] {
        let answer = client.post("/function/shasum", body.clone());
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with(&hex(&body)), "{}", answer.text());
    }

    demo.deploy(json!({"service": "env", "image": "bramble/env:latest", "envVars": {"COLOUR": "green"}}));
    for body in [b"text".to_vec(), binary()] {
        let answer = client.post("/function/env/a/path?q=1", body);
        assert_eq!(answer.status, 200);
        for expected in [
            "COLOUR=green",
            "Http_Path=/a/path",
            "Http_Query=q=1",
            "Http_Method=POST",
        ] {
            assert!(
                answer.text().lines().any(|line| line == expected),
                "{expected} in {}",
                answer.text()
            );
        }
    }

    demo.deploy(
        json!({"service": "sleep", "image": "bramble/sleep:latest", "envVars": {"sleep_duration": "100ms"}}),
    );
    for body in [b"text".to_vec(), binary()] {
        assert_eq!(client.post("/function/sleep", body).status, 200);
    }

    demo.deploy(
        json!({"service": "sh", "image": "bramble/sh:latest", "envProcess": "cat | rev | tr a-z A-Z"}),
    );
    assert_eq!(client.post("/function/sh", "elbmarb\n").text(), "BRAMBLE\n");
    demo.deploy(json!({"service": "cat", "image": "bramble/sh:latest", "envProcess": "cat"}));
    assert!(
        client.post("/function/cat", binary()).body == binary(),
        "a binary body comes back intact"
    );
}

#[test]
fn replicas_spread_and_what_does_not_fit_is_refused_node_by_node() {
    let demo = Demo::start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    demo.scale("env", 6);
    let spread = by_node(&demo.wait_for_ready("env", 6));
    assert_eq!(spread.len(), 4, "every node has one: {spread:?}");
    assert!(spread.values().all(|count| *count <= 2), "evenly: {spread:?}");

    demo.deploy(json!({"service": "big", "image": "bramble/env:latest", "requests": {"memory": "500Mi"}}));
    demo.scale("big", 6);
    let big = demo.wait("the reasons", || {
        let function = demo.function("big");
        let told = function["sentences"].to_string().contains("4 of 6");
        (told && function["refusals"].as_array()?.len() == 4).then_some(function)
    });
    assert_eq!(
        by_node(&big).values().sum::<usize>(),
        4,
        "one for each node: {big}"
    );
    for refusal in big["refusals"].as_array().unwrap() {
        let reason = refusal["reason"].as_str().unwrap();
        assert!(reason.contains("500 MiB"), "{reason}");
        assert!(
            demo.node_names()
                .contains(&refusal["node"].as_str().unwrap().to_owned()),
            "{refusal}"
        );
    }

    demo.scale("env", 0);
    demo.wait_for_ready("env", 0);
    let answer = demo.client().get("/function/env");
    assert_eq!(
        answer.status,
        200,
        "an invocation wakes a function that sleeps: {}",
        answer.text()
    );
}

#[test]
fn an_unplugged_nodes_replicas_serve_elsewhere() {
    let demo = Demo::start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    demo.scale("env", 4);
    demo.wait_for_ready("env", 4);
    let leader = demo.leader();
    let victim = demo
        .node_names()
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();

    demo.plug("unplug", &victim);
    for _ in 0..20 {
        assert_eq!(
            demo.client().get("/function/env").status,
            200,
            "no invocation fails meanwhile"
        );
    }
    let function = demo.wait("replicas elsewhere", || {
        let function = demo.function("env");
        let spread = by_node(&function);
        let ready = function["availableReplicas"] == 4;
        (ready && !spread.contains_key(&victim)).then_some(function)
    });
    assert!(
        function["events"].to_string().contains(&victim),
        "it is told what happened: {}",
        function["events"]
    );
    let down = demo
        .nodes()
        .into_iter()
        .find(|node| node["name"] == victim.as_str())
        .unwrap();
    assert_eq!(down["phase"], "down");

    demo.plug("plug", &victim);
    demo.wait("the node to come back", || {
        demo.nodes()
            .iter()
            .any(|node| node["name"] == victim.as_str() && node["phase"] == "up")
            .then_some(())
    });
    demo.wait_for_ready("env", 4);
}

#[test]
fn killing_the_controllers_node_loses_nothing() {
    let demo = Demo::start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest", "labels": {"kept": "yes"}}));
    demo.scale("env", 3);
    let before = demo.wait_for_ready("env", 3);
    let leader = demo.leader();

    // The last thing acknowledged before the power goes.
    let answer = demo.client().post_json(
        "/system/functions",
        &json!({"service": "last", "image": "bramble/env:latest", "annotations": {"note": "acknowledged"}}),
    );
    assert_eq!(answer.status, 202);
    let pid = rustix::process::Pid::from_raw(demo.pid(&leader)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();

    let other = demo
        .node_names()
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();
    assert_eq!(
        demo.node_client(&other).get("/function/env").status,
        200,
        "invocations need no leader"
    );

    let client = demo.client();
    let last = demo.wait("the controller to answer again", || {
        client
            .try_send("GET", "/system/function/last", "")
            .filter(|answer| answer.status == 200)
    });
    assert_eq!(last.json()["annotations"]["note"], "acknowledged");
    let after = demo.wait_for_ready("env", 3);
    assert_eq!(after["labels"]["kept"], "yes");
    assert_eq!(after["createdAt"], before["createdAt"]);
    demo.wait_for_ready("last", 1);
}
