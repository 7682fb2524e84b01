//! Those who try to get into a bramble, or to be taken for one, against real controllers over the real protocol: all are
//! turned away, and people read it in the activity list.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../transport/tests/join/forger.rs"]
mod forger;

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use api::{Cpu, Memory, NodeFacts, join::Standing, node::EngineKind};
use http::{Request, StatusCode};
use tests::{
    demo::wait_for,
    rogue::{Rogue, announcement, secret},
    table::{KEY, Pi, Table},
};
use tokio::runtime::Runtime;
use transport::{
    Body, Client, Identity, NodeKey, Peer,
    join::{Answer, Introduction, JoinError, JoinSecret, Knock, Refusal, knock, look},
};

use forger::{Forger, hear, say};

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn introduction(key: &NodeKey) -> Introduction {
    Introduction {
        announcement: announcement(key.id(), Standing::Candidate { key: None }),
        port: 7443,
        facts: NodeFacts {
            name: format!("pi-4b-{}", key.id().tail()),
            address: "127.0.0.1:7443".parse().unwrap(),
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory: Memory::from_mib(1024),
            cpu: Cpu::from_cores(4),
            platforms: Vec::new(),
            os: String::new(),
            page_bytes: 4096,
            engine: EngineKind::Process,
            version: "0.1.0".to_owned(),
            serial: None,
            devices: Default::default(),
            details: Default::default(),
        },
        serial: None,
        formerly: None,
    }
}

async fn knocks(key: &NodeKey, to: SocketAddr, secret: Option<Arc<JoinSecret>>) -> Result<Answer, JoinError> {
    knock(Knock {
        key,
        to,
        meant: None,
        secret,
        introduction: &introduction(key),
        vote: false,
    })
    .await
}

/// What a node hears that asks as a member, with whatever certificate it has.
async fn calls(identity: &Arc<Identity>, to: Peer, path: &str) -> Option<StatusCode> {
    let request = Request::post(path).body(Body::empty()).unwrap();
    let answer = Client::new(Arc::clone(identity)).request(to, request).await;
    answer.ok().map(|answer| answer.status())
}

fn activity(pi: &Pi) -> String {
    pi.admin().get("/api/v1/activity").text()
}

fn is_told(pi: &Pi, what: &str) {
    wait_for(&format!("people to be told `{what}`"), || {
        activity(pi).contains(what).then_some(())
    });
}

#[test]
fn who_stands_between_a_card_and_the_bramble_learns_nothing_and_is_told_of() {
    let mut table = Table::set(1, KEY);
    table.power_on();
    let bramble = &table.pis[0];
    bramble.first_visit();
    let runtime = runtime();
    let between = runtime.block_on(Forger::new().relay(bramble.node_port));
    let error = runtime
        .block_on(knocks(&NodeKey::generate().unwrap(), between, Some(secret(KEY))))
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    is_told(bramble, "it may have another join key");
    assert_eq!((bramble.nodes().len(), bramble.waiting().len()), (1, 0));
}

