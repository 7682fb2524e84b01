//! Who is part of a bramble, and what is said of nodes, by commands: real Pis, and what the program prints, word by word.

use serde_json::Value;
use tests::{
    demo::wait_for,
    table::{KEY, PASSWORD, Pi, Table},
};

use crate::operator::{Done, Operator};

/// Waits until so many nodes are up, as `pi` answers.
fn up(pi: &Pi, count: usize) -> Vec<Value> {
    wait_for("all to be up", || {
        let nodes = pi.nodes();
        (nodes.iter().filter(|node| node["phase"] == "up").count() == count).then_some(nodes)
    })
}

fn name(node: &Value) -> String {
    node["name"].as_str().unwrap().to_owned()
}

/// The names of who leads and of the other node: there is no third one.
fn leader_and_other(nodes: &[Value]) -> (String, String) {
    assert_eq!(nodes.len(), 2, "{nodes:#?}");
    let one = |leads: bool| name(nodes.iter().find(|node| node["leader"] == leads).unwrap());
    (one(true), one(false))
}

/// The node that waits with the letters that this Pi shows.
fn that_shows(host: &Pi, pi: &Pi) -> Value {
    wait_for("it to wait", || {
        let shown = pi.client().try_send("GET", "/ui/", "")?.text();
        let letters = |node: &Value| shown.contains(node["fingerprint"].as_str().unwrap());
        host.waiting().into_iter().find(letters)
    })
}

/// The words of each line, however far apart.
fn words(text: &str) -> Vec<String> {
    let joined = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(joined).collect()
}

/// Fails with this exit code and these words.
fn fails(operator: &Operator, line: &str, code: i32, words: &str) {
    let done = operator.does(line);
    assert_eq!(
        (done.code, done.out.as_str()),
        (code, ""),
        "bramble {line}: {done:?}"
    );
    assert!(done.err.contains(words), "bramble {line}: {done:?}");
}

#[test]
fn nodes_are_let_in_or_turned_away_and_put_out_again() {
    let mut table = Table::set(3, KEY);
    for pi in &table.pis[1..] {
        pi.rewrite(|card| card.replace(KEY, ""));
    }
    table.pis[0].power_on();
    table.pis[0].first_visit();
    let operator = Operator::new();
    operator.logs_in_at(&table.pis[0].portal(), PASSWORD);
    let Done { code, out, err, .. } = operator.does("nodes waiting");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "Nobody waits.\n"));

    table.pis[1].power_on();
    table.pis[2].power_on();
    let host = &table.pis[0];
    let (wanted, unwanted) = (that_shows(host, &table.pis[1]), that_shows(host, &table.pis[2]));
    let row = |node: &Value, note: &str| {
        let letters = node["fingerprint"].as_str().unwrap();
        let row = format!(
            "{} {letters} 127.0.0.1 1 GiB Raspberry Pi 4 Model B {note}",
            name(node)
        );
        row.trim_end().to_owned()
    };
    let mut shown = words(&operator.succeeds("nodes waiting"));
    assert_eq!(shown.remove(0), "NAME SHOWS ADDRESS MEMORY BOARD NOTE");
    shown.sort();
    let mut expected = [row(&wanted, ""), row(&unwanted, "")];
    expected.sort();
    assert_eq!(shown, expected);

    let (wanted, unwanted) = (name(&wanted), name(&unwanted));
    let blinks = operator.succeeds(&format!("identify {wanted}"));
    assert_eq!(blinks, format!("The light of {wanted} blinks for 60 s.\n"));
    let identifies = |host: &Pi| -> Vec<Value> {
        let waiting = host.waiting().into_iter();
        waiting.filter(|node| node["identifies"] == true).collect()
    };
    assert_eq!(name(&identifies(host)[0]), wanted);
    operator.succeeds(&format!("identify {wanted} --stop"));
    assert_eq!(identifies(host), [] as [Value; 0]);
    fails(&operator, "identify nobody", 5, "no node nobody in this bramble");
    let refused = operator.succeeds(&format!("nodes refuse {unwanted}"));
    assert_eq!(refused, format!("Refused: {unwanted}.\n"));
    let again = format!("nodes admit {unwanted}");
    fails(
        &operator,
        &again,
        5,
        &format!("no node {unwanted} waits: `bramble nodes waiting` shows who does"),
    );
    let admitted = operator.succeeds(&format!("nodes admit {wanted}"));
    assert_eq!(admitted, format!("Admitted: {wanted}.\n"));
    let (leader, other) = leader_and_other(&up(host, 2));
    assert_eq!(other, wanted);
    assert_eq!(operator.does("nodes waiting").err, "Nobody waits.\n");

    fails(
        &operator,
        &format!("nodes remove {leader}"),
        1,
        "this node leads the bramble",
    );
    fails(
        &operator,
        "nodes remove nobody",
        5,
        "no node nobody in this bramble",
    );
    let removed = operator.succeeds(&format!("nodes remove {wanted}"));
    assert_eq!(
        removed,
        format!("Removed: {wanted}. It stops what it runs, and stays out until somebody admits it again.\n")
    );
    assert_eq!(operator.succeeds("nodes -q"), format!("{leader}\n"));
    let waits = wait_for("it to wait again", || host.waiting().first().cloned());
    let shown = words(&operator.succeeds("nodes waiting"));
    assert_eq!(shown[1..], [row(&waits, "was removed before")]);
    operator.succeeds(&format!("nodes admit {wanted}"));
    assert_eq!(leader_and_other(&up(host, 2)).1, wanted);
}

