//! Shows that the agent is alive: it beats whenever the conversation with the leader goes round, at least every few seconds,
//! whether the leader answers or not. Whoever watches over this program ends it when nothing beats any more.

use std::{fmt, sync::Arc};

/// The pulse. Without anybody who listens it beats for nobody. Clones are one.
#[derive(Clone, Default)]
pub struct Pulse(Option<Arc<dyn Fn() + Send + Sync>>);

impl Pulse {
    /// Calls `listener` at each beat, on the thread of what beats: it must not block.
    pub fn new(listener: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Whoever calls this is alive.
    pub fn beat(&self) {
        if let Some(listener) = &self.0 {
            listener();
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.0.is_some()).finish()
    }
}
