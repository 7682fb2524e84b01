//! The node's lights: which there are, from their start until the node has ended.

use std::path::Path;

use agent::{NodeLight, Stage};
use api::settings::Written;
use hardware::light::LightConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::card::complain_of;

/// The lights of this node, all saying the same.
#[derive(Debug)]
pub(super) struct Lights {
    light: NodeLight,
    dark: CancellationToken,
    shining: JoinSet<()>,
}

impl Lights {
    /// Lights what there is on the machine whose files are below `root`.
    pub(super) fn start(configs: Vec<LightConfig>, root: &Path) -> Self {
        let (light, dark, mut shining) = (NodeLight::default(), CancellationToken::new(), JoinSet::new());
        for config in configs {
            shining.spawn(light.clone().drive(config, root.to_owned(), dark.clone()));
        }
        Self { light, dark, shining }
    }

    /// What they are told.
    pub(super) fn light(&self) -> NodeLight {
        self.light.clone()
    }

    /// Makes them dark, last of all, and gives the kernel's LEDs back to the kernel. The node has ended then; the rest of
    /// the system may not have.
    pub(super) async fn go_dark(mut self) {
        self.light.stage(Stage::Leaving);
        self.dark.cancel();
        while self.shining.join_next().await.is_some() {}
    }
}

/// Which lights this node has: those of the command line, else those of the card, else the board's own. A line that
/// names none is complained of and stops nothing.
pub(super) fn wanted(told: &[LightConfig], card: &[Written]) -> Vec<LightConfig> {
    if !told.is_empty() {
        return told.to_vec();
    }
    if card.is_empty() {
        return vec![LightConfig::default()];
    }
    let mut lights: Vec<LightConfig> = Vec::new();
    for written in card {
        let light: LightConfig = match written.text.parse() {
            Ok(light) => light,
            Err(error) => {
                complain_of(written, format!("light: {error}"));
                continue;
            }
        };
        let taken = lights.iter().flat_map(LightConfig::pins);
        match taken.copied().find(|pin| light.pins().contains(pin)) {
            Some(pin) => complain_of(
                written,
                format!("light: two lights want GPIO {pin}; the first one gets it"),
            ),
            None => lights.push(light),
        }
    }
    lights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_comes_before_the_card_and_the_card_before_the_boards_own_light() {
        let written = |text: &str| Written {
            line: 1,
            text: text.to_owned(),
        };
        let card = ["blinkt", "gpio:99", "led:ACT"].map(written);
        assert_eq!(wanted(&[], &[]), [LightConfig::Onboard]);
        assert_eq!(wanted(&[LightConfig::None], &card), [LightConfig::None]);
        assert_eq!(
            wanted(&[], &card),
            ["blinkt".parse().unwrap(), "led:ACT".parse().unwrap()]
        );
        let twice = ["rgb:17,27,22", "gpio:27", "gpio:5"].map(written);
        assert_eq!(wanted(&[], &twice).len(), 2, "a pin is one light's");
    }
}
