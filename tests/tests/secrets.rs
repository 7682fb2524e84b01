//! Secrets from the first request to the function that reads them: real nodes, the real engine (contract sections 1.9
//! and 4.3).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use api::{
    FunctionName,
    secrets::{SECRETS_PATH, SecretsAnswer, SecretsRequest},
    versioned::{decode, encode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tests::demo::{Client, Demo};
use transport::{Identity, Peer};

const SECRETS: &str = "/system/secrets";

/// A value that stands nowhere else.
const VALUE: &str = "correct horse battery staple 7f3a";

/// A function that answers with what it can read of the secret `api-key`.
fn reader(name: &str, secrets: &[&str]) -> Value {
    json!({"service": name, "image": "bramble/sh:latest", "envProcess": "cat /var/openfaas/secrets/api-key", "secrets": secrets})
}

fn create(client: &Client, name: &str, value: &str) {
    let answer = client.post_json(SECRETS, &json!({"name": name, "value": value}));
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn change(client: &Client, name: &str, value: &str) {
    let body = json!({"name": name, "value": value}).to_string();
    assert_eq!(client.send("PUT", SECRETS, body).status, 202);
}

fn wait_until_read(demo: &Demo, function: &str, value: &str) {
    demo.wait(&format!("{function} to read {value}"), || {
        let answer = demo.client().get(&format!("/function/{function}"));
        (answer.text() == value).then_some(())
    });
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries
        .flatten()
        .map(|entry| (entry.file_type().unwrap(), entry.path()));
    entries
        .flat_map(|(kind, path)| match kind {
            _ if kind.is_dir() => files(&path),
            _ if kind.is_file() => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// The value, however it may be written.
fn disguises(value: &str) -> Vec<String> {
    let hex = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    // In base64, what stands before it shifts it.
    let shifted = (0..3).map(|shift| {
        let encoded = STANDARD.encode(format!("{}{value}", &"xxx"[..shift]));
        encoded[4..encoded.len() - 4].to_owned()
    });
    [value.to_owned(), hex].into_iter().chain(shifted).collect()
}

fn tells(text: &[u8], value: &str) -> bool {
    disguises(value).iter().any(|disguise| {
        text.windows(disguise.len())
            .any(|window| window == disguise.as_bytes())
    })
}

#[test]
fn secrets_are_managed_as_clients_expect() {
    let demo = Demo::builder().nodes(2).start();
    let client = demo.client();
    // (method, body, status, a word that the answer has)
    let rows: &[(&str, &str, u16, &str)] = &[
        ("GET", "", 200, "[]"),
        ("POST", r#"{"name":"api-key","value":"one"}"#, 202, ""),
        (
            "POST",
            r#"{"name":"api-key","value":"two"}"#,
            409,
            "already exists",
        ),
        (
            "GET",
            "",
            200,
            r#"[{"name":"api-key","namespace":"openfaas-fn"}]"#,
        ),
        (
            "PUT",
            r#"{"name":"api-key","namespace":"openfaas-fn","value":"two"}"#,
            202,
            "",
        ),
        (
            "PUT",
            r#"{"name":"nobody","value":"two"}"#,
            404,
            "unable to find secret: nobody",
        ),
        (
            "POST",
            r#"{"name":"raw","value":"ignored","rawValue":"AP8K"}"#,
            202,
            "",
        ),
        ("POST", r#"{"name":"empty"}"#, 202, ""),
        ("POST", r#"{"name":"bad","rawValue":"***"}"#, 400, "base64"),
        ("POST", r#"{"value":"x"}"#, 400, "name"),
        (
            "POST",
            r#"{"name":"../etc/passwd","value":"x"}"#,
            400,
            "lower-case",
        ),
        ("POST", r#"{"name":"Api_Key","value":"x"}"#, 400, "lower-case"),
        (
            "POST",
            r#"{"name":"x","namespace":"other","value":"x"}"#,
            400,
            "namespace must be: openfaas-fn",
        ),
        ("POST", "{", 400, "unmarshal"),
        ("PUT", "nonsense", 400, "unmarshal"),
        ("DELETE", "", 400, "unmarshal"),
        ("DELETE", "{}", 400, "name"),
        (
            "DELETE",
            r#"{"name":"nobody"}"#,
            404,
            "unable to find secret: nobody",
        ),
        ("DELETE", r#"{"name":"raw","namespace":"openfaas-fn"}"#, 202, ""),
        ("DELETE", r#"{"name":"raw"}"#, 404, ""),
        ("DELETE", r#"{"name":"empty"}"#, 202, ""),
        ("PATCH", "", 405, ""),
        (
            "GET",
            "",
            200,
            r#"[{"name":"api-key","namespace":"openfaas-fn"}]"#,
        ),
    ];
    for (method, body, status, word) in rows {
        let answer = client.send(method, SECRETS, body.to_owned());
        assert_eq!(
            answer.status.as_u16(),
            *status,
            "{method} {body}: {}",
            answer.text()
        );
        assert!(answer.text().contains(word), "{method} {body}: {}", answer.text());
    }
    // Older clients name the namespace in the address; one that contradicts itself is told so.
    let in_query = client.send(
        "DELETE",
        "/system/secrets?namespace=openfaas-fn",
        r#"{"name":"api-key"}"#,
    );
    assert_eq!(in_query.status, 202);
    let both = client.send(
        "POST",
        "/system/secrets?namespace=other",
        r#"{"name":"a","namespace":"openfaas-fn","value":"x"}"#,
    );
    assert_eq!(both.status, 400, "{}", both.text());
    assert_eq!(client.get("/system/secrets?namespace=other").status, 400);

    // A mebibyte fits, also as text and base64 together, as the official client sends it; one byte more does not.
    let big = "x".repeat(1 << 20);
    let body = json!({"name": "big", "value": big, "rawValue": STANDARD.encode(&big)});
    assert_eq!(client.post_json(SECRETS, &body).status, 202);
    let answer = client.post_json(SECRETS, &json!({"name": "bigger", "value": format!("{big}x")}));
    assert_eq!(
        (answer.status.as_u16(), answer.text().contains("1 MiB")),
        (413, true),
        "{}",
        answer.text()
    );

    let anonymous = Client::new(&demo.portal);
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let answer = anonymous.send(method, SECRETS, r#"{"name":"big"}"#);
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (401, "invalid credentials")
        );
    }
}

#[test]
fn a_function_reads_its_secret_and_a_new_value_without_starting_again() {
    let demo = Demo::builder().nodes(2).start();
    let client = demo.client();
    let deployment = reader("reads", &["api-key"]);
    let too_early = client.post_json("/system/functions", &deployment);
    assert_eq!(too_early.status, 400);
    assert!(
        too_early.text().contains("unable to find secret: api-key"),
        "{}",
        too_early.text()
    );

    create(&client, "api-key", VALUE);
    demo.deploy(deployment.clone());
    demo.scale("reads", 3);
    let before = demo.wait_for_ready("reads", 3);
    assert_eq!(before["secrets"], json!(["api-key"]));
    for _ in 0..9 {
        assert_eq!(client.get("/function/reads").text(), VALUE);
    }
    demo.deploy(reader("reads-not", &[]));
    let nothing = client.get("/function/reads-not");
    assert_eq!(
        nothing.status,
        500,
        "who does not name it, does not get it: {}",
        nothing.text()
    );

    change(&client, "api-key", "another value");
    demo.wait("all replicas to read the new value", || {
        let new = |_| client.get("/function/reads").text() == "another value";
        (0..12).all(new).then_some(())
    });
    let after = demo.function("reads");
    for (old, new) in before["placements"]
        .as_array()
        .unwrap()
        .iter()
        .zip(after["placements"].as_array().unwrap())
    {
        assert_eq!(
            (
                &old["replica"],
                &old["restarts"],
                &old["address"],
                &old["version"]
            ),
            (
                &new["replica"],
                &new["restarts"],
                &new["address"],
                &new["version"]
            ),
            "no replica began anew"
        );
    }

    // A binary one, too.
    let body = json!({"name": "api-key", "rawValue": STANDARD.encode([0, 255, 10, 13])}).to_string();
    assert_eq!(client.send("PUT", SECRETS, body).status, 202);
    demo.wait("the binary value", || {
        (client.get("/function/reads").body == [0, 255, 10, 13][..]).then_some(())
    });
}

#[test]
fn what_is_deleted_stays_with_those_that_run_and_the_reason_is_told() {
    let demo = Demo::builder().nodes(2).start();
    let client = demo.client();
    create(&client, "api-key", VALUE);
    demo.deploy(reader("reads", &["api-key"]));
    assert_eq!(client.get("/function/reads").text(), VALUE);
    assert_eq!(
        client.send("DELETE", SECRETS, r#"{"name":"api-key"}"#).status,
        202
    );
    sleep(Duration::from_secs(3));
    assert_eq!(
        client.get("/function/reads").text(),
        VALUE,
        "it goes on with what it was given"
    );
    let why = demo.wait("the reason", || {
        let why = demo.function("reads")["why"].to_string();
        why.contains("api-key").then_some(why)
    });
    assert!(why.contains("secret"), "{why}");
    let update = client.send(
        "PUT",
        "/system/functions",
        reader("reads", &["api-key"]).to_string(),
    );
    assert_eq!(update.status, 400, "it cannot be deployed again without");

    create(&client, "api-key", "back again");
    wait_until_read(&demo, "reads", "back again");
}

#[test]
fn a_value_is_nowhere_in_the_clear_but_with_its_function() {
    let demo = Demo::builder().nodes(2).start();
    let client = demo.client();
    create(&client, "api-key", VALUE);
    demo.deploy(reader("reads", &["api-key"]));
    assert_eq!(client.get("/function/reads").text(), VALUE);
    change(&client, "api-key", &format!("{VALUE} II"));
    wait_until_read(&demo, "reads", &format!("{VALUE} II"));
    // A refused one is in no message either.
    let refused = client.post_json(SECRETS, &json!({"name": "api-key", "value": VALUE}));
    assert_eq!(
        (refused.status.as_u16(), tells(&refused.body, VALUE)),
        (409, false)
    );
    let broken = client.post(SECRETS, format!(r#"{{"name":"x","value":"{VALUE}"#));
    assert_eq!(
        (broken.status.as_u16(), tells(&broken.body, VALUE)),
        (400, false),
        "{}",
        broken.text()
    );

    for path in [
        SECRETS,
        "/system/functions",
        "/system/function/reads",
        "/api/v1/functions",
        "/api/v1/functions/openfaas-fn/reads",
        "/api/v1/activity",
        "/api/v1/nodes",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!tells(&answer.body, VALUE), "{path}: {}", answer.text());
    }
    let page = client.follow("/api/v1/events");
    for _ in 0..3 {
        let (kind, what) = page.event().unwrap();
        assert!(!tells(what.to_string().as_bytes(), VALUE), "{kind}");
    }

    // Nor in any file: log, snapshot, diary. What replicas are given lies in memory, or in a folder of that name.
    let all = files(&demo.data);
    let logs = all.iter().filter(|path| path.ends_with("log"));
    assert!(logs.count() >= 2, "the nodes' diaries are among {all:?}");
    for path in all {
        let given = path.components().any(|part| part.as_os_str() == "secrets");
        let Ok(bytes) = std::fs::read(&path) else { continue };
        assert!(given || !tells(&bytes, VALUE), "{}", path.display());
    }
}

#[test]
fn a_node_is_told_only_what_its_functions_need() {
    let demo = Demo::builder().nodes(2).start();
    create(&demo.client(), "api-key", VALUE);
    demo.deploy(reader("reads", &["api-key"]));
    let function = demo.function("reads");
    let home = function["placements"][0]["node"].as_str().unwrap().to_owned();
    let leader = demo
        .nodes()
        .into_iter()
        .find(|node| node["leader"] == true)
        .unwrap();
    let leader = Peer {
        id: leader["id"].as_str().unwrap().parse().unwrap(),
        address: leader["address"].as_str().unwrap().parse().unwrap(),
    };
    let question = SecretsRequest {
        function: FunctionName::new("reads", "openfaas-fn").unwrap(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask_as = |node: &str| {
        runtime.block_on(async {
            let identity = Identity::load(&demo.node_file(node, "identity")).unwrap();
            let client = transport::Client::new(Arc::new(identity));
            let request = Request::post(SECRETS_PATH)
                .body(transport::Body::from(encode(&question)))
                .unwrap();
            let answer = client.request(leader, request).await.unwrap();
            let status = answer.status();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, body)
        })
    };
    for node in demo.node_names() {
        let (status, body) = ask_as(&node);
        if node == home {
            assert_eq!(status, StatusCode::OK);
            let answer: SecretsAnswer = decode(&body).unwrap();
            assert_eq!(answer.secrets["api-key"].value.0, VALUE.as_bytes());
        } else {
            let told = decode::<SecretsAnswer>(&body).is_ok_and(|answer| !answer.secrets.is_empty());
            assert!(!told, "{node} runs no such function");
        }
    }
}

#[test]
fn nodes_that_start_again_give_their_functions_what_is_new() {
    let demo = Demo::builder().nodes(2).start();
    let client = demo.client();
    create(&client, "api-key", VALUE);
    demo.deploy(reader("reads", &["api-key"]));
    demo.scale("reads", 2);
    demo.wait_for_ready("reads", 2);
    for node in demo.node_names() {
        let pid = rustix::process::Pid::from_raw(demo.pid(&node)).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    demo.wait("a controller to answer again", || {
        let body = json!({"name": "api-key", "value": "newer"}).to_string();
        let answer = client.try_send("PUT", SECRETS, body)?;
        (answer.status == 202).then_some(())
    });
    demo.wait("every replica to read the new value", || {
        let newer = |_| {
            let answer = client.try_send("GET", "/function/reads", "");
            answer.is_some_and(|answer| answer.text() == "newer")
        };
        (0..8).all(newer).then_some(())
    });
    demo.wait_for_ready("reads", 2);
}
