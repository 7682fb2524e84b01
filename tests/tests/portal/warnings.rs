//! What is wrong with boards, as people see it.

use serde_json::json;
use tests::{
    browser::Browser,
    demo::{Demo, machine_says, node_folders},
};

use crate::visit::Visit;

const ALARM: &str = "sys/class/hwmon/hwmon0/in0_lcrit_alarm";
const WEAK: &str = "too weak at this moment";

/// How often the words stand in such elements.
fn count(browser: &Browser, selector: &str) -> u64 {
    let script = format!(
        "[...document.querySelectorAll({})].filter(item => item.textContent.includes({})).length",
        json!(selector),
        json!(WEAK)
    );
    browser.value(&script).as_u64().unwrap()
}

#[test]
fn a_warning_stands_at_its_board_and_once_for_all_where_every_board_has_it() {
    let data = tempfile::tempdir().unwrap();
    let nodes = node_folders(data.path(), 2);
    for node in &nodes {
        machine_says(
            node,
            &[("sys/class/hwmon/hwmon0/name", "rpi_volt\n"), (ALARM, "0\n")],
        );
    }
    let demo = Demo::builder().data(data.path()).nodes(2).engine("process");
    let visit = Visit::of(demo.start());
    visit.open("/ui/");
    visit.sign_in();
    let (browser, demo) = (&visit.browser, &visit.demo);
    browser.wait("the boards", "document.querySelectorAll('.board').length === 2");
    let seen = || {
        let (boards, everywhere) = (".board .warnings li", "#everywhere li");
        (count(browser, boards), count(browser, everywhere))
    };
    assert_eq!(seen(), (0, 0));

    let [first, second] = &nodes[..] else {
        unreachable!()
    };
    machine_says(first, &[(ALARM, "1\n")]);
    demo.wait("the warning to be seen", || (seen() == (1, 0)).then_some(()));
    let board = format!(
        "[...document.querySelectorAll('.board')].find(board => board.textContent.includes({})).querySelector('.warnings').innerText",
        json!(first.file_name().unwrap().to_str())
    );
    let text = browser.value(&board);
    let text = text.as_str().unwrap();
    assert!(
        text.contains(WEAK) && text.contains("short, thick cable"),
        "{text}"
    );

    machine_says(second, &[(ALARM, "1\n")]);
    demo.wait("it to be said once for all", || (seen() == (0, 1)).then_some(()));
    let everywhere = browser.text("#everywhere");
    assert!(
        everywhere.contains("On every node: The power supply"),
        "{everywhere}"
    );

    machine_says(second, &[(ALARM, "0\n")]);
    demo.wait("it to be said of one again", || (seen() == (1, 0)).then_some(()));
    visit.no_complaints("warnings", &[]);
}
