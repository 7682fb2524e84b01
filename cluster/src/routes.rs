//! Where every function is answered: what gateways need to know of the state.

use std::collections::BTreeMap;

use api::{
    FunctionName, NodeId,
    sync::{FunctionRoute, Routes},
};

use crate::state::{NodePhase, State};

/// The routes that follow from `state`. Draining replicas take nothing new; during an update ready replicas of both
/// versions answer.
pub fn routes(state: &State) -> Routes {
    let nodes = state.nodes();
    let mut functions: BTreeMap<FunctionName, FunctionRoute> = state
        .functions()
        .keys()
        .map(|name| (name.clone(), FunctionRoute::default()))
        .collect();
    for (id, replica) in state.replicas() {
        if state.is_serving(replica)
            && let Some(route) = functions.get_mut(&replica.function)
        {
            route.ready.insert(*id, replica.node);
        }
    }
    let up = |id: &NodeId| nodes.get(id).is_some_and(|node| node.phase == NodePhase::Up);
    Routes {
        revision: state.routes_revision(),
        nodes: nodes.iter().map(|(id, node)| (*id, node.facts.address)).collect(),
        removed: state.removed().clone(),
        controllers: nodes
            .iter()
            .filter(|(_, node)| node.controller)
            .map(|(id, _)| *id)
            .collect(),
        leader: state.leader().filter(up),
        functions,
    }
}
