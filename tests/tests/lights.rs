//! Sensors, warnings and lights of a whole bramble: a virtual Pi gets a small tree of the kernel's files, and what is in
//! it is told by the API and said by the light.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use serde_json::{Value, json};
use tests::demo::Demo;

const ALARM: &str = "sys/class/hwmon/hwmon0/in0_lcrit_alarm";
const HEAT: &str = "sys/class/thermal/thermal_zone0/temp";

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn node(demo: &Demo, name: &str) -> Option<Value> {
    demo.nodes().into_iter().find(|node| node["name"] == name)
}

/// Waits until the light of `name` says this.
fn wait_for_light(demo: &Demo, name: &str, says: &str) -> Value {
    demo.wait(&format!("the light of {name} to say {says}"), || {
        node(demo, name).filter(|node| node["light"]["says"] == says)
    })
}

#[test]
fn a_weak_power_supply_is_told_with_its_cure_and_shown_by_the_light() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::builder().data(folder.path()).nodes(2).start();
    let name = demo.node_names().pop().unwrap();
    let machine = demo.node_file(&name, "machine");
    demo.end();

    write(&machine, "sys/class/hwmon/hwmon0/name", "rpi_volt\n");
    write(&machine, ALARM, "0\n");
    let demo = Demo::builder().data(folder.path()).nodes(2).start();
    demo.wait("sensors to be told", || {
        node(&demo, &name).filter(|node| node["sensors"]["under_voltage"] == json!(false))
    });

    write(&machine, ALARM, "1\n");
    let told = wait_for_light(&demo, &name, "warning-power");
    assert_eq!(told["problems"][0]["code"], "power-low");
    let words = told["warnings"][0].as_str().unwrap().to_owned();
    assert!(
        words.contains("power supply") && words.contains("cable"),
        "{words}"
    );

    write(&machine, ALARM, "0\n");
    demo.wait("the dip to be told afterwards", || {
        node(&demo, &name).filter(|node| node["problems"][0]["code"] == "power-dipped")
    });
    write(&machine, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
    write(&machine, HEAT, "86000\n");
    demo.wait("heat to be told", || {
        let node = node(&demo, &name)?;
        let problems = node["problems"].as_array()?.clone();
        problems
            .iter()
            .any(|problem| problem["code"] == "too-hot")
            .then_some(())
    });
}

#[test]
fn a_node_identifies_itself_when_asked_and_lights_shine_as_told() {
    let demo = Demo::builder().nodes(2).start();
    let (leader, client) = (demo.leader(), demo.client());
    let other = demo
        .node_names()
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();
    wait_for_light(&demo, &leader, "master");
    wait_for_light(&demo, &other, "joined");

    let path = format!("/api/v1/nodes/{other}/identify");
    assert_eq!(client.post(&path, "").status, 204);
    wait_for_light(&demo, &other, "identify");
    wait_for_light(&demo, &leader, "master");
    assert_eq!(client.post_json(&path, &json!({"seconds": 0})).status, 204);
    wait_for_light(&demo, &other, "joined");
    assert_eq!(client.post_json(&path, &json!({"seconds": 90_000})).status, 400);
    assert_eq!(client.post("/api/v1/nodes/pi-9/identify", "").status, 404);
    let stranger = tests::demo::Client::new(&demo.portal);
    assert_eq!(stranger.post(&path, "").status, 401);

    let settings = json!({"brightness": 20, "quiet": "22:00-07:00"});
    assert_eq!(
        client.send("PUT", "/api/v1/lights", settings.to_string()).status,
        204
    );
    assert_eq!(client.get("/api/v1/lights").json(), settings);
    let wrong = client.send(
        "PUT",
        "/api/v1/lights",
        r#"{"brightness": 20, "quiet": "at night"}"#,
    );
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("22:00-07:00"), "{}", wrong.text());
}
