//! Identical cards that are powered on: they find each other, wait for people, outlive their master, and stay apart
//! from whom they do not know. Real processes, with the process engine.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::net::UnixDatagram,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    demo::{Client, Demo, wait_for},
    table::{KEY, PASSWORD, Pi, Table},
};

#[test]
fn cards_with_one_join_key_become_one_bramble_and_the_first_visitor_needs_the_code() {
    let mut table = Table::set(4, &format!("bramble = \"garden\"\n{KEY}"));
    table.power_on();
    let [first, .., last] = &table.pis[..] else {
        unreachable!()
    };

    // Every Pi shows the same code, and only with it a password is chosen.
    let code = first.code();
    assert!(table.pis.iter().all(|pi| pi.code() == code));
    wait_for("it to be on every screen", || {
        table.pis.iter().all(|pi| pi.sign().contains(&code)).then_some(())
    });
    let visit = |code: &str, password: &str| {
        let visit = json!({"code": code, "password": password});
        last.client().post_json("/api/v1/first-visit", &visit)
    };
    let wrong = visit("k7q2-m9fd", PASSWORD);
    assert_eq!(wrong.status, 403, "{}", wrong.text());
    let short = visit(&code, "short");
    assert_eq!(short.status, 400, "{}", short.text());
    assert_eq!(
        last.admin().get("/api/v1/nodes").status,
        401,
        "nobody can sign in yet"
    );
    assert_eq!(
        visit(&code.to_uppercase().replace('-', " "), PASSWORD).status,
        204
    );
    assert_eq!(visit(&code, "another one").status, 409, "once");
    wait_for("it to go from every screen", || {
        table.pis.iter().all(|pi| pi.sign().is_empty()).then_some(())
    });

    let nodes = wait_for("all four to be up", || {
        let nodes = first.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 4).then_some(nodes)
    });
    assert_eq!(nodes.iter().filter(|node| node["leader"] == true).count(), 1);
    let names: BTreeSet<_> = nodes.iter().map(|node| node["name"].to_string()).collect();
    assert_eq!(names.len(), 4, "each has a name of its own: {names:?}");
    wait_for("three controllers", || {
        let controllers = first
            .nodes()
            .into_iter()
            .filter(|node| node["controller"] == true);
        (controllers.count() == 3).then_some(())
    });
    assert!(
        table.pis.iter().all(|pi| !pi.log().contains("otter")),
        "the key is told to nobody"
    );
}

#[test]
fn with_the_hash_of_a_password_on_the_cards_nobody_needs_a_code() {
    let hash = password::hash(PASSWORD).unwrap();
    let mut table = Table::set(2, &format!("{KEY}admin_password_hash = \"{hash}\"\n"));
    table.power_on();
    wait_for("both to be one bramble that the admin may enter", || {
        table.pis.iter().all(|pi| pi.nodes().len() == 2).then_some(())
    });
    for pi in &table.pis {
        assert_eq!(
            pi.sign(),
            "",
            "there is nothing to tell whoever is in front of it"
        );
        let log = pi.log();
        assert!(!log.contains("with the code") && !log.contains("argon2"), "{log}");
    }
}

#[test]
fn systemd_hears_that_a_node_answers_and_then_that_it_is_alive() {
    let mut table = Table::set(1, KEY);
    let pi = &mut table.pis[0];
    let place = pi.folder.join("notify");
    let systemd = UnixDatagram::bind(&place).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    pi.environment = vec![
        ("NOTIFY_SOCKET".to_owned(), place.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "4000000".to_owned()),
    ];
    pi.power_on();
    let hears = || {
        let mut said = [0; 64];
        let length = systemd.recv(&mut said).unwrap();
        String::from_utf8(said[..length].to_vec()).unwrap()
    };
    assert_eq!(hears(), "READY=1\n");
    assert!(
        pi.client().try_send("GET", "/", "").is_some(),
        "it answers, whatever it says"
    );
    // While it looks for others, while it is part of a bramble, and while that has no leader: it always goes on.
    let beats = (0..5).filter(|_| hears() == "WATCHDOG=1\n").count();
    assert!(beats >= 3, "{beats}");
}

