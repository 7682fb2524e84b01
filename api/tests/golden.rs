//! What older and newer nodes say to each other stays readable: the sync protocol against files that are kept.
//!
//! A file changes only together with the version in its envelope, or by gaining a field that has a default.
//! `UPDATE_GOLDEN=1 cargo test -p api` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use api::{
    BoardDetails, Cpu, Device, FunctionName, FunctionSpec, Generation, Memory, NodeFacts, NodeId, NodeVitals,
    ReplicaId, Timestamp,
    images::{
        Brought, Cleaned, CredentialsAnswer, HeldImage, Holdings, ImageFacts, ImageSource, ImageVariant,
        Loaded, RegistryCredentials, UsedImages,
    },
    join::{Announcement, BrambleId, KeyTag, Role, Standing},
    light::{Glow, Light, ReplicaLight, Says},
    logs::LogsRequest,
    node::EngineKind,
    openfaas::FunctionDeployment,
    secrets::{KeyAnswer, KeyRequest, OpenSecret, SecretBytes, SecretsAnswer, SecretsRequest},
    sensors::{Card, CardKind, Link, Sensors, Severity, Warning},
    sync::{
        DesiredReplica, FunctionCounters, FunctionRoute, Orders, Phase, ReplicaReport, Routes, Stranger,
        SyncAnswer, SyncRequest, Wanted,
    },
    versioned::{Versioned, decode, encode},
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

fn spec() -> FunctionSpec {
    let deployment: FunctionDeployment = serde_json::from_str(
        r#"{"service":"env","image":"bramble/env:latest","envProcess":"env","envVars":{"A":"1"},
            "labels":{"com.openfaas.scale.min":"2"},"annotations":{"topic":"x"},"constraints":["kubernetes.io/arch=arm64"],
            "limits":{"memory":"64Mi","cpu":"100m"},"requests":{"memory":"32Mi"},"readOnlyRootFilesystem":true}"#,
    )
    .unwrap();
    FunctionSpec::check(&deployment, "").unwrap()
}

fn name() -> FunctionName {
    FunctionName::new("env", "").unwrap()
}

fn held() -> HeldImage {
    HeldImage {
        id: "sha256:0a".to_owned(),
        content: "sha256:0b".to_owned(),
        platform: "linux/arm64".parse().unwrap(),
        size_bytes: 20_000_000,
        created: 1_795_000_000,
        names: BTreeSet::from(["team/hello:1".to_owned()]),
        digests: BTreeSet::from(["team/hello@sha256:0c".to_owned()]),
        brought: Some(Brought::Fetched),
        page_bytes: Some(65_536),
    }
}

fn image() -> ImageFacts {
    let variant = ImageVariant {
        ids: BTreeSet::from(["sha256:0a".to_owned()]),
        content: Some("sha256:0b".to_owned()),
        size_bytes: 20_000_000,
        page_bytes: None,
    };
    ImageFacts {
        digest: "sha256:0c".to_owned(),
        source: ImageSource::Registry,
        variants: BTreeMap::from([("linux/arm64".parse().unwrap(), variant)]),
        resolved_at: Timestamp::from_millis(1_795_228_830_000),
        problem: None,
    }
}

#[test]
fn a_sync_request_is_written_as_it_always_was() {
    let request = SyncRequest {
        incarnation: 7,
        facts: NodeFacts {
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
            details: BoardDetails {
                revision: Some("a020d3".to_owned()),
                version: Some("1.3".to_owned()),
                processor: Some("BCM2837".to_owned()),
                memory_fitted: Some(Memory::from_mib(1024)),
            },
        },
        vitals: NodeVitals {
            uptime_s: 60,
            load: 0.25,
            memory_available: Memory::from_mib(700),
            disk_total_bytes: 8_000_000_000,
            disk_free_bytes: 6_000_000_000,
            temperature_c: Some(51.5),
            warnings: BTreeSet::from(["The power supply is too weak.".to_owned()]),
            sensors: Sensors {
                frequency_mhz: Some(1400),
                under_voltage: Some(true),
                under_voltage_ago_s: Some(0),
                under_voltage_before: false,
                throttled: Some(false),
                throttled_ago_s: Some(90),
                throttled_before: false,
                memory_pressure_percent: Some(1.5),
                memory_limits: Some(true),
                card: Some(Card {
                    device: "mmcblk0".to_owned(),
                    kind: CardKind::Sd,
                    name: Some("SC16G".to_owned()),
                    maker: Some("SanDisk".to_owned()),
                    made: Some("09/2023".to_owned()),
                    serial: Some("0x12345678".to_owned()),
                    size_bytes: 16_000_000_000,
                    written_since_boot_bytes: Some(1_000_000),
                    written_ever_bytes: Some(2_000_000),
                    write_p50_us: Some(4_000),
                    write_p99_us: Some(90_000),
                }),
                links: vec![Link {
                    name: "eth0".to_owned(),
                    up: true,
                    wireless: false,
                    speed_mbit: Some(100),
                    signal_dbm: None,
                }],
                clock_set: Some(true),
                root_read_only: false,
            },
            problems: vec![Warning {
                code: "power-low".to_owned(),
                severity: Severity::Serious,
                sentence: "The power supply of this Pi is too weak.".to_owned(),
                cure: "Use another one.".to_owned(),
                light: Some(Says::WarningPower),
            }],
        },
        generation: Some(Generation { epoch: 1, number: 42 }),
        routes: Some(Generation { epoch: 1, number: 40 }),
        replicas: Some(BTreeMap::from([(
            ReplicaId(3),
            ReplicaReport {
                function: name(),
                phase: Phase::Failing,
                reason: "exits with code 1 right after its start".to_owned(),
                restarts: 4,
                address: Some("172.18.0.2:8080".parse().unwrap()),
            },
        )])),
        counters: vec![FunctionCounters {
            function: name(),
            started: 12,
            finished: BTreeMap::from([(200, 10), (500, 1)]),
            in_flight: 1,
            waiting: 0,
            replicas: BTreeMap::from([(ReplicaId(3), 1)]),
        }],
        holdings: Holdings {
            version: 99,
            images: Some(vec![held()]),
        },
        strangers: vec![Stranger {
            from: "192.168.1.66".parse().unwrap(),
            node: Some(NodeId::from_number(9)),
            wanted: Wanted::In,
            why: "the join key is another".to_owned(),
        }],
    };
    matches_golden("sync-request", &request);
    let mut with_devices = request;
    with_devices.facts.devices = [Device::Gpio, Device::Camera].into_iter().collect();
    matches_golden("sync-request-devices", &with_devices);
}

