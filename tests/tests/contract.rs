//! The OpenFaaS contract, row by row, against a running bramble: the clients' side is not ours to choose.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tests::demo::{Client, Demo};

/// One function that answers, and the bramble that runs it.
fn bramble() -> Demo {
    let demo = Demo::builder().nodes(2).start();
    demo.deploy(json!({
        "service": "env", "image": "bramble/env:latest",
        "labels": {"a": "1"}, "annotations": {"topic": "x,y", "text": "two\nlines"},
        "limits": {"memory": "0.05Gi", "cpu": "100m"}, "requests": {"memory": "40Mi"},
        "envVars": {"N": "=1=2"}, "constraints": ["node.platform.os == linux"],
    }));
    demo
}

#[test]
fn the_management_api_answers_as_clients_expect() {
    let demo = bramble();
    let client = demo.client();
    let functions = "/system/functions";
    let status = |method: &str, path: &str, body: &str| {
        let answer = client.send(method, path, body.to_owned());
        (answer.status.as_u16(), answer.text())
    };

    // (method, path, body, status, a word that the answer has)
    let rows: &[(&str, &str, &str, u16, &str)] = &[
        ("POST", functions, "{", 400, "failed to unmarshal request"),
        ("PUT", functions, "nonsense", 400, "unmarshal request"),
        (
            "POST",
            functions,
            r#"{"image":"x"}"#,
            400,
            "validation failed: service: is required",
        ),
        ("POST", functions, r#"{"service":"x"}"#, 400, "image: is required"),
        (
            "POST",
            functions,
            r#"{"service":"X_","image":"x"}"#,
            400,
            "must be a valid DNS entry",
        ),
        (
            "POST",
            functions,
            r#"{"service":"x","image":"x","namespace":"other"}"#,
            400,
            "namespace must be: openfaas-fn",
        ),
        (
            "POST",
            functions,
            r#"{"service":"x","image":"x","secrets":["s"]}"#,
            400,
            "unable to find secret: s",
        ),
        (
            "POST",
            functions,
            r#"{"service":"x","image":"x","limits":{"memory":"much"}}"#,
            400,
            "limits.memory",
        ),
        (
            "POST",
            functions,
            r#"{"service":"env","image":"bramble/env:latest"}"#,
            409,
            "already exists",
        ),
        (
            "PUT",
            functions,
            r#"{"service":"nobody","image":"x"}"#,
            404,
            "nobody.openfaas-fn not found",
        ),
        (
            "DELETE",
            functions,
            r#"{"functionName":"nobody"}"#,
            404,
            "function nobody.openfaas-fn not found",
        ),
        ("DELETE", functions, "{}", 400, "functionName"),
        ("DELETE", functions, "{", 400, "unmarshal"),
        (
            "DELETE",
            "/system/functions?namespace=other",
            r#"{"functionName":"env","namespace":"openfaas-fn"}"#,
            400,
            "name it once",
        ),
        (
            "GET",
            "/system/functions?namespace=other",
            "",
            400,
            "namespace must be: openfaas-fn",
        ),
        (
            "GET",
            "/system/functions?namespace=openfaas-fn",
            "",
            200,
            "\"env\"",
        ),
        ("GET", "/system/functions/", "", 404, ""),
        ("PATCH", functions, "", 405, ""),
        ("GET", "/system/function/nobody", "", 404, ""),
        (
            "GET",
            "/system/function/env?namespace=openfaas-fn&usage=1",
            "",
            200,
            "\"env\"",
        ),
        (
            "POST",
            "/system/scale-function/nobody",
            r#"{"replicas":1}"#,
            404,
            "not found",
        ),
        ("POST", "/system/scale-function/env", "{", 400, "unmarshal"),
        (
            "POST",
            "/system/scale-function/env",
            r#"{"serviceName":"env","replicas":99999999}"#,
            400,
            "replicas",
        ),
        (
            "POST",
            "/system/scale-function/env?namespace=openfaas-fn",
            r#"{"serviceName":"other","replicas":2}"#,
            202,
            "",
        ),
        ("GET", "/system/namespaces", "", 200, r#"["openfaas-fn"]"#),
        // Secrets and logs have tests of their own: these rows show that they are there.
        ("GET", "/system/secrets", "", 200, "[]"),
        ("GET", "/system/logs?name=nobody", "", 404, "nobody.openfaas-fn"),
        ("GET", "/system/logs?name=env&follow=false&tail=1", "", 200, ""),
        ("POST", "/system/alert", "{}", 404, ""),
        ("GET", "/healthz", "", 200, ""),
        ("GET", "/nothing/here", "", 404, ""),
        ("GET", "/api/v1/functions/openfaas-fn/nobody", "", 404, "error"),
    ];
    for (method, path, body, expected, word) in rows {
        let (status, text) = status(method, path, body);
        assert_eq!(status, *expected, "{method} {path} {body}: {text}");
        assert!(text.contains(word), "{method} {path} {body}: {text}");
    }

    let info = client.get("/system/info").json();
    assert!(
        info["version"]["release"].is_string() && info["provider"]["version"]["sha"].is_string(),
        "{info}"
    );
    assert!(
        info["arch"].is_string() && info["provider"]["orchestration"].is_string(),
        "{info}"
    );

    let too_long = client.post(functions, vec![b' '; 3 << 20]);
    assert_eq!(too_long.status, 413, "input has a limit");
}

#[test]
fn the_store_is_open_and_official_clients_can_read_it() {
    let demo = Demo::builder().nodes(2).start();
    for name in demo.node_names() {
        let address = std::fs::read_to_string(demo.node_file(&name, "http")).expect("it runs");
        let anybody = Client::new(address.trim());
        let answer = anybody.get("/store.json");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        let store = answer.json();
        assert_eq!(store["version"], "0.2.1");
        let functions = store["functions"].as_array().expect("a list");
        assert!(functions.len() >= 20, "{}", functions.len());
        for function in functions {
            let name = function["name"].as_str().expect("a name");
            for platform in ["x86_64", "arm64", "armhf", "amd64"] {
                assert_eq!(
                    function["images"][platform],
                    format!("bramble/{name}:latest"),
                    "{platform}"
                );
            }
            for text in ["title", "description", "author", "fprocess", "repo_url"] {
                assert!(function[text].is_string(), "{name}: {text}");
            }
            for map in ["environment", "labels", "annotations"] {
                assert!(function[map].is_object(), "{name}: {map}");
            }
            assert!(function["readOnlyRootFilesystem"].is_boolean(), "{name}");
            assert!(
                function["example"]["method"].is_string() && function["category"].is_string(),
                "{name}"
            );
            let icon = function["icon"].as_str().expect("a picture");
            let path = icon
                .strip_prefix(address.trim())
                .expect("from where it was asked");
            let picture = anybody.get(path);
            assert_eq!(
                (picture.status.as_u16(), picture.header("content-type")),
                (200, "image/svg+xml")
            );
            assert!(picture.text().starts_with("<svg"), "{name}");
        }
        assert_eq!(anybody.get("/store/icons/nobody.svg").status, 404);
        assert_eq!(anybody.get("/store/icons/env").status, 404);
    }
}

/// Whose job it is to ask the network outside, which need not be there.
const ASK_OUTSIDE: [&str; 2] = ["certinfo", "nslookup"];

#[test]
fn every_function_of_the_store_answers_its_example_as_the_store_says() {
    let demo = bramble();
    let store = demo.client().get("/store.json").json();
    let functions = store["functions"].as_array().expect("a list");
    assert!(functions.len() >= 20, "{} functions", functions.len());
    let mut wrong = Vec::new();
    for entry in functions {
        let name = entry["name"].as_str().expect("a name");
        if ASK_OUTSIDE.contains(&name) {
            continue;
        }
        // What official clients send for an entry of a store, but for the name: others run here, too.
        let service = format!("store-{name}");
        // Virtual Pis have no devices: with the annotation nobody would take it.
        let mut annotations = entry["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove("bramble.devices");
        }
        demo.deploy(json!({
            "service": service, "image": entry["images"]["x86_64"], "envProcess": entry["fprocess"],
            "envVars": entry["environment"], "labels": entry["labels"], "annotations": annotations,
            "readOnlyRootFilesystem": entry["readOnlyRootFilesystem"],
        }));
        wrong
            .extend(differs(&demo.client(), &service, &entry["example"]).map(|why| format!("{name}: {why}")));
        let removed = demo.client().send(
            "DELETE",
            "/system/functions",
            json!({"functionName": service}).to_string(),
        );
        assert_eq!(removed.status, 202, "{}", removed.text());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sends a function its example, and says how the answer is another than the one that is told.
fn differs(client: &Client, service: &str, example: &Value) -> Option<String> {
    let text = |field: &str| example[field].as_str().unwrap_or_default();
    let query = match text("query") {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let path = format!("/function/{service}{}{query}", text("path"));
    let body = match example["body_base64"].as_str() {
        Some(encoded) => BASE64.decode(encoded).expect("base64"),
        None => text("body").as_bytes().to_vec(),
    };
    let mut client = client.clone();
    if let (false, kind) = (text("content_type").is_empty(), text("content_type")) {
        client = client.with("content-type", kind);
    }
    for (header, value) in example["headers"].as_object().into_iter().flatten() {
        client = client.with(header, value.as_str().expect("text"));
    }
    let answer = client.send(text("method"), &path, body);
    let told = &example["answer"];
    if told["status"] != answer.status.as_u16() {
        return Some(format!("{}: {}", answer.status, answer.text()));
    }
    let same = match (&told["body"], &told["contains"]) {
        (Value::String(body), _) => *body == answer.text(),
        (_, Value::String(part)) => answer.text().contains(part),
        // Pictures and sounds: their bytes are compared where the function is tested.
        _ => !answer.body.is_empty(),
    };
    (!same).then(|| answer.text())
}

#[test]
fn a_status_gives_back_what_was_deployed() {
    let demo = bramble();
    let list = demo.client().get("/system/functions");
    assert_eq!(list.header("content-type"), "application/json");
    let list = list.json();
    let one = demo.client().get("/system/function/env").json();
    for status in [&list[0], &one] {
        assert_eq!(status["name"], "env");
        assert_eq!(status["namespace"], "openfaas-fn");
        assert_eq!(status["image"], "bramble/env:latest");
        assert_eq!(status["labels"], json!({"a": "1"}));
        assert_eq!(
            status["annotations"],
            json!({"topic": "x,y", "text": "two\nlines"})
        );
        assert_eq!(status["limits"], json!({"memory": "0.05Gi", "cpu": "100m"}));
        assert_eq!(status["requests"], json!({"memory": "40Mi"}));
        assert_eq!(status["envVars"], json!({"N": "=1=2"}));
        assert_eq!(status["constraints"], json!(["node.platform.os == linux"]));
        assert_eq!(
            (&status["replicas"], &status["availableReplicas"]),
            (&json!(1), &json!(1))
        );
        assert!(status["createdAt"].as_str().unwrap().ends_with('Z'));
        assert!(status.get("envProcess").is_none());
    }

    let update = json!({"service": "env", "image": "bramble/env:latest", "labels": {"b": "2"}});
    assert_eq!(
        demo.client()
            .send("PUT", "/system/functions", update.to_string())
            .status,
        202
    );
    let status = demo.client().get("/system/function/env").json();
    assert_eq!(
        status["labels"],
        json!({"b": "2"}),
        "an update replaces the whole"
    );
    assert_eq!(status["annotations"], json!({}));
    assert!(status.get("limits").is_none() && status.get("envVars").is_none());
    demo.wait("the new replica with the new environment", || {
        (!demo.client().get("/function/env").text().contains("N==")).then_some(())
    });

    let body = json!({"functionName": "env"});
    assert_eq!(
        demo.client()
            .send("DELETE", "/system/functions", body.to_string())
            .status,
        202
    );
    assert_eq!(demo.client().get("/system/functions").json(), json!([]));
    let gone = demo.wait("the function to be gone", || {
        Some(demo.client().get("/function/env")).filter(|answer| answer.status == 404)
    });
    assert!(gone.text().contains("env.openfaas-fn"), "{}", gone.text());
}

#[test]
fn an_update_never_leaves_the_function_without_an_answer() {
    let demo = bramble();
    let client = demo.client();
    for round in 0..3 {
        let update =
            json!({"service": "env", "image": "bramble/env:latest", "envVars": {"ROUND": round.to_string()}});
        assert_eq!(
            client.send("PUT", "/system/functions", update.to_string()).status,
            202
        );
        demo.wait("the new version to answer", || {
            let answer = client.get("/function/env");
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.text().contains(&format!("ROUND={round}")).then_some(())
        });
    }
}

#[test]
fn only_who_signed_in_manages_and_anybody_invokes() {
    let demo = bramble();
    let anonymous = Client::new(&demo.portal);
    for path in [
        "/system/functions",
        "/system/info",
        "/system/function/env",
        "/api/v1/nodes",
        "/api/v1/functions",
        "/api/v1/activity",
        "/api/v1/events",
        "/api/v1/session",
        "/system/namespaces",
        "/system/secrets",
        "/system/logs?name=env",
    ] {
        for client in [
            anonymous.clone(),
            anonymous.clone().with("authorization", "Bearer "),
            anonymous.clone().signed_in("admin", "wrong"),
            anonymous.clone().signed_in("nobody", &demo.password),
            anonymous.clone().with("cookie", "bramble_session=made-up"),
        ] {
            let answer = client.get(path);
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.text(), "invalid credentials");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"Restricted\"");
        }
        let browser = anonymous.clone().with("user-agent", "Mozilla/5.0").get(path);
        assert_eq!(
            (browser.status.as_u16(), browser.header("www-authenticate")),
            (401, "")
        );
    }
    assert_eq!(anonymous.get("/function/env").status, 200);
    assert_eq!(anonymous.get("/healthz").status, 200);
    let root = anonymous.get("/");
    assert_eq!((root.status.as_u16(), root.header("location")), (307, "/ui/"));
}

#[test]
fn an_invocation_carries_what_the_contract_says() {
    let demo = bramble();
    let client = Client::new(&demo.portal)
        .with("authorization", "Basic mine")
        .with("cookie", "bramble_session=x; mine=1");
    for path in [
        "/function/env",
        "/function/env/",
        "/function/env.openfaas-fn",
        "/function/env/a%20b/%2Fc?x=%20y",
    ] {
        let answer = client.post(path, "hello");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-call-id").len(), 36, "{path}");
        assert!(
            answer.header("x-start-time").parse::<u64>().unwrap() > 1_600_000_000_000_000_000,
            "nanoseconds"
        );
        assert!(answer.header("x-served-by").starts_with("bramble/"));
        assert!(answer.header("x-duration-seconds").parse::<f64>().is_ok());
        let env = answer.text();
        let value = |key: &str| {
            env.lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")))
                .map(str::to_owned)
        };
        assert_eq!(
            value("Http_X_Call_Id").as_deref(),
            Some(answer.header("x-call-id"))
        );
        assert_eq!(
            value("Http_X_Start_Time").as_deref(),
            Some(answer.header("x-start-time"))
        );
        assert_eq!(
            value("Http_X_Forwarded_Host").as_deref(),
            demo.portal.strip_prefix("http://")
        );
        assert_eq!(
            value("Http_Authorization").as_deref(),
            Some("Basic mine"),
            "credentials are the function's to check"
        );
        assert_eq!(
            value("Http_Cookie").as_deref(),
            Some("mine=1"),
            "the portal's session stays with the portal"
        );
    }
    let query = client.get("/function/env/p?x=%20y&z").text();
    assert!(query.contains("Http_Query=x=%20y&z"), "{query}");
    let chosen = client.clone().with("x-call-id", "mine").get("/function/env");
    assert_eq!(chosen.header("x-call-id"), "mine");

    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        assert_eq!(client.send(method, "/function/env", "").status, 200, "{method}");
    }
    assert_eq!(client.send("TRACE", "/function/env", "").status, 405);
    let unknown = client.get("/function/nobody");
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("nobody.openfaas-fn"),
        "{}",
        unknown.text()
    );
    assert_eq!(unknown.header("x-call-id").len(), 36, "{:?}", unknown.headers);
    for path in ["/function/", "/function/.openfaas-fn", "/function/env.other"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
}

#[test]
fn an_invocation_may_have_a_megabyte_of_headers() {
    let demo = Demo::builder().nodes(2).start();
    demo.deploy(json!({"service": "load-page", "image": "bramble/load-page:latest"}));
    // At the node of the replica, and at the other one.
    for name in demo.node_names() {
        let client = demo.node_client(&name);
        let invoked = |client: &Client| client.get("/function/load-page?work=100").status;
        let many = (0..500).fold(client.clone(), |client, number| {
            client.with(&format!("x-number-{number}"), "1")
        });
        assert_eq!(invoked(&many), 200, "{name}");
        let large = |bytes| client.clone().with("x-large", &"x".repeat(bytes));
        assert_eq!(invoked(&large(1_000_000)), 200, "{name}");
        assert_eq!(invoked(&large(1_100_000)), 431, "{name}");
    }
}

#[test]
fn invocations_are_counted() {
    let demo = bramble();
    let client = demo.client();
    for _ in 0..7 {
        client.get("/function/env");
    }
    demo.wait("seven invocations to be counted", || {
        let list: Value = client.get("/system/functions").json();
        (list[0]["invocationCount"] == 7.0).then_some(())
    });
}

#[test]
fn a_functions_page_cannot_act_as_the_signed_in_user() {
    let demo = Demo::builder().nodes(1).start();
    let evil =
        "<script>fetch('/system/functions',{method:'DELETE',body:'{\"functionName\":\"page\"}'})</script>";
    demo.deploy(json!({
        "service": "page", "image": "bramble/sh:latest", "envProcess": "cat", "envVars": {"content_type": "text/html"},
    }));

    // Opened in a browser, the page runs without the portal's origin: no cookies, no reading, no writing.
    let browser = Client::new(&demo.portal)
        .with("accept", "text/html")
        .with("sec-fetch-mode", "navigate");
    let page = browser.post("/function/page", evil);
    let policies: Vec<_> = page
        .headers
        .get_all("content-security-policy")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    let sandbox = policies
        .iter()
        .find(|policy| policy.contains("sandbox"))
        .expect("the answer is sandboxed");
    assert!(!sandbox.contains("allow-same-origin"), "{sandbox}");

    // And were it to get at the session all the same, what it asks for is not done.
    let form = format!(
        "user=admin&password={}",
        demo.password.replace('%', "%25").replace('+', "%2B")
    );
    let signed_in = Client::new(&demo.portal)
        .with("content-type", "application/x-www-form-urlencoded")
        .post("/ui/sign-in", form);
    assert_eq!(signed_in.status, 303, "{}", signed_in.text());
    let cookie = signed_in.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let session = cookie.split(';').next().unwrap();
    let host = demo.portal.strip_prefix("http://").unwrap();
    let delete = |origin: &str| {
        Client::new(&demo.portal)
            .with("cookie", session)
            .with("origin", origin)
            .with("host", host)
            .send("DELETE", "/system/functions", r#"{"functionName":"page"}"#)
    };
    assert_eq!(delete("null").status, 403);
    assert_eq!(delete("http://evil.example").status, 403);
    assert_eq!(
        demo.client().get("/system/function/page").status,
        200,
        "it is still there"
    );
    assert_eq!(delete(&demo.portal).status, 202, "the portal's own pages may");
}
