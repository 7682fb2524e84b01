//! What is known of images: what a name means for a function, what was sent, what was removed to make room.

use std::sync::Arc;

use api::{
    FunctionName, NodeId,
    images::{Cleaned, ImageFacts},
};

use super::Change;
use crate::outcome::{Refusal, Stale};

impl Change<'_> {
    /// For the version that was looked up and no other. What was found stays until the next deployment; only what is
    /// known of it may grow.
    pub(super) fn pin_image(
        &mut self,
        name: &FunctionName,
        version: u64,
        facts: Arc<ImageFacts>,
    ) -> Result<(), Refusal> {
        let function = self.state.functions.get_mut(name);
        let function = function.filter(|function| function.version == version);
        let Some(function) = function else {
            return Err(Refusal::Stale(Stale::Function(name.clone())));
        };
        let before = function.image.as_ref();
        if before.is_some_and(|before| before.problem.is_none() && before.digest != facts.digest) {
            return Err(Refusal::Stale(Stale::Function(name.clone())));
        }
        let had_a_problem = before.is_some_and(|before| before.problem.is_some());
        let problem = facts.problem.clone();
        let image = function.spec.image.clone();
        Arc::make_mut(function).image = Some(facts);
        match problem {
            Some(problem) => self.record(Some(name.clone()), None, format!("{name} waits: {problem}.")),
            None if had_a_problem => {
                self.record(
                    Some(name.clone()),
                    None,
                    format!("The image of {name} was found: {image}."),
                );
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn put_image(&mut self, name: String, facts: Arc<ImageFacts>) {
        self.record(None, None, format!("Image {name} was sent to the bramble."));
        self.state.pushed.insert(name, facts);
    }

    pub(super) fn remove_image(&mut self, name: &str) -> Result<(), Refusal> {
        if self.state.pushed.remove(name).is_none() {
            return Err(Refusal::NoSuchImage(name.to_owned()));
        }
        self.record(None, None, format!("Image {name} was removed."));
        Ok(())
    }

    pub(super) fn note_cleaned(&mut self, node: NodeId, cleaned: &Cleaned) {
        let text = format!(
            "{} removed {} that nothing used, to make room: {} MB.",
            self.state.node_name(node),
            cleaned.images.join(", "),
            cleaned.freed_bytes / 1_000_000
        );
        self.record(None, Some(node), text);
    }
}
