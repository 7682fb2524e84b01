//! How this node is: its sensors, looked at every few seconds, and what is wrong with the machine.
//!
//! One task looks, in a thread that may block: a card that dies takes seconds for the smallest answer. Whoever
//! reports takes what was seen last.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    Memory, NodeVitals,
    light::Says,
    sensors::{Card, CardKind, Link, Sensors, Severity, Warning},
};
use hardware::{
    Board, CardSpeed, History, Known, Readings, System,
    light::Trouble,
    sensors::{Clock, LinkKind, Power, StorageKind},
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{config::AgentConfig, shared::Shared};

/// Time between two glances at the power supply: the kernel tells of a dip for about two seconds.
const GLANCE: Duration = Duration::from_secs(1);

/// So many glances, then a look at everything, seldom enough to cost nothing.
const GLANCES: u32 = 3;

/// Where the speed of the card is kept, below the node's directory.
const CARD_SPEED: &str = "card-speed.json";

/// Looks at the machine, and remembers what happened to it.
#[derive(Debug)]
pub(crate) struct Senses {
    config: Arc<AgentConfig>,
    board: Board,
    system: System,
    history: History,
    card_speed: Option<CardSpeed>,
    began: Instant,
}

/// The speed of a card, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Which card: another one is measured anew.
    card: Option<String>,
    writes: u32,
    p50_us: u64,
    p99_us: u64,
}

impl Senses {
    pub(crate) fn new(config: Arc<AgentConfig>) -> Self {
        Self {
            board: hardware::board::read(&config.root),
            system: System::read(&config.root),
            history: History::default(),
            card_speed: None,
            began: Instant::now(),
            config,
        }
    }

    /// Looks at everything once. Reads a few dozen small files of the kernel.
    pub(crate) fn look(&mut self) -> NodeVitals {
        let readings = readings(&self.config);
        let now = self.began.elapsed();
        self.history.note(readings.power, now);
        let lent = self.config.virtual_board.as_ref();
        let available = Memory::from_bytes(readings.memory_available_bytes);
        let mut vitals = NodeVitals {
            uptime_s: readings.uptime_s,
            load: readings.load,
            memory_available: lent.map_or(available, |lent| available.min(lent.memory)),
            disk_total_bytes: readings.disk_total_bytes,
            disk_free_bytes: readings.disk_free_bytes,
            temperature_c: readings.temperature_c,
            ..NodeVitals::default()
        };
        if self.config.is_its_own_machine() {
            vitals.sensors = sensors(&readings, &self.history, self.card_speed.as_ref(), now);
            let known = Known {
                board: &self.board,
                system: &self.system,
                history: &self.history,
                card_speed: self.card_speed.as_ref(),
                now,
            };
            vitals.problems = hardware::warnings(&readings, &known)
                .into_iter()
                .map(in_report)
                .collect();
        }
        vitals
    }

    /// Looks at the power supply alone, and remembers it.
    fn glance(&mut self) {
        let power = Power::read(&self.config.root);
        self.history.note(power, self.began.elapsed());
    }
}

fn readings(config: &AgentConfig) -> Readings {
    hardware::sensors::read(&config.root, &config.state_dir)
}

/// Measures how fast the card is, once in its life, or finds what was measured. Takes up to ten seconds.
fn measure_card(config: &AgentConfig) -> Option<CardSpeed> {
    if !config.is_its_own_machine() {
        return None;
    }
    let card = readings(config).storage.and_then(|storage| storage.cid);
    let file = config.state_dir.join(CARD_SPEED);
    kept(&file, card.as_deref()).or_else(|| {
        let began = Instant::now();
        let speed = hardware::measure_card(&config.state_dir, || began.elapsed());
        match speed {
            Ok(speed) => {
                info!(p50 = ?speed.p50, p99 = ?speed.p99, "measured how fast the card writes");
                keep(&file, card, &speed);
                Some(speed)
            }
            Err(error) => {
                warn!(%error, "failed to measure how fast the card writes; tried again at the next start");
                None
            }
        }
    })
}

fn kept(file: &Path, card: Option<&str>) -> Option<CardSpeed> {
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (kept.card.as_deref() == card).then_some(CardSpeed {
        writes: kept.writes,
        p50: Duration::from_micros(kept.p50_us),
        p99: Duration::from_micros(kept.p99_us),
    })
}

