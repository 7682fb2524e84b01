//! What is stored stays readable: the state and every kind of command against files that are kept.
//!
//! A file changes only together with the version in its envelope, or by gaining a field that has a default.
//! `UPDATE_GOLDEN=1 cargo test -p cluster` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the files are what is tested")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use api::{
    Cpu, Device, FunctionName, FunctionSpec, Memory, NodeFacts, NodeId, ReplicaId, Revision, SessionId,
    Timestamp,
    images::{Cleaned, ImageFacts, ImageSource, ImageVariant},
    join::BrambleId,
    light::LightSettings,
    node::EngineKind,
    openfaas::FunctionDeployment,
    sync::Phase,
    versioned::{Versioned, decode, encode},
};
use cluster::{
    Action, Command, Outcome, Refusal, State,
    autopilot::Wish,
    command::{Expect, FunctionRelied, NodeRelied, PhaseChange, Placement, Relies},
    outcome::Stale,
    permissions::Role,
    secrets::{Sealed, SecretName},
    state::NodePhase,
    totals::FunctionTotals,
};

fn matches_golden<T: Versioned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.json"));
    let pretty: serde_json::Value = serde_json::from_slice(&encode(value)).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &pretty).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(
        pretty, kept,
        "{name} is written differently now: raise its version, or give the new field a default"
    );
    assert_eq!(
        &decode::<T>(kept.as_bytes()).unwrap(),
        value,
        "{name} reads back as it was"
    );
}

fn id() -> NodeId {
    NodeId::from_number(1)
}

fn name() -> FunctionName {
    FunctionName::new("env", "").unwrap()
}

fn facts() -> Box<NodeFacts> {
    Box::new(NodeFacts {
        name: "pi-3b-plus-7f2a".to_owned(),
        board: "Raspberry Pi 3 Model B Plus".to_owned(),
        address: "192.168.1.20:7443".parse().unwrap(),
        memory: Memory::from_mib(924),
        cpu: Cpu::from_cores(4),
        platforms: vec!["linux/arm64".parse().unwrap(), "linux/arm/v7".parse().unwrap()],
        os: "Debian GNU/Linux 13 (trixie)".to_owned(),
        page_bytes: 4096,
        engine: EngineKind::Docker,
        version: "0.1.0".to_owned(),
        serial: None,
        devices: Default::default(),
        details: Default::default(),
    })
}

fn spec(env: &str) -> Arc<FunctionSpec> {
    let text = format!(
        r#"{{"service":"env","image":"bramble/env:latest","envVars":{{"A":"{env}"}},
            "labels":{{"com.openfaas.scale.min":"2"}},"limits":{{"memory":"64Mi","cpu":"100m"}}}}"#
    );
    let deployment: FunctionDeployment = serde_json::from_str(&text).unwrap();
    Arc::new(FunctionSpec::check(&deployment, "").unwrap())
}

fn totals() -> BTreeMap<FunctionName, FunctionTotals> {
    let mut totals = FunctionTotals::default();
    totals.observe(id(), 6, 100);
    totals.observe(id(), 7, 20);
    BTreeMap::from([(name(), totals)])
}

fn put(env: &str) -> Action {
    Action::PutFunction {
        spec: spec(env),
        expect: Expect::Any,
    }
}

fn assign(version: u64, place: u32, drain: &[u64]) -> Action {
    let placement = Placement {
        function: name(),
        version,
        node: id(),
        memory: Memory::from_mib(64),
        cpu: Cpu::from_millis(100),
    };
    Action::Assign {
        relies_on: Relies {
            functions: BTreeMap::from([(name(), FunctionRelied { version, wanted: 2 })]),
            nodes: BTreeMap::from([(
                id(),
                NodeRelied {
                    epoch: 2,
                    memory: Memory::from_mib(724),
                    cpu: Cpu::from_millis(3900),
                },
            )]),
        },
        place: (0..place).map(|_| placement.clone()).collect(),
        drain: drain.iter().copied().map(ReplicaId).collect(),
    }
}

