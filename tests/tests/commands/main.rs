//! The operator's commands as people type them: the real program against a real demo, command by command, with its
//! output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod devices;
mod failures;
mod lights;
mod nodes;
mod operator;
mod pins;
mod show;
mod warnings;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use operator::{Operator, two_nodes};
use serde_json::{Value, json};
use tests::demo::Demo;

#[test]
fn every_command_does_what_it_says() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    operator.file("greeting.txt", "from a file");

    // A line, and what its output has to hold.
    let rows: &[(&str, &[&str])] = &[
        ("version", &["bramble 0.", "gateway http://127.0.0.1:"]),
        ("version --client", &["bramble 0."]),
        ("version --json", &["\"version\":\"0.", "\"gateway\":{"]),
        ("nodes", &["NAME", "STATE", "up", "leader", "MiB"]),
        ("nodes --json", &["\"platforms\""]),
        ("store list", &["NAME", "figlet", "cows"]),
        ("store list -q", &["figlet\n"]),
        ("store list --platform armhf", &["figlet"]),
        (
            "store inspect figlet",
            &["bramble/figlet:latest", "Try it:", "bramble invoke figlet"],
        ),
        ("store inspect figlet --json", &["\"bramble/figlet:latest\""]),
        (
            "store deploy figlet --name banner --wait",
            &[
                "Deploying: banner.",
                "Deployed. 202 Accepted.",
                "/function/banner",
                "banner is ready after",
            ],
        ),
        (
            "deploy --image bramble/env:latest --name env -e GREETING=hi=there --label a=b --annotation topic=x \
             --memory-limit 64Mi --cpu-request 50m --constraint os=linux --read-only --wait",
            &["Deployed. 202 Accepted.", "env is ready after"],
        ),
        (
            "functions",
            &["NAME", "banner", "env", "ready", "1/1", "bramble/env:latest"],
        ),
        ("functions -q", &["banner\nenv\n"]),
        ("list --json", &["\"sentence\""]),
        ("invoke env --body x", &["GREETING=hi=there"]),
        (
            "invoke env -m GET --path /a/b --query c=d -H 'X-Class: 7b'",
            &[
                "Http_Path=/a/b",
                "Http_Query=c=d",
                "Http_X_Class=7b",
                "Http_Method=GET",
            ],
        ),
        (
            "invoke env.openfaas-fn --body hello --sign X-Signature --key key --content-type application/json",
            &["Http_X_Signature=sha256=", "Http_Content_Type=application/json"],
        ),
        (
            "invoke env -m GET --path '/a b/é?q=x y'",
            &["Http_Path=/a b/é", "Http_Query=q=x%20y"],
        ),
        ("invoke banner --file greeting.txt", &["_"]),
        (
            "describe env",
            &[
                "GREETING=hi=there",
                "a=b",
                "topic=x",
                "memory 64Mi",
                "CPU 50m",
                "os=linux",
                "read-only",
                "REPLICA",
                "WHAT HAPPENED",
            ],
        ),
        ("describe env --json", &["\"placements\""]),
        ("why env", &["1 of 1 replica is ready."]),
        ("why env --json", &["[\""]),
        (
            "scale env 2 --wait",
            &["env shall have 2 replicas.", "env is ready with 2 replicas after"],
        ),
        ("scale env 0 --wait", &["scaled to zero"]),
        ("functions", &["scaled to zero"]),
        ("invoke env --body x", &["GREETING"]),
        ("secret list", &[]),
        (
            "secret create api-key --from-file greeting.txt",
            &["Created: api-key."],
        ),
        ("secret list -q", &["api-key\n"]),
        ("secret list", &["NAME", "api-key", "openfaas-fn"]),
        (
            "secret update api-key --from-file greeting.txt",
            &["Updated: api-key."],
        ),
        (
            "secret create api-key --from-file greeting.txt --replace",
            &["Updated: api-key."],
        ),
        ("secret remove api-key", &["Removed: api-key."]),
        ("remove banner env", &["Removed: banner.", "Removed: env."]),
        ("functions", &[]),
        ("logout", &["Signed out from http://127.0.0.1:"]),
        ("logout", &["Nobody was signed in"]),
    ];
    for (line, expected) in rows {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let gateway = format!(" -g {}", demo.portal);
        // Signed out, nothing says any more which gateway is meant.
        let line = if line == "logout" {
            format!("{line}{gateway}")
        } else {
            line
        };
        let out = operator.succeeds(&line);
        for word in *expected {
            assert!(out.contains(word), "bramble {line}: no {word:?} in\n{out}");
        }
        assert!(!out.contains('\x1b'), "bramble {line}: colours in a pipe\n{out}");
    }
}

