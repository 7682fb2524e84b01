//! The controller of this node, while the bramble wants one here: started, and stopped again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use api::settings::Settings;
use axum::Router;
use controller::{Controller, ControllerConfig, Founding};
use gateway::Gateway;
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{home::Home, raft_peers::RaftPeers};

/// Time between looks whether the bramble wants a controller here.
const LOOK: Duration = Duration::from_millis(250);

/// A controller and what it answers.
#[derive(Clone, Debug)]
struct Served {
    controller: Controller,
    router: Router,
}

/// The controller of this node, if it runs one at the moment. Clones see the same.
#[derive(Clone, Debug)]
pub(super) struct Running(watch::Receiver<Option<Served>>);

impl Running {
    /// The controller.
    pub(super) fn controller(&self) -> Option<Controller> {
        self.0.borrow().as_ref().map(|served| served.controller.clone())
    }

    /// What answers management and portal, and whether its controller leads.
    pub(super) fn router(&self) -> Option<(Router, bool)> {
        let served = self.0.borrow();
        let served = served.as_ref()?;
        let leads = served.controller.leadership().borrow().is_me;
        Some((served.router.clone(), leads))
    }
}

/// Starts and stops the controller.
pub(super) struct Keeper {
    pub(super) home: Home,
    pub(super) config: ControllerConfig,
    pub(super) peers: Arc<RaftPeers>,
    pub(super) gateway: Gateway,
    pub(super) contacts: agent::Contacts,
    serves: watch::Sender<Option<Served>>,
}

impl Keeper {
    pub(super) fn new(
        home: Home,
        config: ControllerConfig,
        peers: Arc<RaftPeers>,
        gateway: Gateway,
        contacts: agent::Contacts,
    ) -> Self {
        Self {
            home,
            config,
            peers,
            gateway,
            contacts,
            serves: watch::Sender::new(None),
        }
    }

    pub(super) fn running(&self) -> Running {
        Running(self.serves.subscribe())
    }

    /// Keeps the controller as the bramble wants it until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        loop {
            if self.is_wanted() {
                self.run_controller(&stop).await?;
                self.config.founding = None;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Whether a controller is to run here: it did before and nobody has said no, or the bramble says so.
    fn is_wanted(&self) -> bool {
        self.config.founding.is_some() || self.home.has_controller() || self.routes_name_us() == Some(true)
    }

    fn routes_name_us(&self) -> Option<bool> {
        let routes = self.gateway.routes();
        (!routes.nodes.is_empty()).then(|| routes.controllers.contains(&self.config.id))
    }

    /// Runs a controller until `stop`, or until the bramble wants none here any more; then forgets what it kept.
    async fn run_controller(&self, stop: &CancellationToken) -> Result<()> {
        let controller = Controller::open(self.config.clone(), self.peers.clone()).await?;
        info!("runs a controller");
        let router = controller.router(web::router(controller.clone()));
        self.serves.send_replace(Some(Served {
            controller: controller.clone(),
            router,
        }));
        let stop_controller = stop.child_token();
        let mut running: JoinHandle<_> = tokio::spawn({
            let (controller, stop) = (controller.clone(), stop_controller.clone());
            async move { controller.run(stop).await }
        });
        let founding = self.end_founding(&controller);
        let mut founding = std::pin::pin!(founding);
        let mut founded = false;
        let mut leadership = controller.leadership();
        loop {
            tokio::select! {
                ended = &mut running => {
                    self.contacts.led_by(None);
                    self.serves.send_replace(None);
                    return ended.context("the controller broke down")?.context("the controller failed");
                }
                done = &mut founding, if !founded => {
                    done?;
                    founded = true;
                }
                Ok(()) = leadership.changed() => {}
                () = sleep(LOOK) => {}
            }
            self.contacts.led_by(leadership.borrow_and_update().leader);
            self.contacts.know(controller.addresses());
            // Said only after the others have let it go.
            if self.routes_name_us() == Some(false) {
                break;
            }
        }
        info!("runs no controller any more");
        self.serves.send_replace(None);
        stop_controller.cancel();
        running
            .await
            .context("the controller broke down")?
            .context("the controller failed")?;
        self.contacts.led_by(None);
        self.contacts.know(BTreeMap::new());
        self.home.forget_controller()
    }

    /// Removes what only a founder has, once the bramble keeps it itself.
    async fn end_founding(&self, controller: &Controller) -> Result<()> {
        if self.config.founding.is_none() {
            return std::future::pending().await;
        }
        controller.keeps_authority().await;
        self.home.end_founding()
    }
}

/// What a founder founds with, where this node is one.
pub(super) fn founding(home: &Home, name: &str, settings: &Settings) -> Result<Option<Founding>> {
    let authority = home.founding()?;
    Ok(authority.map(|authority| Founding {
        name: name.to_owned(),
        authority: Arc::new(authority),
        first_visit_code: settings.first_visit_code.clone(),
        admin_password_hash: settings.admin_password_hash.clone(),
    }))
}
