//! `bramble demo`: a bramble of virtual Pis on this computer, as child processes on loopback.
//!
//! Here: what the command does from start to end. The boards are in [`boards`], the folder in [`layout`], the
//! bramble's keys and settings in [`mint`], the processes in [`supervisor`], their plugs in [`power`], the address
//! that stands for `bramble.local` in [`front`], and the guided tour in [`tour`].

#![expect(clippy::print_stdout, reason = "what the demo prints is what it is for")]

mod boards;
mod front;
mod layout;
mod mint;
mod power;
mod supervisor;
mod tour;

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use api::node::EngineKind;
use clap::{Args, Subcommand, ValueEnum};
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::client::ApiClient;
use layout::Layout;
use power::PowerStrip;
use supervisor::{VirtualPi, Wiring};

/// The name of the user that the demo makes.
const USER: &str = "admin";

/// Longest that the demo waits for all nodes before it says that something is wrong.
const READY_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  bramble demo --tour\n  bramble demo --nodes 6 --data ~/bramble-demo\n  bramble demo unplug pi-3b-7f2a"
)]
pub(crate) struct DemoArgs {
    #[command(subcommand)]
    plug: Option<Plug>,

    /// How many virtual Pis to start
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=96))]
    nodes: u16,

    /// How many of them run a controller: 1, 3 or 5; as many as fit if not given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
    controllers: Option<u8>,

    /// Where the bramble is reached; stands for bramble.local
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Where to keep everything, so that a later start finds it again; a folder that is removed at the end if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// How replicas run: as containers, as child processes, or whichever is there
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    engine: EngineChoice,

    /// Show the main job step by step: deploy, invoke, scale, unplug a Pi, invoke again
    #[arg(long)]
    tour: bool,
}

#[derive(Debug, Subcommand)]
enum Plug {
    /// Pull the plug of a virtual Pi of the running demo
    Unplug(PlugArgs),
    /// Put the plug of a virtual Pi back in
    Plug(PlugArgs),
}

#[derive(Debug, Args)]
struct PlugArgs {
    /// Name of the node
    name: String,
    /// The folder of the demo; the one started last if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineChoice {
    /// Docker where it answers, else child processes
    Auto,
    /// As containers of the Docker Engine of this computer
    Docker,
    /// As child processes, built-in functions only
    Process,
}

/// Runs the command.
pub(crate) async fn run(args: DemoArgs) -> Result<()> {
    match args.plug {
        Some(Plug::Unplug(plug)) => move_plug(plug, true).await,
        Some(Plug::Plug(plug)) => move_plug(plug, false).await,
        None => start(args).await,
    }
}

/// Pulls a plug or puts it back in, and waits until the running demo has followed.
async fn move_plug(args: PlugArgs, unplugged: bool) -> Result<()> {
    let layout = Layout::find(args.data.as_deref())?;
    let names = layout.node_names()?;
    if !names.contains(&args.name) {
        bail!("there is no node {}; there are: {}", args.name, names.join(", "));
    }
    let node = layout.node(&args.name);
    node.set_unplugged(unplugged)
        .with_context(|| format!("failed to move the plug of {}", args.name))?;
    let deadline = Instant::now() + Duration::from_secs(15);
    while node.is_running() == unplugged {
        if Instant::now() > deadline {
            bail!("the demo does not follow: does it still run?");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{} is {}.",
        args.name,
        if unplugged {
            "unplugged"
        } else {
            "plugged in again"
        }
    );
    Ok(())
}

async fn start(args: DemoArgs) -> Result<()> {
    // Every node would end for want of them: better said once, and first.
    let program = std::env::current_exe().context("failed to find this program")?;
    crate::node::builtin_dir(&program)?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "failed to listen on {}: if something else is there, choose another with --listen 127.0.0.1:0",
            args.listen
        )
    })?;
    let portal = format!(
        "http://{}",
        listener.local_addr().context("failed to read an address")?
    );

    let docker_socket = std::env::var("DOCKER_HOST").ok();
    let (engine, words) = choose_engine(args.engine, docker_socket.as_deref()).await?;
    let power = match engine {
        EngineKind::Docker => PowerStrip::with_docker(docker_socket.as_deref()).await?,
        _ => PowerStrip::without_docker(),
    };

    // Dropped, and with it the folder, when the demo has ended.
    let temporary = match &args.data {
        None => Some(
            tempfile::Builder::new()
                .prefix("bramble-demo-")
                .tempdir()
                .context("failed to make a folder")?,
        ),
        Some(_) => None,
    };
    let root = temporary
        .as_ref()
        .map(|t| t.path().to_owned())
        .or(args.data)
        .expect("one of the two is there");
    let layout = Layout::create(&root)?;
    let password = mint::password(&layout)?;
    let (nodes, _reserved) = mint::nodes(&layout, usize::from(args.nodes), engine, docker_socket.as_deref())?;

    println!("Portal: {portal}");
    println!("User: {USER}");
    println!("Password: {password}");
    println!("Engine: {words}");
    layout.announce();

    let stop = CancellationToken::new();
    let wiring = Wiring {
        power: power.clone(),
        password: password.clone(),
    };
    let mut running = JoinSet::new();
    for node in nodes.clone() {
        let (wiring, stop) = (wiring.clone(), stop.clone());
        running.spawn(supervisor::supervise(node, wiring, stop, |sentence| {
            println!("{sentence}")
        }));
    }
    let front = tokio::spawn(front::serve(
        listener,
        nodes.iter().map(|n| n.http).collect(),
        stop.clone(),
    ));

    let client = ApiClient::new(&portal, USER, &password)?;
    let show = async {
        wait_until_ready(&client, &nodes, args.controllers).await?;
        if args.tour {
            tour::walk(&client, &layout, &nodes, &portal).await?;
            if !std::io::stdout().is_terminal() {
                return Ok(());
            }
        }
        println!("Press Ctrl-C to end the demo.");
        std::future::pending().await
    };
    let outcome: Result<()> = tokio::select! {
        outcome = show => outcome,
        failed = first_failure(&mut running) => failed,
        () = asked_to_end() => Ok(()),
    };

    println!("Ending the demo …");
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended.context("a supervisor broke down")??;
    }
    _ = front.await;
    for node in &nodes {
        power.clear(node.id).await?;
    }
    layout.withdraw();
    outcome
}