/// Two Pis of which the first leads, and the other runs no controller.
fn two_pis() -> Table {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    wait_for("both to be up", || {
        let nodes = table.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
    table
}

fn peer(pi: &Pi) -> Peer {
    let nodes = pi.nodes();
    let node = nodes
        .iter()
        .find(|node| node["address"] == pi.node_port.to_string())
        .unwrap();
    Peer {
        id: node["id"].as_str().unwrap().parse().unwrap(),
        address: pi.node_port,
    }
}

#[test]
fn whoever_knocks_without_the_key_is_turned_away_and_told_of_wherever_it_knocks() {
    let table = two_pis();
    let (leader, other) = (&table.pis[0], &table.pis[1]);
    let runtime = runtime();
    let key = NodeKey::generate().unwrap();

    // With another key: it goes away by itself, since the bramble proves its own first.
    let wrong = secret("another key of some length");
    let error = runtime
        .block_on(knocks(&key, leader.node_port, Some(wrong.clone())))
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    is_told(leader, "it may have another join key");

    // At a node that runs no controller: it is the leader that people ask. Each of a kind is told once.
    runtime.block_on(async {
        // As a node of a bramble of its own, which does not mind who answers.
        let mut stream = Forger::new().dial_for(other.node_port, b"h2").await.unwrap();
        assert_eq!(hear(&mut stream).await, None, "it is hung up on");
    });
    is_told(leader, "its certificate is not of this bramble");
    let told = activity(leader).matches("it may have another join key").count();
    assert!(
        runtime
            .block_on(knocks(&key, other.node_port, Some(wrong)))
            .is_err()
    );
    // And with what was said elsewhere, or is made up.
    runtime.block_on(async {
        let forger = Forger::new();
        let mut stream = forger.dial(other.node_port).await.unwrap();
        let hello = format!(r#"{{"v":1,"body":{{"hello":{{"keyed":true,"commitment":"{ZEROS}"}}}}}}"#);
        say(&mut stream, &hello).await;
        let greeting = hear(&mut stream).await.unwrap();
        let proof = greeting.rsplit_once("\"proof\":\"").unwrap().1;
        let proof = proof.split_once('"').unwrap().0.to_owned();

        // The bramble's own proof, played back to it.
        for proof in [proof.as_str(), ZEROS] {
            let mut stream = forger.dial(other.node_port).await.unwrap();
            say(&mut stream, &hello).await;
            hear(&mut stream).await.unwrap();
            say(
                &mut stream,
                &format!(r#"{{"v":1,"body":{{"request":{{"said":"{{}}","proof":"{proof}"}}}}}}"#),
            )
            .await;
            assert_eq!(
                hear(&mut stream).await.unwrap(),
                r#"{"v":1,"body":{"refused":"wrong_key"}}"#
            );
        }
        assert_ne!(forger.id, key.id());
    });
    is_told(leader, "the join key is not this bramble's");
    assert_eq!(
        activity(leader).matches("it may have another join key").count(),
        told,
        "said once in ten minutes"
    );
    assert_eq!(leader.nodes().len(), 2, "nobody was let in");
    assert_eq!(leader.waiting().len(), 0);
}

#[test]
fn a_removed_node_that_comes_with_its_certificate_or_the_key_is_turned_away_everywhere_and_told_of() {
    let mut table = two_pis();
    let admin = table.pis[0].admin();
    let runtime = runtime();
    // One that the test plays itself, with the key.
    let key = NodeKey::generate().unwrap();
    let joined = runtime.block_on(knocks(&key, table.pis[0].node_port, Some(secret(KEY))));
    let Answer::Admitted(admitted) = joined.unwrap() else {
        panic!("not admitted");
    };
    let identity = Identity::new(key.clone(), admitted.certificate, admitted.authority).unwrap();
    let identity = Arc::new(identity);
    let (leader, other) = (peer(&table.pis[0]), peer(&table.pis[1]));
    let status = |to: Peer| runtime.block_on(calls(&identity, to, "/v1/sync"));
    assert_eq!(status(leader), Some(StatusCode::BAD_REQUEST), "it is heard");
    wait_for("the other one to know it", || {
        (status(other) == Some(StatusCode::NOT_FOUND)).then_some(())
    });
    let passed_on = runtime.block_on(calls(&identity, other, "/v1/http/system/functions"));
    assert_eq!(
        passed_on,
        Some(StatusCode::MISDIRECTED_REQUEST),
        "no controller runs there: another may be asked"
    );

    // A connection that is open to it when it is removed is cut within a second.
    let name = format!("/api/v1/nodes/pi-4b-{}", key.id().tail());
    let answer = admin.send("DELETE", &name, "");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let removed = Instant::now();
    wait_for("the other one to have heard of it", || {
        (status(other) != Some(StatusCode::NOT_FOUND)).then_some(())
    });
    assert!(
        removed.elapsed() < Duration::from_secs(3),
        "{:?}",
        removed.elapsed()
    );
    assert_eq!(status(leader), Some(StatusCode::GONE));
    assert_eq!(status(other), Some(StatusCode::FORBIDDEN));
    is_told(&table.pis[0], "this node was removed from the bramble");
    let answer = runtime.block_on(knocks(&key, table.pis[0].node_port, Some(secret(KEY))));
    assert!(matches!(answer.unwrap(), Answer::Refused(Refusal::Removed)));

    // Who starts anew and hears nobody still knows it.
    table.pis[0].unplug();
    table.pis[1].unplug();
    table.pis[1].power_on();
    wait_for("it to listen again", || status(other));
    for _ in 0..5 {
        assert_eq!(status(other), Some(StatusCode::FORBIDDEN));
        sleep(Duration::from_millis(200));
    }
    assert!(!activity_is_there(&table.pis[1]), "it has no controller to ask");
}

fn activity_is_there(pi: &Pi) -> bool {
    let answer = pi.admin().try_send("GET", "/api/v1/activity", "");
    answer.is_some_and(|answer| answer.status == 200)
}

#[test]
fn a_card_that_meets_a_rogue_bramble_tells_it_nothing_joins_its_own_and_people_are_told() {
    let mut table = Table::set(2, KEY);
    let runtime = runtime();
    table.pis[0].power_on();
    table.pis[0].first_visit();
    let real = runtime.block_on(look(&NodeKey::generate().unwrap(), table.pis[0].node_port));
    let Standing::Member { bramble, .. } = real.unwrap().announcement.standing else {
        panic!("it is part of a bramble");
    };
    let rogue = runtime.block_on(Rogue::listen("127.0.0.1:0".parse().unwrap(), bramble, KEY));
    let peers = [table.pis[0].node_port, rogue.address].map(|address| address.to_string());
    table.pis[1].rewrite(|card| {
        let lines = card.lines().map(|line| match line.starts_with("peers") {
            true => format!("peers = {}", serde_json::json!(peers)),
            false => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    });
    // So that it sees the rogue first.
    table.pis[0].stall(true);
    table.pis[1].power_on();
    wait_for("it to trust nobody there", || {
        let trusts = !table.pis[1].log().contains("does not trust who answers");
        (!trusts).then_some(())
    });
    table.pis[0].stall(false);
    wait_for("both to be up", || {
        let nodes = table.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
    is_told(&table.pis[0], "was not believed to be a bramble");
}

#[test]
fn a_flood_of_knocks_is_some_lines_and_lets_those_in_who_have_the_key() {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    let runtime = runtime();
    let to = table.pis[0].node_port;
    // Who only begins to speak costs neither side much, so that this is a flood on a slow machine too.
    let forger = Forger::new();
    wait_for("people to be told of the flood", || {
        runtime.block_on(forger.knocks(to, 500));
        activity(&table.pis[0])
            .contains("it knocks too often")
            .then_some(())
    });
    let told = activity(&table.pis[0]).matches("was not let in").count();
    assert!(told <= 12, "{told} lines");
    table.pis[1].power_on();
    wait_for("who has the key to be up", || {
        let nodes = table.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
}
