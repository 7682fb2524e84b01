use api::node::EngineKind;

use super::*;
use crate::testing::{World, bramble, pi, spec};

fn schedule(world: &World, text: &str) -> Result<NodeId, BTreeMap<NodeId, String>> {
    let spec = spec(text);
    let mut counts = BTreeMap::new();
    for (_, replica) in world.state.replicas_of(&spec.name) {
        *counts.entry(replica.node).or_default() += 1;
    }
    let sentences = |refusals: BTreeMap<NodeId, Reason>| {
        refusals
            .into_iter()
            .map(|(node, reason)| (node, reason.to_string()))
            .collect()
    };
    let function = world.state.function(&spec.name);
    let wish = Wish {
        spec: &spec,
        image: function.and_then(|function| function.image.as_deref()),
    };
    Draft::new(&world.state)
        .schedule(wish, &counts)
        .map_err(sentences)
}

fn refusal(world: &World, text: &str) -> String {
    let refusals = schedule(world, text).unwrap_err();
    refusals.into_values().next().unwrap()
}

const MIB_128: &str = r#""requests":{"memory":"128Mi"}"#;

#[test]
fn a_replica_goes_to_the_node_with_the_most_free_memory() {
    let world = bramble().node(1, 300).node(2, 700).node(3, 500);
    assert_eq!(schedule(&world, "env"), Ok(pi(2)));
}

#[test]
fn a_second_replica_goes_to_a_node_that_has_none() {
    let world = bramble().node(1, 900).node(2, 200).deployed("env").planned();
    assert_eq!(world.spread("env"), [(1, 1)]);
    assert_eq!(schedule(&world, "env"), Ok(pi(2)));
}

#[test]
fn equal_nodes_are_taken_by_id() {
    assert_eq!(schedule(&bramble().nodes(3), "env"), Ok(pi(1)));
}

#[test]
fn every_node_that_is_full_says_how_full_it_is() {
    let world = bramble().node(1, 100).node(2, 40);
    let refusals = schedule(&world, &format!("env,{MIB_128}")).unwrap_err();
    assert_eq!(
        refusals[&pi(1)],
        "no memory left: 128 MiB wanted, 100 MiB of 100 MiB free"
    );
    assert_eq!(
        refusals[&pi(2)],
        "no memory left: 128 MiB wanted, 40 MiB of 40 MiB free"
    );
}

#[test]
fn replicas_that_drain_still_have_their_memory() {
    let world = bramble()
        .node(1, 150)
        .deployed(&format!("env,{MIB_128}"))
        .planned()
        .scaled("env", 0)
        .planned();
    assert!(
        world
            .state
            .replicas()
            .values()
            .all(|replica| replica.is_draining())
    );
    assert_eq!(
        refusal(&world, &format!("other,{MIB_128}")),
        "no memory left: 128 MiB wanted, 22 MiB of 150 MiB free"
    );
}

#[test]
fn cores_run_out_too() {
    let world = bramble().node(1, 900);
    let text = r#"env,"requests":{"cpu":"4"}"#;
    assert_eq!(
        refusal(&world, text),
        "no CPU left: 4 cores wanted, 3.9 cores of 3.9 cores free"
    );
}

#[test]
fn an_image_for_another_architecture_is_refused_in_words() {
    let only_32 = |number| {
        move |facts: &mut api::NodeFacts| {
            facts.platforms = vec!["linux/arm/v7".parse().unwrap()];
            facts.name = format!("pi-2b-{}", pi(number).tail());
        }
    };
    let figlet = r#"figlet,"image":"ghcr.io/openfaas/figlet:latest""#;
    let world = bramble()
        .node_with(1, 924, only_32(1))
        .deployed(figlet)
        .image_found("figlet", &["linux/amd64", "linux/arm64"]);
    assert_eq!(
        refusal(&world, figlet),
        "this image has no linux/arm/v7, which this 32-bit node needs; it is made for linux/amd64, linux/arm64"
    );
}

#[test]
fn nothing_is_placed_before_its_image_is_found() {
    let figlet = r#"figlet,"image":"figlet:latest""#;
    let world = bramble().nodes(1).deployed(figlet);
    assert_eq!(refusal(&world, figlet), "waits until the image is found");
    let world = world.image_missing("figlet", "nobody has it");
    assert_eq!(refusal(&world, figlet), "nobody has it");
    let world = world.image_found("figlet", &["linux/arm64"]);
    assert_eq!(schedule(&world, figlet), Ok(pi(1)));
}

