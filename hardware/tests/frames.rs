//! Frames as sequences in time: what a person in front of the boards would see.

use std::time::Duration;

use hardware::light::{
    Frame, Glow, LightStatus, PIXELS, ReplicaLight, Rgb, Says, Trouble, changes_in, frame,
};

/// How often a light is looked at here, in ms. All rhythms are multiples of it.
const STEP_MS: usize = 50;
const SECOND: usize = 1000 / STEP_MS;

fn working(calls_per_second: f32) -> Says {
    Says::Working {
        master: false,
        calls_per_second,
    }
}

fn busy(says: Says) -> LightStatus {
    let glows = [
        Glow::Ready,
        Glow::Starting,
        Glow::Asleep,
        Glow::Starting,
        Glow::Ready,
        Glow::Asleep,
    ];
    LightStatus {
        says,
        replicas: glows
            .into_iter()
            .enumerate()
            .map(|(n, glow)| ReplicaLight {
                colour: Rgb::of_function(&format!("function-{n}")),
                glow,
            })
            .collect(),
        brightness: 100,
    }
}

fn watched(status: &LightStatus, seconds: usize) -> Vec<Frame> {
    (0..seconds * SECOND)
        .map(|n| frame(status, Duration::from_millis((n * STEP_MS) as u64)))
        .collect()
}

fn lit(says: Says, seconds: usize) -> Vec<bool> {
    watched(&LightStatus::of(says), seconds)
        .iter()
        .map(|frame| frame.level > 0)
        .collect()
}

fn brightness(colour: Rgb) -> u32 {
    u32::from(colour.red) * 30 + u32::from(colour.green) * 59 + u32::from(colour.blue) * 11
}

