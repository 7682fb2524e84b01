//! Replicas as child processes, for machines without Docker: built-in functions only.
//!
//! Each replica has a process group, a `/tmp`, an environment and resource limits of its own; where the kernel lets
//! us, also its own view of files, host name and inter-process communication, and on a machine where the node is root
//! a user without any rights. What is missing compared with containers, [`Engine::open`] says as a warning.
//!
//! Children end when their node ends, however it ends: the watchdog leaves when its input does, and what runs without
//! one is killed by the kernel.

mod child;
mod files;
mod output;
pub mod sandbox;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{FunctionSpec, Generation, Memory, ReplicaId, images::HeldImage, sync::DesiredReplica};
use futures_util::{StreamExt, stream, stream::BoxStream};
use rustix::process::Signal;
use tokio::{net::TcpListener, sync::Notify};

use super::{Abilities, Ending, Engine, EngineError, LogsWanted, Progress, Seen, State, Written, last_words};
use crate::{
    builtin::{self, Builtins},
    plan::Step,
};
use child::{Running, Spawner};
use files::Files;
use sandbox::Settings;

/// User of replicas where the node is root: the number that OpenFaaS images use.
const USER: u32 = 12_000;

/// What the engine has to know of its node.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Where the files of the built-in functions are.
    pub builtin_dir: PathBuf,
    /// Where the secrets of each function are, in a directory of its name.
    pub secrets_dir: PathBuf,
    /// Where replicas reach this node's gateway, by the names that functions know it by.
    pub gateway: IpAddr,
    /// A directory for this engine alone; what is in it is removed.
    pub run_dir: PathBuf,
    /// Program and first arguments that lead to [`sandbox::exec`]: `bramble sandbox`.
    pub sandbox: Vec<OsString>,
}

/// Runs replicas as child processes.
#[derive(Debug)]
pub struct ProcessEngine {
    config: ProcessConfig,
    files: Files,
    open: Mutex<Option<Open>>,
    replicas: Mutex<BTreeMap<ReplicaId, Replica>>,
    spawner: Spawner,
    changed: Arc<Notify>,
}

#[derive(Clone, Debug)]
struct Open {
    builtins: Arc<Builtins>,
    /// Whether replicas get their own view of files.
    isolates: bool,
    user: Option<u32>,
}

#[derive(Debug)]
struct Replica {
    seen: Seen,
    memory_limit: Option<Memory>,
    running: Running,
    frozen: bool,
    address: SocketAddr,
}

impl ProcessEngine {
    /// An engine without replicas.
    pub fn new(config: ProcessConfig) -> Self {
        Self {
            files: Files::new(config.run_dir.clone()),
            config,
            open: Mutex::default(),
            replicas: Mutex::default(),
            spawner: Spawner::new(),
            changed: Arc::default(),
        }
    }

    fn opened(&self) -> Result<Open, EngineError> {
        let open = self.open.lock().expect("no panic while held").clone();
        open.ok_or_else(|| EngineError::Refused("the built-in functions are not there yet".to_owned()))
    }

    fn sandbox(&self, settings: &Settings) -> Command {
        let mut command = Command::new(&self.config.sandbox[0]);
        command
            .args(&self.config.sandbox[1..])
            .args(settings.arguments())
            .env_clear();
        command
    }

    /// Whether replicas can have a root of their own here: tried, since kernels and their settings differ.
    fn try_isolation(&self, user: Option<u32>) -> Result<(), String> {
        let settings = Settings {
            root: Some(self.files.root()),
            hostname: Some("trial".to_owned()),
            user,
            program: vec!["/usr/bin/functions".into(), "list".into()],
            ..Settings::default()
        };
        let output = self
            .sandbox(&settings)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(last_words::of(&output.stderr))
    }

