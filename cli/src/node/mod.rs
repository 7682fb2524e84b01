//! `bramble node`: one process per Pi. Composes agent, gateway and, where the node runs one, controller.
//!
//! ```text
//! people ──► http     ──┬─ /function/… ──► gateway
//!                       └─ the rest ─────► controller's router, here or passed on (pass_on)
//! nodes  ──► node port ─┬─ /v1/invoke/… ─► gateway
//!                       ├─ /v1/http/… ───► controller's router
//!                       ├─ /v1/images/… ─► agent, else controller
//!                       └─ /v1/sync, /v1/raft/… ─► controller
//! ```
//!
//! Crash-only: killing it never stops a container, and starting again is the one way to recover.

pub(crate) mod config;
mod http;
mod node_port;
mod pass_on;
mod raft_peers;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent::{Agent, AgentConfig, EngineConfig, VirtualBoard};
use anyhow::{Context, Result, bail};
use api::{Cpu, Memory, node::EngineKind, store::Catalogue};
use clap::Args;
use controller::{Controller, ControllerConfig};
use gateway::{Gateway, GatewayConfig};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, net::TcpListener, signal::unix::SignalKind, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;
use transport::{Client, Identity};
use zeroize::Zeroizing;

use config::NodeConfig;

/// Name of a bramble that nobody gave another.
const DEFAULT_NAME: &str = "bramble";

/// How long a planned stop may take: the last counts are kept, connections are finished.
const STOP_GRACE: Duration = Duration::from_secs(8);

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The folder with this node's settings (node.toml), identity and state
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// End in good order when standard input ends
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Runs the node until it is asked to end.
pub(crate) fn run(args: NodeArgs) -> Result<()> {
    start_logging();
    // Invocations are all waiting and copying: two threads carry what a Pi's network can.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BRAMBLE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=warn,mdns_sd=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

async fn serve(args: NodeArgs) -> Result<()> {
    let config = NodeConfig::load(&args.state)?;
    let identity =
        Arc::new(Identity::load(&args.state.join("identity")).context("failed to load the node's identity")?);
    let id = identity.id();
    let client = Client::new(Arc::clone(&identity));
    let bulk = Client::bulk(Arc::clone(&identity));
    info!(name = config.name, %id, "starts");

    let http_listener = bind(config.http).await?;
    let node_listener = bind(config.node_port).await?;

    let gateway = Gateway::new(
        GatewayConfig {
            node: id,
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..GatewayConfig::default()
        },
        client.clone(),
    );
    let controller = match config.controller {
        true => Some(open_controller(&args, &identity, &client, &bulk, &gateway).await?),
        false => None,
    };
    let portal = controller
        .as_ref()
        .map(|controller| controller.router(web::router(controller.auth().clone())));

    let agent = Agent::new(
        agent_config(&args, config.clone(), &identity)?,
        gateway.clone(),
        client.clone(),
        bulk,
    )?;
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let front = http::Front::new(
        gateway.clone(),
        portal.clone(),
        pass_on::PassOn::new(gateway.clone(), client.clone(), &config),
    );
    parts.spawn(http::serve(http_listener, front.clone(), stop.clone()));
    parts.spawn(node_port::serve(
        node_listener,
        Arc::clone(&identity),
        node_port::NodePort::new(
            gateway.clone(),
            agent.images(),
            agent.logs(),
            controller.clone(),
            portal,
        ),
        stop.clone(),
    ));
    if let Some(controller) = controller.clone() {
        let stop = stop.clone();
        parts.spawn(async move { controller.run(stop).await.context("the controller failed") });
    }
    parts.spawn(http::serve_inside(agent.bridge_gateway(), front, stop.clone()));
    let agent_stop = stop.clone();
    parts.spawn(async move {
        agent.run(agent_stop).await;
        Ok(())
    });

    let outcome = tokio::select! {
        ended = parts.join_next() => match ended {
            Some(ended) => ended.context("a part of the node broke down")?.context("a part of the node ended"),
            None => Ok(()),
        },
        () = asked_to_end(args.until_stdin_ends) => Ok(()),
    };
    info!("stops");
    stop.cancel();
    _ = tokio::time::timeout(STOP_GRACE, async { while parts.join_next().await.is_some() {} }).await;
    outcome
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))
}

