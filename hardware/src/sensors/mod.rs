//! How the machine is at this moment: power, heat, load, memory, card, network, clock.
//!
//! [`Readings::read`] looks once and remembers nothing; what happened earlier is kept by [`crate::History`], and what
//! is wrong is said by [`crate::warnings()`]. One file here for each thing that is looked at.

use std::{path::Path, time::SystemTime};

use crate::files;

mod clock;
mod heat;
mod limits;
mod load;
mod mounts;
mod network;
mod power;
mod storage;

pub use self::{
    clock::Clock,
    heat::Frequency,
    network::{Link, LinkKind},
    power::{Power, Throttled},
    storage::{Storage, StorageKind},
};

/// How the machine is at this moment; zero or absent where it cannot tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Time since the machine started, in seconds.
    pub uptime_s: u64,
    /// Runnable processes on average over the last minute.
    pub load: f64,
    /// The same over five minutes.
    pub load_5_min: f64,
    /// Memory that the operating system sees, in bytes.
    pub memory_total_bytes: u64,
    /// Memory that could still be used without swapping, in bytes.
    pub memory_available_bytes: u64,
    /// How much programs wait for memory; absent where the kernel does not count it.
    pub memory_pressure: Option<Pressure>,
    /// Whether memory limits of functions are kept; absent where the machine does not tell.
    pub memory_limits: Option<bool>,
    /// Size of the file system that was asked about, in bytes.
    pub disk_total_bytes: u64,
    /// Free space of that file system, in bytes.
    pub disk_free_bytes: u64,
    /// Whether that file system cannot be written to.
    pub disk_read_only: bool,
    /// Whether the root file system cannot be written to, by anybody; on purpose on some systems.
    pub root_read_only: bool,
    /// Whether it cannot although the system wants it to be: the kernel gave up on it.
    pub root_gave_up: bool,
    /// The card or disk below that file system.
    pub storage: Option<Storage>,
    /// Temperature of the processor, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// How fast the first core runs. Does not show what the firmware does against heat: see [`Power::throttled`].
    pub frequency: Option<Frequency>,
    /// The power supply.
    pub power: Power,
    /// Network sockets and radios of the board, by name; no bridges and the like.
    pub links: Vec<Link>,
    /// Whether the time of day is known.
    pub clock: Clock,
}

/// How much of the time programs waited for memory, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some program waited, on average over the last minute.
    pub some_60_s: f64,
    /// All programs waited at once, on average over the last minute.
    pub full_60_s: f64,
}

/// How the running machine is, now: [`Readings::read`] with the time of day.
pub fn read(root: &Path, disk: &Path) -> Readings {
    Readings::read(root, disk, SystemTime::now())
}

impl Readings {
    /// Looks at the machine whose files are below `root`; `disk` is any path in the file system to judge, and `wall`
    /// what the machine's clock says. A few dozen small reads of kernel files; asks no disk for data.
    pub fn read(root: &Path, disk: &Path, wall: SystemTime) -> Self {
        let mounts = mounts::read(root);
        let disk_mount = mounts::holding(&mounts, disk);
        let (disk_total_bytes, disk_free_bytes) = space(disk).unwrap_or_default();
        let load = load::Load::of(root);
        let root_read_only =
            mounts::holding(&mounts, Path::new("/")).is_some_and(|mount| mount.system_read_only);
        Self {
            uptime_s: load.uptime_s,
            load: load.averages.0,
            load_5_min: load.averages.1,
            memory_total_bytes: load.memory_total_bytes,
            memory_available_bytes: load.memory_available_bytes,
            memory_pressure: pressure(root),
            memory_limits: limits::memory(root),
            disk_total_bytes,
            disk_free_bytes,
            disk_read_only: disk_mount.is_some_and(|mount| mount.read_only),
            root_read_only,
            root_gave_up: root_read_only && mounts::wants_writable_root(root),
            storage: storage::below(root, disk_mount),
            temperature_c: heat::temperature_c(root),
            frequency: heat::frequency(root),
            power: Power::read(root),
            links: network::links(root),
            clock: Clock::read(root, wall),
        }
    }
}

