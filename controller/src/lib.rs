//! The controller: replicated state, planning, and the management API. I/O around the brain (`cluster`).
//!
//! ```text
//! HTTP (http, auth) ─┐                  ┌─► watch ─► desk ─► agents' sync answers
//! agents (desk) ─────┼─► propose ─► raft ┤
//! reconciler ────────┘                  └─► watch ─► reconciler: plan, propose
//! ```
//!
//! - [`raft`]: the log, the state machine, members' conversation, the handle with `propose` and `watch`
//! - `desk`: where agents' sync requests hang; the leader's memory
//! - `reconciler`: the leader's loop
//! - [`auth`], `http`: who asks, and what they are answered
//! - `live`: what open pages show
//! - `joining`: who is let in; `members`: who should be a controller; `founding`: what a new bramble begins with
//! - `secrets`, `vault`: kept sealed, given to the nodes that need them
//! - `images`, `registry`: what images' names mean, and images that users bring
//!
//! Not here: decisions (`cluster`), invocations (`gateway`), the portal's pages (`web`).

mod attempts;
pub mod auth;
mod clock;
mod desk;
mod doorkeeper;
mod founding;
mod http;
mod images;
mod joining;
mod live;
mod meetings;
mod members;
pub mod raft;
mod reconciler;
mod registry;
mod secrets;
mod vault;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use ::http::{Request, StatusCode};
use api::{
    Generation, NodeId, Revision,
    secrets::{KEY_PATH, SECRETS_PATH},
    store::Catalogue,
    sync::{MAX_REQUEST_BYTES, SYNC_PATH, SyncRequest},
    versioned::{decode, encode},
};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    response::{IntoResponse, Response},
};
use cluster::{Action, Command, State};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::Client;
use zeroize::Zeroizing;

pub use auth::{Auth, AuthError, SESSION_COOKIE, SessionToken, is_browser};
pub use vault::VaultError;

pub use doorkeeper::Visitor;
pub use founding::Founding;

use clock::Clock;
use desk::Desk;
use doorkeeper::Doorkeeper;
use http::ApiError;
use joining::Joining;
use live::Live;
use meetings::Meetings;
use raft::{InitializeError, Leadership, OpenError, Peers, ProposeError, Raft, RaftConfig, Timings};
use vault::Vault;

/// Where on the node-to-node port controllers call each other; the name of the call follows.
pub const RAFT_PREFIX: &str = "/v1/raft/";

/// Longest call between controllers that is read, in bytes: a snapshot of the largest bramble stays far below.
const MAX_RAFT_BYTES: usize = 64 << 20;

/// What a controller is given.
#[derive(Clone)]
pub struct ControllerConfig {
    /// The node that it runs on.
    pub id: NodeId,
    /// Where it keeps the log and its snapshots.
    pub dir: PathBuf,
    /// What to found the bramble with; `None` where another node founded it.
    pub founding: Option<Founding>,
    /// The admin's password, made so whenever it is given and this controller leads.
    pub admin_password: Option<String>,
    /// Reaches other nodes for what takes long: images and logs.
    pub bulk: Client,
    /// A key that only this node can derive, for what secrets are sealed with.
    pub vault_key: Zeroizing<[u8; 32]>,
    /// The built-in functions, which the store offers.
    pub catalogue: Catalogue,
}