fn phases() -> Action {
    let change = |phase, reason: &str| PhaseChange {
        phase,
        reason: reason.to_owned(),
        restarts: 1,
    };
    Action::ReplicaPhases {
        node: id(),
        changes: BTreeMap::from([
            (ReplicaId(1), change(Phase::Ready, "")),
            (
                ReplicaId(2),
                change(Phase::Failing, "exits with code 1 right after its start"),
            ),
        ]),
        gone: BTreeSet::from([ReplicaId(9)]),
    }
}

fn image_facts() -> Action {
    Action::PutImageFacts {
        image: "bramble/env:latest".to_owned(),
        platforms: BTreeSet::from(["linux/arm64".parse().unwrap()]),
    }
}

fn found_image() -> Arc<ImageFacts> {
    let variant = ImageVariant {
        ids: BTreeSet::from(["sha256:0a".to_owned()]),
        content: Some("sha256:0b".to_owned()),
        size_bytes: 20_000_000,
        page_bytes: Some(65_536),
    };
    Arc::new(ImageFacts {
        digest: "sha256:0c".to_owned(),
        source: ImageSource::Engine("pi-3b-plus-7f2a".to_owned()),
        variants: BTreeMap::from([("linux/arm64".parse().unwrap(), variant)]),
        resolved_at: Timestamp::from_millis(1_795_228_830_000),
        problem: None,
    })
}

fn pin_image(version: u64, problem: Option<&str>) -> Action {
    let facts = match problem {
        None => found_image(),
        Some(problem) => Arc::new(ImageFacts::nowhere(
            problem.to_owned(),
            Timestamp::from_millis(1_795_228_830_000),
        )),
    };
    Action::PinImage {
        function: name(),
        version,
        facts,
    }
}

/// One of each, in an order in which they make sense together.
fn actions() -> Vec<(&'static str, Action)> {
    vec![
        (
            "found",
            Action::Found {
                name: "bramble".to_owned(),
            },
        ),
        (
            "admit-node",
            Action::AdmitNode {
                id: id(),
                facts: facts(),
                controller: true,
                awaited: false,
            },
        ),
        ("lead", Action::Lead { id: id() }),
        (
            "update-facts",
            Action::UpdateFacts {
                id: id(),
                facts: facts(),
            },
        ),
        ("put-function", put("1")),
        ("assign", assign(5, 2, &[])),
        ("replica-phases", phases()),
        (
            "scale-function",
            Action::ScaleFunction {
                name: name(),
                replicas: 3,
            },
        ),
        ("put-image-facts", image_facts()),
        ("pin-image", pin_image(5, None)),
        (
            "put-image",
            Action::PutImage {
                name: "team/hello:1".to_owned(),
                facts: found_image(),
            },
        ),
        (
            "clean-images",
            Action::CleanImages {
                node: id(),
                cleaned: Cleaned {
                    images: vec!["team/old:1".to_owned()],
                    freed_bytes: 20_000_000,
                },
            },
        ),
        (
            "put-user",
            Action::PutUser {
                name: "admin".to_owned(),
                password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
                role: Role::Admin,
            },
        ),
        ("checkpoint-totals", Action::CheckpointTotals { totals: totals() }),
        (
            "cordon",
            Action::Cordon {
                id: id(),
                cordoned: true,
            },
        ),
        (
            "mark-node",
            Action::MarkNode {
                id: id(),
                phase: NodePhase::Down,
            },
        ),
        (
            "remove-image",
            Action::RemoveImage {
                name: "team/hello:1".to_owned(),
            },
        ),
        ("remove-node", Action::RemoveNode { id: id() }),
        ("remove-function", Action::RemoveFunction { name: name() }),
        (
            "identify",
            Action::Identify {
                id: id(),
                until: Some(Timestamp::from_millis(1_795_228_890_000)),
            },
        ),
        (
            "set-lights",
            Action::SetLights {
                settings: LightSettings {
                    brightness: 20,
                    quiet: Some("22:00-07:00".parse().unwrap()),
                },
            },
        ),
    ]
}

fn sealed(what: &str) -> Sealed {
    Sealed(format!("c2VhbGVk{what}"))
}