#[test]
fn a_pi_without_the_key_waits_until_somebody_admits_it() {
    let mut table = Table::set(2, KEY);
    let keyless = fs::read_to_string(table.pis[1].folder.join("bramble.toml"))
        .unwrap()
        .replace(KEY, "");
    fs::write(table.pis[1].folder.join("bramble.toml"), keyless).unwrap();
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let [host, newcomer] = &table.pis[..] else {
        unreachable!()
    };
    let waiting = wait_for("the newcomer to wait", || host.waiting().first().cloned());
    let fingerprint = waiting["fingerprint"].as_str().unwrap();
    assert!(newcomer.log().contains(fingerprint), "both show {fingerprint}");
    let shown = newcomer.client().get("/ui/");
    assert_eq!(shown.status, 503);
    assert!(shown.text().contains(fingerprint), "{}", shown.text());
    assert!(newcomer.sign().contains(fingerprint), "{}", newcomer.sign());
    assert_eq!(host.nodes().len(), 1, "it is not part of the bramble");

    let anonymous = host.client().post_json(
        &format!("/api/v1/waiting/{}/admit", waiting["id"].as_str().unwrap()),
        &json!({}),
    );
    assert_eq!(anonymous.status, 401);
    let admit = format!("/api/v1/waiting/{}/admit", waiting["id"].as_str().unwrap());
    let answer = host.admin().post(&admit, "");
    assert_eq!(answer.status, 204, "{}", answer.text());
    wait_for("the newcomer to be up", || {
        let nodes = host.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 2).then_some(())
    });
    assert_eq!(newcomer.sign(), "", "nothing is to be read there any more");
    assert_eq!(host.waiting(), [] as [Value; 0]);
    // Any Pi's address works for everything.
    wait_for("the newcomer to answer for the bramble", || {
        (newcomer.nodes().len() == 2).then_some(())
    });
}

