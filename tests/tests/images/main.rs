//! Images end to end: real nodes, each with a real Docker Engine and an image store of its own, and an unmodified
//! registry. Nothing is reached outside this machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod registry;
mod world;

use std::{
    io::Write,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use archive::{architecture, image};
use registry::Registry;
use serde_json::json;
use world::World;

/// One at a time: each starts several engines.
static TURN: Mutex<()> = Mutex::new(());

/// The right to run, unless the tests of this run do without Docker.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if std::env::var_os("BRAMBLE_TEST_WITHOUT_DOCKER").is_some() {
        _ = std::io::stderr()
            .write_all(b"\nnot run: images between real Docker Engines (BRAMBLE_TEST_WITHOUT_DOCKER=1)\n");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

const MB: usize = 1_000_000;

#[test]
fn a_pushed_image_reaches_every_node_and_outlives_the_one_that_took_it() {
    let Some(_turn) = turn() else { return };
    let mut world = World::start(3);
    let file = world.folder.path().join("hello.tar");
    std::fs::write(&file, image("team/hello:1", architecture(), "hello", 20 * MB)).unwrap();

    // To a node that is no controller, which passes it on.
    let began = Instant::now();
    let (done, words) = world.bramble(1, &["image", "push", file.to_str().unwrap()]);
    assert!(done, "{words}");
    assert!(words.contains("team/hello:1"), "{words}");
    let pushed = began.elapsed();

    let began = Instant::now();
    world.deploy(
        "hello",
        "team/hello:1",
        &json!({"labels": {"com.openfaas.scale.min": "3"}}),
    );
    world.wait_for_ready("hello", 3);
    println!(
        "a 20 MB image: sent to the bramble in {pushed:?}; on three nodes and ready {:?} after its deployment",
        began.elapsed()
    );
    assert_eq!(world.says("hello"), "hello");
    let held = world.image("team/hello:1").unwrap();
    assert_eq!(held["nodes"].as_array().unwrap().len(), 3, "{held}");
    assert_eq!(held["used_by"], json!(["hello"]));

    let refused = world.bramble(0, &["image", "remove", "team/hello:1"]);
    assert!(!refused.0 && refused.1.contains("used by hello"), "{}", refused.1);

    // The node that took it goes; the image is still found, and deployed anew from the copies.
    let taker = world
        .nodes
        .iter()
        .position(|node| words.contains(&node.name))
        .unwrap();
    if taker != 0 {
        world.nodes[taker].kill();
        world.wait("the node to count as down", |world| {
            let nodes = world.client(0).get("/api/v1/nodes").json();
            nodes
                .as_array()?
                .iter()
                .find(|node| node["phase"] == "down")
                .map(|_| ())
        });
        world.deploy("again", "team/hello:1", &json!({}));
        world.wait_for_ready("again", 1);
        world.nodes[taker].start();
    }
    for name in ["hello", "again"] {
        world.client(0).send(
            "DELETE",
            "/system/functions",
            json!({"functionName": name}).to_string(),
        );
    }
    world.wait("all containers to be gone", |world| {
        let left = |node: &world::Node| node.engine.docker(&["ps", "-aq"]).is_ok_and(|ids| ids.is_empty());
        world.nodes.iter().all(left).then_some(())
    });
    let removed = world.wait("the image to be removed everywhere", |world| {
        let removed = world.bramble(0, &["image", "remove", "team/hello:1"]);
        removed.0.then_some(removed.1)
    });
    assert!(removed.contains("team/hello:1"), "{removed}");
    world.wait("it to be in no engine", |world| {
        let gone = |node: &world::Node| {
            let all = node
                .engine
                .docker(&["images", "-a", "--format", "{{.Repository}}"]);
            all.is_ok_and(|all| !all.contains("team/hello") && !all.contains("bramble.local"))
        };
        world.nodes.iter().all(gone).then_some(())
    });
}

#[test]
fn a_copy_goes_on_where_it_broke_when_its_holder_comes_back() {
    let Some(_turn) = turn() else { return };
    let mut world = World::start(2);
    let answer = world.push(0, image("team/large:1", architecture(), "large", 300 * MB));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let taker = answer.json()["node"].as_str().unwrap().to_owned();
    let holder = world.nodes.iter().position(|node| node.name == taker).unwrap();
    let other = 1 - holder;
    let there = json!({"constraints": [format!("node={}", world.nodes[other].name)]});
    world.deploy("large", "team/large:1", &there);
    let (holder_name, asked) = (world.nodes[holder].name.clone(), Instant::now());
    let words = world.wait("the copy to be under way", |world| {
        let reason = world.function("large")["placements"][0]["reason"].to_string();
        reason.contains(" %").then_some(reason)
    });
    assert!(
        words.contains(&format!("fetching team/large:1 from {holder_name}: ")),
        "{words}"
    );
    std::thread::sleep(Duration::from_millis(100));
    world.nodes[holder].kill();
    world.nodes[holder].start();
    world.wait_for_ready("large", 1);
    println!(
        "a 300 MB image came in {:?}, with {holder_name} killed on the way",
        asked.elapsed()
    );
    assert_eq!(world.says("large"), "large");
    let log = world.nodes[other].log();
    let goes_on = log
        .lines()
        .find(|line| line.contains("the copy of an image goes on"));
    assert!(goes_on.is_some(), "it was not interrupted, or began anew:\n{log}");
    println!("{}", goes_on.unwrap());
}

#[test]
fn a_registry_is_asked_with_credentials_and_a_tag_that_moves_changes_nothing_until_the_next_deployment() {
    let Some(_turn) = turn() else { return };
    let world = World::start(2);
    let registry = Registry::start(world.folder.path());
    let name = format!("{}/team/hello:latest", registry.address);
    let publish = |says: &str| {
        let engine = &world.nodes[0].engine;
        engine.set_config(&registry.docker_config());
        let file = world.folder.path().join("publish.tar");
        std::fs::write(&file, image(&name, architecture(), says, MB)).unwrap();
        engine.docker(&["load", "-i", file.to_str().unwrap()]).unwrap();
        engine.docker(&["push", &name]).unwrap();
        engine.docker(&["rmi", &name]).unwrap();
    };
    publish("first");
    world.wait("the leader to know that its node holds it no more", |world| {
        world.image(&name).is_none().then_some(())
    });

    world.deploy("hello", &name, &json!({}));
    let why = world.wait("the registry to refuse", |world| {
        let words = world.function("hello")["sentences"].to_string();
        words.contains("without credentials").then_some(words)
    });
    assert!(why.contains("secret named registry"), "{why}");

    let secret = json!({"name": "registry", "value": registry.docker_config()});
    let answer = world.client(0).post_json("/system/secrets", &secret);
    assert!(answer.status.is_success(), "{}", answer.text());
    world.wait_for_ready("hello", 1);
    assert_eq!(world.says("hello"), "first");

    publish("second");
    world.scale("hello", 2);
    world.wait_for_ready("hello", 2);
    for _ in 0..8 {
        assert_eq!(
            world.says("hello"),
            "first",
            "the tag moved, the deployment did not"
        );
    }
    world.deploy("hello", &name, &json!({}));
    world.wait("the new deployment to answer", |world| {
        let all: Vec<String> = (0..6).map(|_| world.says("hello")).collect();
        all.iter().all(|says| says == "second").then_some(())
    });
}

#[test]
fn what_cannot_be_taken_or_run_is_told_in_words() {
    let Some(_turn) = turn() else { return };
    let world = World::start(1);
    let refused = |archive: Vec<u8>| {
        let answer = world.push(0, archive);
        assert!(!answer.status.is_success());
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    let words = refused(b"hello".to_vec());
    assert!(words.contains("docker save"), "{words}");
    let mut cut = image("team/cut:1", architecture(), "cut", MB);
    cut.truncate(cut.len() / 2);
    let words = refused(cut);
    assert!(words.contains("send it again"), "{words}");
    let words = refused(image("bramble/env:latest", architecture(), "no", 0));
    assert!(words.contains("built-in"), "{words}");

    assert_eq!(
        world.push(0, image("team/foreign:1", "s390x", "no", 0)).status,
        200
    );
    world.deploy("foreign", "team/foreign:1", &json!({}));
    let words = world.wait("a refusal for the architecture", |world| {
        let words = world.function("foreign")["sentences"].to_string();
        words.contains("this image has no").then_some(words)
    });
    assert!(
        words.contains(&format!("linux/{}", architecture())) && words.contains("linux/s390x"),
        "{words}"
    );

    world.deploy("nowhere", "127.0.0.1:1/team/nowhere:1", &json!({}));
    let words = world.wait("a refusal for the registry", |world| {
        let words = world.function("nowhere")["sentences"].to_string();
        words.contains("cannot be reached").then_some(words)
    });
    assert!(
        words.contains("bramble image push 127.0.0.1:1/team/nowhere:1"),
        "{words}"
    );
}
