//! What is seen without loading anything again.

use serde_json::json;
use tests::demo::{Client, wait_for};

use crate::visit::Visit;

#[test]
fn scaling_and_a_pulled_plug_are_seen_live() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.deploy("env", "env");
    browser.run("window.sameAsBefore = true;", Vec::new());
    browser.wait(
        "the first replica",
        "document.querySelectorAll('.board .dot.ready').length === 1",
    );
    visit.demo.scale("env", 8);
    browser.wait(
        "eight replicas",
        "document.querySelectorAll('.board .dot.ready').length === 8",
    );

    let leader = visit.demo.leader();
    let victim = visit
        .demo
        .node_names()
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();
    visit.demo.plug("unplug", &victim);
    let down = "document.querySelector('.board.down h3')?.textContent";
    assert_eq!(browser.wait("the plug to be seen", down), victim.as_str());
    browser.wait(
        "its replicas elsewhere",
        "document.querySelectorAll('.board.up .dot.ready').length === 8 && !document.querySelector('.board.down .dot')",
    );
    assert!(browser.text(".numbers").contains("3 of 4"));
    visit.demo.plug("plug", &victim);
    browser.wait(
        "it to come back",
        "document.querySelectorAll('.board.up').length === 4",
    );
    assert_eq!(
        browser.value("window.sameAsBefore"),
        true,
        "the page was never loaded again"
    );

    // The function's own page: press plus, see it; type a number, see it.
    visit.open("/ui/functions/openfaas-fn/env");
    browser.wait(
        "eight there too",
        "document.querySelectorAll('#where .dot.ready').length === 8",
    );
    browser.click("#more");
    browser.wait(
        "nine",
        "document.querySelectorAll('#where .dot.ready').length === 9",
    );
    browser.fill("#wanted", "2\u{e007}");
    browser.wait("two", "document.querySelectorAll('#where .dot').length === 2");
    browser.click("#fewer");
    browser.wait("one", "document.querySelectorAll('#where .dot').length === 1");
    visit.no_complaints("scaling", &[]);
}

#[test]
fn logs_are_followed_and_can_be_paused() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.deploy("noisy", "env");
    let invoke = |words: &str| {
        let answer = visit.demo.client().get(&format!("/function/noisy/{words}"));
        assert_eq!(answer.status, 200);
    };
    let shown = |words: &str| format!("document.querySelector('#lines').textContent.includes('{words}')");
    visit.open("/ui/functions/openfaas-fn/noisy#logs");
    invoke("first-words");
    browser.wait("a line", &shown("first-words"));
    invoke("second");
    browser.wait("the next", &shown("second"));
    browser.click("#pause");
    invoke("third");
    browser.wait(
        "that one waits",
        "document.querySelector('#log-state').textContent.includes('wait')",
    );
    assert_eq!(browser.value(&shown("third")), false);
    browser.click("#pause");
    browser.wait("it to come", &shown("third"));
    visit.no_complaints("logs", &[]);
}

#[test]
fn a_lost_connection_is_said_and_a_lost_session_leads_back_to_the_same_page() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.deploy("env", "env");
    visit.open("/ui/functions?search=env");
    browser.wait("the list", "document.querySelectorAll('#list > li').length === 1");

    let leader = visit.demo.leader();
    visit.demo.plug("unplug", &leader);
    browser.wait("the banner", "!document.querySelector('#banner').hidden");
    assert!(browser.text("#banner").contains("Connection lost"));
    visit.demo.plug("plug", &leader);
    browser.wait("the banner to go", "document.querySelector('#banner').hidden");
    assert_eq!(browser.value("document.querySelectorAll('#list > li').length"), 1);

    // It is ended elsewhere.
    let session = |visit: &Visit| {
        let cookie = visit
            .browser
            .cdp("Network.getCookies", json!({"urls": [visit.origin]}));
        let value = cookie["cookies"][0]["value"].as_str().unwrap();
        Client::new(&visit.origin).with("cookie", &format!("bramble_session={value}"))
    };
    let elsewhere = session(&visit).with("sec-fetch-site", "same-origin");
    assert_eq!(elsewhere.post("/ui/sign-out", "").status, 303);
    browser.wait(
        "the sign-in page",
        "!!document.querySelector('input[name=password]')",
    );
    visit.sign_in();
    assert!(
        browser.address().ends_with("/ui/functions?search=env"),
        "{}",
        browser.address()
    );
    browser.wait("the list", "document.querySelectorAll('#list > li').length === 1");

    // Signing out ends it for good.
    let client = session(&visit);
    let with_it = || client.get("/api/v1/nodes").status;
    assert_eq!(with_it(), 200);
    browser.click("[aria-label^='Sign out']");
    browser.wait(
        "the sign-in page",
        "!!document.querySelector('input[name=password]')",
    );
    wait_for("the session to be over", || (with_it() == 401).then_some(()));
    browser.fill("input[name=password]", "not the password");
    browser.click("form button");
    browser.wait(
        "plain words",
        "document.querySelector('[role=alert]')?.textContent.includes('do not belong together')",
    );
}

#[test]
fn many_tabs_of_one_browser_do_not_keep_each_other_waiting() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    // More than the connections that a browser makes to one place.
    for tab in 2..=9 {
        browser.new_tab();
        visit.open("/ui/");
        browser.wait(
            &format!("the nodes in tab {tab}"),
            "document.querySelectorAll('.board.up').length === 4",
        );
    }
    visit.demo.plug("unplug", &visit.demo.leader());
    browser.wait("it to be live", "!document.querySelector('#banner').hidden");
}