#[test]
fn a_sync_answer_is_written_as_it_always_was() {
    let node = NodeId::from_number(1);
    let orders = Orders {
        generation: Generation { epoch: 1, number: 43 },
        desired: Some(BTreeMap::from([(
            ReplicaId(3),
            DesiredReplica {
                version: 2,
                spec: spec(),
                image: Some(Arc::new(image())),
                secrets: Default::default(),
                devices: Default::default(),
            },
        )])),
        routes: Some(Routes {
            revision: Generation { epoch: 1, number: 43 },
            nodes: BTreeMap::from([(node, "192.168.1.20:7443".parse().unwrap())]),
            removed: BTreeSet::from([NodeId::from_number(2)]),
            controllers: BTreeSet::from([node]),
            leader: Some(node),
            functions: BTreeMap::from([(
                name(),
                FunctionRoute {
                    ready: BTreeMap::from([(ReplicaId(3), node)]),
                },
            )]),
        }),
        light: Light {
            says: Says::MasterWorking,
            calls_per_second: 2.5,
            brightness: 50,
            replicas: vec![ReplicaLight {
                function: name(),
                glow: Glow::Ready,
            }],
        },
        holdings: Some(99),
        holders: BTreeMap::from([("sha256:0c".to_owned(), BTreeSet::from([node]))]),
        first_visit_code: None,
        work: false,
        dissolved: None,
        name: Some("window".to_owned()),
    };
    let mut with_devices = orders.clone();
    for replica in with_devices.desired.iter_mut().flat_map(BTreeMap::values_mut) {
        replica.devices = [Device::Gpio].into_iter().collect();
    }
    matches_golden("sync-answer-orders", &SyncAnswer::Orders(orders));
    matches_golden("sync-answer-orders-devices", &SyncAnswer::Orders(with_devices));
    matches_golden(
        "sync-answer-not-leader",
        &SyncAnswer::NotLeader {
            leader: Some((node, "192.168.1.20:7443".parse().unwrap())),
        },
    );
    matches_golden("sync-answer-not-admitted", &SyncAnswer::NotAdmitted);
}

#[test]
fn what_nodes_ask_of_logs_secrets_and_images_is_written_as_it_always_was() {
    let logs = LogsRequest {
        function: name(),
        instance: Some(ReplicaId(12)),
        tail: Some(100),
        since: Some(Timestamp::from_millis(1_795_228_830_000)),
        follow: true,
    };
    matches_golden("logs-request", &logs);
    matches_golden("secrets-request", &SecretsRequest { function: name() });
    let secret = OpenSecret {
        version: 7,
        value: SecretBytes(vec![0, 1, 254, 255]),
    };
    let secrets = SecretsAnswer {
        secrets: BTreeMap::from([("api-key".to_owned(), secret)]),
    };
    matches_golden("secrets-answer", &secrets);
    matches_golden("key-request", &KeyRequest {});
    let key = KeyAnswer {
        id: "AAECAwQFBgc".to_owned(),
        key: SecretBytes(vec![1; 4]),
    };
    matches_golden("key-answer", &key);
    let loaded = Loaded {
        images: BTreeMap::from([("team/hello:1".to_owned(), held())]),
    };
    matches_golden("loaded-images", &loaded);
    let used = UsedImages {
        ids: BTreeSet::from(["sha256:0a".to_owned()]),
    };
    matches_golden("used-images", &used);
    let cleaned = Cleaned {
        images: vec!["team/old:1".to_owned()],
        freed_bytes: 20_000_000,
    };
    matches_golden("cleaned-images", &cleaned);
    let credentials = CredentialsAnswer {
        credentials: Some(RegistryCredentials {
            username: "ada".to_owned(),
            password: "p".to_owned(),
        }),
    };
    matches_golden("credentials-answer", &credentials);
}

#[test]
fn what_a_node_announces_is_written_as_it_always_was() {
    let announcement = Announcement {
        node: NodeId::from_number(1),
        standing: Standing::Member {
            bramble: BrambleId::from_number(2),
            key: Some(KeyTag::from_bytes([3; 8])),
            role: Role::Leader(4),
            work: true,
        },
        board: "Raspberry Pi 3 Model B Plus".to_owned(),
        memory: Memory::from_mib(924),
        version: "0.1.0".to_owned(),
    };
    matches_golden("announcement", &announcement);
    let candidate = Announcement {
        standing: Standing::Candidate { key: None },
        ..announcement
    };
    matches_golden("announcement-candidate", &candidate);
}
