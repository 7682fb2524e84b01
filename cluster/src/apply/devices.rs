//! Which devices of a node functions may use.

use api::{Devices, NodeId};

use super::Change;
use crate::outcome::Refusal;

impl Change<'_> {
    /// What the node should run is told anew, since what is given to its replicas follows from this.
    pub(super) fn allow_devices(&mut self, id: NodeId, devices: Devices) -> Result<(), Refusal> {
        let revision = self.revision;
        let node = self.node(id)?;
        if node.devices_allowed == devices {
            return Ok(());
        }
        let name = &node.facts.name;
        let text = match devices.is_empty() {
            true => format!("Functions may use no devices of {name} any more."),
            false => format!("Functions may use {devices} of {name}."),
        };
        node.devices_allowed = devices;
        node.epoch = revision;
        node.generation = revision;
        self.record(None, Some(id), text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::sync::Phase;

    use crate::{
        Action, Command, Outcome, Refusal,
        sync::desired,
        testing::{bramble, facts, pi},
    };

    const BLINK: &str = r#"blink,"annotations":{"bramble.devices":"gpio,i2c"}"#;

    #[test]
    fn nothing_is_allowed_until_somebody_does_and_the_activity_says_who() {
        let mut world = bramble().node(1, 700);
        assert!(world.state.node(pi(1)).unwrap().devices_allowed.is_empty());
        let allow = |devices: &str| Action::AllowDevices {
            id: pi(1),
            devices: devices.parse().unwrap(),
        };
        for devices in ["gpio,i2c", ""] {
            let command = Command::by_user("ada", api::Timestamp::from_millis(9_000), allow(devices));
            assert!(matches!(world.state.apply(command), Outcome::Applied(_)));
        }
        let told: Vec<_> = world.state.activity().rev().take(2).collect();
        assert!(told.iter().all(|event| event.actor.to_string() == "ada"));
        assert_eq!(told[1].text, "Functions may use gpio, i2c of pi-3b-plus-0001.");
        assert_eq!(
            told[0].text,
            "Functions may use no devices of pi-3b-plus-0001 any more."
        );
        let stranger = Action::AllowDevices {
            id: pi(9),
            devices: "gpio".parse().unwrap(),
        };
        assert_eq!(
            world.apply(stranger),
            Outcome::Refused(Refusal::NoSuchNode(pi(9)))
        );
    }

    #[test]
    fn allowing_what_is_allowed_changes_nothing_else_makes_plans_stale_and_orders_new() {
        let world = bramble().node(1, 700).allowed(1, "gpio");
        let of = |world: &crate::testing::World| {
            let node = world.state.node(pi(1)).unwrap();
            (node.epoch, node.generation)
        };
        let before = of(&world);
        let world = world.allowed(1, "gpio");
        assert_eq!(of(&world), before);
        let world = world.allowed(1, "i2c");
        let after = of(&world);
        assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
        // So does a device that is plugged in.
        let mut changed = facts(1, 850);
        changed.devices = "camera".parse().unwrap();
        let world = world.does(Action::UpdateFacts {
            id: pi(1),
            facts: Box::new(changed),
        });
        assert!(of(&world).0 > after.0);
    }

    #[test]
    fn a_node_is_told_to_give_what_was_asked_for_and_allowed_and_nothing_else() {
        let world = bramble()
            .node_with(1, 924, |facts| facts.devices = "gpio,i2c,spi".parse().unwrap())
            .allowed(1, "gpio,i2c,spi")
            .deployed(BLINK)
            .deployed("env")
            .planned()
            .reported(Phase::Ready);
        let given = |world: &crate::testing::World| {
            let all = desired(&world.state, pi(1)).into_values();
            let mut all: Vec<_> = all
                .map(|replica| format!("{} {}", replica.spec.name.name(), replica.devices))
                .collect();
            all.sort();
            all
        };
        assert_eq!(given(&world), ["blink gpio, i2c", "env "]);
        // Before the planner has drained it, too.
        let world = world.allowed(1, "i2c");
        assert_eq!(given(&world), ["blink i2c", "env "]);
    }

    #[test]
    fn a_node_with_a_new_card_may_give_what_it_could_before() {
        let world = bramble()
            .nodes(3)
            .allowed(2, "gpio")
            .down(2)
            .does(Action::ReplaceNode {
                id: pi(3),
                old: pi(2),
            });
        let allowed = &world.state.node(pi(3)).unwrap().devices_allowed;
        assert_eq!(allowed.to_string(), "gpio");
        // One that was removed and comes again begins with nothing.
        let world = world.does(Action::RemoveNode { id: pi(3) }).node(3, 700);
        assert!(world.state.node(pi(3)).unwrap().devices_allowed.is_empty());
    }
}