    async fn start(
        &self,
        replica: ReplicaId,
        desired: &DesiredReplica,
        generation: Generation,
    ) -> Result<(), EngineError> {
        let open = self.opened()?;
        let failed = |doing: &'static str| {
            move |source: io::Error| EngineError::Failed {
                doing: doing.to_owned(),
                source: source.into(),
            }
        };
        if self.is_running(replica, desired.version) {
            return Ok(());
        }
        self.stop(replica, Duration::ZERO).await;
        let spec = &desired.spec;
        let function = builtin::name_of(&spec.image).and_then(|name| open.builtins.function(name));
        let Some(function) = function else {
            let there_are = open.builtins.names();
            return Err(EngineError::Refused(format!(
                "`{}` needs Docker: without it this node runs only built-in functions ({there_are}); install Docker on this node or deploy one of these",
                spec.image
            )));
        };
        let user = open.user;
        self.files.copy_resolver();
        let tmp = self
            .files
            .make_tmp(replica, user)
            .map_err(failed("make the replica's directory"))?;
        let address = free_address().await.map_err(failed("find a free port"))?;
        let (program, image_env) = function.start();
        let secrets = (!spec.secrets.is_empty()).then(|| self.config.secrets_dir.join(spec.name.to_string()));
        let mut settings = Settings {
            memory: spec.memory_limit().map(Memory::bytes),
            user,
            // The watchdog ends with its input, and takes its own children along; what has none, the kernel ends.
            die_with: function.mode.of_watchdog().is_none().then(std::process::id),
            program: self.program(&program, open.isolates),
            ..Settings::default()
        };
        if open.isolates {
            settings.root = Some(self.files.root());
            settings.tmp = Some(tmp.clone());
            settings.hostname = Some(crate::engine::hostname(replica, spec.name.name()));
            settings.secrets = secrets.clone();
        }
        let mut command = self.sandbox(&settings);
        command.envs(image_env).envs(environment(spec));
        command.env(&function.port_env, address.port().to_string());
        command.env("bramble_listen_address", address.ip().to_string());
        command.env("bramble_exit_with_stdin", "true");
        // One port for all replicas of a machine would be the first one's.
        command.env("bramble_metrics_port", "0");
        if open.isolates {
            command
                .env("PATH", "/bin:/usr/bin")
                .env("TMPDIR", "/tmp")
                .env("HOME", "/tmp");
        } else {
            let root = self.files.root();
            let path = std::env::join_paths([root.join("bin"), root.join("usr/bin")]);
            let path =
                path.map_err(|error| failed("name the directory of tools")(io::Error::other(error)))?;
            command
                .env("PATH", path)
                .env("TMPDIR", &tmp)
                .env("HOME", &tmp)
                .current_dir(&tmp);
            // Without files of its own it is told where they are, by the variable that OpenFaaS' libraries know.
            if let Some(secrets) = &secrets {
                command.env("secret_mount_path", secrets);
            }
        }
        let running = Running::start(&self.spawner, command, self.changed.clone())
            .await
            .map_err(failed("start the replica's process"))?;
        let seen = Seen {
            function: spec.name.clone(),
            version: desired.version,
            generation,
            grace: spec.stop_grace(),
            run: running.pid().to_string(),
            state: State::Running { address },
        };
        let entry = Replica {
            seen,
            memory_limit: spec.memory_limit(),
            running,
            frozen: false,
            address,
        };
        self.replicas
            .lock()
            .expect("no panic while held")
            .insert(replica, entry);
        Ok(())
    }

    /// The program with its full path, which the sandbox needs: it does not search.
    fn program(&self, words: &[String], isolates: bool) -> Vec<OsString> {
        let directory = if isolates {
            PathBuf::from("/usr/bin")
        } else {
            self.files.root().join("usr/bin")
        };
        let mut words = words.iter();
        let program = words
            .next()
            .map(|program| directory.join(program).into_os_string());
        program.into_iter().chain(words.map(OsString::from)).collect()
    }

    fn is_running(&self, replica: ReplicaId, version: u64) -> bool {
        let replicas = self.replicas.lock().expect("no panic while held");
        replicas.get(&replica).is_some_and(|entry| {
            entry.seen.version == version && !entry.frozen && entry.running.code().is_none()
        })
    }

    async fn stop(&self, replica: ReplicaId, grace: Duration) {
        let end = {
            let replicas = self.replicas.lock().expect("no panic while held");
            replicas.get(&replica).map(|entry| entry.running.end())
        };
        if let Some(end) = end {
            end.bring_about(grace).await;
            self.replicas
                .lock()
                .expect("no panic while held")
                .remove(&replica);
            self.files.remove_tmp(replica);
        }
    }

    fn freeze(&self, replica: ReplicaId, freeze: bool) {
        if let Some(entry) = self
            .replicas
            .lock()
            .expect("no panic while held")
            .get_mut(&replica)
        {
            entry
                .running
                .signal(if freeze { Signal::STOP } else { Signal::CONT });
            entry.frozen = freeze;
        }
    }
}

