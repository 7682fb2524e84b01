//! What somebody who means harm may try: with names, labels, logs and answers, and from pages of other origins.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::json;

use crate::visit::Visit;

/// Runs where it is taken for HTML.
const EVIL: &str = "<img src=x onerror=\"window.caught='yes'\"><script>window.caught='yes'</script>";

/// The same, in a line of the log: what the function's process complains about.
const LOGGED: &str = "<img/src=x/onerror=window.caught=1>";

/// A page at another origin of this computer, served as often as it is asked for.
fn page_elsewhere(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            _ = stream.read(&mut [0; 8192]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length";
            _ = write!(stream, "{head}: {}\r\n\r\n{html}", html.len());
        }
    });
    address
}

#[test]
fn words_of_others_are_never_run() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.demo.deploy(json!({
        "service": "evil", "image": "bramble/sh:latest", "envProcess": "cat",
        "labels": {EVIL: EVIL}, "annotations": {EVIL: EVIL}, "envVars": {EVIL.replace('=', "-"): EVIL, "content_type": "text/html"},
    }));
    let noisy = format!("tee /{LOGGED}/x");
    visit
        .demo
        .deploy(json!({"service": "noisy", "image": "bramble/sh:latest", "envProcess": noisy}));
    let client = visit.demo.client();
    assert_eq!(client.post("/function/evil", EVIL).status, 200);
    assert_eq!(client.post("/function/noisy", EVIL).status, 500);
    // A name that nobody could deploy, in an address that anybody could send.
    let name = "%3Cscript%3Ewindow.caught%3D1%3C%2Fscript%3E%22%3E%3Cimg%20src%3Dx%3E";
    for page in [
        "/ui/",
        "/ui/functions?search=%22%3E%3Cimg+src%3Dx+onerror%3D%22window.caught%3D1%22%3E",
        "/ui/functions/openfaas-fn/evil#settings",
        "/ui/functions/openfaas-fn/noisy#logs",
        "/ui/functions/openfaas-fn/evil#history",
        "/ui/activity",
        &format!("/ui/functions/openfaas-fn/{name}"),
        &format!("/ui/sign-in?to=/ui/{name}"),
    ] {
        visit.open(page);
        thread::sleep(std::time::Duration::from_millis(700));
        assert_eq!(browser.value("window.caught ?? null"), json!(null), "{page}");
        assert_eq!(
            browser.value("document.querySelectorAll('img[src=x], script:not([nonce])').length"),
            0,
            "{page}"
        );
        visit.no_complaints(page, &["404 (Not Found)"]);
    }

    visit.open("/ui/functions/openfaas-fn/noisy#logs");
    browser.wait(
        "the log as it is",
        "document.querySelector('#lines').textContent.includes('<img/src=x')",
    );
    visit.open("/ui/functions/openfaas-fn/evil#settings");
    browser.wait(
        "the words as they are",
        "document.querySelector('[data-field=labels] input')?.value.includes('onerror')",
    );

    // What it answers is shown as text, and its preview runs nothing.
    visit.open("/ui/functions/openfaas-fn/evil");
    browser.choose("#method", "POST");
    browser.fill("#body", EVIL);
    visit.invoke();
    browser.wait(
        "the answer as text",
        "document.querySelector('#answer pre')?.textContent.includes('onerror')",
    );
    browser.click("#answer .chips button:nth-child(2)");
    thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(browser.value("window.caught ?? null"), json!(null));
    assert_eq!(
        browser.value("document.querySelector('#answer iframe').contentDocument"),
        json!(null),
        "of no origin"
    );

    // As a page of its own it runs, but neither sees the portal's session nor may use it.
    visit.demo.deploy(json!({
        "service": "page", "image": "bramble/sh:latest", "envVars": {"content_type": "text/html"},
        "envProcess": "echo <body><script>fetch('/api/v1/nodes').then((a)=>a.status,()=>'refused').then((w)=>document.body.append('asked:'+w))</script>",
    }));
    visit.open("/function/page");
    browser.wait("its script", "document.body.textContent.includes('asked:')");
    assert!(
        !browser.text("body").contains("asked:200"),
        "{}",
        browser.text("body")
    );
    assert_eq!(browser.value("self.origin"), "null");
}

#[test]
fn pages_of_other_origins_do_nothing_in_the_users_name() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.deploy("env", "env");
    let portal = &visit.origin;
    // Another port of the same computer is the same site: the browser sends the session along. That is the worst case.
    let attack = page_elsewhere(format!(
        "<form method=post action='{portal}/ui/sign-out'><button id=out>x</button></form>
        <form method=post action='{portal}/ui/sign-in'><input name=user value=admin><input name=password value=x><button id=in>x</button></form>
        <iframe src='{portal}/ui/'></iframe>
        <script>
        const send = (path, body) => fetch('{portal}' + path, {{ method: 'POST', mode: 'no-cors', credentials: 'include', body }});
        Promise.allSettled([
            send('/system/scale-function/env', JSON.stringify({{ serviceName: 'env', replicas: 7 }})),
            send('/system/functions', JSON.stringify({{ service: 'planted', image: 'bramble/env:latest' }})),
            fetch('{portal}/system/functions', {{ method: 'DELETE', credentials: 'include', body: JSON.stringify({{ functionName: 'env' }}) }}),
            fetch('{portal}/api/v1/nodes', {{ credentials: 'include' }}).then((a) => a.text()),
        ]).then((all) => {{ document.title = all.map((one) => one.status).join(); }});
        </script>"
    ));
    browser.open(&attack);
    browser.wait("the attack to be over", "document.title !== ''");
    assert_eq!(
        browser.value("document.title"),
        "fulfilled,fulfilled,rejected,rejected",
        "what could be sent was sent, nothing could be read"
    );
    let said = browser.console().join("\n");
    assert!(
        said.contains("frame-ancestors") || said.contains("refused to connect"),
        "no page frames the portal: {said}"
    );

    assert_eq!(visit.function("env")["replicas"], 1, "nothing was scaled");
    assert_eq!(
        visit.demo.client().get("/system/function/planted").status,
        404,
        "nothing was deployed"
    );
    assert_eq!(
        visit.demo.client().get("/system/function/env").status,
        200,
        "nothing was removed"
    );

    for button in ["#out", "#in"] {
        browser.open(&attack);
        browser.click(button);
        browser.wait(
            "the refusal",
            "document.body.innerText.includes('not the portal')",
        );
    }
    visit.open("/ui/");
    browser.wait("still signed in", "!!document.querySelector('.board')");
}
