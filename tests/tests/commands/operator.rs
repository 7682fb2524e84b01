//! Somebody who types commands, and what came of them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use tests::demo::{Demo, program};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) raw: Vec<u8>,
}

/// Somebody at a keyboard, with logins of their own.
pub(crate) struct Operator {
    pub(crate) home: tempfile::TempDir,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(words)
            .current_dir(self.home.path())
            .env("OPENFAAS_CONFIG", self.home.path().join("logins"))
            .env_remove("OPENFAAS_URL")
            .env_remove("OPENFAAS_STORE")
            .env_remove("CI");
        command
    }

    pub(crate) fn type_in(&self, words: &[&str], input: impl Into<Vec<u8>>) -> Done {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.into();
        // A command that reads nothing closes its end.
        let writer = thread::spawn(move || _ = stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            raw: output.stdout,
        }
    }

    pub(crate) fn does(&self, line: &str) -> Done {
        self.type_in(&split(line), "")
    }

    /// Types a line that has to succeed; answers what it prints.
    pub(crate) fn succeeds(&self, line: &str) -> String {
        let done = self.does(line);
        assert_eq!(done.code, 0, "bramble {line}: {done:?}");
        done.out
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    pub(crate) fn logs_in(&self, demo: &Demo) {
        self.logs_in_at(&demo.portal, &demo.password);
    }

    pub(crate) fn logs_in_at(&self, portal: &str, password: &str) {
        let done = self.type_in(
            &["login", "-g", portal, "--password-stdin"],
            format!("{password}\n"),
        );
        assert_eq!(done.code, 0, "{done:?}");
    }
}

/// Words of a line; `'…'` keeps spaces.
fn split(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace()),
            _ => words.push(part),
        }
    }
    words
}

pub(crate) fn two_nodes() -> Demo {
    Demo::builder().nodes(2).engine("process").start()
}
