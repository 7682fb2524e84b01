//! Every function's example, run as an image of the function would run, and its answer compared.
//!
//! Other architectures' programs are tested with the variables that `support/programs.rs` explains.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/programs.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
mod programs;
#[path = "support/servers.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
mod servers;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use programs::{Answer, Programs};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// These start themselves again, which needs a kernel that can start them; under an emulator they are asked once,
/// without the server around them.
const STARTS_ITSELF: [&str; 4] = ["jq", "primes", "resize", "grayscale"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    content_type: String,
    answer: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    content_type: String,
    body: Option<String>,
    body_sha256: Option<String>,
    contains: Option<String>,
}

impl Example {
    fn of(function: &serde_json::Value) -> Self {
        serde_json::from_value(function["example"].clone()).unwrap()
    }

    fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).unwrap(),
            other => panic!("one of both, not {other:?}"),
        }
    }

    /// Asks local servers instead of those that only a bramble, or the Internet, has.
    fn localised(mut self) -> Self {
        for (known, port) in [
            ("gateway:8080", servers::http()),
            ("example.com:443", servers::https()),
        ] {
            let here = format!("127.0.0.1:{port}");
            self.body = self.body.map(|body| body.replace(known, &here));
        }
        self
    }

    fn address(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let kind = (!self.content_type.is_empty()).then_some(("Content-Type", self.content_type.as_str()));
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain(kind).collect()
    }
}

/// What is wrong with an answer, in one line.
fn wrong(expected: &Expected, answer: &Answer) -> Option<String> {
    let found = String::from_utf8_lossy(&answer.body);
    if answer.status != expected.status {
        return Some(format!("status {}: {found}", answer.status));
    }
    let kind = answer.headers.get("content-type").map_or("", String::as_str);
    if kind != expected.content_type {
        return Some(format!("content type {kind}"));
    }
    match (&expected.body, &expected.body_sha256, &expected.contains) {
        (Some(body), None, None) if *body == found => None,
        (None, Some(sum), None) if *sum == hex(&Sha256::digest(&answer.body)) => None,
        (None, None, Some(part)) if found.contains(part) => None,
        _ => Some(format!(
            "body {found:?}, sha256 {}",
            hex(&Sha256::digest(&answer.body))
        )),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_example_is_answered_as_the_catalogue_says() {
    let programs = Programs::find();
    let mut failures = Vec::new();
    let mut run = 0;
    for function in programs.list()["functions"].as_array().unwrap() {
        let name = function["name"].as_str().unwrap();
        let example = Example::of(function).localised();
        let answer = if programs.is_emulated() && STARTS_ITSELF.contains(&name) {
            once(&programs, name, &example)
        } else if function["mode"] != "direct" && !programs.has_watchdog() {
            println!("not run: the example of {name}, because no fwatchdog was built beside functions");
            continue;
        } else {
            let running = programs.start(function);
            running.ask(
                &example.method,
                &example.address(),
                &example.headers(),
                &example.body(),
            )
        };
        run += 1;
        failures.extend(wrong(&example.answer, &answer).map(|why| format!("{name}: {why}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(run >= 20, "only {run} examples");
}

/// As a watchdog would ask.
fn once(programs: &Programs, name: &str, example: &Example) -> Answer {
    let mut command = programs.functions();
    command.args(["run", name]).env("Http_Query", &example.query);
    for (header, value) in &example.headers {
        command.env(format!("Http_{}", header.replace('-', "_")), value);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&example.body()).unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        status: if output.status.success() { 200 } else { 500 },
        headers: BTreeMap::from([("content-type".to_owned(), example.answer.content_type.clone())]),
        body: output.stdout,
    }
}

#[test]
fn every_function_can_be_offered() {
    let programs = Programs::find();
    let list = programs.list();
    let functions = list["functions"].as_array().unwrap();
    assert!(functions.len() >= 30);
    let mut names = Vec::new();
    for function in functions {
        let text = |field: &str| {
            function[field]
                .as_str()
                .unwrap_or_else(|| panic!("{field} of {function}"))
        };
        let name = text("name");
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
        assert!(
            text("sentence").ends_with('.') && text("sentence").len() <= 110,
            "{name}"
        );
        assert!(
            ["text", "pictures", "numbers", "network", "machine", "pages"].contains(&text("category")),
            "{name}"
        );
        assert!(text("memory").ends_with("Mi"), "{name}");
        let icon = text("icon");
        assert!(
            icon.len() <= 1536 && icon.starts_with("<svg ") && icon.trim_end().ends_with("</svg>"),
            "{name}"
        );
        for risky in ["script", "href", "url(", "style", "<image", "onload"] {
            assert!(!icon.contains(risky), "{name}: {risky}");
        }
    }
}
