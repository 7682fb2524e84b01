//! Who is part of a bramble, as people decide it in the portal: the first visit, Pis at the door, new cards, and brambles
//! that meet.

use serde_json::json;
use tests::{
    browser::Browser,
    demo::wait_for,
    table::{KEY, PASSWORD, Pi, Table},
};

use crate::visit::open_whole;

/// Boards that are shown as up.
fn boards(count: usize) -> String {
    format!("document.querySelectorAll('.board.up').length === {count}")
}

/// Comes first, with the code that the Pi shows.
fn first_visit(browser: &Browser, pi: &Pi) {
    let overview = format!("{}/ui/", pi.portal());
    open_whole(browser, &overview);
    browser.fill("input[name=code]", &pi.code());
    browser.fill("input[name=password]", PASSWORD);
    browser.fill("input[name=again]", PASSWORD);
    browser.click("form button");
    browser.wait("the bramble", "!!document.querySelector('nav.main')");
    open_whole(browser, &overview);
}

/// Signs in, once there is a bramble to sign in to.
pub(crate) fn sign_in(browser: &Browser, pi: &Pi) {
    wait_for("the Pi to answer", || {
        let answer = pi.client().try_send("GET", "/ui/", "")?;
        (answer.status != 503).then_some(())
    });
    let overview = format!("{}/ui/", pi.portal());
    open_whole(browser, &overview);
    browser.fill("input[name=password]", PASSWORD);
    browser.click("form button");
    browser.wait("the bramble", "!!document.querySelector('nav.main')");
    open_whole(browser, &overview);
}

#[test]
fn the_first_visitor_chooses_a_password_and_lets_a_pi_in_also_with_a_new_card() {
    let mut table = Table::set(2, KEY);
    table.pis[1].rewrite(|card| card.replace(KEY, ""));
    table.pis[0].power_on();
    let browser = Browser::start();
    first_visit(&browser, &table.pis[0]);
    browser.wait("the first Pi", &boards(1));

    table.pis[1].power_on();
    browser.wait(
        "the other one at the door",
        "!document.querySelector('#waiting').hidden",
    );
    let shown = table.pis[1].client().get("/ui/").text();
    let letters = browser.text("#waiting-list .fingerprint");
    assert!(shown.contains(&letters), "{letters} in {shown}");
    let name = browser.text("#waiting-list b");
    for says in ["Stop", "Identify"] {
        browser.click("#waiting-list button.identify");
        browser.wait(
            "it to be asked which board it is",
            &format!("document.querySelector('#waiting-list button.identify').textContent === '{says}'"),
        );
    }
    browser.click("#waiting-list button.primary:not([hidden])");
    browser.wait("both", &boards(2));
    assert_eq!(browser.value("document.querySelector('#waiting').hidden"), true);

    table.pis[1].flash();
    table.pis[1].power_on();
    let offered =
        format!("document.querySelector('#waiting-list button.primary')?.textContent === 'Admit as {name}'");
    browser.wait("it to be known by its board", &offered);
    browser.click("#waiting-list button.primary");
    browser.wait("both again", &boards(2));
    assert_eq!(table.pis[0].nodes().len(), 2);
}

#[test]
fn a_pi_with_a_new_card_goes_on_as_what_it_was_with_one_press() {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    let browser = Browser::start();
    first_visit(&browser, &table.pis[0]);
    table.pis[1].power_on();
    browser.wait("both", &boards(2));
    table.pis[1].flash();
    table.pis[1].power_on();
    browser.wait(
        "the offer",
        "!!document.querySelector('.board .offer:not([hidden])')",
    );
    let offer = browser.text(".board .offer:not([hidden])");
    assert!(offer.contains("with a new card"), "{offer}");
    browser.click(".board .offer:not([hidden]) button");
    browser.wait(
        "it to be the one that it was",
        "document.querySelectorAll('.board').length === 2 && !document.querySelector('.board .offer:not([hidden])')",
    );
    browser.wait("both", &boards(2));
}

#[test]
fn whoever_gives_a_bramble_up_for_another_one_is_asked_twice() {
    let (mut one, mut other) = (Table::set(1, KEY), Table::set_elsewhere(1, KEY));
    one.power_on();
    other.power_on();
    let function = json!({"service": "env", "image": "bramble/env:latest"});
    for table in [&one, &other] {
        table.pis[0].first_visit();
        let answer = table.pis[0].admin().post_json("/system/functions", &function);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    one.connect(&other);
    for table in [&mut one, &mut other] {
        table.pis.iter_mut().for_each(|pi| pi.unplug());
        table.power_on();
    }
    let browser = Browser::start();
    sign_in(&browser, &other.pis[0]);
    browser.wait("the other bramble", "!document.querySelector('#meeting').hidden");
    let portal = browser.value("document.querySelector('#meeting-list a').href");
    assert!(
        portal.as_str().unwrap().starts_with("http://127.0.0.1:"),
        "{portal}"
    );
    browser.click("#meeting-list button");
    browser.wait(
        "the question",
        "document.querySelector('#meeting-list button').textContent.startsWith('Really')",
    );
    assert_eq!(other.pis[0].nodes().len(), 1, "one press does nothing");
    browser.click("#meeting-list button");
    wait_for("its Pi to go over", || {
        let nodes = one.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
}