#[test]
fn a_node_is_renamed_cordoned_and_told_whether_to_be_a_controller() {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let host = &table.pis[0];
    let (leader, other) = leader_and_other(&up(host, 2));
    let operator = Operator::new();
    operator.logs_in_at(&host.portal(), PASSWORD);
    // State and role of the node, as the table shows them.
    let shown = |node: &str| {
        let rows = words(&operator.succeeds("nodes"));
        let row = rows
            .iter()
            .find(|row| row.starts_with(&format!("{node} ")))
            .unwrap();
        let (about, _) = row.split_once(" 0 ").unwrap();
        about[node.len() + 1..].to_owned()
    };

    let renamed = operator.succeeds(&format!("nodes rename {other} window"));
    assert_eq!(renamed, format!("{other} is called window now.\n"));
    fails(
        &operator,
        &format!("nodes rename window {leader}"),
        1,
        &format!("another node is called {leader}"),
    );
    fails(
        &operator,
        "nodes rename window Window",
        1,
        "lower case letters, digits and hyphens",
    );
    fails(
        &operator,
        "nodes rename window bramble",
        1,
        "this name leads elsewhere already",
    );
    fails(
        &operator,
        &format!("nodes rename {other} door"),
        5,
        &format!("no node {other} in this bramble"),
    );
    assert_eq!(shown("window"), "up");

    let rows = [
        (
            "cordon window",
            "window takes nothing new. What runs there goes on.",
            "cordoned",
        ),
        ("uncordon window", "window takes replicas again.", "up"),
        (
            "controller window never",
            "window should be no controller: if it is one, another takes its place.",
            "up never",
        ),
        (
            "controller window as-fits",
            "The bramble decides whether window is a controller.",
            "up",
        ),
    ];
    for (line, says, then) in rows {
        assert_eq!(operator.succeeds(&format!("nodes {line}")), format!("{says}\n"));
        assert_eq!(shown("window"), then, "after {line}");
    }
    fails(
        &operator,
        "nodes controller window sometimes",
        2,
        "always, never, as-fits",
    );
    fails(
        &operator,
        "nodes cordon nobody",
        5,
        "no node nobody in this bramble",
    );

    let fits = "There should be as many controllers as fit the number of nodes.\n";
    assert_eq!(
        operator.succeeds("nodes controllers"),
        format!("{fits}Controllers now: {leader}.\n")
    );
    assert_eq!(
        operator.succeeds("nodes controllers 1"),
        "There should be 1 controller.\n"
    );
    assert_eq!(
        operator.succeeds("nodes controllers"),
        format!("There should be 1 controller.\nControllers now: {leader}.\n")
    );
    fails(&operator, "nodes controllers 2", 2, "1, 3, 5 or auto");
    assert_eq!(operator.succeeds("nodes controllers auto"), fits);

    // Whoever is pinned takes the place of whoever is not, and leads then.
    assert_eq!(
        operator.succeeds("nodes controller window always"),
        "window should be a controller: it becomes one as soon as it can.\n"
    );
    operator.succeeds(&format!("nodes controller {leader} never"));
    wait_for("it to lead", || {
        (shown("window") == "up leader, always").then_some(())
    });
    wait_for("the other to be none", || {
        (shown(&leader) == "up never").then_some(())
    });
}

#[test]
fn a_card_that_is_flashed_anew_is_known_by_its_board() {
    let mut table = Table::set(2, KEY);
    table.pis[0].power_on();
    table.pis[0].first_visit();
    table.pis[1].power_on();
    let (leader, old) = leader_and_other(&up(&table.pis[0], 2));
    let operator = Operator::new();
    operator.logs_in_at(&table.pis[0].portal(), PASSWORD);
    fails(
        &operator,
        &format!("nodes replace {leader}"),
        1,
        "there is nothing to replace",
    );

    // It has the join key, so it is in.
    table.pis[1].flash();
    table.pis[1].power_on();
    let offered = wait_for("the offer", || {
        let nodes = table.pis[0].nodes();
        nodes.iter().find(|node| node["replaces"] == old).map(name)
    });
    let offer = format!(
        "{offered} seems to be {old} with a new card: `bramble nodes replace {offered}` has it go on as {old}.\n"
    );
    assert!(operator.succeeds("nodes").ends_with(&offer));
    assert_eq!(
        operator.succeeds(&format!("nodes replace {offered}")),
        format!("{offered} goes on as the node that it was.\n")
    );
    assert_eq!(
        leader_and_other(&up(&table.pis[0], 2)),
        (leader.clone(), old.clone())
    );

    // It has not, so it waits.
    table.pis[1].flash();
    table.pis[1].rewrite(|card| card.replace(KEY, ""));
    table.pis[1].power_on();
    let waits = wait_for("it to be known", || {
        let waiting = table.pis[0].waiting();
        waiting.iter().find(|node| node["replaces"] == old).map(name)
    });
    let shown = words(&operator.succeeds("nodes waiting"));
    assert!(
        shown[1].ends_with(&format!("seems to be {old} with a new card")),
        "{shown:?}"
    );
    assert_eq!(
        operator.succeeds(&format!("nodes admit {waits} --replace")),
        format!("Admitted: {waits} goes on as {old}.\n")
    );
    assert_eq!(leader_and_other(&up(&table.pis[0], 2)), (leader, old));
}
