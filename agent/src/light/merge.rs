//! What the light says, from what the leader told and what only this node knows. Pure.

use std::time::Duration;

use api::light::{self as told, Light};
use hardware::light::{Glow, LightStatus, ReplicaLight, Rgb, Says, Trouble};

/// A leader that was not heard for so long is out of reach: as long as it takes this node to count as down.
const CUT_OFF: Duration = Duration::from_millis(4500);

/// A node that starts with the others and finds no leader at once is still starting; after that it looks for one.
const STARTING: Duration = Duration::from_secs(5);

/// What only this node knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// Where it stands.
    pub stage: Stage,
    /// What the leader told last, and when.
    pub told: Option<(Light, Duration)>,
    /// While it waits, somebody wants to see until then which board it is.
    pub identify_until: Option<Duration>,
}

/// Where a node stands, as only it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It has just begun.
    #[default]
    Starting,
    /// It looks for its bramble.
    Looking,
    /// It was found, and waits until somebody admits it.
    Waiting,
    /// It is part of the bramble.
    Member,
    /// It stops.
    Leaving,
}

/// What to show at `now`, the time since this node began.
pub fn merge(own: &Own, now: Duration) -> LightStatus {
    let told = own.told.as_ref();
    let brightness = told.map_or(LightStatus::BRIGHTNESS, |(light, _)| light.brightness);
    let replicas = told.map_or_else(Vec::new, |(light, _)| {
        light.replicas.iter().map(replica).collect()
    });
    let says = match (own.stage, told) {
        (Stage::Leaving, _) => Says::ShuttingDown,
        (Stage::Waiting, _) if own.identify_until.is_some_and(|until| now < until) => Says::Identify,
        (Stage::Waiting, _) => Says::Waiting,
        (Stage::Looking, _) => Says::Looking,
        (Stage::Starting, None) if now < STARTING => Says::Booting,
        (Stage::Starting | Stage::Member, None) => Says::Looking,
        (Stage::Starting | Stage::Member, Some((_, heard))) if now.saturating_sub(*heard) > CUT_OFF => {
            Says::CutOff
        }
        (Stage::Starting | Stage::Member, Some((light, _))) => says(light),
    };
    LightStatus {
        says,
        replicas,
        brightness,
    }
}

fn says(light: &Light) -> Says {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "for brightness any precision will do"
    )]
    let calls_per_second = light.calls_per_second as f32;
    match light.says {
        told::Says::Joined => Says::Joined,
        told::Says::Master => Says::Master,
        told::Says::Working => Says::Working {
            master: false,
            calls_per_second,
        },
        told::Says::MasterWorking => Says::Working {
            master: true,
            calls_per_second,
        },
        told::Says::Starting => Says::Starting,
        told::Says::WarningCard => Says::Warning(Trouble::Card),
        told::Says::WarningHeat => Says::Warning(Trouble::Heat),
        told::Says::WarningPower => Says::Warning(Trouble::Power),
        told::Says::Identify => Says::Identify,
    }
}

fn replica(told: &told::ReplicaLight) -> ReplicaLight {
    ReplicaLight {
        colour: Rgb::of_function(told.function.name()),
        glow: match told.glow {
            told::Glow::Ready => Glow::Ready,
            told::Glow::Starting => Glow::Starting,
            told::Glow::Asleep => Glow::Asleep,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn own(stage: Stage, told: Option<(told::Says, u64)>) -> Own {
        Own {
            stage,
            told: told.map(|(says, at)| {
                let light = Light {
                    says,
                    ..Light::default()
                };
                (light, SECOND * u32::try_from(at).unwrap())
            }),
            identify_until: None,
        }
    }

    #[test]
    fn a_node_that_has_heard_nobody_starts_and_then_looks() {
        assert_eq!(merge(&own(Stage::Starting, None), SECOND).says, Says::Booting);
        assert_eq!(merge(&own(Stage::Starting, None), 9 * SECOND).says, Says::Looking);
        assert_eq!(merge(&own(Stage::Looking, None), SECOND).says, Says::Looking);
        assert_eq!(merge(&own(Stage::Waiting, None), SECOND).says, Says::Waiting);
    }

    #[test]
    fn a_node_that_waits_shows_which_board_it_is_for_as_long_as_somebody_wants() {
        let waits = Own {
            identify_until: Some(9 * SECOND),
            ..own(Stage::Waiting, None)
        };
        assert_eq!(merge(&waits, 8 * SECOND).says, Says::Identify);
        assert_eq!(merge(&waits, 9 * SECOND).says, Says::Waiting);
        let looks = Own {
            stage: Stage::Looking,
            ..waits
        };
        assert_eq!(
            merge(&looks, 8 * SECOND).says,
            Says::Looking,
            "nobody could end it"
        );
    }

    #[test]
    fn a_member_says_what_the_leader_told_it() {
        for (says, wanted) in [
            (told::Says::Joined, Says::Joined),
            (told::Says::Master, Says::Master),
            (told::Says::Starting, Says::Starting),
            (told::Says::WarningPower, Says::Warning(Trouble::Power)),
            (told::Says::Identify, Says::Identify),
        ] {
            assert_eq!(
                merge(&own(Stage::Member, Some((says, 8))), 9 * SECOND).says,
                wanted
            );
        }
    }

    #[test]
    fn a_member_that_no_longer_hears_the_leader_is_cut_off_whatever_it_was_told() {
        let own = own(Stage::Member, Some((told::Says::Identify, 1)));
        assert_eq!(merge(&own, 5 * SECOND).says, Says::Identify);
        assert_eq!(merge(&own, 6 * SECOND).says, Says::CutOff);
    }

    #[test]
    fn a_node_that_stops_says_so_whatever_it_was_told() {
        let own = own(Stage::Leaving, Some((told::Says::Identify, 1)));
        assert_eq!(merge(&own, SECOND).says, Says::ShuttingDown);
    }

    #[test]
    fn brightness_and_replicas_stay_as_they_were_told_while_cut_off() {
        let mut own = own(Stage::Member, Some((told::Says::Joined, 1)));
        let (light, _) = own.told.as_mut().unwrap();
        light.brightness = 7;
        light.replicas.push(told::ReplicaLight {
            function: api::FunctionName::new("env", "").unwrap(),
            glow: told::Glow::Asleep,
        });
        let status = merge(&own, 60 * SECOND);
        assert_eq!((status.says, status.brightness), (Says::CutOff, 7));
        assert_eq!(
            status.replicas,
            [ReplicaLight {
                colour: Rgb::of_function("env"),
                glow: Glow::Asleep
            }]
        );
    }
}
