//! What a process does to itself before it becomes a replica: `bramble sandbox --memory … -- program …`.
//!
//! Runs in the child, after the engine started it and before the replica's program takes its place, because a
//! process can only confine itself. One thread, no runtime.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    mount::{MountPropagationFlags, mount_bind_recursive, mount_change},
    process::{Gid, Resource, Rlimit, Signal, Uid, getgid, getppid, getuid, setrlimit},
    thread::UnshareFlags,
};

/// Devices that programs expect.
pub(super) const DEVICES: [&str; 4] = ["null", "zero", "random", "urandom"];

/// Where a replica finds its secrets, below its root.
pub(super) const SECRETS: &str = "var/openfaas/secrets";

/// Most processes that all replicas of a machine may have together, where they have a user of their own.
const PROCESSES: u64 = 4096;

/// What is asked of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Most memory of each process, in bytes.
    pub(super) memory: Option<u64>,
    /// Directory that becomes the root of its files, with namespaces of its own.
    pub(super) root: Option<PathBuf>,
    /// What it finds as `/tmp` there.
    pub(super) tmp: Option<PathBuf>,
    /// What it finds as `/var/openfaas/secrets` there.
    pub(super) secrets: Option<PathBuf>,
    /// Its host name there.
    pub(super) hostname: Option<String>,
    /// User that it becomes.
    pub(super) user: Option<u32>,
    /// Process with which it ends.
    pub(super) die_with: Option<u32>,
    /// What it runs.
    pub(super) program: Vec<OsString>,
}

impl Settings {
    /// As arguments of the sandbox program.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let text = |value: &dyn ToString| OsString::from(value.to_string());
        let options = [
            ("--memory", self.memory.as_ref().map(|v| text(v))),
            ("--root", self.root.as_ref().map(|v| v.clone().into_os_string())),
            ("--tmp", self.tmp.as_ref().map(|v| v.clone().into_os_string())),
            (
                "--secrets",
                self.secrets.as_ref().map(|v| v.clone().into_os_string()),
            ),
            ("--hostname", self.hostname.as_ref().map(|v| text(v))),
            ("--user", self.user.as_ref().map(|v| text(v))),
            ("--die-with", self.die_with.as_ref().map(|v| text(v))),
        ];
        let options = options
            .into_iter()
            .filter_map(|(name, value)| Some([OsString::from(name), value?]));
        options
            .flatten()
            .chain([OsString::from("--")])
            .chain(self.program.iter().cloned())
            .collect()
    }

    fn parse(arguments: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        let wrong = |what: &OsStr| io::Error::other(format!("sandbox: {} makes no sense", what.display()));
        let mut settings = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            if name == "--" {
                settings.program = arguments.collect();
                break;
            }
            let value = arguments.next().ok_or_else(|| wrong(&name))?;
            let text = value.to_str().ok_or_else(|| wrong(&value));
            match name.to_str() {
                Some("--memory") => settings.memory = Some(text?.parse().map_err(|_| wrong(&value))?),
                Some("--root") => settings.root = Some(value.into()),
                Some("--tmp") => settings.tmp = Some(value.into()),
                Some("--secrets") => settings.secrets = Some(value.into()),
                Some("--hostname") => settings.hostname = Some(text?.to_owned()),
                Some("--user") => settings.user = Some(text?.parse().map_err(|_| wrong(&value))?),
                Some("--die-with") => settings.die_with = Some(text?.parse().map_err(|_| wrong(&value))?),
                _ => return Err(wrong(&name)),
            }
        }
        if settings.program.is_empty() {
            return Err(io::Error::other("sandbox: nothing to run"));
        }
        Ok(settings)
    }
}

/// Confines this process and becomes the program that `arguments` name; returns only where that fails.
pub fn exec(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    match Settings::parse(arguments).and_then(|settings| confine(&settings).map(|()| settings)) {
        Ok(Settings { program, .. }) => Command::new(&program[0]).args(&program[1..]).exec(),
        Err(error) => error,
    }
}

fn confine(settings: &Settings) -> io::Result<()> {
    let during =
        |doing: &'static str| move |error| io::Error::other(format!("sandbox: failed to {doing}: {error}"));
    if let Some(root) = &settings.root {
        isolate(root, settings).map_err(during("separate the replica from this machine"))?;
    }
    if let Some(user) = settings.user {
        become_user(user).map_err(during("give up being root"))?;
    }
    rustix::thread::set_no_new_privs(true)
        .map_err(io::Error::from)
        .map_err(during("forbid new privileges"))?;
    let limit = |resource, most| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )
    };
    limit(Resource::Core, 0)
        .map_err(io::Error::from)
        .map_err(during("forbid core dumps"))?;
    if settings.user.is_some() {
        limit(Resource::Nproc, PROCESSES)
            .map_err(io::Error::from)
            .map_err(during("limit processes"))?;
    }
    if let Some(memory) = settings.memory {
        // Of what is written to, not of what is merely reserved: allocators reserve far more than they use.
        limit(Resource::Data, memory)
            .map_err(io::Error::from)
            .map_err(during("limit memory"))?;
    }
    if let Some(parent) = settings.die_with {
        // After the change of user, which would undo it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(io::Error::from)
            .map_err(during("tie its life to the node's"))?;
        let is = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        if is != Some(parent) {
            return Err(io::Error::other("sandbox: the node ended"));
        }
    }
    Ok(())
}

/// Own views of files, host name and inter-process communication; root or not.
fn isolate(root: &Path, settings: &Settings) -> io::Result<()> {
    let (user, group) = (getuid(), getgid());
    let mut views = UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    if !user.is_root() {
        // Who is not root may do this in a user namespace.
        views |= UnshareFlags::NEWUSER;
    }
    #[expect(
        deprecated,
        reason = "unsafe only for file descriptor tables, which stay shared"
    )]
    rustix::thread::unshare(views)?;
    if !user.is_root() {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw()))?;
        fs::write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw()))?;
    }
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    mount_bind_recursive("/proc", root.join("proc"))?;
    for device in DEVICES {
        mount_bind_recursive(Path::new("/dev").join(device), root.join("dev").join(device))?;
    }
    if let Some(tmp) = &settings.tmp {
        mount_bind_recursive(tmp, root.join("tmp"))?;
    }
    if let Some(secrets) = &settings.secrets {
        mount_bind_recursive(secrets, root.join(SECRETS))?;
    }
    if let Some(hostname) = &settings.hostname {
        rustix::system::sethostname(hostname.as_bytes())?;
    }
    rustix::process::chroot(root)?;
    rustix::process::chdir("/tmp")?;
    Ok(())
}

fn become_user(user: u32) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_gid(Gid::from_raw(user))?;
    rustix::thread::set_thread_uid(Uid::from_raw(user))?;
    // A second look: nothing that follows may happen as root.
    if getuid().as_raw() == user {
        Ok(())
    } else {
        Err(io::Error::other("the change of user had no effect"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_from_their_arguments() {
        let settings = Settings {
            memory: Some(64 << 20),
            root: Some("/run/root".into()),
            tmp: Some("/run/r7".into()),
            secrets: Some("/run/secrets/env".into()),
            hostname: Some("env-r7".to_owned()),
            user: Some(12_000),
            die_with: Some(42),
            program: vec!["fwatchdog".into(), "--memory".into()],
        };
        assert_eq!(Settings::parse(settings.arguments()).unwrap(), settings);
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for arguments in [
            vec![],
            vec!["--"],
            vec!["--memory", "much", "--", "x"],
            vec!["--colour", "red", "--", "x"],
        ] {
            let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
            assert!(Settings::parse(arguments).is_err());
        }
    }
}