/// What came later: secrets, and who takes part.
fn later_actions() -> Vec<(&'static str, Action)> {
    vec![
        (
            "put-key",
            Action::PutKey {
                node: id(),
                id: "AAECAwQFBgc".to_owned(),
                key: sealed("a2V5"),
            },
        ),
        (
            "put-authority",
            Action::PutAuthority {
                certificate: "-----BEGIN CERTIFICATE-----\n".to_owned(),
                key: sealed("Y2E"),
            },
        ),
        (
            "put-first-visit-code",
            Action::PutFirstVisitCode {
                code: "k7q2-m9fd".to_owned(),
            },
        ),
        (
            "put-secret",
            Action::PutSecret {
                name: SecretName::new("openfaas-fn", "api-key"),
                value: sealed("dmFsdWU"),
                expect: Expect::Absent,
            },
        ),
        (
            "remove-secret",
            Action::RemoveSecret {
                name: SecretName::new("openfaas-fn", "old-key"),
            },
        ),
        (
            "refuse-node",
            Action::RefuseNode {
                id: NodeId::from_number(9),
                name: "pi-4b-0009".to_owned(),
            },
        ),
        (
            "note-attempt",
            Action::NoteAttempt {
                text: "Somebody at 192.168.1.66 was not let in: the join key is another.".to_owned(),
            },
        ),
        (
            "set-controller",
            Action::SetController {
                id: id(),
                controller: true,
            },
        ),
        (
            "wish-controller",
            Action::WishController {
                id: id(),
                wish: Wish::Pinned,
            },
        ),
        ("want-controllers", Action::WantControllers { count: Some(3) }),
        (
            "name-node",
            Action::NameNode {
                id: id(),
                name: "window-left".to_owned(),
            },
        ),
    ]
}

/// Nodes that are let in before they are heard of, and a card that is flashed anew.
fn newest_actions() -> Vec<(&'static str, Action)> {
    let newcomer = NodeId::from_number(3);
    let admit = Action::AdmitNode {
        id: newcomer,
        facts: facts(),
        controller: false,
        awaited: true,
    };
    let down = Action::MarkNode {
        id: id(),
        phase: NodePhase::Down,
    };
    let replace = Action::ReplaceNode {
        id: newcomer,
        old: id(),
    };
    vec![
        ("admit-awaited-node", admit),
        ("mark-node-down", down),
        ("replace-node", replace),
    ]
}

#[test]
fn a_state_with_a_node_that_is_awaited_is_written_as_it_always_was() {
    let mut state = State::default();
    let found = Action::Found {
        name: "bramble".to_owned(),
    };
    let first = Action::AdmitNode {
        id: id(),
        facts: facts(),
        controller: false,
        awaited: false,
    };
    let all = [found, first].into_iter();
    let all = all.chain(newest_actions().into_iter().map(|(_, action)| action));
    for (number, action) in all.enumerate() {
        let at = Timestamp::from_millis(1_795_228_830_000 + 1000 * number as u64);
        let outcome = state.apply(Command::by_bramble(at, action));
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome}");
    }
    matches_golden("state-replaced", &state);
}

#[test]
fn a_state_with_secrets_and_controllers_is_written_as_it_always_was() {
    let mut state = State::default();
    let begin = [
        Action::Found {
            name: "bramble".to_owned(),
        },
        Action::AdmitNode {
            id: id(),
            facts: facts(),
            controller: false,
            awaited: false,
        },
    ];
    let all = begin
        .into_iter()
        .chain(later_actions().into_iter().map(|(_, action)| action));
    for (number, action) in all.enumerate() {
        let at = Timestamp::from_millis(1_795_228_830_000 + 1000 * number as u64);
        state.apply(Command::by_bramble(at, action));
    }
    matches_golden("state-later", &state);
}

/// A node with devices, of which functions may use some.
fn with_devices() -> [Action; 3] {
    let found = Action::Found {
        name: "bramble".to_owned(),
    };
    let mut facts = facts();
    facts.devices = [Device::Gpio, Device::I2c].into_iter().collect();
    let admit = Action::AdmitNode {
        id: id(),
        facts,
        controller: false,
        awaited: false,
    };
    let allow = Action::AllowDevices {
        id: id(),
        devices: [Device::Gpio].into_iter().collect(),
    };
    [found, admit, allow]
}

