//! Brambles that were founded apart and meet later: one that nobody has used makes way, people decide about the rest.
//! Real processes, with the process engine.

use serde_json::json;
use tests::{
    demo::wait_for,
    table::{KEY, Table},
};

#[test]
fn a_bramble_that_nobody_has_used_dissolves_into_one_that_somebody_has() {
    let (mut used, mut unused) = (Table::set(1, KEY), Table::set_elsewhere(2, KEY));
    used.power_on();
    unused.power_on();
    used.pis[0].first_visit();
    for pi in &unused.pis {
        pi.code();
    }
    assert_eq!(used.pis[0].nodes().len(), 1, "they do not know each other");

    // Somebody plugs the two switches together.
    used.connect(&unused);
    unused.pis.iter_mut().for_each(|pi| pi.unplug());
    unused.power_on();
    wait_for("all three to be one bramble", || {
        let nodes = used.pis[0].nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 3).then_some(())
    });
    // Whoever knows the password of the one is let in everywhere.
    for pi in &unused.pis {
        wait_for("each Pi to answer for the one bramble", || {
            (pi.nodes().len() == 3).then_some(())
        });
        assert!(pi.log().contains("the bramble has ended"), "{}", pi.log());
    }
}

#[test]
fn two_brambles_that_people_have_used_stay_apart_until_somebody_gives_one_up() {
    let (mut one, mut other) = (Table::set(1, KEY), Table::set_elsewhere(1, KEY));
    one.power_on();
    other.power_on();
    let deployment = json!({"service": "env", "image": "bramble/env:latest"});
    for table in [&one, &other] {
        let pi = &table.pis[0];
        pi.first_visit();
        assert_eq!(pi.admin().post_json("/system/functions", &deployment).status, 202);
        wait_for("the function to answer", || {
            let answer = pi.client().try_send("GET", "/function/env", "")?;
            (answer.status == 200).then_some(())
        });
    }
    one.connect(&other);
    for table in [&mut one, &mut other] {
        table.pis.iter_mut().for_each(|pi| pi.unplug());
        table.power_on();
    }
    let (stays, goes) = (&one.pis[0], &other.pis[0]);
    let meeting = wait_for("people to be asked", || {
        let answer = goes.admin().try_send("GET", "/api/v1/meetings", "")?;
        answer.json().as_array()?.first().cloned()
    });
    assert_eq!(goes.nodes().len(), 1, "nothing happens by itself");
    assert_eq!(meeting["boards"], json!(["Raspberry Pi 4 Model B"]));

    let anonymous = goes
        .client()
        .post_json("/api/v1/dissolve", &json!({"into": meeting["bramble"]}));
    assert_eq!(anonymous.status, 401);
    let unknown = json!({"into": "00112233445566778899aabbccddeeff"});
    let nowhere = goes.admin().post_json("/api/v1/dissolve", &unknown);
    assert_eq!(nowhere.status, 409, "{}", nowhere.text());
    let answer = goes
        .admin()
        .post_json("/api/v1/dissolve", &json!({"into": meeting["bramble"]}));
    assert_eq!(answer.status, 204, "{}", answer.text());

    wait_for("its node to go over", || {
        let nodes = stays.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
    let functions = stays.admin().get("/system/functions").json();
    assert_eq!(
        functions.as_array().unwrap().len(),
        1,
        "what the other one holds is as it was"
    );
    wait_for("the function to answer on both", || {
        let answer = goes.client().try_send("GET", "/function/env", "")?;
        (answer.status == 200).then_some(())
    });
}
