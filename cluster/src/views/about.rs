//! What is known of one node, in people's words: which board it is, and how it is.

use std::time::Duration;

use api::{
    sensors::{Card, CardKind, Link, Sensors},
    v1::{Fact, Node},
    words::{bytes, duration},
};

/// All that is known of `node`, in the order in which it is shown. What nobody knows is left out.
pub fn about(node: &Node) -> Vec<Fact> {
    let mut facts = Facts::default();
    facts.board(node);
    facts.system(node);
    facts.add(
        "Up for",
        node.uptime_seconds.map(|up| duration(Duration::from_secs(up))),
    );
    facts.add("Temperature", node.temperature_c.map(|c| format!("{c:.0} °C")));
    if let Some(sensors) = &node.sensors {
        facts.sensors(sensors);
    }
    facts.add(
        "Disk",
        node.disk_free_bytes.map(|free| format!("{} free", bytes(free))),
    );
    facts.devices(node);
    facts.0
}

#[derive(Default)]
struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, title: &str, words: Option<String>) {
        self.0
            .extend(words.filter(|words| !words.is_empty()).map(|words| Fact {
                title: title.to_owned(),
                words,
            }));
    }

    fn board(&mut self, node: &Node) {
        let details = &node.details;
        let mut board = vec![node.board.clone()];
        board.extend(
            details
                .version
                .as_ref()
                .map(|version| format!("version {version}")),
        );
        board.extend(details.revision.as_ref().map(|code| format!("revision {code}")));
        self.add("Board", Some(board.join(", ")));
        self.add("Serial number", node.serial.clone());

        let mut processor: Vec<String> = details.processor.iter().cloned().collect();
        processor.push(match node.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        });
        let megahertz = node.sensors.as_ref().and_then(|sensors| sensors.frequency_mhz);
        processor.extend(megahertz.map(|mhz| format!("{mhz} MHz at this moment")));
        self.add("Processor", Some(processor.join(", ")));

        let mut memory = Vec::new();
        memory.extend(
            details
                .memory_fitted
                .map(|fitted| format!("{} fitted", bytes(fitted.bytes()))),
        );
        memory.push(format!("{} usable", bytes(node.memory_bytes)));
        memory.extend(
            node.memory_available_bytes
                .map(|free| format!("{} free", bytes(free))),
        );
        self.add("Memory", Some(memory.join(", ")));
    }

    fn system(&mut self, node: &Node) {
        let pages = match node.page_bytes {
            0 => String::new(),
            page => format!(", pages of {}", bytes(page.into())),
        };
        self.add("System", Some(format!("{}{pages}", node.os)));
        let run_by = format!("Bramble {}, {} engine", node.version, node.engine);
        self.add("Program", Some(run_by));
        self.add("Runs images for", Some(node.platforms.join(", ")));
        self.add("Address", Some(node.address.clone()));
    }

    fn sensors(&mut self, sensors: &Sensors) {
        let power = Latched {
            now: sensors.under_voltage,
            ago_s: sensors.under_voltage_ago_s,
            before: sensors.under_voltage_before,
        };
        self.add(
            "Power supply",
            power.told("too weak at this moment", "too weak", "strong enough"),
        );
        let speed = Latched {
            now: sensors.throttled,
            ago_s: sensors.throttled_ago_s,
            before: sensors.throttled_before,
        };
        self.add(
            "Cores",
            speed.told("slowed at this moment", "slowed", "at full speed"),
        );
        self.add(
            "Waited for memory",
            sensors
                .memory_pressure_percent
                .map(|percent| format!("{percent:.1} % of the last minute")),
        );
        self.add(
            "Memory limits",
            sensors
                .memory_limits
                .map(|kept| if kept { "kept" } else { "not kept" }.to_owned()),
        );
        if let Some(card) = &sensors.card {
            self.card(card);
        }
        let links: Vec<String> = sensors.links.iter().map(link).collect();
        self.add("Network", Some(links.join("; ")));
        self.add(
            "Clock",
            sensors
                .clock_set
                .map(|set| if set { "set" } else { "not set" }.to_owned()),
        );
        let read_only = "mounted read only".to_owned();
        self.add("System's files", sensors.root_read_only.then_some(read_only));
    }

    fn card(&mut self, card: &Card) {
        let title = match card.kind {
            CardKind::Sd => "SD card",
            CardKind::Emmc => "eMMC",
            CardKind::Disk => "Storage",
        };
        let name = card.name.as_ref().unwrap_or(&card.device);
        let mut words = vec![match &card.maker {
            Some(maker) => format!("{maker} {name}"),
            None => name.clone(),
        }];
        words.extend(Some(card.size_bytes).filter(|size| *size > 0).map(bytes));
        words.extend(card.made.as_ref().map(|made| format!("made {made}")));
        words.extend(
            card.serial
                .as_ref()
                .map(|serial| format!("serial number {serial}")),
        );
        self.add(title, Some(words.join(", ")));

        let mut written = Vec::new();
        written.extend(
            card.written_since_boot_bytes
                .map(|sum| format!("{} since its start", bytes(sum))),
        );
        written.extend(card.written_ever_bytes.map(|sum| format!("{} ever", bytes(sum))));
        self.add("Written", Some(written.join(", ")));
        let speed = card.write_p50_us.zip(card.write_p99_us).map(|(usual, most)| {
            let (usual, most) = (milliseconds(usual), milliseconds(most));
            format!("{usual} until a small write is safe, {most} in 1 of 100")
        });
        self.add("Speed", speed);
    }

    fn devices(&mut self, node: &Node) {
        let offers = &node.devices;
        if offers.is_empty() && node.devices_allowed.is_empty() {
            return;
        }
        let allowed = match node.devices_allowed.is_empty() {
            true => "functions may use none".to_owned(),
            false => format!("functions may use {}", node.devices_allowed),
        };
        let offered = match offers.is_empty() {
            true => "none".to_owned(),
            false => offers.to_string(),
        };
        self.add("Devices", Some(format!("{offered}; {allowed}")));
    }
}

