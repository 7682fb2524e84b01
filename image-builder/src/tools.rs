//! The programs of others that building needs: checked before the work starts, and run.

use std::{
    collections::VecDeque,
    env,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Lines of a program that failed, which say why.
const LAST_WORDS: usize = 8;

/// A program, and Debian's package that brings it.
pub type Tool = (&'static str, &'static str);

/// What assembling needs.
pub const ASSEMBLE: &[Tool] = &[
    ("mke2fs", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

/// Says which of `tools` are missing, and what brings them.
///
/// # Errors
/// When any is missing.
pub fn check(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> = tools
        .iter()
        .copied()
        .filter(|(name, _)| find(name).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    bail!(
        "{} missing here. On Debian or Ubuntu this brings what is needed:\n\n  sudo apt-get install --no-install-recommends {}",
        names.join(", "),
        packages.join(" ")
    )
}

/// Where a program is. Administrators' programs are found without their folders in `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program, ready to be given arguments.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
    command.stdin(Stdio::null()).env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// Runs `command` to its end and returns what it wrote to its standard output.
///
/// # Errors
/// When it cannot be started or fails: with its last words.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("cannot start {name}"))?;
    if !done.status.success() {
        let said =
            String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
        let last: Vec<&str> = said.trim().lines().rev().take(LAST_WORDS).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} failed ({}):\n{}", done.status, last.join("\n"));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs `command` to its end and passes on each line that it says on the way (on its standard error).
///
/// # Errors
/// When it cannot be started or fails: with its last words.
pub fn follow(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut last = VecDeque::new();
    for said in BufReader::new(child.stderr.take().expect("it was asked for")).split(b'\n') {
        let said = String::from_utf8_lossy(&said?).into_owned();
        line(&said);
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(said);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} failed ({status}):\n{}", Vec::from(last).join("\n"));
    }
    Ok(())
}

/// Packs `file` with xz to `packed`, and passes on how many hundredths are done, from time to time.
///
/// # Errors
/// When a file cannot be read or written, or xz fails.
pub fn pack(file: &Path, packed: &Path, mut done: impl FnMut(u64)) -> Result<()> {
    let mut from = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let to = File::create(packed).with_context(|| format!("cannot write {}", packed.display()))?;
    let length = from.metadata()?.len().max(1);
    // From standard input xz does not know the length, so blocks of their own keep several threads busy.
    let mut xz = command("xz")
        .args(["--stdout", "--threads=2", "--block-size=64MiB", "-6"])
        .stdin(Stdio::piped())
        .stdout(to)
        .spawn()
        .context("cannot start xz")?;
    let mut into = xz.stdin.take().expect("it was asked for");
    let mut bytes = vec![0; 1 << 20];
    let mut read = 0;
    loop {
        let count = from.read(&mut bytes)?;
        // Where xz has ended before, its status says why.
        if count == 0 || into.write_all(&bytes[..count]).is_err() {
            break;
        }
        read += count as u64;
        done(read * 100 / length);
    }
    drop(into);
    let status = xz.wait()?;
    if !status.success() {
        bail!("xz failed ({status}): is there room for {}?", packed.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_the_line_that_brings_it() {
        let error = check(&[("no-such-program", "no-such-package"), ("sh", "dash")])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("no-such-program missing here."), "{error}");
        assert!(
            error.ends_with("apt-get install --no-install-recommends no-such-package"),
            "{error}"
        );
    }

    #[test]
    fn what_a_program_says_on_the_way_is_passed_on_and_its_last_words_are_kept() {
        let mut heard = Vec::new();
        let script = "for n in 1 2 3 4 5 6 7 8 9; do echo $n >&2; done; echo aside; exit 3";
        let error = follow(command("sh").args(["-c", script]), |line| {
            heard.push(line.to_owned())
        })
        .unwrap_err()
        .to_string();
        assert_eq!(heard.len(), 9);
        assert!(error.ends_with("\n2\n3\n4\n5\n6\n7\n8\n9"), "{error}");
        follow(&mut command("true"), |_| ()).unwrap();
    }

    #[test]
    fn packing_tells_how_far_it_is_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (file, packed) = (folder.path().join("a"), folder.path().join("a.xz"));
        std::fs::write(&file, vec![7; 3 << 20]).unwrap();
        let mut told = Vec::new();
        pack(&file, &packed, |hundredths| told.push(hundredths)).unwrap();
        assert_eq!(told, [33, 66, 100]);
        let unpacked = command("xz").args(["-dc"]).arg(&packed).output().unwrap();
        assert_eq!(unpacked.stdout, std::fs::read(&file).unwrap());
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = run(command("sh").args(["-c", "echo no room >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("no room"), "{error}");
    }
}
