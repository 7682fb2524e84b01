//! Lights, as people change, play and ask for them.

use std::time::{Duration, Instant};

use hardware::light::Says;
use serde_json::{Value, json};

use crate::operator::{Operator, two_nodes};

#[test]
fn the_demo_of_lights_plays_every_message_and_replicas_beside_them() {
    let operator = Operator::new();
    let began = Instant::now();
    let out = operator.succeeds("lights --demo --each 0.3");
    let took = began.elapsed();
    let mut rest = out.as_str();
    for says in Says::ALL {
        let line = format!("{} ({})\n", says.meaning(), says.rhythm());
        let (_, after) = rest
            .split_once(&line)
            .unwrap_or_else(|| panic!("no {line:?}, or not in its turn, in\n{out}"));
        rest = after;
    }
    // figlet's colour, at half its brightness.
    let joined = out.split(Says::Joined.meaning()).nth(1).unwrap();
    let joined = joined.lines().nth(1).unwrap();
    assert!(joined.contains("\x1b[38;2;0;133;154m■"), "{joined:?}");
    assert!(took > Duration::from_millis(300) * 14, "{took:?}");

    for line in [
        "lights --each 2",
        "lights --demo --each 0",
        "lights --demo --each long",
    ] {
        assert_eq!(operator.does(line).code, 2, "{line}");
    }
}

#[test]
fn lights_are_dimmed_rest_at_night_and_show_where_a_board_is() {
    let demo = two_nodes();
    let operator = Operator::new();
    operator.logs_in(&demo);
    let lights = || -> Value { demo.client().get("/api/v1/lights").json() };

    assert_eq!(operator.succeeds("lights"), "Lights shine at 50 %.\n");
    assert_eq!(
        operator.succeeds("lights --brightness 20"),
        "Lights shine at 20 %.\n"
    );
    assert_eq!(lights(), json!({"brightness": 20}));
    let out = operator.succeeds("lights --quiet 22:00-07:00");
    assert_eq!(out, "Lights shine at 20 %, and not at all from 22:00-07:00.\n");
    assert_eq!(lights(), json!({"brightness": 20, "quiet": "22:00-07:00"}));
    assert_eq!(operator.succeeds("lights"), out, "looking changes nothing");
    operator.succeeds("lights --quiet none");
    assert_eq!(lights(), json!({"brightness": 20}));
    assert_eq!(operator.does("lights --quiet nights").code, 2);

    let name = demo.node_names().pop().unwrap();
    let says = |what: &str| {
        demo.wait(&format!("the light of {name} to say {what}"), || {
            let nodes = demo.nodes();
            let node = nodes.iter().find(|node| node["name"] == *name)?;
            ((node["light"]["says"] == "identify") == (what == "identify")).then_some(())
        });
    };
    let out = operator.succeeds(&format!("identify {name} --for 600"));
    assert_eq!(out, format!("The light of {name} blinks for 600 s.\n"));
    says("identify");
    let out = operator.succeeds(&format!("identify {name} --stop"));
    assert_eq!(out, format!("{name} says what it said before.\n"));
    says("what it said before");
    let nobody = operator.does("identify pi-9");
    assert!(nobody.code != 0 && nobody.err.contains("pi-9"), "{nobody:?}");
}
