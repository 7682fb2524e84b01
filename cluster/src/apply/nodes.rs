//! Nodes come, go and change.

use std::sync::Arc;

use api::{Devices, NodeFacts, NodeId, sync::Phase};

use super::Change;
use crate::{
    autopilot::Wish,
    outcome::Refusal,
    state::{Node, NodePhase},
};

/// Refused nodes that are remembered.
const MAX_REFUSED: usize = 256;

impl Change<'_> {
    /// Taking a node in that is there already only updates what is known of it. Nothing is placed on one that is
    /// awaited: it may have been switched off again.
    pub(super) fn admit_node(&mut self, id: NodeId, facts: NodeFacts, controller: bool, awaited: bool) {
        self.state.removed.remove(&id);
        self.state.refused.remove(&id);
        if let Some(node) = self.state.nodes.get_mut(&id) {
            if node.controller != controller {
                Arc::make_mut(node).controller = controller;
            }
            self.set_facts(id, facts);
            self.routes_changed();
            return;
        }
        self.record(None, Some(id), format!("{} joined.", facts.name));
        let node = Node {
            facts,
            phase: if awaited { NodePhase::Down } else { NodePhase::Up },
            awaited,
            cordoned: false,
            controller,
            given_name: None,
            wish: Wish::None,
            devices_allowed: Devices::default(),
            joined: self.at,
            generation: self.revision,
            epoch: self.revision,
        };
        self.state.nodes.insert(id, Arc::new(node));
        self.routes_changed();
    }

    pub(super) fn refuse_node(&mut self, id: NodeId, name: &str) {
        let refused = &mut self.state.refused;
        // Each was pressed by a person; nobody presses so often, and who is forgotten only waits again.
        if refused.len() >= MAX_REFUSED {
            refused.pop_first();
        }
        if refused.insert(id) {
            self.record(None, Some(id), format!("{name} was refused."));
        }
    }

    pub(super) fn set_controller(&mut self, id: NodeId, controller: bool) -> Result<(), Refusal> {
        let node = self.node(id)?;
        if node.controller == controller {
            return Ok(());
        }
        node.controller = controller;
        let name = node.facts.name.clone();
        if !controller {
            self.forget_key_of(id);
        }
        let text = match controller {
            true => format!("{name} becomes a controller."),
            false => format!("{name} is no controller any more."),
        };
        self.record(None, Some(id), text);
        self.routes_changed();
        Ok(())
    }

    pub(super) fn wish_controller(&mut self, id: NodeId, wish: Wish) -> Result<(), Refusal> {
        self.node(id)?.wish = wish;
        Ok(())
    }

    /// Whoever is no controller needs the key no more; but without any holder all secrets would be lost.
    fn forget_key_of(&mut self, id: NodeId) {
        let keys = &mut self.state.keyring.keys;
        if keys.len() > 1 {
            keys.remove(&id);
        }
    }

    pub(super) fn name_node(&mut self, id: NodeId, name: String) -> Result<(), Refusal> {
        let taken = |(other, node): (&NodeId, &Arc<Node>)| *other != id && node.facts.name == name;
        if self.state.nodes.iter().any(taken) {
            return Err(Refusal::NameTaken(name));
        }
        let node = self.node(id)?;
        let before = std::mem::replace(&mut node.facts.name, name.clone());
        node.given_name = Some(name.clone());
        if before != name {
            self.record(None, Some(id), format!("{before} is called {name} now."));
        }
        Ok(())
    }

    pub(super) fn update_facts(&mut self, id: NodeId, facts: NodeFacts) -> Result<(), Refusal> {
        self.node(id)?;
        self.set_facts(id, facts);
        Ok(())
    }

    fn set_facts(&mut self, id: NodeId, facts: NodeFacts) {
        let Some(node) = self.state.nodes.get_mut(&id) else {
            return;
        };
        let node = Arc::make_mut(node);
        let mut facts = facts;
        if let Some(name) = &node.given_name {
            facts.name.clone_from(name);
        }
        let placing = |f: &NodeFacts| {
            (
                f.memory,
                f.cpu,
                f.platforms.clone(),
                f.engine,
                f.name.clone(),
                f.devices.clone(),
            )
        };
        if placing(&node.facts) != placing(&facts) {
            node.epoch = self.revision;
        }
        let moved = node.facts.address != facts.address;
        node.facts = facts;
        if moved {
            self.routes_changed();
        }
    }

    /// What a lost node last said of its replicas counts no longer, and what was draining there needs no waiting for:
    /// when the node comes back it stops whatever it should not run.
    pub(super) fn mark_node(&mut self, id: NodeId, phase: NodePhase) -> Result<(), Refusal> {
        let revision = self.revision;
        let node = self.node(id)?;
        if node.phase == phase {
            return Ok(());
        }
        let name = node.facts.name.clone();
        node.phase = phase;
        node.epoch = revision;
        let awaited = std::mem::take(&mut node.awaited);
        match phase {
            // That it joined was said when it was let in.
            NodePhase::Up if awaited => {}
            NodePhase::Up => self.record(None, Some(id), format!("{name} is back.")),
            NodePhase::Down => {
                self.record(None, Some(id), format!("{name} is unplugged or out of reach."));
                self.forget_phases(id);
            }
        }
        self.routes_changed();
        Ok(())
    }

    fn forget_phases(&mut self, id: NodeId) {
        self.state
            .replicas
            .retain(|_, replica| replica.node != id || !replica.is_draining());
        for replica in self
            .state
            .replicas
            .values_mut()
            .filter(|replica| replica.node == id)
        {
            let replica = Arc::make_mut(replica);
            if replica.phase != Phase::Starting {
                replica.phase = Phase::Starting;
                replica.since = self.at;
            }
            replica.reason = String::new();
        }
    }

    pub(super) fn cordon(&mut self, id: NodeId, cordoned: bool) -> Result<(), Refusal> {
        let revision = self.revision;
        let node = self.node(id)?;
        if node.cordoned == cordoned {
            return Ok(());
        }
        let name = node.facts.name.clone();
        node.cordoned = cordoned;
        node.epoch = revision;
        let text = match cordoned {
            true => format!("{name} takes no more replicas."),
            false => format!("{name} takes replicas again."),
        };
        self.record(None, Some(id), text);
        Ok(())
    }

    /// Whatever people said of the old one holds for the new one: its name, whether it should be a controller, whether
    /// it takes anything new, which of its devices functions may use.
    pub(super) fn replace_node(&mut self, id: NodeId, old: NodeId) -> Result<(), Refusal> {
        self.node(id)?;
        let was = self.node(old)?.clone();
        if id == old || was.phase == NodePhase::Up {
            return Err(Refusal::StillThere(was.facts.name));
        }
        self.put_out(old);
        let revision = self.revision;
        let node = self.node(id)?;
        node.facts.name.clone_from(&was.facts.name);
        node.given_name = Some(was.facts.name.clone());
        node.wish = was.wish;
        node.cordoned |= was.cordoned;
        node.devices_allowed = was.devices_allowed;
        node.epoch = revision;
        self.record(
            None,
            Some(id),
            format!("{} goes on with a new card.", was.facts.name),
        );
        Ok(())
    }

    pub(super) fn remove_node(&mut self, id: NodeId) -> Result<(), Refusal> {
        let name = self.node(id)?.facts.name.clone();
        self.put_out(id);
        self.record(None, Some(id), format!("{name} was removed."));
        Ok(())
    }

    fn put_out(&mut self, id: NodeId) {
        self.state.nodes.remove(&id);
        self.state.removed.insert(id);
        self.forget_key_of(id);
        self.state.identify.remove(&id);
        if self.state.leader == Some(id) {
            self.state.leader = None;
        }
        let its: Vec<_> = self.state.replicas_on(id).map(|(id, _)| id).collect();
        for id in its {
            self.forget_replica(id);
        }
        self.routes_changed();
    }

    pub(super) fn lead(&mut self, id: NodeId) -> Result<(), Refusal> {
        let name = self.node(id)?.facts.name.clone();
        if self.state.leader != Some(id) {
            self.state.leader = Some(id);
            self.routes_changed();
            self.record(None, Some(id), format!("{name} leads the bramble."));
        }
        Ok(())
    }

    pub(super) fn node(&mut self, id: NodeId) -> Result<&mut Node, Refusal> {
        let node = self.state.nodes.get_mut(&id);
        node.map(Arc::make_mut).ok_or(Refusal::NoSuchNode(id))
    }
}
