//! Deploying, changing, invoking and removing by the forms.

use serde_json::json;
use tests::browser::Browser;

use crate::visit::Visit;

/// Adds a row to a part of the form and fills it.
fn add(browser: &Browser, part: &str, key: &str, value: Option<&str>) {
    browser.click(&format!("[data-field={part}] > button"));
    browser.fill(&format!("[data-field={part}] .pairs > :last-child input"), key);
    if let Some(value) = value {
        browser.fill(
            &format!("[data-field={part}] .pairs > :last-child textarea"),
            value,
        );
    }
}

#[test]
fn settings_follow_what_others_change_and_never_undo_it_unseen() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    let changed = |colour: &str| {
        let spec = json!({"service": "shared", "image": "bramble/env:latest", "envVars": {"COLOUR": colour}});
        let answer = visit
            .demo
            .client()
            .send("PUT", "/system/functions", spec.to_string());
        assert!(answer.status.is_success(), "{}", answer.text());
    };
    visit
        .demo
        .deploy(json!({"service": "shared", "image": "bramble/env:latest", "envVars": {"COLOUR": "green"}}));
    visit.open("/ui/functions/openfaas-fn/shared");
    let colour =
        "[...document.querySelectorAll('[data-field=envVars] textarea')].map((it) => it.value).join()";
    browser.wait("what it is", &format!("{colour} === 'green'"));
    changed("blue");
    browser.wait("what it became", &format!("{colour} === 'blue'"));

    // Somebody types, and somebody else is quicker.
    browser.click("#tab-settings");
    browser.fill("[name=envProcess]", "env");
    changed("red");
    browser.wait(
        "the news",
        "document.querySelector('#spec [role=status]').textContent.includes('changed this function meanwhile')",
    );
    assert_eq!(browser.value(colour), json!("blue"), "what stands there stays");
    assert_eq!(browser.typed("[name=envProcess]"), "env");
    browser.click("#spec [role=status] button");
    browser.wait("what it became", &format!("{colour} === 'red'"));
    assert_eq!(browser.typed("[name=envProcess]"), "");
    visit.no_complaints("settings", &[]);
}

#[test]
fn a_form_with_a_mistake_keeps_what_was_typed_and_says_what_is_wrong() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    let client = visit.demo.client();
    let secret = client.post_json("/system/secrets", &json!({"name": "key", "value": "s3cret"}));
    assert!(secret.status.is_success(), "{}", secret.text());

    visit.open("/ui/deploy");
    browser.fill("[name=service]", "whole");
    browser.fill("[name=image]", "bramble/env:latest");
    browser.fill("[name=envProcess]", "env");
    browser.click("details.more > summary");
    add(browser, "envVars", "COLOUR", Some("green"));
    add(browser, "envVars", "WORDS", Some("two words = one value"));
    add(browser, "labels", "com.openfaas.scale.min", Some("2"));
    add(browser, "annotations", "note", Some("<i>by hand</i>"));
    add(browser, "secrets", "key", None);
    add(browser, "constraints", "kubernetes.io/os=linux", None);
    browser.fill("[name='limits.memory']", "lots");
    browser.fill("[name='limits.cpu']", "500m");
    browser.fill("[name='requests.memory']", "20Mi");
    browser.fill("[name='requests.cpu']", "10m");
    browser.click("#spec button.primary");

    browser.wait(
        "the mistake",
        "document.querySelector(\"[name='limits.memory']\").hasAttribute('aria-invalid')",
    );
    let problem = browser.run(
        "return document.querySelector(\"[name='limits.memory']\").closest('.field').querySelector('.problem').textContent;",
        Vec::new(),
    );
    assert!(problem.as_str().unwrap().contains("lots"), "{problem}");
    assert_eq!(
        browser.value("document.activeElement.name"),
        "limits.memory",
        "there one goes on"
    );
    assert_eq!(browser.typed("[name=service]"), "whole", "nothing typed is lost");
    assert_eq!(browser.typed("[data-field=envVars] textarea"), "green");
    assert_eq!(
        client.get("/system/function/whole").status,
        404,
        "nothing was deployed"
    );

    browser.fill("[name='limits.memory']", "64Mi");
    browser.click("#spec button.primary");
    browser.wait(
        "its page",
        "location.pathname === '/ui/functions/openfaas-fn/whole'",
    );
    browser.wait(
        "its replicas",
        "document.querySelectorAll('#where .dot.ready').length === 2",
    );
    let whole = visit.function("whole");
    assert_eq!(whole["envProcess"], "env");
    assert_eq!(
        whole["envVars"],
        json!({"COLOUR": "green", "WORDS": "two words = one value"})
    );
    assert_eq!(whole["labels"], json!({"com.openfaas.scale.min": "2"}));
    assert_eq!(whole["annotations"], json!({"note": "<i>by hand</i>"}));
    assert_eq!(whole["secrets"], json!(["key"]));
    assert_eq!(whole["constraints"], json!(["kubernetes.io/os=linux"]));
    assert_eq!(whole["limits"], json!({"memory": "64Mi", "cpu": "500m"}));
    assert_eq!(whole["requests"], json!({"memory": "20Mi", "cpu": "10m"}));

    // A name that is taken is refused in words, and again nothing is lost.
    visit.open("/ui/deploy");
    browser.fill("[name=service]", "whole");
    browser.fill("[name=image]", "bramble/env:latest");
    browser.click("#spec button.primary");
    browser.wait(
        "the refusal",
        "document.querySelector('#spec .summary').textContent !== ''",
    );
    assert_eq!(browser.typed("[name=image]"), "bramble/env:latest");
    visit.no_complaints("deploying", &["400 (Bad Request)", "409 (Conflict)"]);
}

