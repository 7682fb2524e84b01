//! A bramble ends: its nodes go over to another one (`bootstrap::meet`).

use std::sync::Arc;

use api::join::BrambleId;

use super::Change;
use crate::outcome::Refusal;

impl Change<'_> {
    /// Nodes leave when they are told, so whatever still runs there is to be stopped first: it is desired no more.
    pub(super) fn dissolve(&mut self, into: BrambleId, give_up: bool) -> Result<(), Refusal> {
        if let Some(into) = self.state.dissolved {
            return Err(Refusal::Dissolved(into));
        }
        if self.state.has_work() && !give_up {
            return Err(Refusal::HasWork);
        }
        self.state.dissolved = Some(into);
        self.state.functions.clear();
        self.state.replicas.clear();
        let revision = self.revision;
        for node in self.state.nodes.values_mut() {
            Arc::make_mut(node).generation = revision;
        }
        self.routes_changed();
        self.record(
            None,
            None,
            format!("This bramble ended: its nodes go over to the bramble {into}."),
        );
        Ok(())
    }
}
