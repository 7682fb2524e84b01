//! The programs of others that building needs: checked before the work starts, and run.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

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
        let last: Vec<&str> = said.trim().lines().rev().take(8).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} failed ({}):\n{}", done.status, last.join("\n"));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
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
    fn a_program_that_fails_is_quoted() {
        let error = run(command("sh").args(["-c", "echo no room >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("no room"), "{error}");
    }
}
