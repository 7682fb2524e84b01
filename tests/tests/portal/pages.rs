//! Every page, on every screen, in both colours.

use std::collections::BTreeSet;

use serde_json::json;
use tests::browser::Screen;

use crate::visit::Visit;

/// A page, and what is there when it is whole.
const PAGES: [(&str, &str); 13] = [
    (
        "/ui/",
        "document.querySelectorAll('.board').length === 4 && !!document.querySelector('.legend .dot')",
    ),
    (
        "/ui/#managed",
        "document.querySelectorAll('.manage:not([hidden])').length === 4 && [...document.querySelectorAll('.manage')].every((it) => it.open = true)",
    ),
    (
        "/ui/functions",
        "document.querySelectorAll('#list > li').length === 3",
    ),
    (
        "/ui/functions?search=sleep",
        "document.querySelectorAll('#list > li').length === 1",
    ),
    (
        "/ui/store",
        "document.querySelectorAll('#cards > li').length >= 20",
    ),
    ("/ui/deploy", "!!document.querySelector('#spec .primary')"),
    (
        "/ui/deploy?store=figlet",
        "document.querySelector('[name=image]')?.value === 'bramble/figlet:latest'",
    ),
    ("/ui/images", "document.querySelectorAll('#list > li').length > 0"),
    (
        "/ui/activity",
        "document.querySelectorAll('#events > li').length > 2",
    ),
    (
        "/ui/functions/openfaas-fn/env",
        "document.querySelectorAll('#where .dot.ready').length === 3",
    ),
    (
        "/ui/functions/openfaas-fn/broken#replicas",
        "document.querySelectorAll('#why > li').length > 0",
    ),
    (
        "/ui/functions/openfaas-fn/env#settings",
        "document.querySelector('[name=image]')?.value === 'bramble/env:latest'",
    ),
    (
        "/ui/functions/openfaas-fn/none",
        "!document.querySelector('#gone').hidden",
    ),
];

/// Fields, buttons and links that a screen reader could not name.
const NAMELESS: &str = "
    const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.labels?.length || e.title;
    return [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')]
        .filter((e) => !named(e)).map((e) => e.outerHTML);";

/// Texts whose contrast with their ground is below what people with weak eyes need (WCAG AA: 4.5, large 3).
const PALE: &str = r"
    const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
    const found = [];
    for (const e of document.querySelectorAll('main *, header *')) {
        if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.matches(':disabled, .unseen, .unseen *, .dot, option')) continue;
        const style = getComputedStyle(e);
        const [a, b] = [light(parse(style.color)), light(ground(e))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 40)} (${e.className})`);
    }
    return found;";

#[test]
fn every_page_is_whole_on_every_screen_in_both_colours() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.deploy("env", "env");
    visit.demo.scale("env", 3);
    visit.deploy("sleep", "sleep");
    visit.demo.scale("sleep", 0);
    let broken = json!({"service": "broken", "image": "bramble/env:latest", "constraints": ["node=nowhere"]});
    assert_eq!(
        visit.demo.client().post_json("/system/functions", &broken).status,
        202
    );
    visit.demo.wait_for_ready("env", 3);
    visit.demo.wait_for_ready("sleep", 0);

    let mut links = BTreeSet::new();
    for screen in Screen::ALL {
        browser.screen(screen);
        for (page, whole) in PAGES {
            let here = format!("{page} ({})", screen.name);
            visit.open("/ui/static/none/none");
            visit.no_complaints("a page that is not there", &["404 ("]);
            visit.open(page);
            browser.wait(&here, whole);
            let fits = browser.value("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(fits, true, "{here} needs no scrolling sideways");
            let nameless = browser.run(NAMELESS, Vec::new());
            assert_eq!(nameless, json!([]), "{here}: everything has a name");
            let pale = browser.run(PALE, Vec::new());
            assert_eq!(pale, json!([]), "{here}: all text can be read");
            visit.no_complaints(&here, &[]);
            let found = browser.value("[...document.querySelectorAll('a[href]')].map((a) => a.href)");
            links.extend(
                found
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|link| link.as_str().unwrap().to_owned()),
            );
        }
        let dark =
            browser.value("parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) < 128");
        assert_eq!(dark, screen.dark, "{}", screen.name);
    }

    assert!(links.len() > 10, "{links:?}");
    for link in links {
        let script = "return fetch(arguments[0], { headers: { accept: 'text/html' } }).then((answer) => answer.status);";
        let status = browser.run(script, vec![json!(link)]);
        assert_eq!(status, 200, "{link} leads somewhere");
    }
}

#[test]
fn the_chosen_colours_stay_and_searching_finds() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    browser.screen(Screen::projector(false));
    let is_dark = "getComputedStyle(document.documentElement).colorScheme === 'dark'";
    assert_eq!(browser.value(is_dark), false);
    browser.click("#theme");
    assert_eq!(browser.value(is_dark), true, "one press: dark");
    visit.open("/ui/store");
    assert_eq!(browser.value(is_dark), true, "on the next page too");

    browser.wait(
        "the store",
        "document.querySelectorAll('#cards > li').length >= 20",
    );
    browser.type_into("#search", "qr");
    browser.wait(
        "what was searched",
        "document.querySelectorAll('#cards > li').length === 1",
    );
    assert!(browser.address().ends_with("/ui/store?search=qr"));
    browser.reload();
    browser.wait(
        "the same again",
        "document.querySelectorAll('#cards > li').length === 1",
    );
    browser.fill("#search", "nothing of the kind");
    browser.wait(
        "the word for nothing",
        "document.querySelector('#count').textContent.includes('Nothing in the store')",
    );

    browser.fill("#search", " ");
    browser.click("#categories button:nth-child(3)");
    browser.wait(
        "one category",
        "document.querySelectorAll('#cards > li').length < 15",
    );
    visit.no_complaints("colours and search", &[]);
}
