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

mod candidate;
mod card;
mod door;
mod home;
mod http;
mod insiders;
mod lights;
mod look;
mod meetings;
mod member;
mod node_port;
mod pass_on;
mod presence;
mod raft_peers;
mod running;
mod service;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    AgentConfig, Contacts, EngineConfig, NodeLight, OwnAddress, Pulse, Sign, Stage, Strangers,
    discovery::Interfaces,
};
use anyhow::{Context, Result, bail};
use api::{
    Cpu, Memory,
    join::BrambleId,
    node::EngineKind,
    settings::{DEFAULT_NAME, Peer, Settings},
};
use clap::Args;
use hardware::light::LightConfig;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, net::TcpListener, signal::unix::SignalKind, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use transport::{NodeKey, join::JoinSecret};

use candidate::Candidate;
use home::Home;
use look::Ways;
use member::Ended;

/// The ports on which people and nodes reach a node.
const HTTP_PORT: u16 = 8080;
const NODE_PORT: u16 = api::settings::NODE_PORT;

#[derive(Debug, Args)]
#[command(
    after_help = "What a card says is in bramble.toml; docs/bramble.toml is an example with every setting."
)]
pub(crate) struct NodeArgs {
    /// Where the node keeps who it is and, while it runs a controller, the bramble's state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bramble")]
    state: PathBuf,

    /// The card's settings [default: bramble.toml in /boot/firmware, /boot or /etc/bramble]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Where to take HTTP: invocations, API and portal; may be given more than once [default: port 8080 everywhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Vec<SocketAddr>,

    /// Where to take other nodes [default: port 7443 everywhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    node_port: Option<SocketAddr>,

    /// Where another node is, for networks without multicast; may be given more than once
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = Peer::parse)]
    peer: Vec<Peer>,

    /// Neither look for other nodes nor announce this one by multicast
    #[arg(long)]
    no_multicast: bool,

    /// All nodes start at the same time on one machine, so nobody has to be waited for
    #[arg(long, hide = true)]
    brisk: bool,

    /// What a virtual Pi pretends to be, as JSON
    #[arg(long, hide = true, value_parser = VirtualBoard::parse)]
    virtual_board: Option<VirtualBoard>,

    /// Which light this node has, instead of what bramble.toml says; may be given more than once: onboard, led:NAME,
    /// gpio:17, rgb:17,27,22, blinkt, terminal or none
    #[arg(long, value_name = "LIGHT")]
    light: Vec<LightConfig>,

    /// Where to keep what people in front of this Pi should read, for its screen
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,

    /// Where the kernel's files are that tell of board and sensors
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,

    /// End in good order when standard input ends
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// What the demo lends a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VirtualBoard {
    /// The short form in node names.
    pub(crate) short: String,
    /// The board in people's words.
    pub(crate) model: String,
    /// Its memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Its cores.
    pub(crate) cores: u16,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
}

impl VirtualBoard {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
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
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=error,mdns_sd=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

async fn serve(args: NodeArgs) -> Result<()> {
    let mut node = Node::prepare(args).await?;
    let wanted = lights::wanted(&node.args.light, &node.settings.lights);
    let lights = lights::Lights::start(wanted, &node.args.root);
    node.light = lights.light();
    let outcome = node.run().await;
    lights.go_dark().await;
    outcome
}

/// A node with all that it was told, before it is known whether it is part of a bramble.
struct Node {
    args: NodeArgs,
    settings: Settings,
    home: Home,
    key: Arc<NodeKey>,
    secret: Option<Arc<JoinSecret>>,
    name: String,
    address: OwnAddress,
    ways: Ways,
    http_port: u16,
    light: NodeLight,
    /// What people in front of this Pi are shown.
    sign: Sign,
    /// Whom this node turned away.
    strangers: Strangers,
    /// Shows whoever watches over this program that it is alive.
    pulse: Pulse,
}

impl Node {
    async fn prepare(args: NodeArgs) -> Result<Self> {
        let settings = card::read(args.settings.clone());
        let secret = tokio::task::block_in_place(|| card::join_secret(&settings));
        let home = Home::open(&args.state)?;
        let key = Arc::new(home.key()?);
        let short = match &args.virtual_board {
            Some(board) => board.short.clone(),
            None => hardware::board::read(&args.root).short,
        };
        let name = settings.node_name.clone();
        let name = name.unwrap_or_else(|| format!("{short}-{}", key.id().tail()));
        let interfaces = Interfaces {
            only: settings.interfaces.iter().map(|one| one.text.clone()).collect(),
            loopback: false,
        };
        let port = args.node_port.map_or(NODE_PORT, |address| address.port());
        let address = match args.node_port {
            Some(address) if !address.ip().is_unspecified() => OwnAddress::Fixed(address),
            _ => OwnAddress::Of(interfaces.clone(), port),
        };
        card::check_interfaces(&settings);
        let peers = settings.peers.iter().chain(&args.peer).cloned().collect();
        let ways = Ways {
            multicast: (!args.no_multicast).then_some(interfaces),
            peers,
            name: name.clone(),
            port,
        };
        let sign = Sign::new(args.sign.clone());
        let http_port = args.http.first().map_or(HTTP_PORT, SocketAddr::port);
        info!(name, id = %key.id(), "starts");
        Ok(Self {
            args,
            settings,
            home,
            key,
            secret,
            name,
            address,
            ways,
            http_port,
            light: NodeLight::default(),
            sign,
            strangers: Strangers::default(),
            pulse: service::pulse(),
        })
    }