/// Which engine the nodes get, and what to say of it.
async fn choose_engine(choice: EngineChoice, socket: Option<&str>) -> Result<(EngineKind, String)> {
    let process = || {
        (
            EngineKind::Process,
            "process (replicas are child processes; built-in functions only)".to_owned(),
        )
    };
    let docker = match choice {
        EngineChoice::Process => return Ok(process()),
        EngineChoice::Auto | EngineChoice::Docker => docker_version(socket).await,
    };
    match (choice, docker) {
        (_, Ok(version)) => Ok((EngineKind::Docker, format!("docker ({version})"))),
        (EngineChoice::Docker, Err(error)) => {
            Err(error).context("Docker does not answer: start it, set DOCKER_HOST, or use --engine process")
        }
        (_, Err(_)) => Ok(process()),
    }
}

async fn docker_version(socket: Option<&str>) -> Result<String> {
    let docker = agent::engine::docker::connect(socket).await?;
    let version = tokio::time::timeout(Duration::from_secs(3), docker.version())
        .await
        .context("no answer in 3 s")??;
    Ok(version.version.unwrap_or_else(|| "unknown version".to_owned()))
}

/// Waits until every node that is plugged in is up.
async fn wait_until_ready(client: &ApiClient, nodes: &[VirtualPi], controllers: Option<u8>) -> Result<()> {
    let began = Instant::now();
    let mut seen = 0;
    let mut told = controllers.is_none();
    loop {
        let wanted = nodes.iter().filter(|node| !node.folder.is_unplugged()).count();
        if let Ok(list) = client.get::<Vec<api::v1::Node>>("/api/v1/nodes").await {
            if !told {
                told = want_controllers(client, controllers).await;
            }
            let running = list.iter().filter(|node| node.controller).count();
            let enough = controllers.is_none_or(|wanted| told && running == usize::from(wanted));
            let up = list
                .iter()
                .filter(|node| node.phase == api::v1::NodePhase::Up)
                .count();
            if up > seen {
                println!("{up} of {wanted} nodes are up.");
                seen = up;
            }
            if up >= wanted && enough && all_answer(nodes).await {
                println!("Ready after {:.1} s.", began.elapsed().as_secs_f64());
                return Ok(());
            }
        }
        if began.elapsed() > READY_PATIENCE {
            bail!(
                "only {seen} of {wanted} nodes came up; their logs are in {}",
                nodes
                    .first()
                    .map_or_else(String::new, |n| n.folder.path().display().to_string())
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether every node that is plugged in answers for the bramble at its own address.
async fn all_answer(nodes: &[VirtualPi]) -> bool {
    for node in nodes.iter().filter(|node| !node.folder.is_unplugged()) {
        let Ok(client) = ApiClient::new(&format!("http://{}", node.http), USER, "") else {
            return false;
        };
        let answer = client.send(http::Method::GET, "/healthz", "").await;
        if !answer.is_ok_and(|answer| answer.status.is_success()) {
            return false;
        }
    }
    true
}

/// Says how many controllers there should be; whether that was taken.
async fn want_controllers(client: &ApiClient, count: Option<u8>) -> bool {
    let body = serde_json::json!({"count": count}).to_string();
    let answer = client.send(http::Method::PUT, "/api/v1/controllers", body).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

/// Waits until a supervisor fails; they end in good order only when the demo does.
async fn first_failure(running: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = running.join_next().await {
        ended.context("a supervisor broke down")??;
    }
    std::future::pending().await
}

/// Waits for Ctrl-C or a polite kill.
async fn asked_to_end() {
    let signal = |kind| tokio::signal::unix::signal(kind).expect("a process may listen to its signals");
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let mut hangup = signal(SignalKind::hangup());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
