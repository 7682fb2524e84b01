//! What a browser may do with a function's answer: nothing in the name of the portal, which lives at the same origin.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use bytes::Bytes;
use common::{Bramble, Replica};
use http::{Request, StatusCode};

async fn world() -> (Bramble, Replica) {
    let mut bramble = Bramble::of(2).await;
    let replica = Replica::start("evil").await;
    bramble.place("evil", 1, 1, replica.address);
    (bramble, replica)
}

fn is_sandboxed(policies: &[&str]) -> bool {
    policies
        .iter()
        .any(|policy| policy.starts_with("sandbox ") && !policy.contains("allow-same-origin"))
}

#[tokio::test]
async fn a_page_of_a_function_is_sandboxed_even_if_it_says_that_it_need_not_be() {
    let (bramble, _replica) = world().await;
    for node in [0, 1] {
        for query in [
            "h=content-type:text/html",
            "h=content-type:text/html&h=content-security-policy:sandbox~allow-same-origin~allow-scripts",
            "h=content-type:image/svg+xml",
            "h=content-type:application/xhtml+xml&h=content-security-policy:default-src~*",
        ] {
            let answer = bramble.get(node, &format!("/function/evil?{query}")).await;
            let policies = answer.headers.get_all("content-security-policy");
            let policies: Vec<&str> = policies.iter().map(|policy| policy.to_str().unwrap()).collect();
            assert!(is_sandboxed(&policies), "{query}: {policies:?}");
            assert_eq!(
                policies.len(),
                1 + usize::from(query.contains("content-security"))
            );
        }
    }
}

#[tokio::test]
async fn the_requests_own_content_type_cannot_smuggle_a_page_out() {
    let (bramble, _replica) = world().await;
    let request = Request::post("/function/evil/echo")
        .header("content-type", "text/html")
        .body(Bytes::from_static(b"<script>"))
        .unwrap();
    let answer = bramble.ask(0, request).await;
    assert_eq!(answer.header("content-type"), "text/html");
    assert!(is_sandboxed(&[answer.header("content-security-policy")]));
}

#[tokio::test]
async fn an_answer_for_programs_is_left_as_it_is() {
    let (bramble, _replica) = world().await;
    let answer = bramble
        .get(0, "/function/evil?h=content-type:application/json")
        .await;
    assert!(!answer.headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn a_function_sets_its_own_cookies_and_never_the_portals() {
    let (bramble, _replica) = world().await;
    for node in [0, 1] {
        let query =
            "h=set-cookie:mine=1&h=set-cookie:bramble_session=fixed&h=set-cookie:=bramble_session=fixed";
        let answer = bramble.get(node, &format!("/function/evil?{query}")).await;
        assert_eq!(
            answer.headers.get_all("set-cookie").iter().collect::<Vec<_>>(),
            ["mine=1"]
        );
    }
}

#[tokio::test]
async fn a_function_cannot_clear_or_widen_what_the_browser_keeps_for_the_portal() {
    let (bramble, _replica) = world().await;
    let answer = bramble
        .get(0, "/function/evil?h=clear-site-data:x&h=service-worker-allowed:/")
        .await;
    assert!(!answer.headers.contains_key("clear-site-data"));
    assert!(!answer.headers.contains_key("service-worker-allowed"));
}

#[tokio::test]
async fn a_function_cannot_become_a_service_worker() {
    let (bramble, replica) = world().await;
    let request = Request::get("/function/evil/worker.js")
        .header("service-worker", "script")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(bramble.ask(0, request).await.status, StatusCode::FORBIDDEN);
    assert_eq!(replica.calls(), 0);
}

#[tokio::test]
async fn a_function_never_sees_the_portals_session() {
    let (bramble, _replica) = world().await;
    for node in [0, 1] {
        let request = Request::get("/function/evil/x")
            .header("cookie", "theme=dark; bramble_session=secret")
            .body(Bytes::new())
            .unwrap();
        let seen = bramble.ask(node, request).await.text();
        assert!(
            seen.contains("cookie: theme=dark\n") && !seen.contains("secret"),
            "{seen}"
        );
    }
}
