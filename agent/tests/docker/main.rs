//! The Docker engine on a real Docker.
//!
//! The socket is that of `DOCKER_HOST`, else the usual one. Where no Docker answers the tests fail and say so, unless
//! `BRAMBLE_TEST_WITHOUT_DOCKER=1` says that this is known.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers are tests too"
)]

mod images;
mod registry;
mod world;

use std::time::{Duration, Instant};

use agent::engine::{Engine, State, docker::labels};
use api::{Memory, NodeId, ReplicaId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use world::{R1, R2, desired, start, stop, with_docker};

/// Sends `body` to a function and returns status and answer.
async fn invoke(address: std::net::SocketAddr, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let head_end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = String::from_utf8(answer[..head_end].to_vec()).unwrap();
    (head[9..12].parse().unwrap(), answer[head_end..].to_vec())
}

fn sh(fprocess: &str, extra: &str) -> api::sync::DesiredReplica {
    desired(
        "sh",
        "bramble/sh:latest",
        &format!(r#","envProcess":"{fprocess}"{extra}"#),
    )
}

#[test]
fn a_built_in_function_answers_in_a_confined_container_with_its_labels() {
    with_docker(async |world| {
        let limits = r#","limits":{"memory":"64Mi","cpu":"500m"},"envVars":{"colour":"red"}"#;
        world
            .run(start(R1, desired("env", "bramble/env:latest", limits)))
            .await;
        let address = world.ready(R1).await;
        let (status, answer) = invoke(address, b"").await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, 200);
        for line in [
            "colour=red",
            "OPENFAAS_NAME=env",
            "OPENFAAS_NAMESPACE=openfaas-fn",
            "Http_Method=POST",
        ] {
            assert!(answer.lines().any(|l| l == line), "{line} is missing in {answer}");
        }

        let found = world.inspect(R1).await;
        let host = found.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!((host.nano_cpus, host.pids_limit), (Some(500_000_000), Some(512)));
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        let config = found.config.unwrap();
        assert_eq!(config.user.as_deref(), Some("12000"));
        let labels = config.labels.unwrap();
        assert_eq!(labels[labels::NODE], world.config.node.to_string());
        assert_eq!(labels[labels::REPLICA], "r1");
        assert_eq!(labels[labels::FUNCTION], "env.openfaas-fn");
        assert_eq!(
            (
                labels[labels::VERSION].as_str(),
                labels[labels::GENERATION].as_str()
            ),
            ("1", "1.5")
        );
        assert_eq!(
            found.name.unwrap(),
            format!("/bramble-env-r1-{}", world.config.node.tail())
        );
        let gateway = world.abilities.gateway.unwrap();
        assert!(
            host.extra_hosts
                .unwrap()
                .contains(&format!("gateway.openfaas:{gateway}"))
        );
    });
}

#[test]
fn bodies_go_through_pipelines_of_small_tools_intact() {
    with_docker(async |world| {
        world.run(start(R1, sh("cat | rev | tr a-z A-Z", ""))).await;
        let address = world.ready(R1).await;
        assert_eq!(invoke(address, b"hello\n").await, (200, b"OLLEH\n".to_vec()));

        world.run(start(R2, sh("cat", ""))).await;
        let address = world.ready(R2).await;
        let body: Vec<u8> = (0..5_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let (status, answer) = invoke(address, &body).await;
        assert_eq!(status, 200);
        assert!(
            answer == body,
            "{} bytes came back of {}",
            answer.len(),
            body.len()
        );
    });
}

#[test]
fn starting_twice_is_starting_once() {
    with_docker(async |world| {
        let env = desired("env", "bramble/env:latest", "");
        world.run(start(R1, env.clone())).await;
        let first = world.list().await;
        world.run(start(R1, env)).await;
        assert_eq!(world.list().await, first);
    });
}

#[test]
fn a_restarted_agent_finds_its_containers_again() {
    with_docker(async |world| {
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        let before = world.list().await;
        world.restart_agent().await;
        assert_eq!(world.list().await, before);
        let seen = &before[&R1];
        assert_eq!(
            (seen.function.to_string().as_str(), seen.version),
            ("env.openfaas-fn", 1)
        );
        assert_eq!(seen.grace, Duration::from_secs(60));
    });
}

#[test]
fn only_this_nodes_containers_are_seen_and_only_its_strangers_removed() {
    with_docker(async |world| {
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        // The same dockerd serves another node, as it does in the demo.
        let mut other = world.config.clone();
        other.node = NodeId::from_number(u128::from_str_radix(&other.node.to_string(), 16).unwrap() ^ 0xffff);
        world.neighbours.push(other.node);
        let neighbour = agent::engine::docker::DockerEngine::new(other);
        neighbour.open().await.unwrap();
        assert!(neighbour.list().await.unwrap().is_empty());

        // This node moves to another bramble: what it ran for the old one goes, the neighbour's stays.
        let progress: agent::engine::Progress = std::sync::Arc::new(|_| {});
        neighbour
            .run(&start(R2, desired("env", "bramble/env:latest", "")), &progress)
            .await
            .unwrap();
        world.config.bramble = "another".to_owned();
        world.restart_agent().await;
        assert!(world.list().await.is_empty());
        assert!(world.containers_of(world.config.node).await.is_empty());
        assert_eq!(neighbour.list().await.unwrap().len(), 1);
    });
}

#[test]
fn a_program_that_ends_is_told_with_its_last_words() {
    with_docker(async |world| {
        // The watchdog refuses to begin without a sensible mode, and says so.
        let broken = desired(
            "env",
            "bramble/env:latest",
            r#","envVars":{"mode":"carrier-pigeon"}"#,
        );
        world.run(start(R1, broken)).await;
        let ending = world.ending(R1).await;
        assert!(ending.code != 0 && !ending.out_of_memory);
        assert!(
            ending.last_words.contains("carrier-pigeon"),
            "{}",
            ending.last_words
        );
        // The next start takes the remains away.
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        world.ready(R1).await;
        assert_eq!(world.containers_of(world.config.node).await.len(), 1);
    });
}

#[test]
fn a_replica_that_takes_too_much_memory_is_told_from_one_that_crashed() {
    with_docker(async |world| {
        // `tac` has to keep all that it reads, and /dev/zero never ends.
        let mut greedy = sh(
            "cat",
            r#","envVars":{"mode":"http","upstream_url":"http://127.0.0.1:3000"},"limits":{"memory":"16Mi"}"#,
        );
        greedy.spec.process = Some("tac /dev/zero".to_owned());
        world.run(start(R1, greedy)).await;
        let ending = world.ending(R1).await;
        assert!(ending.out_of_memory, "{ending:?}");
        assert_eq!(ending.memory_limit, Some(Memory::from_mib(16)));
    });
}

#[test]
fn a_frozen_replica_answers_again_when_it_is_thawed() {
    with_docker(async |world| {
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        let address = world.ready(R1).await;
        for _ in 0..2 {
            world.run(agent::plan::Step::Freeze { replica: R1 }).await;
        }
        assert_eq!(world.state(R1).await, State::Frozen { address });
        for _ in 0..2 {
            world.run(agent::plan::Step::Thaw { replica: R1 }).await;
        }
        assert_eq!(world.ready(R1).await, address);
        // A frozen one is stopped as well as any other.
        world.run(agent::plan::Step::Freeze { replica: R1 }).await;
        world.run(stop(R1)).await;
        assert!(world.list().await.is_empty());
    });
}

#[test]
fn a_stopped_replica_finishes_what_it_has() {
    with_docker(async |world| {
        let slow = desired("slow", "bramble/sleep:latest", "");
        world.run(start(R1, slow)).await;
        let address = world.ready(R1).await;
        let invocation = tokio::spawn(async move { invoke(address, b"").await.0 });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        world.run(stop(R1)).await;
        assert_eq!(invocation.await.unwrap(), 200);
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "it was killed after its grace"
        );
        assert!(world.list().await.is_empty());
        // Stopping what is not there is no error.
        world.run(stop(R1)).await;
    });
}

#[test]
fn an_image_that_cannot_be_had_is_refused_in_words() {
    with_docker(async |world| {
        let words = world
            .refusal(start(R1, desired("x", "bramble/nonsense:latest", "")))
            .await;
        assert!(
            words.contains("there is no built-in function") && words.contains("bramble/env"),
            "{words}"
        );
        // A registry that nobody reaches.
        let words = world
            .refusal(start(R1, desired("x", "127.0.0.1:9/nothing/here:1", "")))
            .await;
        assert!(words.contains("its registry cannot be reached"), "{words}");
        assert!(world.words.lock().unwrap().contains(&"fetching image".to_owned()));
        assert!(world.list().await.is_empty());
    });
}

#[test]
fn an_image_is_fetched_from_its_registry_and_then_used_from_here() {
    with_docker(async |world| {
        let registry = registry::start().await;
        let image = format!("{registry}/team/env:1");
        world.images.push(image.clone());
        world.run(start(R1, desired("env", &image, ""))).await;
        world.ready(R1).await;
        assert_eq!(world.words.lock().unwrap()[0], "fetching image");
        world.words.lock().unwrap().clear();
        world.run(start(R2, desired("env", &image, ""))).await;
        assert!(
            !world
                .words
                .lock()
                .unwrap()
                .iter()
                .any(|words| words.contains("fetching"))
        );

        let words = world
            .refusal(start(
                ReplicaId(3),
                desired("env2", &format!("{registry}/team/none:1"), ""),
            ))
            .await;
        assert!(words.contains("there is no image"), "{words}");
        let words = world
            .refusal(start(
                ReplicaId(3),
                desired("env2", &format!("{registry}/team/foreign:1"), ""),
            ))
            .await;
        assert!(
            words.contains("not made for this kind of node (linux/"),
            "{words}"
        );
    });
}

#[test]
fn built_in_images_are_made_once() {
    with_docker(async |world| {
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        let label = world.builtin_label().await.unwrap();
        let hash = agent::builtin::Builtins::load(&world::builtin_dir())
            .unwrap()
            .hash;
        assert_eq!(label, hash);
        world.words.lock().unwrap().clear();
        world.restart_agent().await;
        world
            .run(start(R2, desired("shasum", "bramble/shasum", "")))
            .await;
        assert!(!world.words.lock().unwrap().iter().any(|w| w.contains("making")));
        let held = world.engine.images().await.unwrap();
        let env = held
            .iter()
            .find(|image| image.names.contains("bramble/env:latest"))
            .unwrap();
        assert_eq!(Some(&env.platform), world.abilities.platforms.first());
        assert!(env.brought.is_none() && env.size_bytes > 0);
    });
}

#[test]
fn a_read_only_root_leaves_tmp_writable() {
    with_docker(async |world| {
        let extra = r#","readOnlyRootFilesystem":true"#;
        world.run(start(R1, sh("tee /tmp/there", extra))).await;
        let address = world.ready(R1).await;
        assert_eq!(invoke(address, b"x").await.0, 200);
        world.run(start(R2, sh("tee /home/app/there", extra))).await;
        let address = world.ready(R2).await;
        let (status, answer) = invoke(address, b"x").await;
        assert_eq!(status, 500, "{}", String::from_utf8_lossy(&answer));
    });
}

#[test]
fn events_wake_the_agent() {
    with_docker(async |world| {
        // Nothing happens: nobody is woken.
        tokio::time::timeout(Duration::from_millis(200), world.engine.changed())
            .await
            .unwrap_err();
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        tokio::time::timeout(Duration::from_secs(5), world.engine.changed())
            .await
            .unwrap();
    });
}

#[test]
fn a_watchdog_without_health_route_is_known_by_its_lock_file() {
    with_docker(async |world| {
        world
            .run(start(R1, desired("env", "bramble/env:latest", "")))
            .await;
        world.ready(R1).await;
        assert!(world.engine.has_lock_file(R1).await);
        assert!(!world.engine.has_lock_file(R2).await);
    });
}

#[test]
fn a_docker_that_does_not_answer_is_told_in_words() {
    let config = agent::engine::docker::DockerConfig {
        place: Some("unix:///nonexistent/docker.sock".to_owned()),
        node: NodeId::from_number(1),
        bramble: "test".to_owned(),
        builtin_dir: "/nonexistent".into(),
        secrets_dir: std::env::temp_dir().join("bramble-test-secrets"),
        root: "/".into(),
        yard: agent::engine::docker::Yard::new(Some("/nonexistent/docker.sock".to_owned())),
        sources: agent::images::Sources::none(),
    };
    let engine = agent::engine::docker::DockerEngine::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(engine.open()).unwrap_err().in_words();
    assert!(
        error.contains("Docker does not answer at /nonexistent/docker.sock"),
        "{error}"
    );
}

/// Below a root of its own, zeros under the name of the chip of the pins. Where the test may make devices it has a
/// group that nobody is in.
fn zeros_for_pins() -> tempfile::TempDir {
    use rustix::fs::{CWD, FileType, Mode, chown, makedev, mknodat};

    let root = tempfile::tempdir().unwrap();
    let chip = root.path().join("dev/gpiochip0");
    std::fs::create_dir(root.path().join("dev")).unwrap();
    let made = mknodat(
        CWD,
        &chip,
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o660),
        makedev(1, 5),
    );
    match made {
        Ok(()) => {
            chown(&chip, None, Some(rustix::fs::Gid::from_raw(54_321))).unwrap();
            std::fs::set_permissions(&chip, std::os::unix::fs::PermissionsExt::from_mode(0o660)).unwrap();
        }
        Err(_) => std::os::unix::fs::symlink("/dev/zero", &chip).unwrap(),
    }
    root
}

#[test]
fn a_replica_uses_the_device_that_it_was_allowed_as_an_ordinary_user() {
    with_docker(async |world| {
        let root = zeros_for_pins();
        world.config.root = root.path().to_owned();
        world.restart_agent().await;
        let mut reads = sh(
            "head -c 3 /dev/gpiochip0",
            r#","annotations":{"bramble.devices":"gpio"}"#,
        );
        let words = world.refusal(start(R1, reads.clone())).await;
        assert!(words.contains("nobody has allowed that on this node"), "{words}");
        assert!(world.list().await.is_empty());

        reads.devices = "gpio".parse().unwrap();
        world.run(start(R1, reads)).await;
        let address = world.ready(R1).await;
        assert_eq!(invoke(address, b"").await, (200, vec![0; 3]));
        let host = world.inspect(R1).await.host_config.unwrap();
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.devices.unwrap()[0].cgroup_permissions.as_deref(), Some("rw"));

        // One that does not ask has nothing, allowed or not.
        let mut other = sh("head -c 3 /dev/gpiochip0", "");
        other.devices = "gpio".parse().unwrap();
        world.run(start(R2, other)).await;
        let address = world.ready(R2).await;
        assert_eq!(invoke(address, b"").await.0, 500);
    });
}
