//! Somebody who has never seen it.

use std::time::{Duration, Instant};

use tests::browser::Screen;

use crate::visit::Visit;

/// The first page may cost this much on the wire, with all that it needs.
const FIRST_PAGE_BYTES: u64 = 100_000;

/// From opening the portal to watching replicas, signing in among it.
const MOST_CLICKS: u32 = 6;

fn path_of_a_newcomer(screen: Screen) {
    let visit = Visit::from_the_network();
    let browser = &visit.browser;
    browser.screen(screen);
    browser.requests();

    let began = Instant::now();
    visit.open("/");
    visit.sign_in();
    browser.wait(
        "the word for newcomers",
        "document.body.innerText.includes('Nothing runs yet')",
    );
    let sent = browser.requests();
    let weight: u64 = sent.iter().map(|request| request.bytes).sum();

    browser.click("#newcomer a.primary");
    browser.click("[data-name=figlet] button.primary");
    browser.wait("the example", "document.querySelector('#body')?.value !== ''");
    let in_vain = visit.invoke();
    browser.wait("the answer", "!!document.querySelector('#answer pre')");
    let node = browser.text("#answer .node");
    let answer = browser.text("#answer pre");
    browser.click("#more");
    browser.wait(
        "two replicas",
        "document.querySelectorAll('#where .dot.ready').length === 2",
    );
    let took = began.elapsed();

    let clicks = browser.clicks() - in_vain;
    println!(
        "newcomer ({}): {clicks} clicks, {:.1} s; first page {weight} bytes in {} requests",
        screen.name,
        took.as_secs_f32(),
        sent.len()
    );
    assert!(
        visit.demo.node_names().contains(&node),
        "{node} is one of the Pis"
    );
    assert!(answer.lines().count() > 2, "big letters: {answer}");
    assert!(clicks <= MOST_CLICKS, "{clicks} clicks");
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(
        weight < FIRST_PAGE_BYTES,
        "the first page costs {weight} bytes: {sent:#?}"
    );
    assert!(weight > 10_000, "it was really counted: {weight}");

    let elsewhere: Vec<_> = sent
        .into_iter()
        .chain(browser.requests())
        .map(|request| request.url)
        .filter(|url| {
            !url.starts_with(&visit.origin) && !url.starts_with("data:") && !url.starts_with("blob:")
        })
        .collect();
    assert!(
        elsewhere.is_empty(),
        "nothing comes from elsewhere: {elsewhere:?}"
    );
    visit.no_complaints("a newcomer's path", &[]);
}

#[test]
fn a_newcomer_deploys_invokes_and_watches_within_a_minute_at_a_projector() {
    path_of_a_newcomer(Screen::projector(false));
}

#[test]
fn a_newcomer_deploys_invokes_and_watches_within_a_minute_on_a_phone() {
    path_of_a_newcomer(Screen::phone(true));
}

#[test]
fn a_second_visit_asks_for_no_file_again() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    browser.wait("nodes", "document.querySelectorAll('.board').length === 4");
    browser.requests();
    visit.open("/ui/functions");
    browser.wait("the page", "document.body.innerText.includes('Nothing runs yet')");
    visit.open("/ui/");
    browser.wait("nodes", "document.querySelectorAll('.board').length === 4");
    let files: Vec<_> = browser
        .requests()
        .into_iter()
        .filter(|request| request.bytes > 0 && request.url.contains("/ui/static/"))
        .filter(|request| !request.url.contains("functions.js") && !request.url.contains("search.js"))
        .collect();
    assert!(files.is_empty(), "{files:#?}");
}
