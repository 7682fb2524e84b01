//! Replicas are placed, drained, and reported on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{Cpu, Memory, NodeId, ReplicaId, sync::Phase};

use super::Change;
use crate::{
    command::{PhaseChange, Placement, Relies},
    outcome::{Refusal, Stale},
    state::{NodePhase, Replica},
};

impl Change<'_> {
    /// Places and drains as planned, or refuses the whole where what the planner relied on has changed: only that,
    /// so that a bramble in which much happens still gets somewhere. Draining what is gone already is no change.
    pub(super) fn assign(
        &mut self,
        relies_on: &Relies,
        place: Vec<Placement>,
        drain: &BTreeSet<ReplicaId>,
    ) -> Result<(), Refusal> {
        self.still_holds(relies_on, &place, drain)
            .map_err(Refusal::Stale)?;
        for id in drain {
            self.drain(*id);
        }
        for placement in place {
            self.place(placement);
        }
        Ok(())
    }

    fn still_holds(
        &self,
        relies_on: &Relies,
        place: &[Placement],
        drain: &BTreeSet<ReplicaId>,
    ) -> Result<(), Stale> {
        for (name, relied) in &relies_on.functions {
            let function = self.state.functions.get(name);
            if function.is_none_or(|f| f.version != relied.version || f.wanted != relied.wanted) {
                return Err(Stale::Function(name.clone()));
            }
        }
        for (id, relied) in &relies_on.nodes {
            if self
                .state
                .nodes
                .get(id)
                .is_none_or(|node| node.epoch != relied.epoch)
            {
                return Err(Stale::Node(*id));
            }
        }
        let relied_on = |placement: &Placement| {
            let function = relies_on.functions.get(&placement.function);
            let node = relies_on.nodes.contains_key(&placement.node);
            node && function.is_some_and(|f| f.version == placement.version)
        };
        let drained = drain.iter().filter_map(|id| self.state.replicas.get(id));
        let drains_relied_on = |replica: &Arc<Replica>| relies_on.functions.contains_key(&replica.function);
        if !place.iter().all(relied_on) || !drained.filter(|r| !r.is_draining()).all(drains_relied_on) {
            return Err(Stale::Unfounded);
        }
        self.has_room(relies_on, place)
    }

    /// Draining replicas still count: they have their memory until their node says that they are gone.
    fn has_room(&self, relies_on: &Relies, place: &[Placement]) -> Result<(), Stale> {
        let mut asked: BTreeMap<NodeId, (Memory, Cpu)> = BTreeMap::new();
        let here = |node: &NodeId| place.iter().any(|placement| placement.node == *node);
        let there = self.state.replicas.values().filter(|replica| here(&replica.node));
        let requests = there
            .map(|r| (r.node, r.memory, r.cpu))
            .chain(place.iter().map(|p| (p.node, p.memory, p.cpu)));
        for (node, memory, cpu) in requests {
            let sum = asked.entry(node).or_default();
            *sum = (sum.0.saturating_add(memory), sum.1.saturating_add(cpu));
        }
        for (node, (memory, cpu)) in asked {
            let relied = relies_on.nodes.get(&node).ok_or(Stale::Unfounded)?;
            if memory > relied.memory || cpu > relied.cpu {
                return Err(Stale::Room(node));
            }
        }
        Ok(())
    }

    fn place(&mut self, placement: Placement) {
        self.state.next_replica += 1;
        let id = ReplicaId(self.state.next_replica);
        let text = format!(
            "Replica {id} was placed on {}.",
            self.state.node_name(placement.node)
        );
        self.record(Some(placement.function.clone()), Some(placement.node), text);
        self.desired_changed(placement.node);
        let replica = Replica {
            function: placement.function,
            version: placement.version,
            node: placement.node,
            memory: placement.memory,
            cpu: placement.cpu,
            phase: Phase::Starting,
            reason: String::new(),
            restarts: 0,
            since: self.at,
        };
        self.state.replicas.insert(id, Arc::new(replica));
    }

    /// Takes a replica out of its node's desired set. Its record stays until the node says that it is gone, or goes
    /// at once where the node is down.
    pub(super) fn drain(&mut self, id: ReplicaId) {
        let Some(replica) = self.state.replicas.get_mut(&id) else {
            return;
        };
        if replica.is_draining() {
            return;
        }
        let (node, name, serving) = (
            replica.node,
            replica.function.clone(),
            replica.phase == Phase::Ready,
        );
        if self
            .state
            .nodes
            .get(&node)
            .is_none_or(|node| node.phase == NodePhase::Down)
        {
            return self.forget_replica(id);
        }
        let replica = Arc::make_mut(replica);
        replica.phase = Phase::Draining;
        replica.reason = String::new();
        replica.since = self.at;
        self.desired_changed(node);
        if serving {
            self.routes_changed();
        }
        self.forget_old_versions(&name);
    }

    /// Drops the record of a replica.
    pub(super) fn forget_replica(&mut self, id: ReplicaId) {
        let Some(replica) = self.state.replicas.remove(&id) else {
            return;
        };
        if !replica.is_draining() {
            self.desired_changed(replica.node);
        }
        if replica.phase == Phase::Ready {
            self.routes_changed();
        }
        self.forget_old_versions(&replica.function);
    }

    /// A node speaks for its own replicas only, cannot bring back one that is draining, and cannot let go of one
    /// that is not.
    pub(super) fn replica_phases(
        &mut self,
        node: NodeId,
        changes: BTreeMap<ReplicaId, PhaseChange>,
        gone: &BTreeSet<ReplicaId>,
    ) -> Result<(), Refusal> {
        if !self.state.nodes.contains_key(&node) {
            return Err(Refusal::NoSuchNode(node));
        }
        for (id, change) in changes {
            self.change_phase(node, id, change);
        }
        for id in gone {
            if self
                .state
                .replicas
                .get(id)
                .is_some_and(|r| r.node == node && r.is_draining())
            {
                self.forget_replica(*id);
            }
        }
        Ok(())
    }

    fn change_phase(&mut self, node: NodeId, id: ReplicaId, change: PhaseChange) {
        let Some(replica) = self.state.replicas.get_mut(&id) else {
            return;
        };
        if replica.node != node || replica.is_draining() || change.phase == Phase::Draining {
            return;
        }
        let replica = Arc::make_mut(replica);
        let before = std::mem::replace(&mut replica.phase, change.phase);
        replica.reason = change.reason;
        replica.restarts = change.restarts;
        if before == change.phase {
            return;
        }
        replica.since = self.at;
        let (function, reason) = (replica.function.clone(), replica.reason.clone());
        if before == Phase::Ready || change.phase == Phase::Ready {
            self.routes_changed();
        }
        let where_ = self.state.node_name(node);
        let text = match change.phase {
            Phase::Ready => format!("Replica {id} is ready on {where_}."),
            Phase::Failing if reason.is_empty() => format!("Replica {id} fails on {where_}."),
            Phase::Failing => format!("Replica {id} fails on {where_}: {reason}."),
            Phase::Starting | Phase::Frozen | Phase::Stopped | Phase::Draining => return,
        };
        self.record(Some(function), Some(node), text);
    }

    /// Says that `node` should run something else than before.
    pub(super) fn desired_changed(&mut self, node: NodeId) {
        if let Some(node) = self.state.nodes.get_mut(&node) {
            Arc::make_mut(node).generation = self.revision;
        }
    }
}
