//! Runs two built-in functions on the process engine until it is killed; the engine's tests kill it.
//!
//! `process_engine sandbox …` is the sandbox program that the engine needs, as `bramble sandbox` is in a node.
//! `process_engine BUILTIN_DIR RUN_DIR` prints one line per replica, process id and address, and waits.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{env, error::Error, ffi::OsString, net::Ipv4Addr, sync::Arc};

use agent::{
    engine::{
        Engine, Progress, State,
        process::{ProcessConfig, ProcessEngine, sandbox},
    },
    plan::Step,
};
use api::{FunctionSpec, Generation, ReplicaId, openfaas::FunctionDeployment, sync::DesiredReplica};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    if first == "sandbox" {
        return Err(sandbox::exec(arguments).into());
    }
    let run_dir = arguments
        .next()
        .ok_or("name the directory of built-in functions and one to run in")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(first, run_dir))
}

async fn run(builtin_dir: OsString, run_dir: OsString) -> Result<(), Box<dyn Error>> {
    let engine = ProcessEngine::new(ProcessConfig {
        builtin_dir: builtin_dir.into(),
        secrets_dir: env::temp_dir().join("bramble-test-secrets"),
        gateway: Ipv4Addr::LOCALHOST.into(),
        run_dir: run_dir.into(),
        sandbox: vec![env::current_exe()?.into(), "sandbox".into()],
    });
    engine.open().await?;
    let progress: Progress = Arc::new(|_| {});
    for (replica, name) in [(ReplicaId(1), "sleep"), (ReplicaId(2), "echo")] {
        let deployment = FunctionDeployment {
            service: name.to_owned(),
            image: format!("bramble/{name}:latest"),
            ..FunctionDeployment::default()
        };
        let desired = Box::new(DesiredReplica {
            version: 1,
            spec: FunctionSpec::check(&deployment, "")?,
            image: None,
            secrets: Default::default(),
            devices: Default::default(),
        });
        engine
            .run(
                &Step::Start {
                    replica,
                    desired,
                    generation: Generation::default(),
                },
                &progress,
            )
            .await?;
    }
    for seen in engine.list().await?.into_values() {
        if let State::Running { address } = seen.state {
            println!("{} {address}", seen.run);
        }
    }
    std::future::pending().await
}
