//! Sensors, warnings and lights of a whole bramble: a virtual Pi gets a small tree of the kernel's files, and what is in
//! it is told by the API and said by the light.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tests::{
    demo::{Demo, wait_for},
    table::Table,
};

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

/// Waits until all lights are told to shine so brightly.
fn wait_for_brightness(demo: &Demo, percent: u8) {
    demo.wait(&format!("all lights to shine at {percent} %"), || {
        let told = |node: &Value| node["light"]["brightness"] == percent;
        demo.nodes().iter().all(told).then_some(())
    });
}

/// A time of day that is not now in any time zone, nor within the next minutes: zones differ by quarters of an hour.
fn not_now() -> u64 {
    static CHOSEN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        (since.as_secs() / 60 + 10) % (24 * 60)
    })
}

/// Hours in words, from a minute of the day to another.
fn hours(from: u64, until: u64) -> String {
    let [from, until] = [from, until].map(|minute| minute % (24 * 60));
    let words = |minute| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{}-{}", words(from), words(until))
}

fn one_minute() -> String {
    hours(not_now(), not_now() + 1)
}

fn but_one_minute() -> String {
    hours(not_now() + 1, not_now())
}

#[test]
fn a_weak_power_supply_is_told_with_its_cure_and_shown_by_the_light() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::builder().data(folder.path()).nodes(2).start();
    let name = demo.node_names().pop().unwrap();
    let machine = demo.node_file(&name, "machine");
    demo.end();

    // What is hot for a Pi is an ordinary day for others.
    write(&machine, "proc/cpuinfo", "Revision : b03114\n");
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
    assert_eq!(client.post(&path, "[]").status, 400);
    let stranger = tests::demo::Client::new(&demo.portal);
    assert_eq!(stranger.post(&path, "").status, 401);

    let settings = json!({"brightness": 20, "quiet": "22:00-07:00"});
    assert_eq!(
        client.send("PUT", "/api/v1/lights", settings.to_string()).status,
        204
    );
    assert_eq!(client.get("/api/v1/lights").json(), settings);
    for quiet in [but_one_minute(), one_minute(), but_one_minute()] {
        let settings = json!({"brightness": 20, "quiet": quiet});
        let set = client.send("PUT", "/api/v1/lights", settings.to_string());
        assert_eq!(set.status, 204, "{quiet}: {}", set.text());
        wait_for_brightness(&demo, if quiet == one_minute() { 20 } else { 0 });
    }
    let settings = json!({"brightness": 20});
    client.send("PUT", "/api/v1/lights", settings.to_string());
    wait_for_brightness(&demo, 20);
    let wrong = client.send(
        "PUT",
        "/api/v1/lights",
        r#"{"brightness": 20, "quiet": "at night"}"#,
    );
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("22:00-07:00"), "{}", wrong.text());
}

const LED: &str = "sys/class/leds/ACT";

#[test]
fn a_nodes_light_is_said_to_fail_once_stands_still_when_it_is_killed_and_is_given_back() {
    let machine = tempfile::tempdir().unwrap();
    let led = |file: &str| fs::read_to_string(machine.path().join(LED).join(file)).unwrap();
    let kernel = |trigger: &str| {
        for (file, text) in [("brightness", "0"), ("max_brightness", "1"), ("trigger", trigger)] {
            write(machine.path(), &format!("{LED}/{file}"), text);
        }
    };
    // Files remember no more than what was written last over what stood there.
    kernel("none timer mmc0 [heartbeat]");
    let mut table = Table::set(1, tests::table::KEY);
    let pi = &mut table.pis[0];
    let root = machine.path().to_str().unwrap();
    pi.words = ["--root", root, "--light", "led:ACT", "--light", "gpio:17"]
        .map(str::to_owned)
        .to_vec();
    pi.power_on();
    pi.first_visit();
    wait_for("the node to be up", || {
        pi.nodes().iter().any(|node| node["phase"] == "up").then_some(())
    });
    // It blinks: both levels are seen.
    for level in ["0", "1", "0", "1"] {
        wait_for("the LED to change", || (led("brightness") == level).then_some(()));
    }
    let complaints = |log: &str| -> Vec<String> {
        let lines = log
            .lines()
            .filter(|line| line.contains("the light does not work"));
        lines.map(str::to_owned).collect()
    };
    sleep(Duration::from_secs(2));
    let complained = complaints(&pi.log());
    assert!(
        complained.len() == 1 && complained[0].contains("no GPIO pins"),
        "{complained:?}"
    );

    pi.unplug();
    let level = led("brightness");
    for _ in 0..40 {
        sleep(Duration::from_millis(50));
        assert_eq!(
            led("brightness"),
            level,
            "somebody drives the light of a dead node"
        );
    }

    // The kernel kept what the node had made of it.
    kernel("[none] timer mmc0 heartbeat");
    pi.power_on();
    wait_for("the LED to blink", || (led("brightness") == "1").then_some(()));
    assert!(led("trigger").starts_with("[none]") || led("trigger").starts_with("none"));
    pi.end();
    assert!(led("trigger").starts_with("heartbeat"), "{}", led("trigger"));
    assert_eq!(led("brightness"), "0");
    assert_eq!(complaints(&pi.log()).len(), 2, "once for each start");
}

