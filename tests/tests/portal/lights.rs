//! Lights, as people change them in the portal.

use serde_json::{Value, json};
use tests::browser::{Browser, Screen};

use crate::visit::Visit;

/// Moves a control as a person does: to this value, heard by the page.
fn put(browser: &Browser, selector: &str, value: &str) {
    let script = "const control = document.querySelector(arguments[0]); control.value = arguments[1]; \
                  control.dispatchEvent(new Event('input', { bubbles: true }));";
    browser.run(script, vec![json!(selector), json!(value)]);
}

fn lights(visit: &Visit) -> Value {
    visit.demo.client().get("/api/v1/lights").json()
}

#[test]
fn all_lights_are_dimmed_and_rest_at_night() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    browser.screen(Screen::phone(true));
    browser.click("#lights summary");
    browser.wait(
        "how they shine",
        "document.querySelector('#brightness-words').textContent === '50 %'",
    );
    put(browser, "#brightness", "20");
    assert_eq!(browser.text("#brightness-words"), "20 %");
    browser.click("#lights-form button");
    visit.demo.wait("them to be dimmed", || {
        (lights(&visit) == json!({"brightness": 20})).then_some(())
    });

    browser.click("#quiet");
    put(browser, "#quiet-from", "21:30");
    put(browser, "#quiet-until", "06:45");
    browser.click("#lights-form button");
    let night = json!({"brightness": 20, "quiet": "21:30-06:45"});
    visit.demo.wait("them to rest at night", || {
        (lights(&visit) == night).then_some(())
    });

    // Who looks again sees it, and ends it.
    browser.reload();
    browser.click("#lights summary");
    browser.wait(
        "the hours",
        "document.querySelector('#quiet-until').value === '06:45'",
    );
    browser.click("#quiet");
    browser.click("#lights-form button");
    visit.demo.wait("the nights to end", || {
        (lights(&visit) == json!({"brightness": 20})).then_some(())
    });
    visit.no_complaints("lights", &[]);
}

#[test]
fn a_board_is_found_by_its_light() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    let says = |what: &str| {
        visit
            .demo
            .nodes()
            .iter()
            .filter(|node| node["light"]["says"] == what)
            .count()
    };
    browser.click(".board .light button");
    visit
        .demo
        .wait("its light to say so", || (says("identify") == 1).then_some(()));
    browser.wait(
        "it to be seen",
        "document.querySelector('.board .light button').textContent === 'Stop'",
    );
    browser.click(".board .light button");
    visit.demo.wait("the light to say what it said", || {
        (says("identify") == 0).then_some(())
    });
    visit.no_complaints("identify", &[]);
}
