//! What replicas write, as official clients ask for it (contract section 1.10): the real engine, several nodes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, thread::sleep, time::Duration};

use serde_json::{Value, json};
use tests::demo::{Client, Demo};

/// A function that complains, on its standard error, about whatever the query of a request says.
fn talker() -> Demo {
    let demo = Demo::builder().nodes(3).start();
    demo.deploy(json!({
        "service": "talk", "image": "bramble/sh:latest", "envProcess": "sh -c 'cat /$Http_Query; echo'", "labels": {"com.openfaas.scale.min": "1"},
    }));
    demo
}

/// Has some replica write a line with `word`.
fn say(demo: &Demo, word: &str) {
    assert_eq!(demo.client().get(&format!("/function/talk?{word}")).status, 200);
}

/// What is answered at once.
fn lines(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/system/logs?name=talk&{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = answer.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn said(lines: &[Value], word: &str) -> usize {
    // The watchdog's own line about the request has the query, too.
    let complaint = format!("cat: /{word}");
    let says = |line: &&Value| line["text"].as_str().unwrap().contains(&complaint);
    lines.iter().filter(says).count()
}

#[test]
fn every_line_of_every_replica_comes_with_its_time_and_its_replica() {
    let demo = talker();
    demo.scale("talk", 3);
    let function = demo.wait_for_ready("talk", 3);
    for number in 0..40 {
        say(&demo, &format!("word-{number}."));
    }
    let replicas: BTreeSet<String> = function["placements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|placement| {
            format!("r{}", placement["replica"])
                .replace("\"", "")
                .replace("rr", "r")
        })
        .collect();
    // Every node answers the same, also those that are no controllers.
    for name in demo.node_names() {
        let client = demo.node_client(&name);
        let lines = demo.wait("all lines", || {
            let lines = lines(&client, "follow=false&namespace=openfaas-fn");
            (said(&lines, "word-") == 40).then_some(lines)
        });
        for number in 0..40 {
            assert_eq!(said(&lines, &format!("word-{number}.")), 1, "at {name}");
        }
        let instances: BTreeSet<String> = lines
            .iter()
            .map(|line| line["instance"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(instances, replicas, "at {name}");
        for line in &lines {
            assert_eq!(
                (&line["name"], &line["namespace"]),
                (&json!("talk"), &json!("openfaas-fn"))
            );
            assert!(!line["text"].as_str().unwrap().ends_with('\n'));
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        }
    }

    let client = demo.client();
    let one = replicas.first().unwrap();
    let its = lines(&client, &format!("instance={one}"));
    assert!(!its.is_empty() && its.iter().all(|line| line["instance"] == one.as_str()));
    let last = lines(&client, &format!("instance={one}&tail=2"));
    assert_eq!(last, its[its.len() - 2..], "the last ones, in order");
    assert_eq!(lines(&client, "tail=1").len(), 3, "one of each replica");
    assert_eq!(
        said(&lines(&client, "tail=-1"), "word-"),
        40,
        "as clients send it where nobody says"
    );
    assert_eq!(lines(&client, "since=2100-01-01T00:00:00Z"), [] as [Value; 0]);
    assert_eq!(
        said(&lines(&client, "since=2000-01-01T00:00:00%2B02:00"), "word-"),
        40
    );
    assert_eq!(
        lines(&client, "instance=r999"),
        [] as [Value; 0],
        "there is no such replica"
    );
}

#[test]
fn what_cannot_be_asked_is_said_in_words() {
    let demo = talker();
    let anonymous = Client::new(&demo.portal).get("/system/logs?name=talk");
    assert_eq!(
        (anonymous.status.as_u16(), anonymous.text().as_str()),
        (401, "invalid credentials")
    );
    for (query, status, word) in [
        ("", 400, "name is missing"),
        ("name=", 400, "name is missing"),
        ("name=nobody", 404, "nobody.openfaas-fn not found"),
        ("name=talk&namespace=other", 404, "talk.other not found"),
        ("name=talk&tail=all", 400, "tail"),
        ("name=talk&since=yesterday", 400, "RFC 3339"),
        ("name=talk&instance=talk-abc", 400, "r12"),
    ] {
        let answer = demo.client().get(&format!("/system/logs?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
}

#[test]
fn who_follows_reads_along_also_at_replicas_that_come_later() {
    let demo = talker();
    say(&demo, "before");
    let elsewhere = demo
        .node_names()
        .into_iter()
        .find(|name| *name != demo.leader())
        .unwrap();
    let client = demo.node_client(&elsewhere);
    let following = client.follow("/system/logs?name=talk&follow=true");
    assert!(
        following.find(|line| line.contains("before")).is_some(),
        "what was, comes first"
    );
    say(&demo, "while-you-read");
    assert!(
        following
            .find(|line| line.contains("GET /?while-you-read"))
            .is_some()
    );
    assert!(
        following.is_silent_for(Duration::from_secs(2)),
        "nothing is said twice"
    );

    demo.scale("talk", 3);
    demo.wait_for_ready("talk", 3);
    sleep(Duration::from_secs(2));
    for number in 0..30 {
        say(&demo, &format!("spread-{number}."));
    }
    let mut instances = BTreeSet::new();
    for _ in 0..30 {
        let line = following.find(|line| line.contains("cat: /spread-")).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        instances.insert(line["instance"].as_str().unwrap().to_owned());
    }
    assert_eq!(instances.len(), 3, "all replicas are followed: {instances:?}");

    // The end of the bramble is the end of the lines, and is not held up by them.
    assert_eq!(demo.end(), Some(0));
    following.rest();
}

#[test]
fn who_follows_reads_along_at_a_node_that_comes_back() {
    let demo = talker();
    demo.wait_for_ready("talk", 1);
    let busy = demo.function("talk")["placements"][0]["node"].clone();
    let is_free = |name: &String| *name != demo.leader() && busy != json!(name);
    let away = demo.node_names().into_iter().find(is_free).unwrap();
    demo.plug("unplug", &away);
    let is = |phase: &str| {
        demo.wait(&format!("it to be {phase}"), || {
            let nodes = demo.nodes();
            let node = nodes.iter().find(|node| node["name"] == *away)?;
            (node["phase"] == phase).then_some(())
        });
    };
    is("down");
    say(&demo, "before");
    let following = demo.client().follow("/system/logs?name=talk&follow=true");
    assert!(following.find(|line| line.contains("before")).is_some());

    demo.plug("plug", &away);
    is("up");
    demo.scale("talk", 6);
    let function = demo.wait_for_ready("talk", 6);
    let placements = function["placements"].as_array().unwrap();
    assert!(
        placements.iter().any(|placement| placement["node"] == *away),
        "{placements:?}"
    );
    for number in 0..60 {
        say(&demo, &format!("spread-{number}."));
    }
    let mut instances = BTreeSet::new();
    for _ in 0..60 {
        let line = following.find(|line| line.contains("cat: /spread-")).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        instances.insert(line["instance"].as_str().unwrap().to_owned());
    }
    assert_eq!(instances.len(), 6, "all replicas are followed: {instances:?}");
}

#[test]
fn who_signs_out_reads_no_further() {
    let demo = talker();
    say(&demo, "before");
    let client = Client::new(&demo.portal).with_session("admin", &demo.password);
    let following = client.follow("/system/logs?name=talk&follow=true");
    assert!(following.find(|line| line.contains("before")).is_some());
    let out = client.post("/ui/sign-out", "");
    assert!(out.status.is_redirection(), "{}", out.text());
    following.rest();
}

#[test]
fn a_reader_that_hangs_up_leaves_nothing_behind() {
    let demo = talker();
    say(&demo, "before");
    let open_files = |demo: &Demo| -> usize {
        let nodes = demo.node_names();
        let of = |name: &String| {
            std::fs::read_dir(format!("/proc/{}/fd", demo.pid(name)))
                .unwrap()
                .count()
        };
        nodes.iter().map(of).sum()
    };
    let client = demo.client();
    let follow = || client.follow("/system/logs?name=talk&follow=1");
    drop(follow());
    // Nodes that have just begun still open what they keep: counted once that is over.
    let before = demo.wait("the nodes to come to rest", || {
        let count = open_files(&demo);
        let is_same = (0..30).all(|_| {
            sleep(Duration::from_millis(100));
            open_files(&demo) == count
        });
        is_same.then_some(count)
    });
    let readers: Vec<_> = (0..10).map(|_| follow()).collect();
    for reader in &readers {
        assert!(reader.find(|line| line.contains("before")).is_some());
    }
    drop(readers);
    demo.wait("the streams to end at the nodes", || {
        (open_files(&demo) <= before + 2).then_some(())
    });
}