    /// Becomes part of a bramble, if it is not yet, and takes part in it; then in the next one, where that one ends.
    async fn run(self) -> Result<()> {
        let mut formerly = None;
        loop {
            let mut listener = bind(self.args.node_port, NODE_PORT).await?;
            let config = self.agent_config()?;
            if self.home.membership()?.is_none() {
                let until_stdin_ends = self.args.until_stdin_ends;
                let joined = tokio::select! {
                    joined = self.become_member(listener, &config, formerly) => joined?,
                    () = asked_to_end(until_stdin_ends) => None,
                };
                let Some(kept) = joined else { return Ok(()) };
                listener = kept;
            }
            let (identity, membership) = self
                .home
                .membership()?
                .context("the node's certificate is gone: was its folder changed?")?;
            formerly = Some(BrambleId::from_authority(identity.authority()));
            match self
                .take_part(listener, Arc::new(identity), &membership, config)
                .await?
            {
                Ended::AskedTo => return Ok(()),
                Ended::Left => self.home.leave()?,
            }
        }
    }

    /// Answers the listener; `None` where the node was asked to end before.
    async fn become_member(
        &self,
        listener: TcpListener,
        config: &AgentConfig,
        formerly: Option<BrambleId>,
    ) -> Result<Option<TcpListener>> {
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let removed_from = self.home.removed_from();
        let words = removed_from.as_ref().map(|bramble| {
            warn!("was removed from the bramble {bramble}: waits until somebody admits it again");
            format!(
                "This Pi was removed from the bramble {bramble}. Admit it again in the portal, or flash its card anew."
            )
        });
        self.sign.say(words.as_deref());
        let words = words.unwrap_or_else(|| "This Pi looks for its bramble.".to_owned());
        let shown = Arc::new(Mutex::new(words));
        let stop_showing = stop.child_token();
        self.light.stage(Stage::Looking);
        let mut showing = JoinSet::new();
        for listener in self.http_listeners().await? {
            showing.spawn(http::show(listener, Arc::clone(&shown), stop_showing.clone()));
        }
        let candidate = Candidate {
            home: &self.home,
            key: Arc::clone(&self.key),
            secret: self.secret.clone(),
            ways: &self.ways,
            config,
            bramble: self.settings.bramble.as_deref().unwrap_or(DEFAULT_NAME),
            brisk: self.args.brisk,
            shown,
            light: self.light.clone(),
            sign: self.sign.clone(),
            strangers: self.strangers.clone(),
            pulse: self.pulse.clone(),
            formerly,
            was_removed: removed_from.is_some(),
        };
        let listener = candidate.run(listener, stop.child_token()).await;
        stop_showing.cancel();
        while showing.join_next().await.is_some() {}
        listener
    }

    async fn http_listeners(&self) -> Result<Vec<TcpListener>> {
        let mut listeners = Vec::new();
        if self.args.http.is_empty() {
            listeners.push(bind(None, HTTP_PORT).await?);
        }
        for address in &self.args.http {
            listeners.push(bind(Some(*address), HTTP_PORT).await?);
        }
        service::ready();
        Ok(listeners)
    }

    fn agent_config(&self) -> Result<AgentConfig> {
        let this = std::env::current_exe().context("failed to find this program")?;
        let engine = match self.settings.engine.unwrap_or(EngineKind::Docker) {
            EngineKind::Docker => EngineConfig::Docker {
                place: self.settings.docker.clone(),
            },
            EngineKind::Process => EngineConfig::Process {
                sandbox: vec![this.clone().into(), crate::SANDBOX.into()],
            },
            EngineKind::Fake => bail!("the fake engine is for simulations; use docker or process"),
        };
        let board = self.args.virtual_board.as_ref();
        Ok(AgentConfig {
            node: self.key.id(),
            name: self.name.clone(),
            bramble: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: self.address.clone(),
            state_dir: self.home.path().to_owned(),
            root: self.args.root.clone(),
            builtin_dir: builtin_dir(&this)?,
            engine,
            contacts: Contacts::default(),
            strangers: self.strangers.clone(),
            virtual_board: board.map(|board| agent::VirtualBoard {
                board: board.model.clone(),
                memory: Memory::from_bytes(board.memory_bytes),
                cpu: Cpu::from_cores(board.cores),
                serial: board.serial.clone(),
            }),
        })
    }
}

/// Listens where somebody says, else on `port` of all addresses, IPv6 as well where the machine has it.
async fn bind(told: Option<SocketAddr>, port: u16) -> Result<TcpListener> {
    let listened = match told {
        Some(address) => TcpListener::bind(address).await,
        None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        },
    };
    let place = told.map_or_else(|| format!("port {port}"), |address| address.to_string());
    listened.with_context(|| format!("failed to listen on {place}: is another node running here?"))
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
