//! This node's light: what the leader has it say, merged with what only this node knows (`merge`, pure), on the lamp
//! that the node has (`hardware`).
//!
//! The agent drives it: a program that hangs or was killed confirms nothing, and its light stops within two seconds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::light::Light;
use hardware::light::{LightConfig, Player};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

mod merge;

pub use merge::{Own, Stage, merge};

/// Time between two confirmations of what is shown; a player forgets what was confirmed more than 1.5 s ago.
const CONFIRM: Duration = Duration::from_millis(500);

/// How long a light may take to go dark when its node ends.
const GO_DARK: Duration = Duration::from_secs(1);

/// What this node's light is told. Clones tell the same light.
#[derive(Clone, Debug)]
pub struct NodeLight {
    began: Instant,
    own: Arc<watch::Sender<Own>>,
}

impl Default for NodeLight {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            own: Arc::default(),
        }
    }
}

impl NodeLight {
    /// Where this node stands, as only it knows.
    pub fn stage(&self, stage: Stage) {
        self.own.send_if_modified(|own| {
            let changed = own.stage != stage;
            own.stage = stage;
            changed
        });
    }

    /// While this node waits to be let in, it shows for so long from now which board it is.
    pub fn identify(&self, long: Duration) {
        let until = self.began.elapsed().saturating_add(long);
        self.own.send_modify(|own| own.identify_until = Some(until));
    }

    /// The leader answered, and has this light say so much.
    pub(crate) fn told(&self, light: Light) {
        let now = self.began.elapsed();
        self.own.send_modify(|own| {
            if matches!(own.stage, Stage::Starting | Stage::Looking | Stage::Waiting) {
                own.stage = Stage::Member;
            }
            own.told = Some((light, now));
        });
    }

    /// Shows it on the light that `config` names, on the machine whose files are below `root`, until `dark`. A light
    /// that does not work is complained of once and never makes a node sick.
    pub async fn drive(self, config: LightConfig, root: PathBuf, dark: CancellationToken) {
        let complain = |error| {
            warn!(
                error = &error as &dyn std::error::Error,
                "the light does not work; the node is well"
            )
        };
        match Player::start(config, root, complain) {
            Ok(player) => self.play(player, dark).await,
            Err(error) => warn!(%error, "failed to start the light; the node is well"),
        }
    }

    /// Shows it with `player` until `dark`.
    pub async fn play(self, player: Player, dark: CancellationToken) {
        let mut changes = self.own.subscribe();
        loop {
            let status = merge(&changes.borrow_and_update(), self.began.elapsed());
            player.set(status);
            tokio::select! {
                () = dark.cancelled() => break,
                // The sender lives as long as this.
                _ = changes.changed() => {}
                () = sleep(CONFIRM) => {}
            }
        }
        // Its thread may be at a slow bus, or stuck for ever: a light keeps no node from ending.
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            drop(player);
            _ = ended.send(());
        });
        if timeout(GO_DARK, end).await.is_err() {
            warn!("the light does not answer, and is left as it is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardware::light::{Frame, lamp::Memory};

    /// Waits until the lamp shows such a frame.
    async fn shows(lamp: &Memory, wanted: impl Fn(&Frame) -> bool) {
        let look = async {
            while !lamp.taken().iter().any(&wanted) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), look).await.expect("it is shown");
    }

    #[test]
    fn a_light_whose_program_hangs_is_dark_within_two_seconds() {
        let lamp = Memory::default();
        let player = Player::on(Box::new(lamp.clone()), |_| ()).unwrap();
        let light = NodeLight::default();
        light.told(Light::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let driving = tokio::spawn(light.play(player, CancellationToken::new()));
            shows(&lamp, |frame| frame.level > 0).await;
            // The only thread that could confirm anything does something else.
            std::thread::sleep(Duration::from_millis(1900));
            assert_eq!(lamp.taken().last(), Some(&Frame::DARK));
            driving.abort();
        });
    }

    #[tokio::test]
    async fn a_light_that_is_stuck_keeps_no_node_from_ending() {
        /// Never answers again.
        struct Stuck;
        impl hardware::light::Lamp for Stuck {
            fn show(&mut self, _: &Frame) -> Result<(), hardware::light::LightError> {
                loop {
                    std::thread::park();
                }
            }
        }
        let player = Player::on(Box::new(Stuck), |_| ()).unwrap();
        let dark = CancellationToken::new();
        let driving = tokio::spawn(NodeLight::default().play(player, dark.clone()));
        sleep(Duration::from_millis(100)).await;
        dark.cancel();
        timeout(Duration::from_secs(20), driving).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_the_leader_says_reaches_the_lamp_and_goes_with_the_node() {
        let lamp = Memory::default();
        let player = Player::on(Box::new(lamp.clone()), |_| ()).unwrap();
        let (light, dark) = (NodeLight::default(), CancellationToken::new());
        let driving = tokio::spawn(light.clone().play(player, dark.clone()));
        light.told(Light {
            says: api::light::Says::WarningHeat,
            ..Light::default()
        });
        let wanted = hardware::light::frame(&merge(&light.own.borrow(), Duration::ZERO), Duration::ZERO);
        shows(&lamp, |frame| *frame == wanted).await;
        dark.cancel();
        driving.await.unwrap();
    }
}