/// A controller that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The log or a snapshot cannot be opened.
    #[error("failed to open what the bramble keeps")]
    Open(#[from] OpenError),
    /// It cannot become the first member.
    #[error("failed to begin the bramble's log")]
    Initialize(#[from] InitializeError),
    /// The key for secrets cannot be made.
    #[error("failed to make the bramble's key")]
    Vault(#[from] VaultError),
    /// The first commands were not taken.
    #[error("failed to found the bramble")]
    Found(#[from] ProposeError),
    /// The admin's password cannot be hashed.
    #[error("failed to set the admin's password")]
    Password(#[from] auth::PasswordError),
    /// Its disk failed, for instance. The process has to end; starting again finds what is really there.
    #[error("the controller can no longer run: {0}")]
    Stopped(String),
}

/// What goes on until it is stopped and cannot fail.
async fn always(part: impl Future<Output = ()>) -> Result<(), ControllerError> {
    part.await;
    Ok(())
}

/// One controller. Clones share everything.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(crate) id: NodeId,
    pub(crate) raft: Raft,
    pub(crate) desk: Desk,
    pub(crate) auth: Auth,
    pub(crate) clock: Clock,
    /// Reaches other nodes for what takes long.
    pub(crate) bulk: Client,
    pub(crate) vault: Vault,
    pub(crate) live: Live,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) joining: Joining,
    pub(crate) meetings: Meetings,
    /// Keeps those who guess the code of the first visit waiting.
    pub(crate) doorkeeper: Doorkeeper,
    config: Arc<ControllerConfig>,
}

impl std::fmt::Debug for ControllerConfig {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControllerConfig")
            .field("id", &self.id)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// Opens the controller's storage and takes part with what is in it.
    ///
    /// # Errors
    /// [`ControllerError`] where the storage cannot be opened.
    pub async fn open(config: ControllerConfig, peers: Arc<dyn Peers>) -> Result<Self, ControllerError> {
        let clock = Clock::new();
        let storage = RaftConfig {
            id: config.id,
            dir: config.dir.clone(),
            timings: Timings::default(),
        };
        let raft = Raft::open(storage, peers).await?;
        if config.founding.is_some() {
            raft.initialize([config.id]).await?;
        }
        let desk = Desk::new(raft.clone(), clock);
        let joining = Joining::default();
        let vault = Vault::new(config.id, &config.vault_key);
        Ok(Self {
            id: config.id,
            live: Live::new(desk.clone(), joining.clone()),
            catalogue: Arc::new(config.catalogue.clone()),
            auth: Auth::new(desk.clone(), raft.clone(), clock),
            desk,
            raft,
            clock,
            bulk: config.bulk.clone(),
            vault,
            joining,
            meetings: Meetings::default(),
            doorkeeper: Doorkeeper::default(),
            config: Arc::new(config),
        })
    }

    /// Leads, when elected, until `stop`; then keeps the last counts and closes the storage.
    ///
    /// # Errors
    /// [`ControllerError`] where the bramble cannot be founded, or the controller can no longer run.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ControllerError> {
        tokio::select! {
            ended = async {
                tokio::try_join!(
                    founding::run(self, &self.config, &stop),
                    always(reconciler::run(&self.desk, &self.raft, self.clock, stop.clone())),
                    always(images::resolver::run(self.clone(), stop.clone())),
                    always(secrets::keep_key(self, &stop)),
                    always(members::run(self, &stop)),
                )
            } => { ended?; }
            reason = self.raft.stopped() => return Err(ControllerError::Stopped(reason)),
        }
        self.live.close();
        self.raft.shutdown().await;
        Ok(())
    }

    pub(crate) fn command(&self, action: Action) -> Command {
        Command::by_bramble(self.clock.wall(), action)
    }

    /// Proposes what `user` asked for; returns when this controller has applied it.
    pub(crate) async fn change(&self, user: &str, action: Action) -> Result<Revision, ApiError> {
        let command = Command::by_user(user, self.clock.wall(), action);
        Ok(self.raft.propose(command).await?.into_result()?)
    }

    /// The state as this controller has applied it.
    pub(crate) fn state(&self) -> Arc<State> {
        self.raft.watch().borrow().clone()
    }

    /// Who signs in, and how.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Whether `node` is part of the bramble, and the version of the routes that says so; `None` while this controller
    /// does not know yet.
    pub fn admits(&self, node: NodeId) -> Option<(Generation, bool)> {
        let state = self.raft.watch();
        let state = state.borrow();
        // Who founded takes part before anything says so.
        state.is_founded().then(|| {
            (
                state.routes_revision(),
                node == self.id || state.node(node).is_some(),
            )
        })
    }

    /// Whether `node` is a member of Raft, as far as this one's log goes. What the log says counts before it is
    /// applied: without its members, a controller that is behind would never hear what it lacks.
    pub fn is_member(&self, node: NodeId) -> bool {
        let members = self.raft.members();
        members.voters.contains(&node) || members.learners.contains(&node)
    }

    /// Whether `node` was removed from the bramble. Only a leader says so: any other may have missed that somebody let it
    /// in again.
    pub fn has_removed(&self, node: NodeId) -> bool {
        self.raft.leadership().borrow().is_me && self.state().is_removed(node)
    }

    /// The term since which this controller leads, if it does, now and whenever that changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.raft.leadership()
    }

    /// Whether this controller leads and a majority of all follows it, as far as it can tell.
    pub fn is_followed(&self) -> bool {
        self.raft.leadership().borrow().is_me && self.raft.has_majority()
    }

    /// Whether a person has ever changed anything: a bramble without that dissolves into another without loss.
    pub fn has_work(&self) -> bool {
        self.raft.watch().borrow().has_work()
    }

    /// Where all nodes are reached, as this controller knows.
    pub fn addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        let state = self.raft.watch();
        let state = state.borrow();
        state
            .nodes()
            .iter()
            .map(|(id, node)| (*id, node.facts.address))
            .collect()
    }

    /// Waits until the bramble keeps its authority itself.
    pub async fn keeps_authority(&self) {
        let mut state = self.raft.watch();
        // Fails only when the controller ends.
        _ = state.wait_for(|state| state.authority().is_some()).await;
    }

    /// The management API, with `portal` below `/ui/`.
    pub fn router(&self, portal: Router) -> Router {
        http::router(self.clone(), portal)
    }

    /// Answers what the node `from` asks over the node-to-node port: [`SYNC_PATH`] and what begins with
    /// [`RAFT_PREFIX`].
    pub async fn node_request(&self, from: NodeId, request: Request<Body>) -> Response {
        let path = request.uri().path().to_owned();
        if path == SYNC_PATH {
            let Ok(body) = to_bytes(request.into_body(), MAX_REQUEST_BYTES).await else {
                return StatusCode::PAYLOAD_TOO_LARGE.into_response();
            };
            return match decode::<SyncRequest>(&body) {
                Ok(sync) => {
                    sync.strangers
                        .iter()
                        .for_each(|stranger| self.note_stranger(stranger));
                    encode(&self.desk.sync(from, sync).await).into_response()
                }
                Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            };
        }
        if path == KEY_PATH {
            return secrets::hand_over(self, from);
        }
        if path == SECRETS_PATH {
            return secrets::answer(self, from, request.into_body()).await;
        }
        let request = match images::node::answer(self, from, request).await {
            Ok(answer) => return answer,
            Err(request) => request,
        };
        let Some(call) = path.strip_prefix(RAFT_PREFIX) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let Ok(body) = to_bytes(request.into_body(), MAX_RAFT_BYTES).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        match self.raft.handle(from, call, body).await {
            Ok(answer) => Response::new(Body::from(answer)),
            Err(error) => (StatusCode::BAD_REQUEST, Bytes::from(error.to_string())).into_response(),
        }
    }
}
