//! Every warning, raised from a tree of files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeSet, fs, path::Path, time::Duration, time::SystemTime};

mod cases;

use cases::{CASES, Files, Sick, TEMPERATURE, WELL};
use hardware::{Board, CardSpeed, Code, History, Known, Readings, System, Warning, board, warnings};

const MINUTE: Duration = Duration::from_secs(60);

fn write(root: &Path, files: Files) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

struct Pi {
    root: tempfile::TempDir,
    history: History,
    card_speed: Option<CardSpeed>,
    free: u64,
    now: Duration,
}

fn speed(p50_ms: u64, p99_ms: u64) -> CardSpeed {
    CardSpeed {
        writes: 200,
        p50: Duration::from_millis(p50_ms),
        p99: Duration::from_millis(p99_ms),
    }
}

impl Pi {
    fn with(files: Files) -> Self {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), WELL);
        write(root.path(), files);
        Self {
            root,
            history: History::default(),
            card_speed: None,
            free: 20_000_000_000,
            now: MINUTE,
        }
    }

    fn that_is(sick: Sick) -> Self {
        let mut pi = Self::with(&[]);
        match sick {
            Sick::Files(files) => write(pi.root.path(), files),
            Sick::Without(file) => fs::remove_file(pi.root.path().join(file)).unwrap(),
            Sick::Free(free) => pi.free = free,
            Sick::Card { p50_ms, p99_ms } => pi.card_speed = Some(speed(p50_ms, p99_ms)),
        }
        pi
    }

    fn readings(&self) -> Readings {
        let midsummer = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut readings = Readings::read(self.root.path(), Path::new("/tmp"), midsummer);
        // The space is that of the machine that runs the test.
        (readings.disk_total_bytes, readings.disk_free_bytes) = (30_000_000_000, self.free);
        readings
    }

    fn look(&mut self) -> Vec<Warning> {
        let readings = self.readings();
        self.history.note(readings.power, self.now);
        self.judge(&readings)
    }

    fn judge(&self, readings: &Readings) -> Vec<Warning> {
        let board: Board = board::read(self.root.path());
        let system = System::read(self.root.path());
        warnings(
            readings,
            &Known {
                board: &board,
                system: &System { cores: 4, ..system },
                history: &self.history,
                card_speed: self.card_speed.as_ref(),
                now: self.now,
            },
        )
    }
}

#[test]
fn a_board_that_is_well_has_no_warnings() {
    assert_eq!(Pi::with(&[]).look(), []);
}

#[test]
fn each_trouble_raises_its_warning_alone_and_names_the_cure() {
    for (sick, code, words) in CASES {
        let found = Pi::that_is(*sick).look();
        let codes: Vec<Code> = found.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, [*code], "{sick:?}");
        let text = found[0].to_string();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_card_with_room_or_of_ordinary_speed_is_nothing_to_tell() {
    let mut pi = Pi::with(&[]);
    pi.free = 2_000_000_000;
    pi.card_speed = Some(speed(50, 200));
    assert_eq!(pi.look(), []);
}

#[test]
fn a_clock_that_no_one_set_is_told_after_two_minutes() {
    let unset: Files = &[("proc/uptime", "100.00 1.00\n")];
    let mut pi = Pi::with(unset);
    fs::remove_file(pi.root.path().join("run/systemd/timesync/synchronized")).unwrap();
    assert_eq!(pi.look(), []);
    write(pi.root.path(), &[("proc/uptime", "130.00 1.00\n")]);
    assert_eq!(pi.look()[0].code, Code::ClockNotSet);
}

#[test]
fn a_dip_of_power_is_told_for_a_day_with_its_time() {
    let mut pi = Pi::with(&[("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")]);
    pi.look();
    write(
        pi.root.path(),
        &[("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")],
    );
    for (minutes, words) in [
        (0, "less than a minute ago"),
        (1, "a minute ago"),
        (14, "14 minutes ago"),
        (60, "an hour ago"),
        (150, "2 hours ago"),
        (24 * 60, "24 hours ago"),
    ] {
        pi.now = (1 + minutes) * MINUTE;
        let found = pi.look();
        assert_eq!(found[0].code, Code::PowerDipped);
        assert_eq!(
            found[0].sentence,
            format!("The power supply of this Pi was too weak {words}.")
        );
    }
    pi.now = 26 * 60 * MINUTE;
    assert_eq!(pi.look(), []);
}

#[test]
fn a_cable_makes_a_weak_signal_unimportant() {
    let found = Pi::with(&[
        ("sys/class/net/wlan0/device/uevent", ""),
        ("sys/class/net/wlan0/wireless/x", ""),
        ("sys/class/net/wlan0/operstate", "up\n"),
        ("proc/net/wireless", " wlan0: 0000   20.  -82.  -256\n"),
    ])
    .look();
    assert_eq!(found, []);
}

#[test]
fn the_worst_comes_first() {
    let found = Pi::with(&[
        ("proc/self/smaps", "KernelPageSize:       16 kB\n"),
        (TEMPERATURE, "81000\n"),
        ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
    ])
    .look();
    let codes: Vec<&str> = found.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["power-low", "hot", "large-pages"]);
}

#[test]
fn every_code_is_raised_by_some_case_and_is_named_once() {
    let raised: BTreeSet<Code> = CASES.iter().map(|(_, code, _)| *code).collect();
    assert_eq!(raised, Code::ALL.iter().copied().collect());
    let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn a_machine_that_is_no_pi_and_tells_nothing_has_no_warnings() {
    let root = tempfile::tempdir().unwrap();
    let midsummer = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let readings = Readings::read(root.path(), Path::new("/nonexistent"), midsummer);
    let found = warnings(
        &readings,
        &Known {
            board: &board::read(root.path()),
            system: &System::read(root.path()),
            history: &History::default(),
            card_speed: None,
            now: MINUTE,
        },
    );
    assert_eq!(found, []);
}
