//! When to warn, and of what: one function for each thing that can be wrong.

use std::time::Duration;

use super::{Code, Known};
use crate::sensors::{Clock, LinkKind, Readings, StorageKind, Throttled};

/// What is wrong, in a sentence, and its cure.
type Found = (Code, String, &'static str);
type Rule = fn(&Readings, &Known<'_>) -> Option<Found>;

pub(super) const ALL: &[Rule] = &[
    power,
    heat,
    slowed,
    read_only,
    root,
    card_errors,
    disk_space,
    card_worn,
    card_slow,
    card_busy,
    memory,
    pressure,
    load,
    limits,
    cable,
    signal,
    clock,
    pages,
];

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const SUPPLY: &str = "Use the power supply that was made for this board and a short, thick cable, and give it no other \
                      work; unplug USB devices to try.";
const COOLING: &str = "Give it a heat sink or a fan, or some space around it.";
const SPACE: &str = "Remove functions and images that nobody needs, or use a larger card.";

fn power(readings: &Readings, known: &Known<'_>) -> Option<Found> {
    if readings.power.is_low() {
        let sentence = "The power supply of this Pi is too weak at this moment: it may crash, and files on its card may \
                        be damaged.";
        return Some((Code::PowerLow, sentence.to_owned(), SUPPLY));
    }
    let event = known.history.low_power;
    let when = match event.ago(known.now) {
        Some(ago) if ago <= DAY => words(ago),
        None if event.only_before() => "at some time since it was started".to_owned(),
        _ => return None,
    };
    Some((
        Code::PowerDipped,
        format!("The power supply of this Pi was too weak {when}."),
        SUPPLY,
    ))
}

fn heat(readings: &Readings, known: &Known<'_>) -> Option<Found> {
    let celsius = readings.temperature_c?;
    // What slows a Pi down is an ordinary day for a laptop.
    let (hot, too_hot) = match known.board.processor {
        Some(_) => (80.0, 85.0),
        None => (95.0, 100.0),
    };
    let (code, effect) = match celsius {
        cool if cool < hot => return None,
        warm if warm < too_hot => (Code::Hot, "it soon has to slow down"),
        _ => (Code::TooHot, "it slows itself down so as not to be damaged"),
    };
    Some((
        code,
        format!("This Pi is {celsius:.0} °C hot: {effect}."),
        COOLING,
    ))
}

/// The boards with a soft limit at 60 °C.
const SOFT_LIMIT: &[&str] = &["pi-3b-plus", "pi-3a-plus"];

fn slowed(readings: &Readings, known: &Known<'_>) -> Option<Found> {
    let firmware = |says: fn(Throttled) -> bool| readings.power.throttled.is_some_and(says);
    let is_cooler_than = |limit: f64| readings.temperature_c.is_none_or(|celsius| celsius < limit);
    let has_soft_limit = SOFT_LIMIT.contains(&known.board.short.as_str());
    if firmware(Throttled::soft_limit) || (has_soft_limit && !is_cooler_than(60.0)) {
        return is_cooler_than(80.0).then(|| {
            let sentence = "This Pi is above 60 °C and runs a little slower, as boards of its kind do; nothing is harmed.";
            (Code::Slowed, sentence.to_owned(), "A heat sink or a fan makes it as fast as it can be.")
        });
    }
    // Low power and heat have warnings of their own.
    (firmware(Throttled::slowed) && !readings.power.is_low() && is_cooler_than(80.0)).then(|| {
        let sentence =
            "This Pi runs slower than it could: its firmware holds it back because of heat or weak power.";
        (
            Code::Slowed,
            sentence.to_owned(),
            "Give it a better power supply and some cooling.",
        )
    })
}

fn root(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    // Where both are one file system, the other warning says more.
    (readings.root_gave_up && !readings.disk_read_only).then(|| {
        let sentence = "The system of this Pi can no longer be written to: its files were damaged, or its card has failed.";
        (
            Code::RootReadOnly,
            sentence.to_owned(),
            "Restart this Pi; if this comes back, write the image to a new card.",
        )
    })
}

fn read_only(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    readings.disk_read_only.then(|| {
        let sentence = "Nothing can be written to the card of this Pi any more: it has failed, or its files were damaged.";
        (
            Code::ReadOnly,
            sentence.to_owned(),
            "Restart this Pi; if this comes back, write the image to a new card: the bramble gives it its work again.",
        )
    })
}

fn card_errors(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let errors = readings.storage.as_ref()?.errors;
    (errors > 0).then(|| {
        let times = if errors == 1 {
            "once".to_owned()
        } else {
            format!("{errors} times")
        };
        (
            Code::CardErrors,
            format!("Files on the card of this Pi were found damaged {times}."),
            "Check the power supply first, then replace the card.",
        )
    })
}

fn disk_space(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let (free, total) = (readings.disk_free_bytes, readings.disk_total_bytes);
    let code = match free {
        _ if total == 0 => return None,
        free if free < (total / 50).min(256 * MIB) => Code::DiskFull,
        free if free < (total / 10).min(GIB) => Code::DiskNearlyFull,
        _ => return None,
    };
    Some((
        code,
        format!("The card of this Pi is nearly full: {} are left.", size(free)),
        SPACE,
    ))
}

fn card_worn(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let storage = readings.storage.as_ref()?;
    let used = storage.life_used_percent.filter(|used| *used >= 90);
    let sentence = match used {
        Some(used) => format!("The flash memory of this Pi has used up {used} % of its life."),
        None if storage.spare_low => {
            "The flash memory of this Pi has hardly any spare blocks left.".to_owned()
        }
        None => return None,
    };
    Some((
        Code::CardWorn,
        sentence,
        "Download a backup in the portal, and replace the card or module soon.",
    ))
}

/// The limits by which controllers are chosen, so that people are told why a Pi is passed over (`tests/tests/lights.rs`
/// holds both together).
const SLOW: Duration = Duration::from_millis(50);
const STALLING: Duration = Duration::from_millis(200);

fn card_slow(_: &Readings, known: &Known<'_>) -> Option<Found> {
    let speed = known.card_speed?;
    let is_slow = speed.p50 > SLOW || speed.p99 > STALLING;
    is_slow.then(|| {
        (
            Code::CardSlow,
            format!(
                "The card of this Pi is slow: a small write takes {} ms, and now and then {} ms.",
                speed.p50.as_millis(),
                speed.p99.as_millis()
            ),
            "It runs functions well enough, but as the master it would make every change wait: others are chosen before it. \
             Cards marked A2 are quicker.",
        )
    })
}

fn card_busy(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let storage = readings
        .storage
        .as_ref()
        .filter(|s| s.kind != StorageKind::Disk && s.size_bytes > 0)?;
    let written = storage.written_since_boot_bytes?;
    if readings.uptime_s < 6 * HOUR.as_secs() {
        return None;
    }
    let per_day = u128::from(written) * u128::from(DAY.as_secs()) / u128::from(readings.uptime_s);
    (per_day > u128::from(storage.size_bytes)).then(|| {
        (
            Code::CardBusy,
            format!(
                "So much is written to the card of this Pi that it is filled anew every day: {} since it was started.",
                size(written)
            ),
            "Find the function that writes so much and let it write less, or keep its files on a USB disk.",
        )
    })
}

const MEMORY: &str = "Lower the scale of its functions, or add another Pi to the bramble.";

fn memory(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let (free, total) = (readings.memory_available_bytes, readings.memory_total_bytes);
    (total > 0 && free < (total / 20).clamp(32 * MIB, 256 * MIB).min(total)).then(|| {
        let sentence = format!("Hardly any memory is left on this Pi: {}.", size(free));
        (Code::MemoryLow, sentence, MEMORY)
    })
}

fn pressure(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let waited = readings.memory_pressure?.some_60_s;
    (waited >= 20.0).then(|| {
        let sentence = format!("Programs on this Pi spend {waited:.0} % of their time waiting for memory.");
        (Code::MemoryPressure, sentence, MEMORY)
    })
}

fn load(readings: &Readings, known: &Known<'_>) -> Option<Found> {
    let cores = f64::from(known.system.cores);
    (readings.load_5_min > 4.0 * cores).then(|| {
        (
            Code::Overloaded,
            format!(
                "This Pi has much more to do than it can: on average {:.0} programs at a time for {cores} cores.",
                readings.load_5_min
            ),
            "Lower the scale of its functions, or add another Pi to the bramble.",
        )
    })
}

fn limits(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    (readings.memory_limits == Some(false)).then(|| {
        (
            Code::MemoryLimitsOff,
            "This Pi does not keep the memory limits of functions: one function can take the memory of all others."
                .to_owned(),
            "Add `cgroup_enable=memory` to the end of the one line in `cmdline.txt` on the card's first partition, and \
             restart.",
        )
    })
}

fn cable(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let speed = readings.links.iter().find_map(|link| match link.kind {
        LinkKind::Wired { speed_mbit } if link.up => speed_mbit.filter(|speed| *speed <= 10),
        _ => None,
    })?;
    Some((
        Code::NetworkSlow,
        format!("The network cable of this Pi carries only {speed} Mbit/s."),
        "Try another cable, then another socket of the switch.",
    ))
}

fn signal(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    let is_wired = |kind| matches!(kind, LinkKind::Wired { .. });
    // With a cable in as well, the radio does not matter.
    if readings.links.iter().any(|link| link.up && is_wired(link.kind)) {
        return None;
    }
    let dbm = readings.links.iter().find_map(|link| match link.kind {
        LinkKind::Wifi { signal_dbm } if link.up => signal_dbm.filter(|dbm| *dbm < -75),
        _ => None,
    })?;
    Some((
        Code::WifiWeak,
        format!("The Wi-Fi signal of this Pi is weak ({dbm} dBm)."),
        "Move it closer to the access point, away from metal, or use a cable.",
    ))
}

fn clock(readings: &Readings, _: &Known<'_>) -> Option<Found> {
    // Time servers are given two minutes to answer.
    let is_unknown = readings.clock == Clock::NotSet || readings.clock == Clock::Restored;
    (is_unknown && readings.uptime_s > 120).then(|| {
        (
            Code::ClockNotSet,
            "This Pi does not know what time it is: no time server has answered.".to_owned(),
            "Connect the network to the internet. The bramble works without; only the times that it shows are wrong.",
        )
    })
}

fn pages(_: &Readings, known: &Known<'_>) -> Option<Found> {
    let bytes = known.system.page_bytes;
    (bytes > 4096 && known.board.processor.is_some()).then(|| {
        (
            Code::LargePages,
            format!(
                "The kernel of this Pi uses memory pages of {} KiB: 32-bit images, and a few others, do not run.",
                bytes / 1024
            ),
            "Add `kernel=kernel8.img` to `config.txt` on the card's first partition, and restart.",
        )
    })
}

/// `14 minutes ago`, for people.
fn words(ago: Duration) -> String {
    match ago.as_secs() {
        0..60 => "less than a minute ago".to_owned(),
        60..120 => "a minute ago".to_owned(),
        seconds @ 120..3600 => format!("{} minutes ago", seconds / 60),
        3600..7200 => "an hour ago".to_owned(),
        seconds => format!("{} hours ago", seconds / 3600),
    }
}

/// `3.5 GiB` or `120 MiB`, for people.
fn size(bytes: u64) -> String {
    if bytes >= GIB {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}