fn keep(file: &Path, card: Option<String>, speed: &CardSpeed) {
    let kept = Kept {
        card,
        writes: speed.writes,
        p50_us: micros(speed.p50),
        p99_us: micros(speed.p99),
    };
    let text = serde_json::to_vec(&kept).expect("numbers and a text");
    if let Err(error) = fs::write(file, text) {
        warn!(%error, file = %file.display(), "failed to keep how fast the card writes");
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Looks every few seconds until `stop`, and measures the card meanwhile.
pub(crate) async fn run(senses: Senses, shared: Arc<Shared>, stop: CancellationToken) {
    stop.run_until_cancelled(look_on(senses, &shared)).await;
}

async fn look_on(mut senses: Senses, shared: &Shared) {
    let config = Arc::clone(&senses.config);
    let mut measuring = Some(tokio::task::spawn_blocking(move || measure_card(&config)));
    for turn in (0..GLANCES).cycle() {
        if turn == 0 {
            let vitals;
            (senses, vitals) = in_a_thread(senses, Senses::look).await;
            if let Some(vitals) = vitals {
                shared.vitals.send_replace(vitals);
            }
        } else {
            (senses, _) = in_a_thread(senses, Senses::glance).await;
        }
        if let Some(measured) = measuring.take_if(|measuring| measuring.is_finished()) {
            senses.card_speed = measured.await.ok().flatten();
        }
        sleep(GLANCE).await;
    }
}

/// Has `senses` do what may take long. Files beyond all expectation cost what was remembered, and no more.
async fn in_a_thread<T: Send + 'static>(
    mut senses: Senses,
    what: fn(&mut Senses) -> T,
) -> (Senses, Option<T>) {
    let config = Arc::clone(&senses.config);
    let done = tokio::task::spawn_blocking(move || {
        let found = what(&mut senses);
        (senses, found)
    });
    match done.await {
        Ok((senses, found)) => (senses, Some(found)),
        Err(error) => {
            warn!(%error, "failed to look at this machine; begins anew");
            (Senses::new(config), None)
        }
    }
}

fn sensors(readings: &Readings, history: &History, speed: Option<&CardSpeed>, now: Duration) -> Sensors {
    let power = readings.power;
    let knows_power = power.alarm.is_some() || power.throttled.is_some();
    Sensors {
        frequency_mhz: readings.frequency.map(|frequency| frequency.now_mhz),
        under_voltage: knows_power.then(|| power.is_low()),
        under_voltage_ago_s: history.low_power.ago(now).map(|ago| ago.as_secs()),
        under_voltage_before: history.low_power.only_before(),
        throttled: power.throttled.map(|bits| bits.slowed()),
        throttled_ago_s: history.slowed.ago(now).map(|ago| ago.as_secs()),
        throttled_before: history.slowed.only_before(),
        memory_pressure_percent: readings.memory_pressure.map(|pressure| pressure.some_60_s),
        memory_limits: readings.memory_limits,
        card: readings.storage.as_ref().map(|storage| Card {
            device: storage.device.clone(),
            kind: match storage.kind {
                StorageKind::SdCard => CardKind::Sd,
                StorageKind::Emmc => CardKind::Emmc,
                StorageKind::Disk => CardKind::Disk,
            },
            name: storage.name.clone(),
            maker: storage.maker().map(str::to_owned),
            made: storage.made.clone(),
            serial: storage.serial.clone(),
            size_bytes: storage.size_bytes,
            written_since_boot_bytes: storage.written_since_boot_bytes,
            written_ever_bytes: storage.written_ever_bytes,
            write_p50_us: speed.map(|speed| micros(speed.p50)),
            write_p99_us: speed.map(|speed| micros(speed.p99)),
        }),
        links: readings.links.iter().map(link).collect(),
        clock_set: Some(readings.clock == Clock::Set),
        root_read_only: readings.root_read_only,
    }
}

fn link(link: &hardware::sensors::Link) -> Link {
    let (wireless, speed_mbit, signal_dbm) = match link.kind {
        LinkKind::Wired { speed_mbit } => (false, speed_mbit, None),
        LinkKind::Wifi { signal_dbm } => (true, None, signal_dbm),
    };
    Link {
        name: link.name.clone(),
        up: link.up,
        wireless,
        speed_mbit,
        signal_dbm,
    }
}

fn in_report(warning: hardware::Warning) -> Warning {
    Warning {
        code: warning.code.to_string(),
        severity: match warning.code.severity() {
            hardware::Severity::Notice => Severity::Notice,
            hardware::Severity::Warning => Severity::Warning,
            hardware::Severity::Serious => Severity::Serious,
        },
        light: warning.code.trouble().map(|trouble| match trouble {
            Trouble::Card => Says::WarningCard,
            Trouble::Heat => Says::WarningHeat,
            Trouble::Power => Says::WarningPower,
        }),
        sentence: warning.sentence,
        cure: warning.cure,
    }
}

#[cfg(test)]
mod tests;