#[test]
fn a_state_with_devices_is_written_as_it_always_was() {
    let mut state = State::default();
    for action in with_devices() {
        let at = Timestamp::from_millis(1_795_228_830_000);
        let outcome = state.apply(Command::by_user("ada", at, action));
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome}");
    }
    matches_golden("state-devices", &state);
}

/// A bramble that somebody has used and given up.
fn ended() -> (State, Action) {
    let into = BrambleId::from_number(0x1122_3344);
    let dissolve = Action::Dissolve { into, give_up: true };
    let mut state = State::default();
    let at = Timestamp::from_millis(1_795_228_830_000);
    let found = Action::Found {
        name: "bramble".to_owned(),
    };
    state.apply(Command::by_bramble(at, found));
    state.apply(Command::by_user("ada", at, dissolve.clone()));
    (state, dissolve)
}

#[test]
fn a_bramble_that_ended_is_written_as_it_always_was() {
    let (state, _) = ended();
    matches_golden("state-ended", &state);
}

/// Who signs in to the portal.
fn signing_in() -> Vec<(&'static str, Action)> {
    let open = |token| Action::OpenSession {
        id: SessionId::from_token(token),
        user: "admin".to_owned(),
    };
    let user = actions().into_iter().find(|(kind, _)| *kind == "put-user");
    let close = Action::CloseSessions {
        ids: [SessionId::from_token("token")].into(),
    };
    vec![
        user.unwrap(),
        ("open-session", open("token")),
        ("open-session-elsewhere", open("another token")),
        ("close-sessions", close),
    ]
}

#[test]
fn a_state_with_somebody_signed_in_is_written_as_it_always_was() {
    let mut state = State::default();
    for (_, action) in signing_in() {
        let at = Timestamp::from_millis(1_795_228_830_000);
        state.apply(Command::by_bramble(at, action));
    }
    assert_eq!(state.revision(), Revision(4), "all were applied");
    matches_golden("state-signed-in", &state);
}

#[test]
fn every_command_is_written_as_it_always_was() {
    let (_, dissolve) = ended();
    let all = actions()
        .into_iter()
        .chain(later_actions())
        .chain(newest_actions())
        .chain(signing_in());
    let [_, admit, allow] = with_devices();
    let devices = [("admit-node-with-devices", admit), ("allow-devices", allow)];
    for (kind, action) in all.chain([("dissolve", dissolve)]).chain(devices) {
        let at = Timestamp::from_millis(1_795_228_830_000);
        matches_golden(&format!("command-{kind}"), &Command::by_user("ada", at, action));
    }
}

#[test]
fn an_outcome_is_written_as_it_always_was() {
    matches_golden("outcome-applied", &Outcome::Applied(Revision(42)));
    let stale = Refusal::Stale(Stale::Node(id()));
    matches_golden("outcome-refused", &Outcome::Refused(stale));
}

#[test]
fn the_state_is_written_as_it_always_was() {
    let mut state = State::default();
    let until_cordoned = actions().into_iter().map(|(_, action)| action).take(15);
    // An update on the way, so that an older version is still in use.
    let update = [
        put("2"),
        pin_image(16, Some("nobody holds it")),
        assign(16, 1, &[2]),
    ];
    let other = Action::AdmitNode {
        id: NodeId::from_number(2),
        facts: facts(),
        controller: false,
        awaited: false,
    };
    let removed = Action::RemoveNode {
        id: NodeId::from_number(2),
    };
    for (number, action) in until_cordoned
        .chain(update)
        .chain([other, removed, image_facts()])
        .enumerate()
    {
        let at = Timestamp::from_millis(1_795_228_830_000 + 1000 * number as u64);
        state.apply(Command::by_bramble(at, action));
    }
    assert_eq!(
        state.revision(),
        Revision(20),
        "all but the late plan were applied"
    );
    matches_golden("state", &state);
}