fn pressure(root: &Path) -> Option<Pressure> {
    let text = files::text(&root.join("proc/pressure/memory"))?;
    let average = |of: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(of))?;
        line.split_whitespace()
            .find_map(|word| word.strip_prefix("avg60="))
            .and_then(files::sensible)
    };
    Some(Pressure {
        some_60_s: average("some ")?,
        full_60_s: average("full ").unwrap_or(0.0),
    })
}

fn space(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((
        found.f_blocks.saturating_mul(found.f_frsize),
        found.f_bavail.saturating_mul(found.f_frsize),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn load_memory_and_pressure_come_from_the_tree() {
        let root = tree(&[
            ("proc/uptime", "12345.67 40000.00\n"),
            ("proc/loadavg", "0.52 1.25 0.59 2/345 6789\n"),
            ("proc/meminfo", "MemTotal: 906 kB\nMemAvailable: 512 kB\n"),
            (
                "proc/pressure/memory",
                "some avg10=1.00 avg60=12.50 avg300=0.00 total=0\nfull avg10=0.00 avg60=3.25 avg300=0.00 total=0\n",
            ),
        ]);
        let readings = read(root.path(), Path::new("/nonexistent"));
        assert_eq!(
            (readings.uptime_s, readings.load, readings.load_5_min),
            (12345, 0.52, 1.25)
        );
        assert_eq!(
            (readings.memory_total_bytes, readings.memory_available_bytes),
            (906 * 1024, 512 * 1024)
        );
        assert_eq!(
            readings.memory_pressure,
            Some(Pressure {
                some_60_s: 12.5,
                full_60_s: 3.25
            })
        );
    }

    #[test]
    fn numbers_beyond_all_sense_are_left_out_or_as_large_as_can_be() {
        let root = tree(&[
            ("proc/loadavg", "nan inf 0.59 2/345 6789\n"),
            ("proc/meminfo", "MemTotal: 18446744073709551615 kB\n"),
            (
                "proc/pressure/memory",
                "some avg10=0 avg60=1e308 avg300=0 total=0\n",
            ),
            ("sys/class/thermal/thermal_zone0/temp", "0\n"),
            ("sys/class/thermal/thermal_zone1/temp", "-5000\n"),
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        let readings = read(root.path(), Path::new("/nonexistent"));
        assert_eq!((readings.load, readings.load_5_min), (0.0, 0.0));
        assert_eq!(readings.memory_total_bytes, u64::MAX);
        assert_eq!(readings.memory_pressure, None);
        assert_eq!(
            readings.temperature_c,
            Some(-5.0),
            "frost, by the sensor that is there"
        );
        assert!(readings.power.is_low(), "told by the second chip");
    }

    #[test]
    fn a_root_that_only_this_service_may_not_write_is_not_read_only() {
        let root_read_only = |system: &str| {
            let line = format!("1 0 179:2 / / ro,relatime - ext4 /dev/root {system}\n");
            let root = tree(&[("proc/self/mountinfo", &line)]);
            read(root.path(), Path::new("/nonexistent")).root_read_only
        };
        assert!(!root_read_only("rw"));
        assert!(root_read_only("ro"));
    }

    #[test]
    fn the_running_machine_tells_how_it_is() {
        let readings = read(Path::new("/"), Path::new("/"));
        assert!(readings.uptime_s > 0 && readings.load >= 0.0);
        assert!(readings.memory_available_bytes > 0);
        assert!(readings.memory_available_bytes < readings.memory_total_bytes);
        assert!(readings.disk_total_bytes >= readings.disk_free_bytes && readings.disk_free_bytes > 0);
        assert!(matches!(readings.clock, Clock::Set | Clock::Restored));
    }

    #[test]
    fn what_a_machine_does_not_have_is_absent() {
        let readings = Readings::read(
            tree(&[]).path(),
            Path::new("/nonexistent"),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            readings,
            Readings {
                clock: Clock::NotSet,
                ..Readings::default()
            }
        );
    }
}