#[test]
fn a_login_is_kept_as_other_tools_keep_it_and_goes_to_its_own_gateway_only() {
    let demo = Demo::builder().nodes(1).engine("process").password("abc").start();
    let operator = Operator::new();
    operator.logs_in(&demo);
    let file = operator.home.path().join("logins/config.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    // admin:abc, as faas-cli writes it.
    assert_eq!(
        text,
        format!(
            "auths:\n- gateway: {}\n  auth: basic\n  token: YWRtaW46YWJj\n",
            demo.portal
        )
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

    // Without a word about the gateway it is the one where somebody signed in; in a stack file another one may stand.
    assert!(operator.succeeds("nodes").contains("leader"));
    let (address, requests) = listener();
    for line in [
        format!("nodes -g {address}"),
        format!("functions -g {address}"),
        format!("store list --url {address}/x"),
        format!("deploy -f {address}/stack.yaml"),
        format!("invoke env --body x -g {address}"),
    ] {
        operator.does(&line);
        let request = requests.recv().unwrap().to_lowercase();
        assert!(request.contains("user-agent: bramble/"), "{line}: {request}");
        assert!(!request.contains("authorization"), "{line}: {request}");
    }
    operator.file(
        "stack.yaml",
        &format!("provider:\n  name: openfaas\n  gateway: {address}\nfunctions:\n  a:\n    image: x\n"),
    );
    operator.does("deploy");
    let request = requests.recv().unwrap();
    assert!(request.starts_with("PUT /system/functions"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");

    // A function is never told the bramble's password either.
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    assert!(!operator.succeeds("invoke env --body x").contains("Authorization"));
}

/// Somebody who answers 404 to everything, and tells what was asked.
fn listener() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 64 << 10];
            let length = stream.read(&mut request).unwrap();
            _ = send.send(String::from_utf8_lossy(&request[..length]).into_owned());
            _ = stream
                .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, receive)
}

#[test]
fn a_stack_file_is_deployed_as_it_says() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    operator.file(
        "stack.yaml",
        r#"
version: 1.0
provider:
  name: openfaas
  gateway: http://127.0.0.1:8080
functions:
  loud:
    lang: shell
    handler: ./loud
    image: bramble/${IMAGE:-sh}:latest
    skip_build: true
    environment:
      from: stack
      both: stack
      all: stack
      number: 10
    environment_file:
      - env.yml
    labels:
      com.openfaas.scale.min: 2
    limits: {memory: 64Mi}
  quiet:
    image: bramble/env:latest
    fprocess: ""
"#,
    );
    operator.file("env.yml", "environment:\n  both: file\n  all: file\n");
    std::fs::create_dir_all(operator.home.path().join("template/shell")).unwrap();
    operator.file(
        "template/shell/template.yml",
        "language: shell\nfprocess: tr a-z A-Z\n",
    );

    let out = operator.succeeds("deploy -e all=flag --filter lo* --wait");
    assert!(
        out.contains("loud is ready with 2 replicas") && !out.contains("quiet"),
        "{out}"
    );
    let status: Value = demo.client().get("/system/function/loud").json();
    assert_eq!(status["envProcess"], "tr a-z A-Z");
    assert_eq!(
        status["envVars"],
        json!({"from": "stack", "both": "file", "all": "flag", "number": "10"})
    );
    assert_eq!(status["limits"], json!({"memory": "64Mi"}));
    assert_eq!(operator.type_in(&["invoke", "loud"], "hello").out, "HELLO");

    // All of them, and an update: the gateway of the file is one that tools write by themselves.
    let out = operator.succeeds("deploy --wait");
    assert!(
        out.contains("Deploying: loud.") && out.contains("Deploying: quiet."),
        "{out}"
    );
    let status: Value = demo.client().get("/system/function/loud").json();
    assert_eq!(status["envVars"]["all"], "file");
    let mut other = operator.command(&["deploy", "--envsubst=false", "--filter", "loud"]);
    let refused = other.output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let out = operator.succeeds("deploy --filter quiet --replace --wait");
    assert!(out.contains("quiet is ready"), "{out}");
    let out = operator.succeeds("remove -f stack.yaml");
    assert!(
        out.contains("Removed: loud.") && out.contains("Removed: quiet."),
        "{out}"
    );
}

