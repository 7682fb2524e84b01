//! `bramble demo` as a command: what it prints, keeps, restarts and leaves behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::json;
use tests::demo::{Demo, engine, program};

fn is_alive(pid: i32) -> bool {
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_ok()
}

/// Process ids whose command line names `folder`.
fn processes_of(folder: &std::path::Path) -> Vec<String> {
    let wanted = folder.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&[read("cmdline"), read("environ")].concat()).into_owned();
        let pid = entry.file_name().to_string_lossy().into_owned();
        if text.contains(&wanted) && pid != std::process::id().to_string() {
            found.push(pid);
        }
    }
    found
}

#[test]
fn a_second_start_finds_all_state_again_and_the_end_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::builder().data(folder.path()).nodes(2).start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    let (names, password) = (demo.node_names(), demo.password.clone());
    assert!(demo.engine.starts_with(engine()), "{}", demo.engine);
    assert_eq!(demo.end(), Some(0));
    assert_eq!(
        processes_of(folder.path()),
        Vec::<String>::new(),
        "Ctrl-C leaves no process"
    );
    if engine() == "docker" {
        let list = Command::new("docker")
            .args(["ps", "--all", "--format", "{{.Labels}}"])
            .output()
            .unwrap();
        let labels = String::from_utf8_lossy(&list.stdout).into_owned();
        for name in &names {
            let tail = name.rsplit('-').next().unwrap();
            assert!(
                !labels.contains(&format!("{tail},")),
                "Ctrl-C leaves no container: {labels}"
            );
        }
    }

    let demo = Demo::builder().data(folder.path()).nodes(2).start();
    assert_eq!((demo.node_names(), &demo.password), (names, &password));
    demo.wait_for_ready("env", 1);
    assert_eq!(demo.client().get("/function/env").status, 200);
}

#[test]
fn a_node_that_dies_is_started_again() {
    let demo = Demo::builder().nodes(2).start();
    let leader = demo.leader();
    let other = demo
        .node_names()
        .into_iter()
        .find(|name| *name != leader)
        .unwrap();
    let pid = demo.pid(&other);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    demo.wait("another process", || {
        let now: i32 = std::fs::read_to_string(demo.node_file(&other, "pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        (now != pid && is_alive(now)).then_some(())
    });
    demo.wait("the node to be up", || {
        demo.nodes()
            .iter()
            .all(|node| node["phase"] == "up")
            .then_some(())
    });
}

#[test]
fn a_chosen_password_is_the_admins_and_a_wrong_one_is_not() {
    let demo = Demo::builder().nodes(1).password("correct horse battery").start();
    assert_eq!(demo.password, "correct horse battery");
    assert_eq!(demo.client().get("/system/functions").status, 200);
    let wrong = tests::demo::Client::new(&demo.portal).signed_in("admin", "guess");
    assert_eq!(wrong.get("/system/functions").status, 401);
}

#[test]
fn every_node_answers_everything_on_its_own_address() {
    let demo = Demo::builder().nodes(3).start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    for name in demo.node_names() {
        let node = demo.node_client(&name);
        assert_eq!(
            node.get("/system/functions").status,
            200,
            "{name} passes the management API on"
        );
        assert_eq!(
            node.get("/function/env").status,
            200,
            "{name} carries invocations"
        );
        assert_eq!(node.get("/ui/").status, 200, "{name} shows the portal");
        assert_eq!(node.get("/healthz").status, 200, "{name} is well");
    }
}

#[test]
fn mistakes_on_the_command_line_are_told_with_their_cure() {
    let says = |args: &[&str]| {
        let output = Command::new(program()).args(args).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    let text = says(&[
        "demo",
        "unplug",
        "pi-9",
        "--data",
        folder.path().to_str().unwrap(),
    ]);
    assert!(text.contains("is not the folder of a demo"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = says(&["demo", "--listen", &address, "--engine", "process"]);
    assert!(text.contains("--listen 127.0.0.1:0"), "{text}");
    assert!(says(&["demo", "--nodes", "0"]).contains("--nodes"));
}

#[test]
fn without_its_built_in_functions_the_program_says_how_to_make_them_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("bramble");
    std::fs::copy(program(), &alone).unwrap();
    let output = Command::new(alone)
        .args(["demo", "--listen", "127.0.0.1:0", "--engine", "process"])
        .env_remove("BRAMBLE_BUILTIN_DIR")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("make builtin"), "{text}");
}