#[test]
fn a_pi_with_another_key_or_one_that_was_refused_stays_out_and_people_are_told() {
    let mut table = Table::set(3, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    for (number, card) in [(1, "join_key = \"another key of some length\"\n"), (2, "")] {
        let text = fs::read_to_string(table.pis[number].folder.join("bramble.toml")).unwrap();
        fs::write(
            table.pis[number].folder.join("bramble.toml"),
            text.replace(KEY, card),
        )
        .unwrap();
        table.pis[number].power_on();
    }
    let host = &table.pis[0];
    let waiting = wait_for("the keyless one to wait", || host.waiting().first().cloned());
    let refuse = format!("/api/v1/waiting/{}/refuse", waiting["id"].as_str().unwrap());
    assert_eq!(host.admin().post(&refuse, "").status, 204);
    wait_for("the refused one to know", || {
        table.pis[2]
            .log()
            .contains("a person refused this node")
            .then_some(())
    });
    // The other one founds a bramble of its own, and never asks at this one: it sees by the tag of the key that it is none
    // of its business. So nobody was turned away.
    wait_for("the one with another key to be a bramble of its own", || {
        table.pis[1].log().contains("founds a bramble").then_some(())
    });
    assert!(
        table.pis[1]
            .log()
            .contains("A bramble is in sight that has another join key"),
        "{}",
        table.pis[1].log()
    );
    sleep(Duration::from_secs(3));
    assert_eq!((host.nodes().len(), host.waiting().len()), (1, 0));
    let told = host.admin().get("/api/v1/activity").text();
    assert!(told.contains("was refused"), "{told}");
    assert!(!told.contains("was not let in: it may have"), "{told}");
    table.pis[1].first_visit();
    assert_eq!(table.pis[1].nodes().len(), 1);
}

#[test]
fn who_guesses_the_code_of_the_first_visit_keeps_nobody_else_out_wherever_it_is_tried() {
    let mut table = Table::set(2, KEY);
    table.power_on();
    let code = table.pis[0].code();
    table.pis[1].code();
    let (first, second) = (table.pis[0].portal(), table.pis[1].portal());
    let visit = |at: &str, from: u8, code: &str| {
        let client = Client::new(at).from_address([127, 0, 0, from].into());
        let visit = json!({"code": code, "password": PASSWORD});
        client.post_json("/api/v1/first-visit", &visit).status.as_u16()
    };
    for _ in 0..5 {
        assert_eq!(visit(&first, 2, "k7q2-m9fd"), 403);
    }
    // However it asks, it is one visitor: another node passes on who it is.
    for at in [&first, &second] {
        assert_eq!(visit(at, 2, &code), 429, "also with the right one");
    }
    assert_eq!(visit(&second, 3, "k7q2-m9fd"), 403, "somebody else may try");
    assert_eq!(visit(&first, 3, &code), 204);
}

/// Four Pis that are one bramble; three of them run controllers.
fn four_with_three_controllers() -> Table {
    let mut table = Table::set(4, KEY);
    table.power_on();
    table.pis[0].first_visit();
    wait_for("three controllers", || {
        let nodes = table.pis[0].nodes();
        let controllers = nodes
            .iter()
            .filter(|node| node["controller"] == true && node["phase"] == "up");
        (controllers.count() == 3 && nodes.len() == 4).then_some(())
    });
    // The last one needs a moment to have everything.
    sleep(Duration::from_secs(3));
    table
}

/// Which Pi's node the API says this of, and the node's name.
fn pi_that(table: &Table, is: &str, so: bool) -> (usize, String) {
    let nodes = table.pis[0].nodes();
    let node = nodes.iter().find(|node| node[is] == so).expect("there is one");
    let is_it = |pi: &Pi| node["address"] == pi.node_port.to_string();
    let pi = table.pis.iter().position(is_it).expect("all are on the table");
    (pi, node["name"].as_str().expect("nodes have names").to_owned())
}

#[test]
fn the_masters_death_is_survived_by_changes_and_invocations() {
    let mut table = four_with_three_controllers();
    let deployment =
        json!({"service": "env", "image": "bramble/env:latest", "labels": {"com.openfaas.scale.min": "3"}});
    let answer = table.pis[0].admin().post_json("/system/functions", &deployment);
    assert_eq!(answer.status, 202, "{}", answer.text());
    wait_for("a replica on each", || {
        let function = table.pis[0].admin().get("/system/function/env").json();
        (function["availableReplicas"] == 3).then_some(())
    });
    let ((master, _), (simple, _)) = (
        pi_that(&table, "leader", true),
        pi_that(&table, "controller", false),
    );
    let old = table.pis[simple].admin();
    let old = old
        .with("Keep-Alive", "300")
        .with("TE", "gzip")
        .with("Proxy-Connection", "keep-alive");
    assert_eq!(
        old.get("/system/info").status,
        200,
        "what old clients say reaches the master"
    );
    let page = table.pis[master].admin_in_portal();
    table.pis[master].unplug();
    let began = Instant::now();
    // It has no part in the replicated state, and knows nobody but the dead master.
    let other = &table.pis[simple];
    let (mut failed, mut refused) = (0, 0);
    wait_for("a change to be taken again", || {
        let invoked = other.client().try_send("GET", "/function/env", "");
        failed += usize::from(invoked.is_none_or(|answer| answer.status != 200));
        let change = json!({"serviceName": "env", "replicas": 2}).to_string();
        let answer = other
            .admin()
            .try_send("POST", "/system/scale-function/env", change)?;
        refused += usize::from(answer.status != 202);
        (answer.status == 202).then_some(())
    });
    println!(
        "changes are taken again {:?} after the master lost its power",
        began.elapsed()
    );
    // A second is usual (`make bench`); this is for machines that have a lot to do.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(
        refused <= 3,
        "{refused} were refused instead of waiting for another to lead"
    );
    assert_eq!(failed, 0, "invocations do not notice");
    wait_for("somebody else to lead", || {
        let nodes = other.nodes();
        nodes
            .iter()
            .any(|node| node["leader"] == true && node["phase"] == "up")
            .then_some(())
    });
    let session = page.at(&other.portal()).get("/api/v1/session");
    assert_eq!(session.json()["user"], "admin", "people stay signed in");
    // It comes back as what it was.
    table.pis[master].power_on();
    let other = &table.pis[simple];
    wait_for("all four to be up again", || {
        let nodes = other.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == 4).then_some(())
    });
}

#[test]
fn a_master_that_freezes_is_replaced_and_nobody_else_is_missed() {
    let table = four_with_three_controllers();
    let (frozen, name) = pi_that(&table, "leader", true);
    // Nobody hears that it is gone, as when its plug was pulled.
    table.pis[frozen].stall(true);
    let began = Instant::now();
    let others: Vec<&Pi> = table
        .pis
        .iter()
        .filter(|pi| pi.node_port != table.pis[frozen].node_port)
        .collect();
    wait_for("the frozen one to be missed everywhere", || {
        let missed = |pi: &&Pi| -> Option<bool> {
            let nodes = pi
                .admin()
                .patient(Duration::from_secs(1))
                .try_send("GET", "/api/v1/nodes", "")?;
            let nodes = (nodes.status == 200).then(|| nodes.json())?;
            let up = nodes
                .as_array()?
                .iter()
                .filter(|node| node["phase"] == "up")
                .count();
            Some(up == 3)
        };
        others.iter().all(|pi| missed(pi) == Some(true)).then_some(())
    });
    println!(
        "the frozen master is missed everywhere after {:?}",
        began.elapsed()
    );
    // Long enough for whoever asked it last to be missed, too.
    sleep(Duration::from_secs(5));
    let activity = others[0].admin().get("/api/v1/activity").text();
    assert_eq!(activity.matches("out of reach").count(), 1, "{activity}");
    assert!(
        activity.contains(&format!("{name} is unplugged or out of reach")),
        "{activity}"
    );
}

