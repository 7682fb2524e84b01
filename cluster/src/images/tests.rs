use api::{images::Brought, sync::SyncRequest};

use super::*;
use crate::{
    sync::receive,
    testing::{World, bramble, held, moment, name, pi, report},
};

fn at() -> Timestamp {
    Timestamp::from_millis(5)
}

/// What the leader knows once every Pi named here said what it holds.
fn heard(world: &World, holdings: &[(u128, Vec<HeldImage>)]) -> LeaderMemory {
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    for (number, images) in holdings {
        let mut request = report(&world.state, *number);
        request.holdings.version = 7;
        request.holdings.images = Some(images.clone());
        says(world, &mut memory, *number, &request);
    }
    memory
}

fn says(world: &World, memory: &mut LeaderMemory, number: u128, request: &SyncRequest) {
    receive(&world.state, memory, pi(number), request, moment(1)).unwrap();
}

fn fetched(image: HeldImage, digest: &str) -> HeldImage {
    HeldImage {
        digests: [digest.to_owned()].into(),
        ..image
    }
}

fn found(meaning: Meaning) -> ImageFacts {
    match meaning {
        Meaning::Found(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_built_on_a_node_is_used_and_no_registry_is_asked() {
    let world = bramble().nodes(2);
    let memory = heard(&world, &[(1, vec![held(1, 0, &["hello:1"])]), (2, vec![])]);
    let facts = found(meaning(&world.state, &memory, "docker.io/library/hello:1", at()));
    assert_eq!(facts.digest, "sha256:1");
    assert_eq!(facts.source, ImageSource::Engine("pi-3b-plus-0001".to_owned()));
    assert_eq!(facts.variants.len(), 1);
}

#[test]
fn of_two_builds_of_one_name_the_newer_is_meant() {
    let world = bramble().nodes(2);
    let (old, new) = (held(9, 100, &["hello:1"]), held(1, 200, &["hello:1"]));
    let memory = heard(&world, &[(1, vec![old]), (2, vec![new])]);
    assert_eq!(
        found(meaning(&world.state, &memory, "hello:1", at())).digest,
        "sha256:1"
    );
}

#[test]
fn what_came_from_a_registry_is_asked_for_again_and_serves_if_nobody_answers() {
    let world = bramble().nodes(1);
    let image = fetched(held(1, 0, &["ghcr.io/x/y:latest"]), "ghcr.io/x/y@sha256:list");
    let memory = heard(&world, &[(1, vec![image])]);
    let Meaning::Ask {
        reference,
        otherwise: Some(otherwise),
        early: false,
    } = meaning(&world.state, &memory, "ghcr.io/x/y", at())
    else {
        panic!()
    };
    assert_eq!(reference.registry(), "ghcr.io");
    assert_eq!(otherwise.digest, "sha256:list");
}

#[test]
fn a_new_leader_knows_that_it_may_be_too_early() {
    let world = bramble().nodes(2);
    let memory = heard(&world, &[(1, vec![])]);
    let early = |memory| match meaning(&world.state, memory, "ghcr.io/x/y", at()) {
        Meaning::Ask { early, .. } => early,
        other => panic!("{other:?}"),
    };
    assert!(early(&memory));
    let memory = heard(&world, &[(1, vec![]), (2, vec![])]);
    assert!(!early(&memory));
}

#[test]
fn what_was_sent_to_the_bramble_goes_before_everything_else() {
    let world = bramble().nodes(2);
    let sent = held(5, 1, &["team/hello:1"]);
    let facts = pushed(&world.state, "team/hello:1", &sent, pi(2), at());
    let world = world.does(Action::PutImage {
        name: "team/hello:1".to_owned(),
        facts: Arc::new(facts),
    });
    let own = held(6, 999, &["team/hello:1"]);
    let memory = heard(&world, &[(1, vec![own.clone()]), (2, vec![sent])]);
    assert_eq!(
        found(meaning(&world.state, &memory, "team/hello:1", at())).digest,
        "sha256:5"
    );

    let memory = heard(&world, &[(1, vec![own]), (2, vec![])]);
    let Meaning::Nothing(words) = meaning(&world.state, &memory, "team/hello:1", at()) else {
        panic!()
    };
    assert!(
        words.contains("pi-3b-plus-0002") && words.contains("bramble image push"),
        "{words}"
    );
}

#[test]
fn an_image_sent_for_another_platform_is_added_to_the_name() {
    let world = bramble().nodes(1);
    let arm64 = pushed(&world.state, "hello:1", &held(1, 0, &[]), pi(1), at());
    let world = world.does(Action::PutImage {
        name: "hello:1".to_owned(),
        facts: Arc::new(arm64),
    });
    let arm_v7 = HeldImage {
        platform: "linux/arm/v7".parse().unwrap(),
        ..held(2, 0, &[])
    };
    let both = pushed(&world.state, "hello:1", &arm_v7, pi(1), at());
    assert_eq!(both.variants.len(), 2);
    assert_eq!(
        pushed(&world.state, "hello:1", &held(3, 0, &[]), pi(1), at())
            .variants
            .len(),
        1
    );
}

#[test]
fn holders_are_told_by_content_where_their_engines_call_it_differently() {
    let world = bramble()
        .nodes(3)
        .deployed(r#"figlet,"image":"ghcr.io/x/figlet:1""#)
        .image_found("figlet", &["linux/arm64"]);
    let mut first = held(1, 0, &[]);
    first.id = "sha256:figlet-linux/arm64".to_owned();
    let mut copy = held(1, 0, &[]);
    copy.id = "sha256:manifest".to_owned();
    copy.brought = Some(Brought::Copied);
    let memory = heard(
        &world,
        &[(1, vec![first]), (2, vec![copy]), (3, vec![held(8, 0, &[])])],
    );
    let facts = world
        .state
        .function(&name("figlet"))
        .unwrap()
        .image
        .clone()
        .unwrap();
    let arm64 = "linux/arm64".parse().unwrap();
    assert_eq!(
        holders(&world.state, &memory, &facts, &arm64),
        [pi(1), pi(2)].into()
    );
    let world = world.down(1);
    assert!(
        holders(&world.state, &memory, &facts, &arm64).is_empty(),
        "nothing ties the copy to it"
    );
    let learned = learned(&world.state, &memory);
    assert!(learned.is_empty());
}

#[test]
fn what_a_node_found_out_is_pinned_so_that_copies_outlive_the_first_holder() {
    let world = bramble()
        .nodes(2)
        .deployed(r#"figlet,"image":"ghcr.io/x/figlet:1""#)
        .image_found("figlet", &["linux/arm64"]);
    let mut first = held(1, 0, &[]);
    first.id = "sha256:figlet-linux/arm64".to_owned();
    let copy = HeldImage {
        id: "sha256:manifest".to_owned(),
        ..held(1, 0, &[])
    };
    let memory = heard(&world, &[(1, vec![first]), (2, vec![copy])]);
    let actions = learned(&world.state, &memory);
    assert_eq!(actions.len(), 1);
    let world = world.does(actions[0].clone()).down(1);
    assert!(learned(&world.state, &memory).is_empty(), "written once");
    let facts = world
        .state
        .function(&name("figlet"))
        .unwrap()
        .image
        .clone()
        .unwrap();
    let arm64 = "linux/arm64".parse().unwrap();
    assert_eq!(holders(&world.state, &memory, &facts, &arm64), [pi(2)].into());
}

#[test]
fn orders_name_the_holders_of_what_a_node_lacks_and_nothing_else() {
    let world = bramble()
        .nodes(2)
        .deployed(r#"figlet,"image":"ghcr.io/x/figlet:1""#)
        .image_found("figlet", &["linux/arm64"])
        .planned();
    assert_eq!(world.spread("figlet"), [(1, 1)]);
    let mut image = held(1, 0, &[]);
    image.id = "sha256:figlet-linux/arm64".to_owned();
    let holders_for_1 = |holdings: &[(u128, Vec<HeldImage>)]| {
        let memory = heard(&world, holdings);
        let request = report(&world.state, 1);
        let mut orders = crate::sync::orders_now(&world.state, pi(1), &request).unwrap();
        furnish(&mut orders, &world.state, &memory, pi(1));
        assert_eq!(orders.holdings, Some(7));
        orders.holders
    };
    let elsewhere = holders_for_1(&[(1, vec![]), (2, vec![image.clone()])]);
    assert_eq!(elsewhere, [("sha256:figlet".to_owned(), [pi(2)].into())].into());
    assert!(holders_for_1(&[(1, vec![image.clone()]), (2, vec![image])]).is_empty());
}

#[test]
fn holdings_are_remembered_until_other_ones_come() {
    let world = bramble().nodes(1);
    let mut memory = heard(&world, &[(1, vec![held(1, 0, &[])])]);
    let mut request = report(&world.state, 1);
    request.holdings.version = 7;
    says(&world, &mut memory, 1, &request);
    assert_eq!(memory.held(pi(1)).unwrap().len(), 1);
    assert_eq!(memory.holdings_version(pi(1)), Some(7));
}

#[test]
fn a_redeployment_looks_the_image_up_anew_and_older_replicas_keep_theirs() {
    let figlet = r#"figlet,"image":"ghcr.io/x/figlet""#;
    let world = bramble()
        .nodes(1)
        .deployed(figlet)
        .image_found("figlet", &["linux/arm64"])
        .settled()
        .deployed(figlet);
    let function = world.state.function(&name("figlet")).unwrap();
    assert!(function.image.is_none() && function.lacks_image());
    let (_, replica) = world.state.replicas_of(&function.spec.name).next().unwrap();
    let older = function.image_of(replica.version).unwrap();
    assert_eq!(older.digest, "sha256:figlet");
    assert!(
        used(&world.state).ids.contains("sha256:figlet"),
        "what still runs is still used"
    );
    assert_eq!(world.serving_versions("figlet").len(), 1, "and serves on");
    let world = world.planned();
    assert_eq!(
        world.serving_versions("figlet").len(),
        1,
        "while the image is looked up"
    );
}

#[test]
fn a_late_answer_is_not_pinned_to_another_version_nor_over_what_was_found() {
    let figlet = r#"figlet,"image":"ghcr.io/x/figlet""#;
    let world = bramble().nodes(1).deployed(figlet);
    let version = world.state.function(&name("figlet")).unwrap().version;
    let pin = |digest: &str| Action::PinImage {
        function: name("figlet"),
        version,
        facts: Arc::new(ImageFacts {
            digest: digest.to_owned(),
            source: ImageSource::Registry,
            variants: BTreeMap::new(),
            resolved_at: at(),
            problem: None,
        }),
    };
    let mut world = world.does(pin("sha256:a"));
    assert!(matches!(world.apply(pin("sha256:b")), crate::Outcome::Refused(_)));
    let mut world = world.deployed(figlet);
    assert!(matches!(world.apply(pin("sha256:b")), crate::Outcome::Refused(_)));
}

#[test]
fn the_list_shows_names_holders_and_users() {
    let world = bramble()
        .nodes(2)
        .deployed(r#"figlet,"image":"ghcr.io/x/figlet:1""#)
        .image_found("figlet", &["linux/arm64"])
        .deployed("env");
    let mut figlet = held(1, 0, &[]);
    figlet.id = "sha256:figlet-linux/arm64".to_owned();
    let built_in = held(2, 0, &["bramble/env:latest"]);
    let nameless = HeldImage {
        brought: Some(Brought::Copied),
        ..held(3, 0, &[])
    };
    let dangling = held(4, 0, &[]);
    let memory = heard(
        &world,
        &[
            (1, vec![figlet.clone(), built_in, nameless, dangling]),
            (2, vec![figlet]),
        ],
    );
    let images = list(&world.state, &memory);
    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["bramble/env:latest", "ghcr.io/x/figlet:1", "sha256:3"]);
    assert!(
        images[0].built_in && images[0].used_by == ["env"],
        "{:?}",
        images[0]
    );
    assert_eq!(images[1].nodes, ["pi-3b-plus-0001", "pi-3b-plus-0002"]);
    assert_eq!(images[1].digest, "sha256:figlet");
    assert!(images[2].used_by.is_empty());
}

#[test]
fn an_image_goes_where_there_is_the_most_room_and_nowhere_where_there_is_none() {
    let world = bramble().nodes(2);
    let mut memory = LeaderMemory::new(&world.state, moment(0));
    for (number, free) in [(1, 1_000_000_000), (2, 2_000_000_000)] {
        let mut request = report(&world.state, number);
        request.vitals.disk_free_bytes = free;
        says(&world, &mut memory, number, &request);
    }
    assert_eq!(place_for(&world.state, &memory, Some(100)), Ok(pi(2)));
    let words = place_for(&world.state, &memory, Some(1_000_000_000)).unwrap_err();
    assert!(
        words.contains("pi-3b-plus-0002") && words.contains("2000 MB"),
        "{words}"
    );
    let world = world.cordoned(2);
    assert_eq!(place_for(&world.state, &memory, None), Ok(pi(1)));
}

#[test]
fn a_function_uses_what_its_image_meant_when_it_was_deployed() {
    let put = |world: World, facts: &ImageFacts| {
        world.does(Action::PutImage {
            name: "team/hello:1".to_owned(),
            facts: Arc::new(facts.clone()),
        })
    };
    let world = bramble().nodes(1);
    let (old, new) = (held(5, 1, &["team/hello:1"]), held(6, 2, &["team/hello:1"]));
    let facts = pushed(&world.state, "team/hello:1", &old, pi(1), at());
    let world = put(world, &facts).deployed(r#"hello,"image":"team/hello:1""#);
    let version = world.state.function(&name("hello")).unwrap().version;
    let world = world.does(Action::PinImage {
        function: name("hello"),
        version,
        facts: Arc::new(facts),
    });
    let newer = pushed(&world.state, "team/hello:1", &new, pi(1), at());
    let world = put(world, &newer);

    let nameless = HeldImage {
        names: [].into(),
        brought: Some(Brought::Copied),
        ..old
    };
    let images = list(&world.state, &heard(&world, &[(1, vec![nameless, new])]));
    let used: Vec<_> = images
        .iter()
        .map(|image| (image.name.as_str(), image.used_by.join(" ")))
        .collect();
    assert_eq!(
        used,
        [("sha256:5", "hello".to_owned()), ("team/hello:1", String::new())]
    );
}