/// What the agent is told.
fn agent_config(args: &NodeArgs, config: NodeConfig, identity: &Identity) -> Result<AgentConfig> {
    let this = std::env::current_exe().context("failed to find this program")?;
    let engine = match config.engine {
        EngineKind::Docker => EngineConfig::Docker { place: config.docker },
        EngineKind::Process => EngineConfig::Process {
            sandbox: vec![this.clone().into(), crate::SANDBOX.into()],
        },
        EngineKind::Fake => bail!("the fake engine is for simulations; use docker or process"),
    };
    let bramble: String = Sha256::digest(identity.authority())
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok(AgentConfig {
        node: identity.id(),
        name: config.name,
        bramble,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: config.node_port,
        state_dir: args.state.clone(),
        builtin_dir: builtin_dir(&this)?,
        engine,
        controllers: config
            .controllers
            .into_iter()
            .map(|peer| (peer.id, peer.address))
            .collect(),
        virtual_board: config.virtual_board.map(|board| VirtualBoard {
            board: board.model,
            memory: Memory::from_bytes(board.memory_bytes),
            cpu: Cpu::from_cores(board.cores),
        }),
    })
}

/// Where the files of the built-in functions are: as `BRAMBLE_BUILTIN_DIR` says, else with this program, where a
/// build or an installation put them.
pub(crate) fn builtin_dir(program: &Path) -> Result<PathBuf> {
    if let Some(told) = std::env::var_os("BRAMBLE_BUILTIN_DIR") {
        return Ok(told.into());
    }
    let beside = program.parent().context("this program is in no folder")?;
    let places = [
        beside.join("builtin"),
        beside.join("../builtin"),
        PathBuf::from("/usr/lib/bramble"),
    ];
    places
        .iter()
        .find(|place| place.join("functions").exists())
        .cloned()
        .with_context(|| {
            format!(
                "the built-in functions are missing: looked in {}; `make builtin` makes them",
                places
                    .iter()
                    .map(|place| place.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        })
}

/// What the built-in functions say of themselves.
fn catalogue(builtin_dir: &Path) -> Result<Catalogue> {
    let program = builtin_dir.join("functions");
    let told = std::process::Command::new(&program)
        .args(["list", "--json"])
        .output()
        .with_context(|| format!("failed to run {}", program.display()))?;
    serde_json::from_slice(&told.stdout)
        .with_context(|| format!("{} does not say which functions it has", program.display()))
}

async fn open_controller(
    args: &NodeArgs,
    identity: &Identity,
    client: &Client,
    bulk: &Client,
    gateway: &Gateway,
) -> Result<Controller> {
    let peers = Arc::new(raft_peers::RaftPeers::new(client.clone(), gateway.clone()));
    let controller = ControllerConfig {
        id: identity.id(),
        dir: args.state.join("raft"),
        bramble: DEFAULT_NAME.to_owned(),
        admin_password: std::env::var("BRAMBLE_ADMIN_PASSWORD")
            .ok()
            .filter(|password| !password.is_empty()),
        vault_key: Zeroizing::new(identity.derive("vault")),
        bulk: bulk.clone(),
        catalogue: catalogue(&builtin_dir(&std::env::current_exe()?)?)?,
    };
    Ok(Controller::open(controller, peers).await?)
}

/// Waits for a polite kill, or for the end of standard input where somebody holds it.
async fn asked_to_end(until_stdin_ends: bool) {
    let signal = |kind| tokio::signal::unix::signal(kind).expect("a process may listen to its signals");
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let stdin_ends = async {
        if !until_stdin_ends {
            std::future::pending::<()>().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut nothing = [0; 64];
        while stdin.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = stdin_ends => {}
    }
}