#[test]
fn an_invocation_streams_and_tells_who_answered() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    operator.succeeds("deploy --image bramble/sh:latest --name cat --fprocess cat --wait");
    let input: Vec<u8> = (0..3_000_000_u32)
        .map(|i| i.to_le_bytes()[(i % 4) as usize])
        .collect();
    let done = operator.type_in(&["invoke", "cat", "-v"], input.clone());
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.raw == input, "{} bytes came back", done.raw.len());
    let node = demo
        .node_names()
        .into_iter()
        .find(|name| done.err.contains(name.as_str()));
    assert!(node.is_some() && done.err.contains("200 OK from"), "{}", done.err);
    assert!(operator.type_in(&["invoke", "cat"], "").raw.is_empty());
}

#[test]
fn logs_are_shown_as_asked_for() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    operator.succeeds("deploy --image bramble/sh:latest --name talks --fprocess 'cat /told' --wait");
    operator.does("invoke talks --body x");
    let line = demo.wait("the line to be there", || {
        let out = operator.succeeds("logs talks --tail=false");
        out.lines()
            .find(|line| line.contains("stderr: cat"))
            .map(str::to_owned)
    });
    let words: Vec<&str> = line.split(' ').collect();
    assert!(
        words[0].ends_with('Z') && words[1] == "talks" && words[2].starts_with("(r"),
        "{line}"
    );
    let instance = words[2].trim_matches(['(', ')']);
    let json = operator.succeeds("logs talks --tail=false -o json --since 5m");
    let told = json.lines().find(|line| line.contains("stderr: cat")).unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(
        (&told["instance"], &told["name"]),
        (&json!(instance), &json!("talks"))
    );
    let values = operator.succeeds(&format!(
        "logs talks --tail=false -o keyvalue --instance {instance}"
    ));
    assert!(values.contains("name=\"talks\""), "{values}");
    let last = operator.succeeds("logs talks --tail=false --lines 1");
    assert_eq!(last.lines().count(), 1, "{last}");

    // Followed, it goes on with what is written from now on.
    let mut following = operator
        .command(&["logs", "talks"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = following.stdout.take().unwrap();
    operator.does("invoke talks --body x");
    operator.does("invoke talks --body x");
    let mut seen = String::new();
    let mut chunk = [0; 4096];
    while seen.matches("stderr: cat").count() < 2 {
        let length = output.read(&mut chunk).unwrap();
        assert!(length > 0, "the logs end: {seen}");
        seen += &String::from_utf8_lossy(&chunk[..length]);
    }
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn every_command_has_help_with_examples_and_shells_complete_them() {
    let operator = Operator::new();
    let help = operator.succeeds("--help");
    assert!(
        help.contains("Exit codes:") && help.contains("4 not signed in"),
        "{help}"
    );
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    let nested = [
        "store list",
        "store inspect",
        "store deploy",
        "secret list",
        "secret create",
        "secret update",
        "secret remove",
        "nodes waiting",
        "nodes admit",
        "nodes refuse",
        "nodes replace",
        "nodes remove",
        "nodes rename",
        "nodes controller",
        "nodes controllers",
        "nodes cordon",
        "nodes uncordon",
    ];
    let plain = ["help", "node", "demo", "store", "secret", "image"];
    for line in names
        .into_iter()
        .filter(|name| !plain.contains(name))
        .chain(nested)
    {
        let help = operator.succeeds(&format!("{line} --help"));
        assert!(
            help.contains("Example") && help.contains("bramble "),
            "{line}: {help}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = operator.succeeds(&format!("completions {shell}"));
        assert!(script.contains("describe"), "{shell}");
    }
    let script = operator.succeeds("completions bash");
    let mut bash = Command::new("bash")
        .args(["-n"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}
