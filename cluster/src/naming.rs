//! By which name a node is known: its own, unless that is another one's, since people and commands go by names.
//!
//! Decided by whoever proposes to admit or update a node; what somebody named it (`State::apply`) counts before this.

use api::{NodeId, settings::is_host_name};

use crate::state::State;

impl State {
    /// Whether a node may be called so: it is a host's name, and leads to nobody else, as the bramble's own and
    /// `localhost` do.
    pub fn is_node_name(&self, name: &str) -> bool {
        is_host_name(name) && name != self.name() && name != "localhost"
    }

    /// The name for the node `id`, which calls itself `name`. Where another one has it, as much of the id is added as is
    /// needed; a name that was found once stays. What is no name of a host is replaced.
    pub fn name_for(&self, id: NodeId, name: &str) -> String {
        let stands_in = format!("node-{}", id.tail());
        let name = if self.is_node_name(name) { name } else { &stands_in };
        let holders = |wanted: &str| {
            let others = self.nodes().iter().filter(|(other, _)| **other != id);
            let holders = others.filter(|(_, node)| node.facts.name == wanted);
            holders.map(|(other, _)| *other).min()
        };
        let is_of = |longer: &str| {
            let rest = longer.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        // Of two that were admitted at the same moment the lower one keeps it.
        if let Some(node) = self.node(id)
            && is_of(&node.facts.name)
            && holders(&node.facts.name).is_none_or(|other| other > id)
        {
            return node.facts.name.clone();
        }
        if holders(name).is_none() {
            return name.to_owned();
        }
        let (digits, short) = (id.to_string(), &name[..name.len().min(30)]);
        let longer = |count: usize| format!("{short}-{}", &digits[..count]);
        let mut names = [4, 8, 16].into_iter().map(longer);
        names
            .find(|name| holders(name).is_none())
            .unwrap_or_else(|| longer(digits.len()))
    }
}

#[cfg(test)]
mod tests {
    use api::NodeFacts;

    use super::*;
    use crate::{
        command::Action,
        testing::{World, bramble, facts, pi},
    };

    fn admitted(world: World, id: NodeId, name: &str) -> World {
        let name = world.state.name_for(id, name);
        world.does(Action::AdmitNode {
            id,
            facts: Box::new(NodeFacts {
                name,
                ..facts(1, 924)
            }),
            controller: false,
            awaited: false,
        })
    }

    fn name(world: &World, id: NodeId) -> &str {
        &world.state.node(id).unwrap().facts.name
    }

    #[test]
    fn no_two_nodes_have_one_name_whatever_they_call_themselves() {
        let (one, other) = (pi(0x1234 << 112), pi(0xabcd << 112));
        let mut world = admitted(bramble(), one, "pi-4b-7f2a");
        world = admitted(world, other, "pi-4b-7f2a");
        world = admitted(world, pi(7), "../etc/passwd");
        assert_eq!(name(&world, one), "pi-4b-7f2a");
        assert_eq!(name(&world, other), "pi-4b-7f2a-abcd");
        assert_eq!(name(&world, pi(7)), "node-0007");
        for other in [world.state.name(), "localhost"] {
            assert_eq!(
                world.state.name_for(pi(8), other),
                "node-0008",
                "{other} leads elsewhere"
            );
        }
        // They go on calling themselves so, and nothing changes by that, nor when the name becomes free.
        assert_eq!(world.state.name_for(one, "pi-4b-7f2a"), "pi-4b-7f2a");
        world = world.does(Action::RemoveNode { id: one });
        assert_eq!(world.state.name_for(other, "pi-4b-7f2a"), "pi-4b-7f2a-abcd");
        assert_eq!(
            world.state.name_for(other, "window"),
            "window",
            "its card says another one"
        );
    }

    #[test]
    fn of_two_that_came_at_the_same_moment_one_keeps_the_name() {
        let mut world = bramble();
        for id in [pi(1), pi(2)] {
            world = world.does(Action::AdmitNode {
                id,
                facts: Box::new(NodeFacts {
                    name: "twin".to_owned(),
                    ..facts(1, 924)
                }),
                controller: false,
                awaited: false,
            });
        }
        assert_eq!(world.state.name_for(pi(1), "twin"), "twin");
        assert_eq!(world.state.name_for(pi(2), "twin"), "twin-0000");
    }
}