#[test]
fn who_is_to_be_a_controller_becomes_one_and_who_is_to_be_none_hands_over() {
    let mut table = Table::set(4, KEY);
    table.power_on();
    table.pis[0].first_visit();
    let name = |node: &Value| node["name"].as_str().unwrap().to_owned();
    let controllers = || -> BTreeSet<String> {
        let nodes = table.pis[0].nodes().into_iter();
        nodes
            .filter(|node| node["controller"] == true)
            .map(|node| name(&node))
            .collect()
    };
    let wish = |node: &str, wish: &str| {
        let body = json!({"wish": wish}).to_string();
        let path = format!("/api/v1/nodes/{node}/controller");
        let answer = table.pis[0].admin().send("PUT", &path, body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    let before = wait_for("three controllers", || {
        let controllers = controllers();
        (controllers.len() == 3).then_some(controllers)
    });
    let (leader, none) = wait_for("all four to be up", || {
        let nodes = table.pis[0].nodes();
        let up = nodes.iter().filter(|node| node["phase"] == "up").count() == 4;
        let leader = nodes.iter().find(|node| node["leader"] == true).filter(|_| up)?;
        Some((
            name(leader),
            name(nodes.iter().find(|node| node["controller"] == false)?),
        ))
    });
    let other = before.iter().find(|controller| **controller != leader).unwrap();

    // There is a place for who is wanted as soon as somebody is to be none.
    wish(&none, "pinned");
    wish(other, "excluded");
    wait_for("the one that is wanted to be a controller", || {
        let now = controllers();
        (now.contains(&none) && !now.contains(other) && now.len() == 3).then_some(())
    });

    // The master hands over before it is none.
    wish(&leader, "excluded");
    wait_for("another master", || {
        let nodes = table.pis[0].nodes();
        let leads = nodes.iter().find(|node| node["leader"] == true)?;
        (name(leads) != leader && leads["phase"] == "up").then_some(())
    });
    wait_for("the old one to be no controller any more", || {
        (!controllers().contains(&leader)).then_some(())
    });
    let change = json!({"name": "after", "value": "x"});
    let answer = table.pis[0].admin().post_json("/system/secrets", &change);
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[test]
fn a_bramble_that_lost_all_power_at_once_comes_back_with_everything() {
    let mut table = Table::set(3, KEY);
    table.power_on();
    table.pis[0].first_visit();
    wait_for("three controllers", || {
        let nodes = table.pis[0].nodes();
        (nodes.iter().filter(|node| node["controller"] == true).count() == 3).then_some(())
    });
    let deployment = json!({"service": "env", "image": "bramble/env:latest"});
    let answer = table.pis[0].admin().post_json("/system/functions", &deployment);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let page = table.pis[0].admin_in_portal();
    table.pis.iter_mut().for_each(|pi| pi.unplug());
    table.power_on();
    wait_for("the function to answer again", || {
        let answer = table.pis[1].client().try_send("GET", "/function/env", "")?;
        (answer.status == 200).then_some(())
    });
    wait_for("every Pi to be known as before", || {
        (table.pis[2].nodes().len() == 3).then_some(())
    });
    let session = page.at(&table.pis[1].portal()).get("/api/v1/session");
    assert_eq!(session.json()["user"], "admin", "people stay signed in");
}

#[test]
fn a_card_with_mistakes_in_it_starts_all_the_same_and_says_what_is_wrong() {
    let mut table = Table::set(
        1,
        "join-key = \"otter paper violet engine\"\nlight = 3\nthis is no setting\n",
    );
    table.power_on();
    let pi = &table.pis[0];
    pi.first_visit();
    let log = pi.log();
    for complaint in [
        "line 3: `join-key` is not known; it is spelt `join_key`",
        "line 4: light must be a list",
    ] {
        assert!(log.contains(complaint), "{complaint}: {log}");
    }
}

#[test]
fn the_demo_can_have_as_many_controllers_as_somebody_wants() {
    let demo = Demo::builder().nodes(3).engine("process").controllers(3).start();
    let controllers = demo.nodes().into_iter().filter(|node| node["controller"] == true);
    assert_eq!(controllers.count(), 3);
}
