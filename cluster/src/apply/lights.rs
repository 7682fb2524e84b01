//! Lights are asked for.

use api::{NodeId, Timestamp, light::LightSettings};

use super::Change;
use crate::outcome::Refusal;

impl Change<'_> {
    pub(super) fn identify(&mut self, id: NodeId, until: Option<Timestamp>) -> Result<(), Refusal> {
        let Some(node) = self.state.node(id) else {
            return Err(Refusal::NoSuchNode(id));
        };
        let name = node.facts.name.clone();
        let at = self.at;
        self.state.identify.retain(|_, until| at < *until);
        match until {
            Some(until) => {
                self.state.identify.insert(id, until);
                self.record(None, Some(id), format!("{name} shows which board it is."));
            }
            None => {
                self.state.identify.remove(&id);
            }
        }
        Ok(())
    }

    pub(super) fn set_lights(&mut self, settings: LightSettings) {
        let settings = LightSettings {
            brightness: settings.brightness.min(100),
            ..settings
        };
        if self.state.lights == settings {
            return;
        }
        self.state.lights = settings;
        let mut text = format!("Lights shine at {} %", settings.brightness);
        if let Some(quiet) = settings.quiet {
            text.push_str(&format!(", and not at all from {quiet}"));
        }
        self.record(None, None, text + ".");
    }
}
