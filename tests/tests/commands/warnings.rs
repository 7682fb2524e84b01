//! Every warning on its way from a machine's files to the API and to what `bramble nodes` prints.

use std::{collections::BTreeSet, fs, iter, path::Path, process::Command};

use hardware::Code;
use serde_json::{Value, json};
use tests::demo::{Demo, machine_says, node_folders};

use crate::operator::Operator;

#[path = "../../../hardware/tests/cases/mod.rs"]
mod cases;

pub(crate) use cases::WELL;
use cases::{CASES, Case, Sick};

/// Board, system, the speed of the card and what happened before are looked at when a node starts, and not again.
fn counts_from_the_start_only((sick, code, _): &Case) -> bool {
    match sick {
        Sick::Files(files) => {
            let of_start = ["proc/cpuinfo", "proc/self/smaps"];
            *code == Code::PowerDipped || files.iter().any(|(file, _)| of_start.contains(file))
        }
        Sick::Card { .. } => true,
        Sick::Without(_) | Sick::Free(_) => false,
    }
}

/// What a node has found out about its card, kept where it looks for that.
pub(crate) fn keep_card_speed(node: &Path, p50_ms: u64, p99_ms: u64) {
    let kept = json!({"card": null, "writes": 200, "p50_us": p50_ms * 1000, "p99_us": p99_ms * 1000});
    fs::write(node.join("card-speed.json"), kept.to_string()).unwrap();
}

fn make(node: &Path, sick: Sick) {
    match sick {
        Sick::Files(files) => machine_says(node, files),
        Sick::Without(file) => fs::remove_file(node.join("machine").join(file)).unwrap(),
        Sick::Card { p50_ms, p99_ms } => keep_card_speed(node, p50_ms, p99_ms),
        Sick::Free(_) => unreachable!("left out"),
    }
}

fn cure(node: &Path, sick: Sick) {
    if let Sick::Files(files) = sick {
        for (file, _) in files {
            fs::remove_file(node.join("machine").join(file)).unwrap();
        }
    }
    machine_says(node, WELL);
}

/// Waits until the API tells this of `node`, with its code; answers the whole of it.
fn told(demo: &Demo, node: &str, code: Code, words: &str) -> String {
    demo.wait(&format!("{code} to be told of {node}: {words}"), || {
        let nodes = demo.nodes();
        let node = nodes.iter().find(|found| found["name"] == node)?;
        let of_code = |problem: &&Value| {
            let text = format!("{} {}", problem["sentence"].as_str()?, problem["cure"].as_str()?);
            (problem["code"] == code.as_str() && text.contains(words)).then_some(text)
        };
        let text = node["problems"].as_array()?.iter().find_map(|p| of_code(&p))?;
        let warnings = node["warnings"].as_array()?;
        warnings.contains(&Value::from(text.as_str())).then_some(text)
    })
}

/// A small file system of its own in memory, in place of a folder and with what that held.
struct SmallCard<'a>(&'a Path);

impl<'a> SmallCard<'a> {
    const MIB: u64 = 1 << 20;

    fn instead_of(folder: &'a Path) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let copy = |from: &Path, to: &Path| run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to));
        copy(folder, kept.path());
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=128m", "tmpfs"])
            .arg(folder));
        let card = Self(folder);
        copy(kept.path(), folder);
        card
    }

    /// Leaves so much of it free.
    fn leaves(&self, bytes: u64) {
        let ballast = self.0.join("ballast");
        fs::write(&ballast, "").unwrap();
        let space = rustix::fs::statvfs(self.0).unwrap();
        let much = space.f_bavail * space.f_frsize - bytes;
        fs::write(ballast, vec![0; usize::try_from(much).unwrap()]).unwrap();
    }
}

impl Drop for SmallCard<'_> {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.0));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[test]
fn a_card_that_fills_up_is_told_of_before_it_is_full() {
    let data = tempfile::tempdir().unwrap();
    let node = node_folders(data.path(), 1).remove(0);
    let card = SmallCard::instead_of(&node);
    machine_says(&node, WELL);
    keep_card_speed(&node, 4, 9);
    let demo = Demo::builder()
        .data(data.path())
        .nodes(1)
        .engine("process")
        .start();
    let operator = Operator::new();
    operator.logs_in(&demo);
    let name = demo.node_names().remove(0);
    for (left, code) in [(10, Code::DiskNearlyFull), (2, Code::DiskFull)] {
        card.leaves(left * SmallCard::MIB);
        let text = told(&demo, &name, code, "nearly full");
        let printed = operator.succeeds("nodes");
        assert!(printed.contains(&format!("{name}: {text}")), "{printed}");
    }
    card.leaves(60 * SmallCard::MIB);
    demo.wait("it to be well again", || {
        let node = demo.nodes().remove(0);
        node["problems"].as_array()?.is_empty().then_some(())
    });
    demo.end();
}

#[test]
fn every_warning_is_told_by_the_api_and_by_the_list_of_nodes() {
    // How full a card is, no file tells: that has a test of its own.
    let (at_start, later): (Vec<&Case>, Vec<&Case>) = CASES
        .iter()
        .filter(|(sick, ..)| !matches!(sick, Sick::Free(_)))
        .partition(|case| counts_from_the_start_only(case));
    let data = tempfile::tempdir().unwrap();
    let count = u16::try_from(at_start.len()).unwrap();
    let nodes = node_folders(data.path(), count);
    for node in &nodes {
        machine_says(node, WELL);
        // Else they measure the card of the machine that the test is on.
        keep_card_speed(node, 4, 9);
    }
    let demo = || {
        Demo::builder()
            .data(data.path())
            .nodes(count)
            .engine("process")
            .start()
    };

    let operator = Operator::new();
    let mut running = None;
    let mut seen = BTreeSet::new();
    for cases in iter::once(&at_start[..]).chain(later.chunks(nodes.len())) {
        let cases = || nodes.iter().zip(cases);
        cases().for_each(|(node, (sick, ..))| make(node, *sick));
        let demo = running.get_or_insert_with(|| {
            let demo = demo();
            operator.logs_in(&demo);
            demo
        });
        let name = |node: &Path| node.file_name().unwrap().to_str().unwrap().to_owned();
        let texts: Vec<_> = cases()
            .map(|(node, (_, code, words))| (name(node), *code, told(demo, &name(node), *code, words)))
            .collect();
        let printed = operator.succeeds("nodes");
        for (name, code, text) in texts {
            let line = printed.lines().find(|line| line.ends_with(&format!(": {text}")));
            let line = line.unwrap_or_else(|| panic!("{code} is not in\n{printed}"));
            assert!(line.contains(&name), "{name}: {line}");
            seen.insert(code);
        }
        cases().for_each(|(node, (sick, ..))| cure(node, *sick));
    }
    let of_space = [Code::DiskFull, Code::DiskNearlyFull];
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| !seen.contains(code) && !of_space.contains(code))
        .collect();
    assert!(missing.is_empty(), "nothing makes {missing:?}");
}
