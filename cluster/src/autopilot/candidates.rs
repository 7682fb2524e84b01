//! What is known of each node as a controller.

use std::time::Duration;

use api::{
    NodeId,
    sensors::{Card, Link, Sensors},
};

use super::{Candidate, Patience};
use crate::{
    liveness::Moment,
    memory::LeaderMemory,
    state::{Node, NodePhase, State},
};

/// All nodes, by the state and by what this leader has heard of them.
pub fn candidates(state: &State, memory: &LeaderMemory, patience: &Patience, now: Moment) -> Vec<Candidate> {
    let nodes = state.nodes().iter();
    nodes
        .map(|(id, node)| candidate(*id, node, memory, patience, now))
        .collect()
}

fn candidate(id: NodeId, node: &Node, memory: &LeaderMemory, patience: &Patience, now: Moment) -> Candidate {
    let vitals = memory.vitals(id);
    let sensors = vitals.map(|vitals| &vitals.sensors);
    let card = sensors.and_then(|sensors| sensors.card.as_ref());
    let fsync = |us: fn(&Card) -> Option<u64>| card.and_then(us).map(Duration::from_micros);
    Candidate {
        id,
        memory: node.facts.memory,
        up: node.phase == NodePhase::Up,
        up_for: vitals.map_or(Duration::ZERO, |vitals| Duration::from_secs(vitals.uptime_s)),
        silent_for: memory.liveness.silence(id, now),
        wired: sensors.and_then(wired),
        throttled: memory.was_strained(id, now),
        fsync_p50: fsync(|card| card.write_p50_us),
        fsync_p99: fsync(|card| card.write_p99_us),
        wish: node.wish,
        set_aside: patience.is_set_aside(id, now),
    }
}

/// Whether a cable is in; `None` where the machine tells of no sockets and radios.
fn wired(sensors: &Sensors) -> Option<bool> {
    let cable = |link: &Link| link.up && !link.wireless;
    (!sensors.links.is_empty()).then(|| sensors.links.iter().any(cable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sync::receive,
        testing::{bramble, moment, pi, report},
    };

    /// What is known of the only node, when it last said this of itself, and `later` milliseconds after that.
    fn heard(sensors: Sensors, later: u64) -> Candidate {
        let world = bramble().nodes(1);
        let mut memory = LeaderMemory::new(&world.state, moment(0));
        let mut request = report(&world.state, 1);
        request.vitals.sensors = sensors;
        receive(&world.state, &mut memory, pi(1), &request, moment(0)).unwrap();
        request.vitals.sensors = Sensors::default();
        receive(&world.state, &mut memory, pi(1), &request, moment(later)).unwrap();
        let patience = Patience::default();
        candidates(&world.state, &memory, &patience, moment(later)).remove(0)
    }

    fn link(name: &str, up: bool, wireless: bool) -> Link {
        Link {
            name: name.to_owned(),
            up,
            wireless,
            ..Link::default()
        }
    }

    #[test]
    fn a_node_is_wired_where_a_cable_is_in_and_nobody_knows_where_it_tells_of_none() {
        let with = |links: &[Link]| {
            wired(&Sensors {
                links: links.to_vec(),
                ..Sensors::default()
            })
        };
        assert_eq!(with(&[]), None);
        assert_eq!(
            with(&[link("wlan0", true, true), link("eth0", true, false)]),
            Some(true)
        );
        assert_eq!(
            with(&[link("wlan0", true, true), link("eth0", false, false)]),
            Some(false)
        );
    }

    #[test]
    fn a_node_that_was_throttled_for_a_moment_counts_as_such_for_ten_minutes() {
        let throttled = Sensors {
            throttled: Some(true),
            ..Sensors::default()
        };
        let weak = Sensors {
            under_voltage: Some(true),
            ..Sensors::default()
        };
        let well = Sensors {
            throttled: Some(false),
            under_voltage: Some(false),
            ..Sensors::default()
        };
        let minutes = |minutes: u64| minutes * 60_000;
        for sensors in [&throttled, &weak] {
            assert!(heard(sensors.clone(), 0).throttled);
            assert!(heard(sensors.clone(), minutes(9)).throttled);
            assert!(!heard(sensors.clone(), minutes(11)).throttled);
        }
        assert!(!heard(well, 0).throttled);
    }

    #[test]
    fn the_speed_of_a_card_is_what_was_measured() {
        let world = bramble().nodes(1);
        let mut memory = LeaderMemory::new(&world.state, moment(0));
        let mut request = report(&world.state, 1);
        request.vitals.sensors.card = Some(Card {
            write_p50_us: Some(4_000),
            write_p99_us: Some(900_000),
            ..Card::default()
        });
        receive(&world.state, &mut memory, pi(1), &request, moment(0)).unwrap();
        let candidate = candidates(&world.state, &memory, &Patience::default(), moment(0)).remove(0);
        assert_eq!(candidate.fsync_p50, Some(Duration::from_millis(4)));
        assert_eq!(candidate.fsync_p99, Some(Duration::from_millis(900)));
        assert!(candidate.has_slow_card());
    }
}
