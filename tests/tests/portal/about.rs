//! What a board is and how it is, and which of its devices functions may use, as people look it up.

use serde_json::json;
use tests::{
    browser::Screen,
    demo::{Demo, machine_says, node_folders},
};

use crate::visit::Visit;

const ALARM: &str = "sys/class/hwmon/hwmon0/in0_lcrit_alarm";

#[test]
fn a_board_tells_all_that_is_known_of_it_and_keeps_it_up_to_date() {
    let data = tempfile::tempdir().unwrap();
    let node = node_folders(data.path(), 1).remove(0);
    machine_says(
        &node,
        &[
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            (ALARM, "0\n"),
            ("proc/cpuinfo", "Revision : a020d3\nSerial : 00000000abcdef12\n"),
        ],
    );
    let visit = Visit::of(
        Demo::builder()
            .data(data.path())
            .nodes(1)
            .engine("process")
            .start(),
    );
    visit.open("/ui/");
    visit.sign_in();
    let browser = &visit.browser;
    browser.screen(Screen::phone(false));
    browser.click(".board .about summary");
    let known = |title: &str, words: &str| {
        let find = format!(
            "[...document.querySelectorAll('.board .about dl div')]\
               .some((it) => it.querySelector('dt').textContent === {} && it.querySelector('dd').textContent.includes({}))",
            json!(title),
            json!(words)
        );
        browser.wait(&format!("{title}: {words}"), &find);
    };
    known("Board", "revision a020d3");
    known("Processor", "BCM2837");
    known("Memory", "1 GiB fitted");
    known("Power supply", "strong enough");
    known("Light", "The master");
    machine_says(&node, &[(ALARM, "1\n")]);
    known("Power supply", "too weak at this moment");
    machine_says(&node, &[(ALARM, "0\n")]);
    known("Power supply", "strong enough; too weak ");
    let wide = browser.value("document.documentElement.scrollWidth <= window.innerWidth");
    assert_eq!(wide, json!(true), "nothing sticks out on a phone");
    visit.no_complaints("what is known of a board", &[]);
}

#[test]
fn what_functions_may_use_of_a_board_is_taken_back_with_one_press() {
    let visit = Visit::signed_in();
    let (browser, demo) = (&visit.browser, &visit.demo);
    let name = demo.node_names().remove(0);
    let board = |what: &str| format!(".board:has(summary[aria-label='Manage {name}']) .manage {what}");
    let path = format!("/api/v1/nodes/{name}/devices");
    let allowed = || {
        let nodes = demo.nodes();
        let node = nodes.into_iter().find(|node| node["name"] == *name).unwrap();
        node["devices_allowed"].clone()
    };
    browser.click(&board("summary"));
    browser.wait(
        "nothing to be offered",
        &format!("document.querySelector({}).hidden", json!(board("fieldset"))),
    );

    // Nothing is there in a demo; what was allowed is shown all the same, and can be taken back.
    let answer = demo
        .client()
        .send("PUT", &path, json!({"allow": ["gpio", "i2c"]}).to_string());
    assert_eq!(answer.status, 204, "{}", answer.text());
    let gpio = board("input[value=gpio]");
    browser.wait(
        "gpio to be ticked",
        &format!("document.querySelector({})?.checked", json!(gpio)),
    );
    browser.click(&gpio);
    assert_eq!(allowed(), json!(["gpio", "i2c"]), "nothing before it is saved");
    browser.click(&board("button.primary"));
    demo.wait("it to be taken back", || {
        (allowed() == json!(["i2c"])).then_some(())
    });
    visit.no_complaints("devices", &[]);
}
