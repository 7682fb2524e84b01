//! Nodes come and go: cards that are flashed anew, Pis that are put out and let in again. Real processes, with the
//! process engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    demo::wait_for,
    table::{KEY, Pi, Table},
};

/// Waits until so many nodes are up, as `pi` answers.
fn up(pi: &Pi, count: usize) -> Vec<Value> {
    wait_for("all to be up", || {
        let nodes = pi.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == count).then_some(nodes)
    })
}

/// Two Pis of one join key; somebody chose the password at the first.
fn two_pis() -> Table {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    table
}

/// The node of another Pi than the one that leads.
fn other(nodes: &[Value]) -> Value {
    nodes
        .iter()
        .find(|node| node["leader"] == false)
        .cloned()
        .unwrap()
}

fn name(node: &Value) -> String {
    node["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_card_that_is_flashed_anew_goes_on_as_the_pi_that_it_was_if_somebody_says_so() {
    let mut table = two_pis();
    let old = other(&up(&table.pis[0], 2));
    let admin = table.pis[0].admin();
    let about = format!("/api/v1/nodes/{}", name(&old));
    let put = |what: &str, body: &Value| admin.send("PUT", &format!("{about}/{what}"), body.to_string());
    assert_eq!(put("controller", &json!({"wish": "excluded"})).status, 204);
    assert_eq!(put("name", &json!({"name": "window"})).status, 204);

    table.pis[1].flash();
    table.pis[1].power_on();
    // It has the join key, so it is in; but who it was, a serial number alone does not prove.
    let offered = wait_for("the offer", || {
        table.pis[0]
            .nodes()
            .into_iter()
            .find(|node| node["replaces"] == "window")
    });
    assert_ne!(offered["id"], old["id"]);
    let replace = |name: &str| admin.post(&format!("/api/v1/nodes/{name}/replace"), "");
    let leader = table.pis[0]
        .nodes()
        .into_iter()
        .find(|node| node["leader"] == true)
        .unwrap();
    assert_eq!(replace(&name(&leader)).status, 409, "it is nobody else");
    let answer = replace(&name(&offered));
    assert_eq!(answer.status, 204, "{}", answer.text());

    let nodes = up(&table.pis[0], 2);
    assert_eq!(nodes.len(), 2, "what it was is gone: {nodes:?}");
    let now = other(&nodes);
    assert_eq!(
        (now["id"].clone(), name(&now)),
        (offered["id"].clone(), "window".to_owned())
    );
    assert_eq!(now["replaces"], Value::Null);
    let told = admin.get("/api/v1/activity").text();
    assert!(told.contains("window goes on with a new card."), "{told}");
}

#[test]
fn a_pi_without_the_key_that_is_flashed_anew_is_let_in_as_what_it_was() {
    let mut table = Table::set(2, KEY);
    table.pis[1].rewrite(|card| card.replace(KEY, ""));
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let admin = table.pis[0].admin();
    let knocks = |host: &Pi| wait_for("it to wait", || host.waiting().first().cloned());
    let decide = |node: &Value, how: &str| {
        let id = node["id"].as_str().unwrap();
        let answer = admin.post(&format!("/api/v1/waiting/{id}/{how}"), "");
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    let first = knocks(&table.pis[0]);
    assert_eq!(first["replaces"], Value::Null);
    decide(&first, "admit");
    let before = other(&up(&table.pis[0], 2));

    table.pis[1].flash();
    table.pis[1].power_on();
    let again = wait_for("it to be known by its board", || {
        let waiting = table.pis[0].waiting();
        waiting
            .into_iter()
            .find(|node| node["replaces"] == before["name"])
    });
    assert_ne!(again["id"], before["id"]);
    decide(&again, "replace");
    let nodes = up(&table.pis[0], 2);
    let now = other(&nodes);
    assert_eq!(nodes.len(), 2);
    assert_eq!(
        (now["id"].clone(), name(&now)),
        (again["id"].clone(), name(&before))
    );
}

#[test]
fn a_removed_pi_stops_what_it_runs_forgets_the_bramble_and_stays_out_until_somebody_lets_it_in_again() {
    let mut table = two_pis();
    let admin = table.pis[0].admin();
    let nodes = up(&table.pis[0], 2);
    let function =
        json!({"service": "env", "image": "bramble/env:latest", "labels": {"com.openfaas.scale.min": "2"}});
    assert_eq!(admin.post_json("/system/functions", &function).status, 202);
    wait_for("a replica on each", || {
        table.pis.iter().all(|pi| pi.replicas() == 1).then_some(())
    });

    let removed = other(&nodes);
    let began = Instant::now();
    let answer = admin.send("DELETE", &format!("/api/v1/nodes/{}", name(&removed)), "");
    assert_eq!(answer.status, 204, "{}", answer.text());
    wait_for("it to know", || {
        table.pis[1]
            .log()
            .contains("was removed from the bramble")
            .then_some(())
    });
    println!("it knew after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    wait_for("it to run nothing any more", || {
        (table.pis[1].replicas() == 0).then_some(())
    });
    let identity = table.pis[1].folder.join("state/identity");
    wait_for("it to forget the bramble", || {
        (!identity.join("certificate.pem").exists()).then_some(())
    });
    assert!(identity.join("key.pem").exists(), "it stays who it is");
    assert_eq!(table.pis[0].nodes().len(), 1);

    // It shows what became of it, and holds the join key in vain, also after a restart and when nobody else is there.
    for round in 0..2 {
        let waits = wait_for("it to be offered again", || {
            table.pis[0].waiting().first().cloned()
        });
        assert_eq!((&waits["id"], &waits["removed"]), (&removed["id"], &json!(true)));
        let shown = table.pis[1].client().get("/ui/");
        assert_eq!(shown.status, 503);
        assert!(shown.text().contains("was removed"), "{}", shown.text());
        table.pis[1].unplug();
        if round == 0 {
            table.pis[0].unplug();
            table.pis[1].power_on();
            // Ten times as long as a card without that past waits before it founds.
            sleep(Duration::from_secs(10));
            assert!(!table.pis[1].log().contains("founds a bramble"));
            table.pis[0].power_on();
        } else {
            table.pis[1].power_on();
        }
        wait_for("the other to answer", || {
            (table.pis[0].nodes().len() == 1).then_some(())
        });
    }

    let id = removed["id"].as_str().unwrap();
    wait_for("it to be offered once more", || {
        table.pis[0].waiting().first().cloned()
    });
    let admin = table.pis[0].admin();
    let answer = admin.post(&format!("/api/v1/waiting/{id}/admit"), "");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let nodes = up(&table.pis[0], 2);
    assert_eq!(other(&nodes)["id"], removed["id"], "it is the one that it was");
    let more = json!({"serviceName": "env", "replicas": 3});
    assert_eq!(
        table.pis[0]
            .admin()
            .post_json("/system/scale-function/env", &more)
            .status,
        202
    );
    wait_for("it to work again", || {
        (table.pis[1].replicas() == 1).then_some(())
    });
}
