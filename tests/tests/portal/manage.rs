//! What can be said of a node in the portal, and how it is put out.

use serde_json::{Value, json};
use tests::{
    browser::{Browser, Screen},
    demo::wait_for,
    table::{KEY, Table},
};

use crate::{beginnings::sign_in, visit::Visit};

/// Something on the board of this node.
fn on(node: &str, what: &str) -> String {
    format!(".board:has(summary[aria-label='Manage {node}']) {what}")
}

fn manage(browser: &Browser, node: &str) {
    browser.click(&on(node, ".manage summary"));
}

fn save(browser: &Browser, node: &str) {
    browser.click(&on(node, ".manage button.primary"));
}

/// What `expression` is for an element of this node's board, as `it`.
fn of(node: &str, what: &str, expression: &str) -> String {
    let selector = json!(on(node, what));
    format!("((it) => {expression})(document.querySelector({selector}))")
}

fn problem(browser: &Browser, node: &str) -> String {
    let said = browser.wait(
        "what stands in the way",
        &of(node, ".manage .problem", "it.textContent || null"),
    );
    said.as_str().unwrap().to_owned()
}

fn node(visit: &Visit, name: &str) -> Option<Value> {
    visit.demo.nodes().into_iter().find(|node| node["name"] == name)
}

/// Waits until the API tells this of a node.
fn told(visit: &Visit, name: &str, of_it: &str, what: &Value) {
    visit.demo.wait("it to be told", || {
        (node(visit, name)?[of_it] == *what).then_some(())
    });
}

/// Names of those that lead nothing.
fn others(visit: &Visit) -> Vec<String> {
    let leader = visit.demo.leader();
    let names = visit.demo.node_names().into_iter();
    names.filter(|name| *name != leader).collect()
}

#[test]
fn a_node_is_renamed_excluded_and_cordoned_with_one_press() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    browser.screen(Screen::phone(true));
    let (old, leader) = (others(&visit).remove(0), visit.demo.leader());
    manage(browser, &old);
    let name = |node: &str| on(node, ".manage input[name=name]");
    assert_eq!(browser.typed(&name(&old)), old);

    // Refused, in the server's words, and nothing typed is lost.
    browser.fill(&name(&old), &leader);
    save(browser, &old);
    assert_eq!(problem(browser, &old), format!("another node is called {leader}"));
    assert_eq!(browser.typed(&name(&old)), leader);

    browser.fill(&name(&old), "window");
    browser.choose(&on(&old, ".manage select"), "never");
    browser.click(&on(&old, ".manage input[type=checkbox]"));
    assert_eq!(
        node(&visit, &old).unwrap()["wish"],
        "none",
        "nothing before it is saved"
    );
    save(browser, &old);
    told(&visit, "window", "wish", &json!("excluded"));
    told(&visit, "window", "cordoned", &json!(true));
    browser.wait(
        "the board to say so",
        &of("window", ".status", "it?.textContent === 'takes nothing new'"),
    );
    assert_eq!(browser.text(&on("window", "h3")), "window");
    assert_eq!(node(&visit, &old), None);
    let quiet = of(
        "window",
        ".manage",
        "it.open && it.querySelector('.problem').textContent === '' && !it.querySelector('[data-typed]')",
    );
    browser.wait("all to be saved", &quiet);

    // Its light is asked for by the new name, too.
    browser.click(&on("window", ".light button"));
    browser.wait(
        "its light",
        &of("window", ".light button", "it.textContent === 'Stop'"),
    );

    // Who looks again sees what was said, and takes it back.
    browser.reload();
    manage(browser, "window");
    assert_eq!(browser.typed(&on("window", ".manage select")), "excluded");
    browser.click(&on("window", ".manage input[type=checkbox]"));
    save(browser, "window");
    told(&visit, "window", "cordoned", &json!(false));
    browser.wait("it to be up", &of("window", ".status", "it.textContent === 'up'"));
    assert_eq!(
        node(&visit, "window").unwrap()["wish"],
        "excluded",
        "nobody took that back"
    );
    visit.no_complaints("managing a node", &["409 ("]);
}

#[test]
fn what_somebody_types_stays_with_the_focus_while_news_come_in() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    browser.screen(Screen::projector(false));
    let mut names = visit.demo.node_names();
    names.sort();
    // The second of the stack; the last one becomes the first meanwhile, and the first one the last.
    let (first, mine, last) = (&names[0], &names[1], &names[3]);
    manage(browser, mine);
    browser.fill(&on(mine, ".manage input[name=name]"), "half-ty");
    let put = |node: &str, what: &str, body: &Value| {
        let path = format!("/api/v1/nodes/{node}/{what}");
        let answer = visit.demo.client().send("PUT", &path, body.to_string());
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    put(mine, "controller", &json!({"wish": "pinned"}));
    put(last, "name", &json!({"name": "a-first"}));
    put(first, "name", &json!({"name": "z-last"}));
    browser.wait(
        "the new order",
        "[...document.querySelectorAll('.board h3')].map((it) => it.textContent).join().match(/^a-first,.*,z-last$/)?.length",
    );
    browser.wait(
        "what nobody touched here to follow",
        &of(mine, ".manage select", "it.value === 'pinned'"),
    );
    let typing = of(
        mine,
        ".manage input[name=name]",
        "it === document.activeElement && it.value === 'half-ty' && it.form.hasAttribute('data-typed')",
    );
    assert_eq!(browser.value(&typing), true);
    visit.no_complaints("typing", &[]);
}

#[test]
fn a_node_is_put_out_by_the_second_press_and_the_leader_never() {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let nodes = wait_for("both", || {
        let nodes = table.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(nodes)
    });
    let called = |leads: bool| {
        let node = nodes.iter().find(|node| node["leader"] == leads).unwrap();
        node["name"].as_str().unwrap().to_owned()
    };
    let browser = Browser::start();
    sign_in(&browser, &table.pis[0]);
    let remove = |node: &str| on(node, ".manage form button:not(.primary)");
    let ask_twice = |node: &str| {
        manage(&browser, node);
        browser.click(&remove(node));
        browser.wait(
            "the question",
            &of(
                node,
                ".manage form button:not(.primary)",
                "it.textContent.startsWith('Really')",
            ),
        );
        assert_eq!(table.pis[0].nodes().len(), 2, "one press does nothing");
        browser.click(&remove(node));
    };
    ask_twice(&called(true));
    let refused = problem(&browser, &called(true));
    assert!(refused.contains("leads the bramble"), "{refused}");

    ask_twice(&called(false));
    browser.wait(
        "its board to go",
        "document.querySelectorAll('.board').length === 1",
    );
    assert_eq!(table.pis[0].nodes().len(), 1);
    browser.wait(
        "it to be offered again",
        "document.querySelector('#waiting-list .faint')?.textContent.includes('was removed before')",
    );
}