/// Something that comes and goes, and is worth telling afterwards.
struct Latched {
    now: Option<bool>,
    ago_s: Option<u64>,
    before: bool,
}

impl Latched {
    /// `None` where the machine cannot tell.
    fn told(&self, bad_now: &str, bad: &str, good: &str) -> Option<String> {
        let now = self.now?;
        Some(match (now, self.ago_s) {
            (true, _) => bad_now.to_owned(),
            (false, Some(ago)) => format!("{good}; {bad} {} ago", duration(Duration::from_secs(ago))),
            (false, None) if self.before => format!("{good}; {bad} at some time since its start"),
            (false, None) => good.to_owned(),
        })
    }
}

fn link(link: &Link) -> String {
    let name = &link.name;
    match (link.up, link.wireless) {
        (false, _) => format!("{name}: not connected"),
        (true, false) => match link.speed_mbit {
            Some(speed) => format!("{name}: cable, {speed} Mbit/s"),
            None => format!("{name}: cable"),
        },
        (true, true) => match link.signal_dbm {
            Some(signal) => format!("{name}: Wi-Fi, signal {signal} dBm"),
            None => format!("{name}: Wi-Fi"),
        },
    }
}

fn milliseconds(micros: u64) -> String {
    let tenths = micros / 100;
    match tenths {
        0..100 => format!("{}.{} ms", tenths / 10, tenths % 10),
        _ => format!("{} ms", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use api::{BoardDetails, Memory};

    use super::*;
    use crate::{LeaderMemory, testing::*, views};

    fn told(change: impl FnOnce(&mut Node)) -> Vec<(String, String)> {
        let world = bramble().nodes(1);
        let mut node = views::nodes(&world.state, &LeaderMemory::new(&world.state, moment(0))).remove(0);
        change(&mut node);
        about(&node)
            .into_iter()
            .map(|fact| (fact.title, fact.words))
            .collect()
    }

    fn words<'a>(facts: &'a [(String, String)], title: &str) -> Option<&'a str> {
        facts
            .iter()
            .find(|(known, _)| known == title)
            .map(|(_, words)| words.as_str())
    }

    #[test]
    fn a_board_is_told_with_its_revision_its_processor_and_both_sizes_of_its_memory() {
        let facts = told(|node| {
            node.board = "Raspberry Pi 3 Model B Plus".to_owned();
            node.serial = Some("00000000abcdef12".to_owned());
            node.details = BoardDetails {
                revision: Some("a020d3".to_owned()),
                version: Some("1.3".to_owned()),
                processor: Some("BCM2837".to_owned()),
                memory_fitted: Some(Memory::from_mib(1024)),
            };
            node.memory_bytes = 924 << 20;
            node.cores = 4;
        });
        assert_eq!(
            words(&facts, "Board"),
            Some("Raspberry Pi 3 Model B Plus, version 1.3, revision a020d3")
        );
        assert_eq!(words(&facts, "Serial number"), Some("00000000abcdef12"));
        assert_eq!(words(&facts, "Processor"), Some("BCM2837, 4 cores"));
        assert_eq!(words(&facts, "Memory"), Some("1 GiB fitted, 924 MiB usable"));
    }

    #[test]
    fn power_and_speed_are_told_with_when_they_were_last_bad() {
        let power = |now, ago_s, before| {
            let facts = told(|node| {
                node.sensors = Some(Sensors {
                    under_voltage: now,
                    under_voltage_ago_s: ago_s,
                    under_voltage_before: before,
                    ..Sensors::default()
                });
            });
            words(&facts, "Power supply").map(str::to_owned)
        };
        assert_eq!(power(None, None, false), None);
        assert_eq!(power(Some(false), None, false).unwrap(), "strong enough");
        assert_eq!(
            power(Some(true), Some(0), false).unwrap(),
            "too weak at this moment"
        );
        assert_eq!(
            power(Some(false), Some(180), true).unwrap(),
            "strong enough; too weak 3 min ago"
        );
        assert_eq!(
            power(Some(false), None, true).unwrap(),
            "strong enough; too weak at some time since its start"
        );
    }

    #[test]
    fn a_card_is_told_with_who_made_it_and_what_was_written_to_it() {
        let facts = told(|node| {
            node.sensors = Some(Sensors {
                card: Some(Card {
                    device: "mmcblk0".to_owned(),
                    kind: CardKind::Sd,
                    name: Some("SC16G".to_owned()),
                    maker: Some("SanDisk".to_owned()),
                    made: Some("09/2023".to_owned()),
                    serial: Some("0x12345678".to_owned()),
                    size_bytes: 15 << 30,
                    written_since_boot_bytes: Some(3 << 20),
                    written_ever_bytes: Some(2 << 30),
                    write_p50_us: Some(4200),
                    write_p99_us: Some(90_000),
                }),
                ..Sensors::default()
            });
        });
        assert_eq!(
            words(&facts, "SD card"),
            Some("SanDisk SC16G, 15 GiB, made 09/2023, serial number 0x12345678")
        );
        assert_eq!(
            words(&facts, "Written"),
            Some("3 MiB since its start, 2 GiB ever")
        );
        assert_eq!(
            words(&facts, "Speed"),
            Some("4.2 ms until a small write is safe, 90 ms in 1 of 100")
        );
    }

    #[test]
    fn a_node_of_which_nothing_was_heard_is_told_by_what_it_is() {
        let facts = told(|node| node.sensors = None);
        assert!(words(&facts, "Board").is_some() && words(&facts, "Runs images for").is_some());
        assert_eq!(words(&facts, "Power supply"), None);
        assert_eq!(words(&facts, "Up for"), None);
    }

    #[test]
    fn sockets_and_radios_are_told_with_how_good_they_are() {
        let of = |up, wireless, speed_mbit, signal_dbm| {
            link(&Link {
                name: "eth0".to_owned(),
                up,
                wireless,
                speed_mbit,
                signal_dbm,
            })
        };
        assert_eq!(of(true, false, Some(100), None), "eth0: cable, 100 Mbit/s");
        assert_eq!(of(true, true, None, Some(-61)), "eth0: Wi-Fi, signal -61 dBm");
        assert_eq!(of(false, true, None, None), "eth0: not connected");
    }
}