/// The most flashes (darker to brighter) of a light in any one second.
fn flashes_in_worst_second(light: &[u32]) -> usize {
    let mut flashes = Vec::new();
    let mut was_falling = true;
    for n in 1..light.len() {
        if light[n] > light[n - 1] {
            if was_falling {
                flashes.push(n);
            }
            was_falling = false;
        } else if light[n] < light[n - 1] {
            was_falling = true;
        }
    }
    flashes
        .iter()
        .map(|from| {
            flashes
                .iter()
                .filter(|n| (*from..*from + SECOND).contains(n))
                .count()
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn nothing_flashes_more_than_three_times_in_any_second() {
    for says in Says::ALL {
        let frames = watched(&busy(says), 60);
        let led: Vec<u32> = frames.iter().map(|frame| u32::from(frame.level)).collect();
        assert!(flashes_in_worst_second(&led) <= 3, "{says:?}");
        for pixel in 0..PIXELS {
            let light: Vec<u32> = frames
                .iter()
                .map(|frame| brightness(frame.strip[pixel]))
                .collect();
            assert!(flashes_in_worst_second(&light) <= 3, "{says:?}, pixel {pixel}");
        }
        let strip: Vec<u32> = frames
            .iter()
            .map(|frame| frame.strip.iter().map(|p| brightness(*p)).sum())
            .collect();
        assert!(flashes_in_worst_second(&strip) <= 3, "{says:?}, the whole strip");
    }
}

#[test]
fn one_led_tells_everything_apart_by_its_rhythm_alone() {
    const SECONDS: usize = 63;
    for (n, one) in Says::ALL.into_iter().enumerate() {
        for other in &Says::ALL[n + 1..] {
            let (one_lit, other_lit) = (lit(one, SECONDS + 10), lit(*other, SECONDS));
            // Whenever one begins to look, at least a twentieth of the time they differ.
            let least = (0..10 * SECOND)
                .map(|shift| {
                    one_lit[shift..]
                        .iter()
                        .zip(&other_lit)
                        .filter(|(a, b)| a != b)
                        .count()
                })
                .min()
                .unwrap();
            assert!(least * 20 >= other_lit.len(), "{one:?} and {other:?} look alike");
        }
    }
}

/// Lengths of lit and dark times in ms, in turn, beginning lit.
fn runs(says: Says) -> Vec<usize> {
    let seen = lit(says, 60);
    seen.chunk_by(|a, b| a == b)
        .map(|run| run.len() * STEP_MS)
        .collect()
}

#[test]
fn nothing_looks_like_an_error_code_of_the_firmware() {
    for says in Says::ALL {
        let runs = runs(says);
        // The firmware flashes a few times, long ones first, and is then dark for two seconds.
        let mut group = Vec::new();
        for pair in runs.chunks_exact(2) {
            group.push(pair[0]);
            if pair[1] >= 1500 {
                assert!(
                    group.len() < 2,
                    "{says:?}: {group:?}, then dark for {} ms",
                    pair[1]
                );
                group.clear();
            }
        }
        // And no run of three or more short flashes, however long the pause is.
        let shorts = runs
            .chunks_exact(2)
            .map(|pair| pair[0] <= 250 && pair[1] <= 300)
            .collect::<Vec<_>>();
        let longest = shorts
            .chunk_by(|a, b| a == b)
            .filter(|run| run[0])
            .map(<[bool]>::len)
            .max()
            .unwrap_or(0);
        assert!(
            longest < 3 || says == Says::Identify,
            "{says:?}: {longest} short flashes in a row"
        );
    }
}

#[test]
fn a_light_that_stands_still_for_two_seconds_is_dead() {
    for says in Says::ALL {
        let longest = runs(says).into_iter().max().unwrap();
        assert!(longest < 2000, "{says:?} stands still for {longest} ms");
    }
}

#[test]
fn a_node_that_stops_is_lit_until_it_has_stopped() {
    let seen = lit(Says::ShuttingDown, 60);
    let share = seen.iter().filter(|lit| **lit).count() * 100 / seen.len();
    assert!(share >= 70, "lit for {share} % of the time");
    let darkest = runs(Says::ShuttingDown).chunks_exact(2).map(|pair| pair[1]).max();
    assert!(darkest <= Some(500), "dark for {darkest:?} ms");
}

#[test]
fn brightness_dims_everything_and_zero_is_dark_but_for_identify() {
    for says in Says::ALL {
        let with = |brightness| LightStatus {
            brightness,
            ..busy(says)
        };
        let most = |brightness| {
            watched(&with(brightness), 6)
                .iter()
                .map(|f| f.level)
                .max()
                .unwrap()
        };
        if says == Says::Identify {
            assert!(most(0) > 0 && most(0) < most(100));
        } else {
            assert!(
                watched(&with(0), 6).iter().all(|frame| *frame == Frame::DARK),
                "{says:?}"
            );
            assert!(
                most(10) > 0 && most(10) < most(50) && most(50) < most(100),
                "{says:?}"
            );
        }
        assert_eq!(watched(&with(255), 6), watched(&with(100), 6));
    }
}

#[test]
fn work_shines_brighter_the_more_calls_there_are() {
    let level = |calls| frame(&LightStatus::of(working(calls)), Duration::ZERO).level;
    assert!(level(0.0) < level(5.0) && level(5.0) < level(50.0) && level(50.0) < level(500.0));
}

#[test]
fn each_replica_has_a_pixel_in_its_functions_colour() {
    let at = |ms| frame(&busy(Says::Joined), Duration::from_millis(ms)).strip;
    let colour = |n: usize| Rgb::of_function(&format!("function-{n}"));
    assert_eq!(
        (at(0)[0], at(0)[4]),
        (colour(0), colour(4)),
        "ready: the full colour"
    );
    assert_eq!(at(0)[2], colour(2).dimmed(12), "asleep: dim");
    assert_eq!(
        (at(0)[1], at(600)[1]),
        (colour(1), Rgb::OFF),
        "starting: blinking"
    );
    assert_eq!(at(0)[6], Rgb::OFF, "no replica");
    assert_ne!(at(0)[7], Rgb::OFF, "the node's own");
}

#[test]
fn the_last_pixel_stays_the_nodes_own_however_many_replicas_there_are() {
    let mut status = busy(Says::Warning(Trouble::Heat));
    status.replicas = vec![status.replicas[0]; 100];
    let strip = frame(&status, Duration::ZERO).strip;
    assert!(strip[..7].iter().all(|pixel| *pixel == strip[0]));
    assert_eq!(strip[7], Rgb::new(255, 130, 0));
}

#[test]
fn a_frame_holds_until_it_says_that_it_changes() {
    for says in Says::ALL {
        let status = busy(says);
        let mut time = 0;
        while time < 20_000 {
            let at = |ms: u64| frame(&status, Duration::from_millis(ms));
            let holds = u64::try_from(changes_in(&status, Duration::from_millis(time)).as_millis()).unwrap();
            assert!((1..=1000).contains(&holds));
            for later in time..time + holds {
                assert_eq!(at(later), at(time), "{says:?} at {later} ms");
            }
            time += holds;
        }
    }
}
