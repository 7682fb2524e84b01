//! A function that is a page: it makes load from the browser.

use std::{thread::sleep, time::Duration};

use serde_json::Value;

use crate::visit::{NETWORK_CHANGED, Visit};

/// What a counter of the page shows.
fn counter(visit: &Visit, id: &str) -> u64 {
    visit.browser.text(id).parse().unwrap()
}

fn invocations(visit: &Visit, function: &str) -> f64 {
    let answer = visit.demo.client().get(&format!("/system/function/{function}"));
    answer.json()["invocationCount"].as_f64().unwrap_or_default()
}

/// Presses start, waits until so many calls were answered, and presses stop.
fn make_load(visit: &Visit, calls: u64) {
    let browser = &visit.browser;
    browser.click("#start");
    browser.wait(
        "calls to be answered",
        // What it shows is of the last start for a moment.
        &format!("answered >= {calls} && Number(document.querySelector('#answered').textContent) >= {calls}"),
    );
    assert_eq!(browser.value("document.querySelector('#start').disabled"), true);
    browser.click("#stop");
}

#[test]
fn a_page_makes_load_with_start_stop_and_a_counter() {
    let visit = Visit::start();
    let browser = &visit.browser;
    visit.deploy("load-page", "load-page");
    visit.deploy("env", "env");
    visit.open("/function/load-page");
    browser.fill("#work", "100");
    make_load(&visit, 40);

    // What was under way when it stopped is counted still.
    sleep(Duration::from_secs(1));
    let answered = counter(&visit, "#answered");
    sleep(Duration::from_secs(1));
    assert_eq!(counter(&visit, "#answered"), answered, "it has stopped");
    let complaints = browser.console();
    let given_up = complaints
        .iter()
        .filter(|line| line.contains(NETWORK_CHANGED))
        .count();
    assert_eq!(
        counter(&visit, "#failed"),
        given_up as u64,
        "but for what the browser gave up: {complaints:?}"
    );
    let by: Value = browser.value(
        "[...document.querySelectorAll('#who td.n')].reduce((sum, td) => sum + Number(td.textContent), 0)",
    );
    assert_eq!(by, answered, "each by somebody");
    visit.demo.wait("the bramble to have counted them", || {
        // And the page itself.
        (invocations(&visit, "load-page") >= answered as f64 + 1.0).then_some(())
    });

    browser.fill("#target", "env");
    make_load(&visit, 20);
    visit.demo.wait("the other function to have been called", || {
        (invocations(&visit, "env") >= 20.0).then_some(())
    });

    // What fails is not called answered.
    browser.fill("#target", "nobody-deployed-this");
    browser.click("#start");
    browser.wait(
        "failures",
        "Number(document.querySelector('#failed').textContent) >= 3",
    );
    assert_eq!(counter(&visit, "#answered"), 0);
    browser.click("#stop");
}
