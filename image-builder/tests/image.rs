//! Whole images on a small system: a few files instead of Debian, so that it takes seconds. Needs root, for the files
//! belong to it.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use image_builder::inspect::Image;
use tempfile::TempDir;

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("not run: images are assembled as root");
    }
    root
}

/// Programs and a system that are little more than their names.
fn bench() -> TempDir {
    let bench = tempfile::tempdir().unwrap();
    let root = bench.path().join("system");
    for (path, content) in [
        ("boot/firmware/config.txt", "gpu_mem=16\n"),
        ("boot/firmware/cmdline.txt", "root=PARTUUID=5049434c-02 ro\n"),
        ("boot/firmware/overlays/README", "x"),
        ("etc/os-release", "ID=small\n"),
        ("var/lib/dpkg/status", "Package: small\nVersion: 1\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for program in [
        "bramble",
        "bramble-firstboot",
        "builtin/fwatchdog",
        "builtin/functions",
    ] {
        let path = bench.path().join("dist/arm64").join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, program).unwrap();
    }
    let tar = Command::new("tar")
        .args(["--create", "--file"])
        .arg(bench.path().join("system.tar"))
        .arg("--directory")
        .arg(&root)
        .arg(".")
        .status()
        .unwrap();
    assert!(tar.success());
    bench
}

fn bramble_image(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bramble-image"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn build(bench: &TempDir, name: &str) -> PathBuf {
    let out = bench.path().join(name);
    let (base, dist) = (bench.path().join("system.tar"), bench.path().join("dist"));
    let built = bramble_image(&[
        "build",
        "--arch",
        "arm64",
        "--base",
        text(&base),
        "--dist",
        text(&dist),
        "--out",
        text(&out),
    ]);
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    out
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let one = fs::read(build(&bench, "one.img")).unwrap();
    // Another second, and other times on all files.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let other = fs::read(build(&bench, "other.img")).unwrap();
    assert_eq!(one.len(), other.len());
    let differ = one.iter().zip(&other).position(|(one, other)| one != other);
    assert_eq!(differ, None);
}

#[test]
fn an_image_comes_with_its_sums_manifest_bill_and_map() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let packed = build(&bench, "bramble.img.xz");
    let image = bench.path().join("bramble.img");
    let size = fs::metadata(&image).unwrap().len();
    let manifest = fs::read(bench.path().join("bramble.img.rpi-imager-manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let entry = &manifest["os_list"][0];
    assert_eq!(entry["extract_size"], size);
    assert_eq!(entry["image_download_size"], fs::metadata(&packed).unwrap().len());
    assert_eq!(entry["url"], "bramble.img.xz");
    let sum = fs::read_to_string(bench.path().join("bramble.img.sha256")).unwrap();
    assert!(sum.starts_with(entry["extract_sha256"].as_str().unwrap()) && sum.ends_with("  bramble.img\n"));
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "bramble.img.xz.sha256"])
        .current_dir(bench.path())
        .status()
        .unwrap();
    assert!(checked.success());
    let bill = fs::read_to_string(bench.path().join("bramble.img.spdx.json")).unwrap();
    assert!(bill.contains("pkg:deb/debian/small@1"));
    assert!(
        fs::read_to_string(bench.path().join("bramble.img.bmap"))
            .unwrap()
            .contains(&format!(" {size} "))
    );
}

#[test]
fn a_customised_image_is_whole_and_says_what_it_was_told() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let image = build(&bench, "bramble.img");
    let class = bench.path().join("class.img");
    let done = bramble_image(&[
        "customise",
        text(&image),
        "--out",
        text(&class),
        "--bramble",
        "class-4b",
        "--wifi",
        "School",
        "--wifi-password",
        "correct horse",
        "--country",
        "gb",
    ]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = String::from_utf8(bramble_image(&["inspect", text(&class)]).stdout).unwrap();
    for line in [
        "bramble       class-4b",
        "join key      set",
        "Wi-Fi         School",
        "country       GB",
        "ssh           off",
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "no `{line}` in:\n{shown}"
        );
    }
    assert!(!shown.contains("correct horse"));
    let checked = bramble_image(&["check", text(&class)]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    assert!(
        fs::read_to_string(bench.path().join("class.svg"))
            .unwrap()
            .contains("http://class-4b.local/")
    );
    // What it was made from is as it was.
    let before = String::from_utf8(bramble_image(&["inspect", text(&image)]).stdout).unwrap();
    assert!(before.contains("join key      none"));
}

#[test]
fn a_password_is_read_from_standard_input_and_not_written() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let image = build(&bench, "bramble.img");
    let customise = |password: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bramble-image"))
            .args(["customise", text(&image), "--out", text(&image)])
            .args(["--admin-password-file", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Dropped here: the end of what it reads.
        child
            .stdin
            .take()
            .unwrap()
            .write_all(password.as_bytes())
            .unwrap();
        let done = child.wait_with_output().unwrap();
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    let (done, said) = customise("short\n");
    assert!(!done && said.contains("at least 8 characters"), "{said}");
    let (done, said) = customise("correct horse\n");
    assert!(done && said.contains("sign in as admin"), "{said}");
    let shown = String::from_utf8(bramble_image(&["inspect", text(&image)]).stdout).unwrap();
    assert!(
        shown.contains("password      set\n") && shown.contains("first visit   none\n"),
        "{shown}"
    );
    let opened = Image::open(&image, false).unwrap();
    let written = opened.fat().unwrap().read("bramble.toml").unwrap();
    let written = String::from_utf8(written).unwrap();
    assert!(
        written.contains("$argon2id$") && !written.contains("correct horse"),
        "{written}"
    );
}

#[test]
fn wrong_settings_are_refused_before_anything_is_written() {
    let bench = bench();
    let out = bench.path().join("class.img");
    let done = bramble_image(&[
        "customise",
        "no-such.img",
        "--out",
        text(&out),
        "--country",
        "England",
    ]);
    assert!(!done.status.success() && !out.exists());
    assert!(String::from_utf8_lossy(&done.stderr).contains("two letters"));
}

#[test]
fn a_damaged_image_is_not_called_whole() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let image = build(&bench, "bramble.img");
    let length = fs::metadata(&image).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(length - 1024 * 1024)
        .unwrap();
    let checked = bramble_image(&["check", text(&image)]);
    assert!(!checked.status.success());
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        "partition 3 is cut off: the file is too short\n"
    );
}
