//! Small animations of what lights say, for documents and web pages: one LED, one with colours, and a strip.
//!
//! Drawn from the very frames that lamps show. The movement is CSS, so that whoever asked their browser for less
//! motion sees a still picture.

use std::{fmt::Write, time::Duration};

use super::{Frame, Glow, LightStatus, PIXELS, ReplicaLight, Rgb, changes_in, frame, says::Says};

/// Width of a drawing, in its own units.
pub const WIDTH: u32 = 360;
/// Height of a drawing, in its own units.
pub const HEIGHT: u32 = 48;

/// The whole of an animation comes around in at most this time.
const LONGEST: Duration = Duration::from_secs(60);

/// An SVG document that shows, over and over, what lamps do when this is said: [`example`].
pub fn animation(says: Says) -> String {
    let status = example(says);
    let (moments, length) = moments(&status);
    let mut style = String::new();
    let mut shapes = String::new();
    for (name, shape, looks) in spots() {
        let mut seen: Vec<(Duration, String)> = Vec::new();
        for (time, frame) in &moments {
            let look = looks(frame);
            if seen.last().is_none_or(|(_, before)| *before != look) {
                seen.push((*time, look));
            }
        }
        let first = seen.first().map_or("", |(_, look)| look.as_str());
        writeln!(shapes, r#"<{shape} class="{name}" fill="{first}"/>"#).expect("strings take all");
        if seen.len() > 1 {
            let ms = length.as_millis();
            write!(
                style,
                ".{name}{{animation:{name} {ms}ms step-end infinite}}@keyframes {name}{{"
            )
            .expect("strings take all");
            for (time, look) in &seen {
                let percent = time.as_secs_f64() * 100.0 / length.as_secs_f64();
                write!(style, "{percent:.3}%{{fill:{look}}}").expect("strings take all");
            }
            style.push_str("}\n");
        }
    }
    let (meaning, rhythm) = (says.meaning(), says.rhythm());
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{rhythm}">
<title>{meaning} One LED: {rhythm}.</title>
<style>
{style}@media (prefers-reduced-motion:reduce){{*{{animation:none!important}}}}
</style>
<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#14171c"/>
{shapes}</svg>
"##
    )
}

/// What the animation of this shows: beside the message, three replicas of two functions, and one that starts where
/// that is the message; as bright as can be.
pub fn example(says: Says) -> LightStatus {
    let replica = |name: &str, glow| ReplicaLight {
        colour: Rgb::of_function(name),
        glow,
    };
    let mut replicas = vec![
        replica("figlet", Glow::Ready),
        replica("figlet", Glow::Ready),
        replica("env", Glow::Asleep),
    ];
    if says == Says::Starting {
        replicas.push(replica("figlet", Glow::Starting));
    }
    LightStatus {
        says,
        replicas,
        brightness: 100,
    }
}

/// All frames until the whole begins anew, and when that is.
fn moments(status: &LightStatus) -> (Vec<(Duration, Frame)>, Duration) {
    let mut moments = vec![(Duration::ZERO, frame(status, Duration::ZERO))];
    let mut time = Duration::ZERO;
    while time < LONGEST {
        time += changes_in(status, time);
        if comes_around(status, time) {
            return (moments, time);
        }
        moments.push((time, frame(status, time)));
    }
    (moments, time)
}

/// Whether everything that moves does at `time` what it did at first.
fn comes_around(status: &LightStatus, time: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(50);
    (0..160).all(|n| frame(status, STEP * n) == frame(status, time + STEP * n))
}

type Look = Box<dyn Fn(&Frame) -> String>;

/// What is drawn: a name, its shape, and its colour at a moment.
fn spots() -> Vec<(String, String, Look)> {
    let mut spots: Vec<(String, String, Look)> = vec![
        (
            "led".to_owned(),
            r#"circle cx="26" cy="24" r="9""#.to_owned(),
            // One LED is of any colour: here it is warm white.
            Box::new(|frame| glowing(Rgb::new(255, 214, 128).dimmed(percent(frame.level)))),
        ),
        (
            "colour".to_owned(),
            r#"circle cx="66" cy="24" r="9""#.to_owned(),
            Box::new(|frame| glowing(frame.colour)),
        ),
    ];
    for pixel in 0..PIXELS {
        let x = 106 + 30 * pixel;
        spots.push((
            format!("pixel{pixel}"),
            format!(r#"rect x="{x}" y="15" width="18" height="18" rx="4""#),
            Box::new(move |frame| glowing(frame.strip[pixel])),
        ));
    }
    spots
}

fn percent(level: u8) -> u8 {
    u8::try_from(u16::from(level) * 100 / 255).unwrap_or(100)
}

/// A light's colour on a screen, where small numbers look darker than they glow.
fn glowing(colour: Rgb) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 255"
    )]
    let seen = |part: u8| (255.0 * (f64::from(part) / 255.0).powf(0.55)).round() as u8;
    match colour {
        Rgb::OFF => "#2b3038".to_owned(),
        Rgb { red, green, blue } => Rgb::new(seen(red), seen(green), seen(blue)).hex(),
    }
}
