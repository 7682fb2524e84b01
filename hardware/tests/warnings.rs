//! Every warning, raised from a tree of files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeSet, fs, path::Path, time::Duration, time::SystemTime};

use hardware::{Board, CardSpeed, Code, History, Known, Readings, System, Warning, board, warnings};

type Files = &'static [(&'static str, &'static str)];

const MINUTE: Duration = Duration::from_secs(60);

/// A board that is well: a 4 B with Raspberry Pi's kernel.
const WELL: Files = &[
    (
        "proc/cpuinfo",
        "Revision : b03114\nModel : Raspberry Pi 4 Model B Rev 1.4\n",
    ),
    ("proc/sys/kernel/arch", "aarch64\n"),
    ("proc/self/smaps", "KernelPageSize:        4 kB\n"),
    ("proc/uptime", "90000.00 300000.00\n"),
    ("proc/loadavg", "0.10 0.20 0.30 1/100 1000\n"),
    (
        "proc/meminfo",
        "MemTotal:  1900000 kB\nMemAvailable:  1500000 kB\n",
    ),
    (
        "proc/pressure/memory",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
    (
        "proc/self/mountinfo",
        "1 0 179:2 / / rw,noatime - ext4 /dev/root rw\n",
    ),
    ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
    ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
    ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
    (
        "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled",
        "0\n",
    ),
    ("sys/dev/block/179:2/uevent", "DEVNAME=mmcblk0p2\n"),
    ("sys/block/mmcblk0/mmcblk0p2/partition", "2\n"),
    ("sys/block/mmcblk0/size", "62333952\n"),
    ("sys/block/mmcblk0/stat", "0 0 0 0 0 0 4000000 0\n"),
    ("sys/block/mmcblk0/device/type", "SD\n"),
    ("sys/fs/ext4/mmcblk0p2/errors_count", "0\n"),
    ("sys/class/net/eth0/device/uevent", ""),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("run/systemd/timesync/synchronized", ""),
];

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
    now: Duration,
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
            now: MINUTE,
        }
    }

    fn readings(&self) -> Readings {
        let midsummer = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut readings = Readings::read(self.root.path(), Path::new("/"), midsummer);
        // The space is that of the machine that runs the test.
        (readings.disk_total_bytes, readings.disk_free_bytes) = (30_000_000_000, 20_000_000_000);
        readings
    }

    fn look(&mut self) -> Vec<Warning> {
        let readings = self.readings();
        self.history.note(&readings, self.now);
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

const THROTTLED: &str = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";
const TEMPERATURE: &str = "sys/class/thermal/thermal_zone0/temp";

/// Files that make a board sick, and the one warning that comes of it, with words of its sentence and cure.
const CASES: &[(Files, Code, &str)] = &[
    (
        &[("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")],
        Code::PowerLow,
        "too weak at this moment",
    ),
    (
        &[(THROTTLED, "50005\n")],
        Code::PowerLow,
        "power supply that was made for this board",
    ),
    (
        &[(THROTTLED, "50000\n")],
        Code::PowerDipped,
        "at some time since it was started",
    ),
    (
        &[(TEMPERATURE, "80200\n")],
        Code::Hot,
        "80 °C hot: it soon has to slow down",
    ),
    (&[(TEMPERATURE, "86000\n")], Code::TooHot, "heat sink or a fan"),
    (&[(THROTTLED, "80008\n")], Code::Slowed, "nothing is harmed"),
    (&[(THROTTLED, "4\n")], Code::Slowed, "its firmware holds it back"),
    (
        &[("proc/cpuinfo", "Revision : a020d3\n"), (TEMPERATURE, "63000\n")],
        Code::Slowed,
        "above 60 °C",
    ),
    (
        &[(
            "proc/self/mountinfo",
            "1 0 179:2 / / rw - ext4 /dev/root ro,errors=remount-ro\n",
        )],
        Code::ReadOnly,
        "write the image to a new card",
    ),
    (
        &[("sys/fs/ext4/mmcblk0p2/errors_count", "1\n")],
        Code::CardErrors,
        "found damaged once",
    ),
    (
        &[("sys/fs/ext4/mmcblk0p2/errors_count", "7\n")],
        Code::CardErrors,
        "found damaged 7 times",
    ),
    (
        &[
            ("sys/block/mmcblk0/device/type", "MMC\n"),
            ("sys/block/mmcblk0/device/life_time", "0x02 0x09\n"),
        ],
        Code::CardWorn,
        "used up 90 % of its life",
    ),
    (
        &[
            ("sys/block/mmcblk0/device/type", "MMC\n"),
            ("sys/block/mmcblk0/device/pre_eol_info", "0x02\n"),
        ],
        Code::CardWorn,
        "hardly any spare blocks",
    ),
    (
        &[("sys/block/mmcblk0/stat", "0 0 0 0 0 0 90000000 0\n")],
        Code::CardBusy,
        "42.9 GiB since it was started",
    ),
    (
        &[("proc/meminfo", "MemTotal:  1900000 kB\nMemAvailable:  50000 kB\n")],
        Code::MemoryLow,
        "left on this Pi: 48 MiB. Lower the scale",
    ),
    (
        &[(
            "proc/pressure/memory",
            "some avg10=0.00 avg60=34.20 avg300=0.00 total=0\n",
        )],
        Code::MemoryPressure,
        "34 % of their time waiting for memory",
    ),
    (
        &[("proc/loadavg", "30.00 21.00 9.00 9/100 1000\n")],
        Code::Overloaded,
        "21 programs at a time for 4 cores",
    ),
    (
        &[("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")],
        Code::MemoryLimitsOff,
        "cgroup_enable=memory",
    ),
    (
        &[("sys/class/net/eth0/speed", "10\n")],
        Code::NetworkSlow,
        "only 10 Mbit/s. Try another cable",
    ),
    (
        &[
            ("sys/class/net/eth0/operstate", "down\n"),
            ("sys/class/net/eth0/speed", "-1\n"),
            ("sys/class/net/wlan0/device/uevent", ""),
            ("sys/class/net/wlan0/wireless/x", ""),
            ("sys/class/net/wlan0/operstate", "up\n"),
            ("proc/net/wireless", " wlan0: 0000   20.  -82.  -256\n"),
        ],
        Code::WifiWeak,
        "weak (-82 dBm). Move it closer",
    ),
    (
        &[("proc/self/smaps", "KernelPageSize:       16 kB\n")],
        Code::LargePages,
        "kernel=kernel8.img",
    ),
];

#[test]
fn a_board_that_is_well_has_no_warnings() {
    assert_eq!(Pi::with(&[]).look(), []);
}

#[test]
fn each_trouble_raises_its_warning_alone_and_names_the_cure() {
    for (files, code, words) in CASES {
        let found = Pi::with(files).look();
        let codes: Vec<Code> = found.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, [*code], "{files:?}");
        let text = found[0].to_string();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_full_card_is_told_before_it_is_too_late() {
    let codes = |free: u64| {
        let pi = Pi::with(&[]);
        let readings = Readings {
            disk_free_bytes: free,
            ..pi.readings()
        };
        pi.judge(&readings)
            .iter()
            .map(|warning| warning.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(2_000_000_000), []);
    assert_eq!(codes(900_000_000), [Code::DiskNearlyFull]);
    assert_eq!(codes(100_000_000), [Code::DiskFull]);
    assert_eq!(codes(0), [Code::DiskFull]);
}

#[test]
fn a_slow_card_is_told_once_it_was_measured() {
    let mut pi = Pi::with(&[]);
    let speed = |p50, p99| CardSpeed {
        writes: 200,
        p50: Duration::from_millis(p50),
        p99: Duration::from_millis(p99),
    };
    pi.card_speed = Some(speed(4, 90));
    assert_eq!(pi.look(), []);
    for (p50, p99) in [(130, 200), (9, 900)] {
        pi.card_speed = Some(speed(p50, p99));
        let found = pi.look();
        assert_eq!(found[0].code, Code::CardSlow);
        assert!(
            found[0]
                .sentence
                .contains(&format!("takes {p50} ms, and now and then {p99} ms"))
        );
    }
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
fn every_code_is_raised_by_some_test_here_and_is_named_once() {
    let by_other_tests = [
        Code::DiskFull,
        Code::DiskNearlyFull,
        Code::CardSlow,
        Code::ClockNotSet,
    ];
    let raised: BTreeSet<Code> = CASES
        .iter()
        .map(|(_, code, _)| *code)
        .chain(by_other_tests)
        .collect();
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