/// Environment of a replica of `spec`, besides what its image brings.
fn environment(spec: &FunctionSpec) -> impl Iterator<Item = (&str, &str)> {
    let own = [
        ("OPENFAAS_NAME", Some(spec.name.name())),
        ("OPENFAAS_NAMESPACE", Some(spec.name.namespace())),
    ];
    let users = spec
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let process = spec.process.as_deref().map(|process| ("fprocess", process));
    own.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain(users)
        .chain(process)
}

/// An address that is free now. Somebody may take it before the replica does: then that ends, and its next start
/// finds another.
async fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}

impl Replica {
    fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        if let Some(code) = self.running.code() {
            let last_words = last_words::of(&self.running.output().tail());
            seen.state = State::Ended(Ending {
                // The allocator's own last words: the kernel kills nobody for reaching this kind of limit.
                out_of_memory: self.memory_limit.is_some() && last_words.contains("memory allocation of"),
                code,
                memory_limit: self.memory_limit,
                last_words,
            });
        } else if self.frozen {
            seen.state = State::Frozen {
                address: self.address,
            };
        }
        seen
    }
}

impl Engine for ProcessEngine {
    async fn open(&self) -> Result<Abilities, EngineError> {
        let refused = |error: builtin::BuiltinError| {
            let error = EngineError::Failed {
                doing: "use the built-in functions".to_owned(),
                source: error.into(),
            };
            EngineError::Refused(error.in_words())
        };
        let builtins = Arc::new(Builtins::load(&self.config.builtin_dir).map_err(refused)?);
        self.files
            .lay_out(&builtins, self.config.gateway)
            .map_err(|source| EngineError::Failed {
                doing: format!("lay out {}", self.config.run_dir.display()),
                source: source.into(),
            })?;
        let is_root = rustix::process::geteuid().is_root();
        let user = is_root.then_some(USER);
        let isolation = self.try_isolation(user);
        let mut missing =
            vec!["memory is limited for each process instead of the whole replica, CPU and network are not"];
        if isolation.is_err() {
            missing.push("they see this machine's files with the rights of its user");
        }
        let mut warning = format!(
            "Replicas run as plain processes, without Docker: {}",
            missing.join("; ")
        );
        if let Err(why) = &isolation {
            warning = format!("{warning} ({why})");
        }
        let platform = builtins.platform.clone();
        *self.open.lock().expect("no panic while held") = Some(Open {
            builtins,
            isolates: isolation.is_ok(),
            // Without a root of its own another user could not reach the program.
            user: user.filter(|_| isolation.is_ok()),
        });
        Ok(Abilities {
            platforms: vec![platform],
            warnings: [warning].into(),
            // Without a root of its own a replica has the names of this machine.
            gateway: isolation.is_ok().then_some(self.config.gateway),
        })
    }

    async fn list(&self) -> Result<BTreeMap<ReplicaId, Seen>, EngineError> {
        let replicas = self.replicas.lock().expect("no panic while held");
        Ok(replicas
            .iter()
            .map(|(replica, entry)| (*replica, entry.seen()))
            .collect())
    }

    async fn run(&self, step: &Step, _progress: &Progress) -> Result<(), EngineError> {
        match step {
            Step::Start {
                replica,
                desired,
                generation,
            } => return self.start(*replica, desired, *generation).await,
            Step::Stop { replica, grace } => self.stop(*replica, *grace).await,
            Step::Freeze { replica } => self.freeze(*replica, true),
            Step::Thaw { replica } => self.freeze(*replica, false),
        }
        Ok(())
    }

    async fn images(&self) -> Result<Vec<HeldImage>, EngineError> {
        Ok(self.opened()?.builtins.as_images())
    }

    async fn images_changed(&self) {
        std::future::pending().await
    }

    async fn logs(
        &self,
        replica: ReplicaId,
        wanted: LogsWanted,
    ) -> Result<BoxStream<'static, Written>, EngineError> {
        let replicas = self.replicas.lock().expect("no panic while held");
        let lines = replicas
            .get(&replica)
            .map(|replica| replica.running.output().read(wanted));
        Ok(lines.unwrap_or_else(|| stream::empty().boxed()))
    }

    async fn has_lock_file(&self, replica: ReplicaId) -> bool {
        self.files.tmp(replica).join(".lock").exists()
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}
