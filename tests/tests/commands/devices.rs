//! Devices for functions: what is offered, asked for and allowed, as people are told.

use serde_json::json;
use tests::demo::wait_for;

use super::operator::{Operator, two_nodes};

#[test]
fn a_function_that_asks_for_pins_waits_and_says_what_would_help() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    let node = demo.node_names().remove(0);

    let out = operator.succeeds(&format!("nodes devices {node}"));
    assert_eq!(
        out,
        format!("{node} offers no devices to functions.\nFunctions may use no devices of {node}.\n")
    );

    operator.succeeds("store deploy blink");
    let why = wait_for("a reason", || {
        let why = operator.succeeds("why blink");
        why.contains("cannot be placed").then_some(why)
    });
    assert!(why.contains("install Docker on it"), "{why}");

    // Allowed is not there: it waits on.
    let out = operator.succeeds(&format!("nodes devices {node} --allow i2c,gpio"));
    assert!(
        out.contains(&format!("Functions may use gpio, i2c of {node}")),
        "{out}"
    );
    assert!(out.contains("Not there at this moment: gpio, i2c."), "{out}");
    let told = demo
        .nodes()
        .into_iter()
        .find(|told| told["name"] == *node)
        .unwrap();
    assert_eq!(
        (&told["devices"], &told["devices_allowed"]),
        (&json!([]), &json!(["gpio", "i2c"]))
    );
    assert!(
        demo.function("blink")["placements"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let activity = demo.client().get("/api/v1/activity").text();
    assert!(
        activity.contains(&format!("Functions may use gpio, i2c of {node}.")),
        "{activity}"
    );

    let out = operator.succeeds(&format!("nodes devices {node} --none"));
    assert!(
        out.contains(&format!("Functions may use no devices of {node}.")),
        "{out}"
    );

    let put = |name: &str, body| {
        demo.client()
            .send("PUT", &format!("/api/v1/nodes/{name}/devices"), body)
    };
    let answer = put(&node, r#"{"allow":["gpu"]}"#);
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .text()
            .contains("there is no device `gpu`; there are gpio, i2c"),
        "{}",
        answer.text()
    );
    assert_eq!(
        put(&node, "{}").status,
        400,
        "nothing is allowed or taken back by mistake"
    );
    assert_eq!(put("pi-9", r#"{"allow":[]}"#).status, 404);
    let done = operator.does(&format!("nodes devices {node} --allow gpu"));
    assert_eq!(done.code, 2, "{}", done.err);
    let done = operator.does("nodes devices pi-9");
    assert_eq!(done.code, 5, "{}", done.err);

    let done = operator.does("deploy --image bramble/env --name x --annotation bramble.devices=gpio,lamp");
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("there is no device `lamp`"), "{}", done.err);
}
