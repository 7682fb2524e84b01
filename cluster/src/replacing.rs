//! A card that was flashed anew: the same board with another key.

use api::{NodeFacts, NodeId};

use crate::state::{Node, NodePhase, State};

impl State {
    /// The node that `id`, of which these are the facts, seems to have been before its card was flashed anew: it has
    /// the same board and is silent. The last one, where that happened more than once.
    ///
    /// A serial number is anybody's word, so this is only worth a question to a person.
    pub fn formerly(&self, id: NodeId, facts: &NodeFacts) -> Option<(NodeId, &Node)> {
        let serial = facts.serial.as_ref()?;
        self.nodes()
            .iter()
            .map(|(other, node)| (*other, node.as_ref()))
            .filter(|(other, node)| *other != id && node.phase == NodePhase::Down)
            .filter(|(_, node)| node.facts.serial.as_ref() == Some(serial))
            .max_by_key(|(other, node)| (node.joined, *other))
    }
}

#[cfg(test)]
mod tests {
    use api::NodeId;

    use crate::{
        Action, Outcome, Refusal,
        autopilot::Wish,
        testing::{World, bramble, facts, pi},
    };

    fn with_serial(world: World, number: u128, serial: &str) -> World {
        world.node_with(number, 924, |facts| facts.serial = Some(serial.to_owned()))
    }

    fn formerly(world: &World, number: u128, serial: Option<&str>) -> Option<NodeId> {
        let mut facts = facts(number, 924);
        facts.serial = serial.map(str::to_owned);
        Some(world.state.formerly(pi(number), &facts)?.0)
    }

    #[test]
    fn a_silent_node_with_the_same_board_is_what_a_new_one_seems_to_be() {
        let world = with_serial(with_serial(bramble(), 1, "10000000aa"), 2, "10000000bb").node(3, 700);
        assert_eq!(formerly(&world, 9, Some("10000000bb")), None, "it is up");
        let world = world.down(2).down(3);
        assert_eq!(formerly(&world, 9, Some("10000000bb")), Some(pi(2)));
        assert_eq!(formerly(&world, 2, Some("10000000bb")), None, "not itself");
        assert_eq!(formerly(&world, 9, Some("10000000cc")), None);
        assert_eq!(
            formerly(&world, 9, None),
            None,
            "machines without serial numbers are not alike"
        );
        let world = with_serial(world, 4, "10000000bb").down(4);
        assert_eq!(
            formerly(&world, 9, Some("10000000bb")),
            Some(pi(4)),
            "the last one"
        );
    }

    #[test]
    fn what_people_said_of_a_node_holds_for_the_one_that_takes_its_place() {
        let wish = Action::WishController {
            id: pi(2),
            wish: Wish::Pinned,
        };
        let name = Action::NameNode {
            id: pi(2),
            name: "window-left".to_owned(),
        };
        let world = bramble()
            .nodes(3)
            .does(wish)
            .does(name)
            .cordoned(2)
            .down(2)
            .does(Action::ReplaceNode {
                id: pi(3),
                old: pi(2),
            });
        let node = world.state.node(pi(3)).unwrap();
        assert_eq!(
            (node.facts.name.as_str(), node.wish),
            ("window-left", Wish::Pinned)
        );
        assert_eq!(
            (node.given_name.as_deref(), node.cordoned),
            (Some("window-left"), true)
        );
        assert!(world.state.node(pi(2)).is_none() && world.state.is_removed(pi(2)));
        let told: Vec<_> = world.state.activity().map(|event| event.text.as_str()).collect();
        assert_eq!(told.last(), Some(&"window-left goes on with a new card."));
    }

    #[test]
    fn nobody_takes_the_place_of_a_node_that_is_up() {
        let mut world = bramble().nodes(2);
        for old in [pi(1), pi(2)] {
            let outcome = world.apply(Action::ReplaceNode { id: pi(2), old });
            assert!(
                matches!(outcome, Outcome::Refused(Refusal::StillThere(_))),
                "{outcome}"
            );
        }
        let outcome = world.apply(Action::ReplaceNode {
            id: pi(9),
            old: pi(1),
        });
        assert_eq!(outcome, Outcome::Refused(Refusal::NoSuchNode(pi(9))));
    }
}
