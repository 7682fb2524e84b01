//! One moment of a light: a pure function of what is said and for how long.

use std::time::Duration;

use super::{
    Glow, LightStatus, ReplicaLight,
    colour::{Rgb, dimmed},
    pattern::{Pattern, ms},
    says::Says,
};

/// Pixels of a strip.
pub const PIXELS: usize = 8;
/// The pixel that shows what the node says, beside the replicas.
const OWN: usize = PIXELS - 1;

/// One moment of a light, for every kind of lamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// One LED: 0 is dark, 255 as bright as it can. One that only knows on and off is on above 0.
    pub level: u8,
    /// One LED with colours.
    pub colour: Rgb,
    /// A strip of them.
    pub strip: [Rgb; PIXELS],
}

impl Frame {
    /// Nothing glows.
    pub const DARK: Self = Self {
        level: 0,
        colour: Rgb::OFF,
        strip: [Rgb::OFF; PIXELS],
    };
}

/// How bright *Identify* is at least, in percent: it was asked for.
const IDENTIFY: u8 = 30;
/// How long each step of a moving strip lasts.
const STEP_MS: u64 = 250;
/// There and back again.
const RUN: [usize; 2 * PIXELS - 2] = [0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1];
/// A replica that starts, on its pixel.
const ARRIVING: Pattern = Pattern(&[500, 500]);

/// What to show when `status` has been said for the time `since`.
pub fn frame(status: &LightStatus, since: Duration) -> Frame {
    let brightness = brightness(status);
    if brightness == 0 {
        return Frame::DARK;
    }
    let says = status.says;
    let time = ms(since);
    let (is_lit, _) = says.pattern().at(time);
    let strength = dimmed(says.strength(), brightness);
    let colour = if is_lit {
        says.colour().dimmed(strength)
    } else {
        Rgb::OFF
    };
    Frame {
        level: if is_lit { dimmed(255, strength) } else { 0 },
        colour,
        strip: strip(status, time, colour, brightness),
    }
}

/// For how long the frame at the time `since` stays as it is; at least 1 ms, at most a second.
pub fn changes_in(status: &LightStatus, since: Duration) -> Duration {
    const LONGEST_MS: u64 = 1000;
    if brightness(status) == 0 {
        return Duration::from_millis(LONGEST_MS);
    }
    let time = ms(since);
    let (_, rhythm) = status.says.pattern().at(time);
    let pixels = if is_moving(status.says) {
        STEP_MS - time % STEP_MS
    } else if blinks_replicas(status.says) {
        ARRIVING.at(time).1
    } else {
        LONGEST_MS
    };
    Duration::from_millis(rhythm.min(pixels).min(LONGEST_MS))
}

fn brightness(status: &LightStatus) -> u8 {
    match status.says {
        Says::Identify => status.brightness.clamp(IDENTIFY, 100),
        _ => status.brightness.min(100),
    }
}

fn is_moving(says: Says) -> bool {
    matches!(says, Says::Booting | Says::Looking)
}

/// During a warning nothing else blinks, so that one second never sees too many flashes.
fn blinks_replicas(says: Says) -> bool {
    says.leaves_room() && !matches!(says, Says::Warning(_))
}

fn strip(status: &LightStatus, time: u64, own: Rgb, brightness: u8) -> [Rgb; PIXELS] {
    let says = status.says;
    let mut strip = [Rgb::OFF; PIXELS];
    let step = usize::try_from(time / STEP_MS % (RUN.len() * PIXELS) as u64).unwrap_or(0);
    let steady = says.colour().dimmed(dimmed(says.strength(), brightness));
    match says {
        Says::Booting => strip[..=step % PIXELS].fill(steady),
        Says::Looking => strip[RUN[step % RUN.len()]] = steady,
        Says::ShuttingDown => strip[0] = own,
        _ if !says.leaves_room() => strip.fill(own),
        _ => {
            for (pixel, replica) in strip[..OWN].iter_mut().zip(&status.replicas) {
                *pixel = replica.colour.dimmed(glow(replica, says, time, brightness));
            }
            strip[OWN] = own;
        }
    }
    strip
}

/// How brightly a replica's pixel glows, in percent.
fn glow(replica: &ReplicaLight, says: Says, time: u64, brightness: u8) -> u8 {
    let share = match replica.glow {
        Glow::Ready => 100,
        Glow::Asleep => 12,
        Glow::Starting if !blinks_replicas(says) => 50,
        Glow::Starting if ARRIVING.at(time).0 => 100,
        Glow::Starting => 0,
    };
    dimmed(brightness, share)
}