#[test]
fn a_function_is_changed_invoked_and_removed() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    visit.demo.deploy(json!({
        "service": "env", "image": "bramble/env:latest", "envVars": {"COLOUR": "green"}, "labels": {"kept": "yes"},
    }));
    visit.open("/ui/functions/openfaas-fn/env#settings");
    browser.wait(
        "the settings",
        "document.querySelector('[data-field=envVars] textarea')?.value === 'green'",
    );
    browser.fill("[data-field=envVars] textarea", "blue");
    browser.click("#spec button.primary");
    visit.demo.wait("the change", || {
        (visit.function("env")["envVars"]["COLOUR"] == "blue").then_some(())
    });
    assert_eq!(
        visit.function("env")["labels"],
        json!({"kept": "yes"}),
        "the rest stays"
    );

    browser.click("#tab-try");
    browser.choose("#method", "POST");
    browser.fill("#path", "/a/path?q=1");
    browser.fill("#type", "text/x-lesson");
    browser.fill("#body", "hello");
    browser.wait("the new revision", "document.querySelectorAll('#where .dot').length === 1 && !!document.querySelector('#where .dot.ready')");
    visit.invoke();
    browser.wait(
        "the answer",
        "document.querySelector('#answer pre')?.textContent.includes('COLOUR=blue')",
    );
    let answer = browser.text("#answer pre");
    for line in [
        "Http_Path=/a/path",
        "Http_Query=q=1",
        "Http_Content_Type=text/x-lesson",
        "Http_Method=POST",
    ] {
        assert!(answer.lines().any(|each| each == line), "{line} in {answer}");
    }
    assert!(
        !answer.contains("bramble_session"),
        "functions do not get the session: {answer}"
    );
    assert!(browser.text("#answer .result").contains("200"));
    assert!(browser.text("#answer .took").contains('s'));

    // Removing asks for the name.
    browser.click("#tab-settings");
    assert_eq!(
        browser.value("document.querySelector('#remove button').disabled"),
        true
    );
    browser.fill("#confirm", "env");
    browser.click("#remove button");
    browser.wait("the list", "location.pathname === '/ui/functions'");
    browser.wait(
        "the word for newcomers",
        "document.body.innerText.includes('Nothing runs yet')",
    );
    assert_eq!(visit.demo.client().get("/system/function/env").status, 404);
    visit.no_complaints("changing", &[]);
}

#[test]
fn answers_of_every_kind_are_shown() {
    let visit = Visit::signed_in();
    let browser = &visit.browser;
    for name in ["qrcode", "tone", "jq", "markdown"] {
        visit.deploy(name, name);
    }
    let invoke = |name: &str| {
        visit.open(&format!("/ui/functions/openfaas-fn/{name}"));
        browser.wait("the example", "!('typed' in document.querySelector('#invoke').dataset) && document.querySelector('#type').value + document.querySelector('#path').value + document.querySelector('#body').value !== ''");
        visit.invoke();
        browser.wait("an answer", "!!document.querySelector('#answer .result')");
    };
    invoke("qrcode");
    browser.wait(
        "a picture that is drawn",
        "document.querySelector('#answer img.picture')?.naturalWidth > 20",
    );
    invoke("tone");
    browser.wait(
        "a sound that can be played",
        "document.querySelector('#answer audio')?.duration > 0",
    );
    let file = browser.value("document.querySelector('#answer a[download]').download");
    assert_eq!(file, "tone.wav");
    invoke("jq");
    browser.wait("JSON", "!!document.querySelector('#answer pre')");
    invoke("markdown");
    browser.wait(
        "HTML as text",
        "document.querySelector('#answer pre').textContent.includes('<h1')",
    );
    browser.click("#answer .chips button:nth-child(2)");
    browser.wait(
        "its preview",
        "document.querySelector('#answer iframe').checkVisibility()",
    );
    assert_eq!(
        browser.value("document.querySelector('#answer iframe').getAttribute('sandbox')"),
        "",
        "which may nothing"
    );
    visit.no_complaints("answers", &[]);
}
