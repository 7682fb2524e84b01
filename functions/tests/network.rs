//! The functions that ask others, against servers of this test's own.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/programs.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
mod programs;
#[path = "support/servers.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
mod servers;

use programs::{Programs, free_port};

#[test]
fn curl_shows_heads_follows_and_sends() {
    let curl = Programs::find().start_named("curl");
    let server = format!("http://127.0.0.1:{}", servers::http());
    let ask = |command: String| curl.post("", command.as_bytes());

    assert_eq!(ask(format!("{server}/healthz")).text(), "OK");
    let head = ask(format!("-I {server}/healthz")).text();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\n") && head.contains("x-bramble-node: pi-1\n"),
        "{head}"
    );
    assert!(
        ask(format!("-i {server}/away"))
            .text()
            .starts_with("HTTP/1.1 302 Found")
    );
    assert_eq!(ask(format!("curl -sL {server}/away")).text(), "OK");
    assert_eq!(ask(format!("-L {server}/folder/up")).text(), "OK");
    assert_eq!(
        ask(format!("-L {server}/folder/beside")).text(),
        "the page beside"
    );
    let echoed = ask(format!("-X PUT -H 'X-Lesson: one' -d 'a=b c' {server}/echo")).text();
    assert!(
        echoed.starts_with("PUT /echo HTTP/1.1\r\n") && echoed.ends_with("\r\n\r\na=b c"),
        "{echoed}"
    );
    assert!(echoed.to_lowercase().contains("x-lesson: one\r\n"), "{echoed}");
}

#[test]
fn curl_trusts_nobody_unknown_unless_told() {
    let curl = Programs::find().start_named("curl");
    let address = format!("https://localhost:{}/healthz", servers::https());
    let answer = curl.post("", address.as_bytes());
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .text()
            .contains("localhost cannot be reached: invalid peer certificate"),
        "{}",
        answer.text()
    );
    assert_eq!(curl.post("", format!("-k {address}").as_bytes()).text(), "OK");
}

#[test]
fn curl_tells_what_went_wrong() {
    let curl = Programs::find().start_named("curl");
    let server = format!("http://127.0.0.1:{}", servers::http());
    let big = curl.post("", format!("{server}/big").as_bytes());
    assert_eq!((big.status, big.text().contains("more than 1 MiB")), (502, true));
    let gone = curl.post("", format!("http://127.0.0.1:{}/", free_port()).as_bytes());
    assert!(gone.text().contains("cannot be reached"), "{}", gone.text());
    assert_eq!(curl.post("", b"--proxy x http://a/").status, 400);
}

#[test]
fn certinfo_tells_of_a_certificate_that_nobody_signed() {
    let certinfo = Programs::find().start_named("certinfo");
    let answer = certinfo.post("", format!("https://localhost:{}/", servers::https()).as_bytes());
    let text = answer.text();
    for part in [
        "(TLS 1.3)",
        "Names:        localhost, 127.0.0.1\n",
        "Fingerprint:  SHA-256 ",
        "Trusted:      no: nobody whom browsers trust has signed it\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let plain = certinfo.post("", format!("127.0.0.1:{}", servers::http()).as_bytes());
    assert_eq!(plain.status, 502);
}

#[test]
fn nslookup_asks_the_server_named() {
    let nslookup = Programs::find().start_named("nslookup");
    let server = format!("127.0.0.1:{}", servers::dns());
    let ask = |words: &str| nslookup.post("", format!("{words} {server}").as_bytes());

    assert_eq!(
        ask("school.test").text(),
        format!("school.test\n  A      10.0.0.7\n  AAAA   ::1\nanswered by {server}\n")
    );
    assert!(
        ask("school.test MX")
            .text()
            .contains("  MX     10 mail.school.test\n")
    );
    assert!(ask("school.test txt").text().contains("  TXT    v=spf1 -all\n"));
    assert!(ask("long.test TXT").text().contains("the whole truth"));
    let unknown = ask("nobody.test");
    assert_eq!(unknown.status, 404);
    assert!(
        unknown
            .text()
            .starts_with("Nobody knows a computer called `nobody.test`"),
        "{}",
        unknown.text()
    );
}

#[test]
fn hey_counts_answers_and_nodes() {
    let hey = Programs::find().start_named("hey");
    let server = format!("http://127.0.0.1:{}", servers::http());
    let report = hey
        .post("", format!("-n 300 -c 7 {server}/healthz").as_bytes())
        .text();
    for part in [
        "[200] 300 responses\n",
        "pi-1 300 responses\n",
        "99% in ",
        "Requests/sec: ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let report = hey
        .post("", format!("-z 1 -c 2 {server}/nothing").as_bytes())
        .text();
    assert!(report.contains("[404] "), "{report}");
    let gone = hey.post("", format!("http://127.0.0.1:{}/", free_port()).as_bytes());
    assert_eq!(gone.status, 502);
}

#[test]
fn the_load_page_learns_how_another_function_answered() {
    let programs = Programs::find();
    let mut page = programs.described("load-page");
    page["env"]["gateway_url"] = format!("http://127.0.0.1:{}/", servers::http()).into();
    let page = programs.start(&page);

    let found = page.get("/?call=echo");
    assert_eq!(
        (found.status, found.text().as_str()),
        (200, r#"{"status":200,"node":"pi-1"}"#)
    );
    assert_eq!(found.headers["access-control-allow-origin"], "*");
    let gone = page.get("/?call=nobody");
    assert_eq!(
        (gone.status, gone.text().as_str()),
        (200, r#"{"status":404,"node":"pi-1"}"#)
    );
}

#[test]
fn the_load_page_may_see_that_there_is_no_gateway() {
    let programs = Programs::find();
    let mut page = programs.described("load-page");
    page["env"]["gateway_url"] = format!("http://127.0.0.1:{}", free_port()).into();

    let answer = programs.start(&page).get("/?call=echo");

    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
}