#[test]
fn a_board_that_waits_to_be_let_in_shows_which_it_is_when_somebody_asks() {
    let machine = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("brightness", "0"),
        ("max_brightness", "1"),
        ("trigger", "[none]"),
    ] {
        write(machine.path(), &format!("{LED}/{file}"), text);
    }
    // How much of a second it is lit: a board that waits is dark but for blips, one that identifies itself blinks evenly.
    let lit = || {
        let file = machine.path().join(LED).join("brightness");
        let lit = (0..100).filter(|_| {
            sleep(Duration::from_millis(10));
            fs::read_to_string(&file).unwrap().trim() == "1"
        });
        lit.count()
    };
    let mut table = Table::set(2, tests::table::KEY);
    table.pis[1].rewrite(|card| card.replace(tests::table::KEY, ""));
    let root = machine.path().to_str().unwrap();
    table.pis[1].words = ["--root", root, "--light", "led:ACT"].map(str::to_owned).to_vec();
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let waiting = || table.pis[0].waiting().first().cloned();
    let id = wait_for("it to wait", waiting)["id"].as_str().unwrap().to_owned();
    wait_for("its light to say so", || (1..30).contains(&lit()).then_some(()));

    let (path, admin) = (format!("/api/v1/waiting/{id}/identify"), table.pis[0].admin());
    assert_eq!(table.pis[0].client().post(&path, "").status, 401);
    assert_eq!(admin.post_json(&path, &json!({"seconds": 90_000})).status, 400);
    assert_eq!(admin.post(&path, "").status, 204);
    assert_eq!(waiting().unwrap()["identifies"], true);
    wait_for("it to show which it is", || {
        (40..=60).contains(&lit()).then_some(())
    });
    assert_eq!(admin.post_json(&path, &json!({"seconds": 0})).status, 204);
    assert_eq!(waiting().unwrap()["identifies"], false);
    wait_for("it to wait as before", || (1..30).contains(&lit()).then_some(()));

    assert_eq!(admin.post(&path, "").status, 204);
    let admit = admin.post(&format!("/api/v1/waiting/{id}/admit"), "");
    assert_eq!(admit.status, 204, "{}", admit.text());
    wait_for("it to be lit as one that was let in", || {
        (lit() > 75).then_some(())
    });
    assert_eq!(admin.post(&path, "").status, 404, "it waits no longer");
}

#[test]
fn a_card_is_called_slow_by_the_limits_by_which_the_master_is_chosen() {
    use cluster::autopilot::{SLOW_CARD, STALLING_CARD};
    let root = tempfile::tempdir().unwrap();
    let told = |p50, p99| {
        let readings = hardware::Readings::read(root.path(), Path::new("/nonexistent"), SystemTime::now());
        let known = hardware::Known {
            board: &hardware::board::read(root.path()),
            system: &hardware::System::read(root.path()),
            history: &hardware::History::default(),
            card_speed: Some(&hardware::CardSpeed {
                writes: 200,
                p50,
                p99,
            }),
            now: Duration::ZERO,
        };
        let warnings = hardware::warnings(&readings, &known);
        warnings
            .iter()
            .any(|warning| warning.code == hardware::Code::CardSlow)
    };
    let more = Duration::from_micros(1);
    assert!(!told(SLOW_CARD, STALLING_CARD));
    assert!(told(SLOW_CARD + more, STALLING_CARD));
    assert!(told(SLOW_CARD, STALLING_CARD + more));
}
