//! What each node's light should say, as far as the leader knows; the agent adds what only it knows.

use api::{NodeId, sync::Light};

use crate::state::State;

/// The light of `node`.
pub fn light(state: &State, node: NodeId) -> Light {
    Light {
        leader: state.leader() == Some(node),
    }
}
