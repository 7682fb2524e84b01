//! What open pages are sent: everything at once, then whatever changes, at any node, for as long as the session lasts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    demo::{Client, Demo, PATIENCE},
    following::Following,
};

const EVENTS: &str = "/api/v1/events";

/// Pages that one bramble serves at the same time.
const MOST_PAGES: usize = 128;

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|each| each["name"].as_str().unwrap()).collect()
}

/// Reads events until one of this kind looks as wanted.
fn wait_for(page: &Following, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    std::iter::from_fn(|| page.event())
        .inspect(|(_, what)| assert!(Instant::now() < deadline, "waited in vain for the {kind}: {what}"))
        .find(|(k, what)| k == kind && is_wanted(what))
        .unwrap_or_else(|| panic!("the stream ends before the {kind} are as wanted"))
        .1
}

#[test]
fn a_page_at_any_node_sees_everything_at_once_and_then_every_change() {
    let demo = Demo::builder().nodes(3).start();
    let nodes = demo.node_names();
    let pages: Vec<Following> = nodes
        .iter()
        .map(|name| demo.node_client(name).follow(EVENTS))
        .collect();
    for (page, name) in pages.iter().zip(&nodes) {
        assert_eq!(page.status, 200, "{name}");
        assert_eq!(page.headers["content-type"], "text/event-stream", "{name}");
        assert_eq!(page.headers["cache-control"], "no-store", "{name}");
        let first: BTreeMap<String, Value> = (0..3).map(|_| page.event().unwrap()).collect();
        assert_eq!(first.len(), 3, "each kind comes at once: {first:?}");
        assert_eq!(names(&first["nodes"]).len(), 3);
        assert_eq!(first["functions"], json!([]));
        assert!(!first["activity"].as_array().unwrap().is_empty());
    }

    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    for page in &pages {
        let functions = wait_for(page, "functions", |functions| functions[0]["status"] == "ready");
        let env = &functions[0];
        assert_eq!((&env["name"], &env["ready"]), (&json!("env"), &json!(1)));
        assert_eq!(env["replicas"], 1, "it is what OpenFaaS clients see, and more");
        assert_eq!(env["sentence"], "1 of 1 replica is ready.");
        assert_eq!(env["placements"][0]["phase"], "ready");
        assert_eq!(env["nodes"][0], env["placements"][0]["node"]);
    }
    // The same is answered to who asks once.
    let asked = demo.client().get("/api/v1/functions").json();
    assert_eq!(
        (&asked[0]["status"], &asked[0]["ready"]),
        (&json!("ready"), &json!(1))
    );

    // The first ones tell that there are any; how fast they come is seen by comparing.
    for total in [20.0, 40.0] {
        for _ in 0..20 {
            assert_eq!(demo.client().get("/function/env").status, 200);
        }
        wait_for(&pages[0], "functions", |functions| {
            functions[0]["invocationCount"] == total
        });
    }
    // One that was open all the time: a rate is of the last seconds.
    wait_for(&pages[1], "functions", |functions| {
        functions[0]["rate"].as_f64().unwrap() > 0.0
    });

    let activity = demo.client().get("/api/v1/activity?limit=2").json();
    assert_eq!(activity.as_array().unwrap().len(), 2, "{activity}");
    let all = demo.client().get("/api/v1/activity").json();
    let deployed =
        |event: &Value| event["actor"] == "admin" && event["text"].as_str().unwrap().contains("env");
    assert!(all.as_array().unwrap().iter().any(deployed), "{all}");
}

#[test]
fn changes_come_whole_and_at_most_twice_a_second() {
    let demo = Demo::builder().nodes(2).start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    let page = demo.client().follow(EVENTS);
    wait_for(&page, "functions", |functions| functions[0]["status"] == "ready");
    let began = Instant::now();
    for replicas in [2, 1, 3, 1, 2, 1, 3, 2] {
        demo.scale("env", replicas);
    }
    let mut seen = 0;
    loop {
        let (kind, what) = page.event().unwrap();
        if kind != "functions" {
            continue;
        }
        seen += 1;
        assert_eq!(names(&what), ["env"], "a whole, never a difference");
        if what[0]["replicas"] == 2 && what[0]["ready"] == 2 {
            break;
        }
    }
    let most = 2 + began.elapsed().as_millis() / 500;
    assert!(seen <= most, "{seen} in {:?}", began.elapsed());
}

#[test]
fn one_page_too_many_is_told_so_and_room_comes_back() {
    let demo = Demo::builder().nodes(1).start();
    let client = demo.client();
    let mut pages: Vec<Following> = (0..MOST_PAGES).map(|_| client.follow(EVENTS)).collect();
    for page in &pages {
        assert!(page.event().is_some());
    }
    let refused = client.get(EVENTS);
    assert_eq!(refused.status, 503);
    assert!(
        refused.json()["error"].as_str().unwrap().contains("close some"),
        "{}",
        refused.text()
    );
    pages.pop();
    demo.wait("the page that was closed to make room", || {
        let page = client.follow(EVENTS);
        (page.status == 200).then_some(())
    });
}

#[test]
fn a_page_ends_with_its_session_and_with_the_bramble() {
    let demo = Demo::builder().nodes(2).start();
    let anonymous = Client::new(&demo.portal).with("user-agent", "Mozilla/5.0");
    assert_eq!(anonymous.get(EVENTS).status, 401);
    let unknown = anonymous.get("/api/v1/session");
    assert_eq!(unknown.status, 401);

    let browser = Client::new(&demo.portal).with_session("admin", &demo.password);
    let session = browser.get("/api/v1/session").json();
    assert_eq!(
        (&session["user"], &session["role"]),
        (&json!("admin"), &json!("admin"))
    );
    let may = session["permissions"].as_array().unwrap();
    assert!(
        may.contains(&json!("view_nodes")) && may.contains(&json!("change_functions")),
        "{session}"
    );

    let page = browser.follow(EVENTS);
    let stays = demo.client().follow(EVENTS);
    assert!(page.event().is_some() && stays.event().is_some());
    let host = demo.portal.strip_prefix("http://").unwrap();
    let signed_out = browser
        .clone()
        .with("origin", &demo.portal)
        .with("host", host)
        .post("/ui/sign-out", "");
    assert_eq!(signed_out.status, 303, "{}", signed_out.text());
    let at = Instant::now();
    page.rest();
    assert!(at.elapsed() < Duration::from_secs(15), "{:?}", at.elapsed());
    assert_eq!(browser.get("/api/v1/session").status, 401);
    wait_for(&stays, "nodes", |_| true);

    let at = Instant::now();
    assert_eq!(demo.end(), Some(0));
    assert!(
        at.elapsed() < Duration::from_secs(10),
        "an open page holds it up: {:?}",
        at.elapsed()
    );
    stays.rest();
}
