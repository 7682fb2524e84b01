//! A node that is part of a bramble: gateway, agent and, where the bramble wants one, controller, put together and run
//! until it ends or leaves.
//!
//! Not here: how it became part of it (`candidate`), what it says of itself and when it leaves (`presence`).

use std::{
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use agent::{Agent, AgentConfig, Contacts, Stage};
use anyhow::{Context, Result};
use api::{
    NodeId,
    join::{Announcement, BrambleId, Role, Standing},
    store::Catalogue,
};
use controller::ControllerConfig;
use gateway::{Gateway, GatewayConfig};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;
use transport::{Client, Identity, join::JoinHost};
use zeroize::Zeroizing;

use super::{
    Node, asked_to_end, builtin_dir, candidate, door,
    home::Membership,
    http,
    insiders::Insiders,
    look::Ways,
    meetings::Meetings,
    node_port, pass_on,
    presence::Presence,
    raft_peers,
    running::{self, Keeper},
};

/// How long a planned stop may take: the last counts are kept, connections are finished.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// Why a node takes part in its bramble no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Somebody asked the program to end.
    AskedTo,
    /// It goes over to another bramble.
    Left,
}

impl Node {
    /// Takes part until somebody asks the program to end, or this node goes over to another bramble.
    pub(super) async fn take_part(
        &self,
        listener: TcpListener,
        identity: Arc<Identity>,
        membership: &Membership,
        mut config: AgentConfig,
    ) -> Result<Ended> {
        let stop = CancellationToken::new();
        self.light.stage(Stage::Member);
        self.sign.say(None);
        let id = identity.id();
        let node_name = membership.node_name.clone().unwrap_or_else(|| self.name.clone());
        let bramble = BrambleId::from_authority(identity.authority());
        let client = Client::new(Arc::clone(&identity));
        let bulk = Client::bulk(Arc::clone(&identity));
        let gateway = Gateway::new(
            GatewayConfig {
                node: id,
                name: node_name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..GatewayConfig::default()
            },
            client.clone(),
        );
        let contacts = self.contacts(membership, id);
        config.contacts = contacts.clone();
        config.bramble = bramble.to_string();

        let keeper = Keeper::new(
            self.home.clone(),
            self.controller_config(&identity, &bulk, membership)?,
            Arc::new(raft_peers::RaftPeers::new(
                client.clone(),
                gateway.clone(),
                contacts.clone(),
            )),
            gateway.clone(),
            contacts.clone(),
        );
        let running = keeper.running();
        let insiders = Insiders::new(gateway.clone(), running.clone(), self.home.clone());
        let facts = config.facts();
        let said = Arc::new(RwLock::new(Announcement {
            node: id,
            standing: Standing::Member {
                bramble,
                key: self.secret.as_ref().map(|secret| secret.tag()),
                role: Role::Node,
                work: membership.work,
            },
            board: facts.board,
            memory: facts.memory,
            version: facts.version,
        }));
        let join = JoinHost::of_member(
            &identity,
            Arc::new(door::Door {
                said: Arc::clone(&said),
                authority: identity.authority().clone(),
                secret: self.secret.clone(),
                running: running.clone(),
                gateway: gateway.clone(),
                contacts: contacts.clone(),
                insiders: insiders.clone(),
                strangers: self.strangers.clone(),
            }),
        )?;
        let clients = vec![client.clone(), bulk.clone()];
        let agent = Agent::new(config, gateway.clone(), client.clone(), bulk)?
            .with_light(self.light.clone())
            .with_sign(self.sign.clone())
            .with_pulse(self.pulse.clone());
        let front = http::Front::new(
            gateway.clone(),
            running.clone(),
            pass_on::PassOn::new(gateway.clone(), client, contacts.clone()),
        );

        let mut parts = JoinSet::new();
        for listener in self.http_listeners().await? {
            parts.spawn(http::serve(listener, front.clone(), stop.clone()));
        }
        let port = node_port::NodePort::new(gateway.clone(), agent.images(), agent.logs(), running.clone());
        parts.spawn(node_port::serve(
            listener,
            Arc::clone(&identity),
            port,
            insiders.clone(),
            join,
            stop.clone(),
        ));
        parts.spawn({
            let keeping = insiders.keep(clients, stop.clone());
            async move {
                keeping.await;
                Ok(())
            }
        });
        parts.spawn(keeper.run(stop.clone()));
        parts.spawn(http::serve_inside(agent.bridge_gateway(), front, stop.clone()));
        let presence = Presence {
            key: Arc::clone(&self.key),
            ways: Ways {
                name: node_name,
                ..self.ways.clone()
            },
            bramble,
            key_tag: self.secret.as_ref().map(|secret| secret.tag()),
            name: self
                .settings
                .portal
                .clone()
                .unwrap_or_else(|| membership.name.clone()),
            http_port: self.http_port,
            said,
            running,
            gateway,
            contacts,
            told: agent.told(),
            leave: agent.leave(),
            empty: Box::pin(agent.is_empty()),
            meetings: Meetings::new(Arc::clone(&self.key), self.secret.clone(), self.http_port),
            home: self.home.clone(),
            work_noted: membership.work,
            pace: candidate::pace(self.args.brisk),
        };
        let agent_stop = stop.clone();
        parts.spawn(async move {
            agent.run(agent_stop).await;
            Ok(())
        });
        let mut presence = tokio::spawn(presence.run(stop.clone()));

        let outcome = tokio::select! {
            ended = parts.join_next() => match ended {
                Some(ended) => ended
                    .context("a part of the node broke down")?
                    .context("a part of the node ended")
                    .map(|()| Ended::AskedTo),
                None => Ok(Ended::AskedTo),
            },
            left = &mut presence => left.context("a part of the node broke down").map(|_| Ended::Left),
            () = asked_to_end(self.args.until_stdin_ends) => Ok(Ended::AskedTo),
        };
        if matches!(outcome, Ok(Ended::Left)) {
            self.light.stage(Stage::Looking);
        } else {
            info!("stops");
            self.light.stage(Stage::Leaving);
        }
        stop.cancel();
        let end = async {
            while parts.join_next().await.is_some() {}
            // It says goodbye.
            if !presence.is_finished() {
                _ = presence.await;
            }
        };
        _ = tokio::time::timeout(STOP_GRACE, end).await;
        outcome
    }

    /// The controllers that this node was told of. Who has a controller finds itself first: it may be the only one.
    fn contacts(&self, membership: &Membership, id: NodeId) -> Contacts {
        let mut told: Vec<_> = membership
            .controllers
            .iter()
            .map(|contact| (contact.id, contact.address))
            .collect();
        if self.home.has_controller() || membership.controllers.is_empty() {
            told.insert(0, (id, self.address.now()));
        }
        Contacts::new(told).of(id, self.address.clone())
    }

    fn controller_config(
        &self,
        identity: &Identity,
        bulk: &Client,
        membership: &Membership,
    ) -> Result<ControllerConfig> {
        let program = std::env::current_exe().context("failed to find this program")?;
        Ok(ControllerConfig {
            id: identity.id(),
            dir: self.home.raft_dir(),
            founding: running::founding(&self.home, &membership.name, &self.settings)?,
            admin_password: std::env::var("BRAMBLE_ADMIN_PASSWORD")
                .ok()
                .filter(|password| !password.is_empty()),
            vault_key: Zeroizing::new(identity.derive("vault")),
            bulk: bulk.clone(),
            catalogue: catalogue(&builtin_dir(&program)?)?,
        })
    }
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