#[test]
fn a_program_for_small_memory_pages_is_not_placed_on_large_ones() {
    let figlet = r#"figlet,"image":"figlet:latest""#;
    let world = bramble()
        .node_with(1, 924, |facts| facts.page_bytes = 16_384)
        .deployed(figlet)
        .image_found_with("figlet", &["linux/arm64"], |variant| {
            variant.page_bytes = Some(4096)
        });
    assert!(
        refusal(&world, figlet)
            .starts_with("its memory pages have 16 KiB, and the image's program is linked for 4 KiB"),
        "{}",
        refusal(&world, figlet)
    );
}

#[test]
fn built_in_images_are_made_for_every_node() {
    assert_eq!(schedule(&bramble().node(1, 700), "env"), Ok(pi(1)));
}

#[test]
fn a_node_without_docker_takes_only_built_in_functions_and_names_the_cure() {
    let world = bramble().node_with(1, 924, |facts| facts.engine = EngineKind::Process);
    assert_eq!(schedule(&world, "env"), Ok(pi(1)));
    let why = refusal(&world, r#"figlet,"image":"figlet:latest""#);
    assert_eq!(
        why,
        "its engine (process) runs only built-in functions, not figlet:latest; install Docker on it, or use an image \
         of bramble/"
    );
}

#[test]
fn constraints_compare_board_name_architecture_and_system() {
    let world = bramble()
        .node(1, 700)
        .node_with(2, 1900, |facts| facts.name = "pi-4b-0002".to_owned());
    let on = |constraint: &str| schedule(&world, &format!(r#"env,"constraints":["{constraint}"]"#));
    assert_eq!(on("board=pi-4b"), Ok(pi(2)));
    assert_eq!(on("board=pi-3b-plus"), Ok(pi(1)));
    assert_eq!(on("kubernetes.io/hostname=pi-3b-plus-0001"), Ok(pi(1)));
    assert!(on("kubernetes.io/arch=arm64").is_ok() && on("kubernetes.io/os=linux").is_ok());
    let refusals = on("board=pi-5").unwrap_err();
    assert_eq!(refusals[&pi(1)], "does not match the constraint board=pi-5");
    assert!(on("kubernetes.io/arch=riscv64").is_err() && on("kubernetes.io/os=lin").is_err());
}

#[test]
fn nodes_that_are_down_or_cordoned_take_nothing_new() {
    let world = bramble().nodes(2).down(1).cordoned(2);
    let refusals = schedule(&world, "env").unwrap_err();
    assert_eq!(refusals[&pi(1)], "is unplugged or out of reach");
    assert_eq!(refusals[&pi(2)], "is cordoned");
}

const BLINK: &str = r#"blink,"annotations":{"bramble.devices":"gpio"}"#;

fn offers(devices: &str) -> impl FnOnce(&mut api::NodeFacts) {
    let devices = devices.parse().unwrap();
    |facts| facts.devices = devices
}

#[test]
fn only_a_node_that_offers_the_device_and_may_give_it_takes_the_function() {
    let world = bramble()
        .node(1, 700)
        .node_with(2, 924, offers("gpio,i2c"))
        .node_with(3, 924, offers("gpio"));
    assert_eq!(schedule(&world, "env"), Ok(pi(2)), "others go anywhere");
    let refusals = schedule(&world, BLINK).unwrap_err();
    assert_eq!(
        refusals[&pi(1)],
        "has no gpio to offer, which the function asks for"
    );
    assert_eq!(
        refusals[&pi(2)],
        "has gpio, but nobody has allowed functions to use that; an admin does by `bramble nodes devices \
         pi-3b-plus-0002 --allow gpio`"
    );
    let world = world.allowed(3, "gpio").allowed(1, "gpio");
    assert_eq!(schedule(&world, BLINK), Ok(pi(3)), "allowed is not offered");
}

#[test]
fn every_device_that_is_asked_for_has_to_be_allowed_and_the_cure_keeps_what_is() {
    let world = bramble()
        .node_with(1, 924, offers("gpio,i2c,camera"))
        .allowed(1, "i2c,camera");
    let both = r#"blink,"annotations":{"bramble.devices":"gpio,i2c"}"#;
    assert_eq!(
        refusal(&world, both),
        "has gpio, but nobody has allowed functions to use that; an admin does by `bramble nodes devices \
         pi-3b-plus-0001 --allow gpio,i2c,camera`"
    );
    assert_eq!(schedule(&world.allowed(1, "gpio,i2c"), both), Ok(pi(1)));
}

#[test]
fn a_node_without_docker_says_that_it_gives_no_devices() {
    let world = bramble()
        .node_with(1, 924, |facts| facts.engine = EngineKind::Process)
        .allowed(1, "gpio");
    assert!(refusal(&world, BLINK).contains("install Docker on it"));
}
