//! How the machine is at this moment: load, free memory, free space, temperature.

use std::{fs, path::Path};

use crate::system::meminfo_bytes;

/// How the machine is at this moment; zero or absent where it cannot tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Time since the machine started, in seconds.
    pub uptime_s: u64,
    /// Runnable processes on average over the last minute.
    pub load: f64,
    /// Memory that could still be used without swapping, in bytes.
    pub memory_available_bytes: u64,
    /// Size of the file system that was asked about, in bytes.
    pub disk_total_bytes: u64,
    /// Free space of that file system, in bytes.
    pub disk_free_bytes: u64,
    /// Temperature of the processor, in degrees Celsius.
    pub temperature_c: Option<f64>,
}

/// Reads all sensors below `root`, and the file system that holds `disk`. A few small reads of kernel files; asks no
/// disk for data.
pub fn read(root: &Path, disk: &Path) -> Vitals {
    let (disk_total_bytes, disk_free_bytes) = space(disk).unwrap_or_default();
    Vitals {
        uptime_s: first_number(&root.join("proc/uptime")).map_or(0, whole_seconds),
        load: first_number(&root.join("proc/loadavg")).unwrap_or(0.0),
        memory_available_bytes: meminfo_bytes(root, "MemAvailable").unwrap_or(0),
        disk_total_bytes,
        disk_free_bytes,
        temperature_c: temperature(root),
    }
}

fn first_number(file: &Path) -> Option<f64> {
    fs::read_to_string(file)
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn whole_seconds(seconds: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_secs())
}

fn space(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((
        found.f_blocks.saturating_mul(found.f_frsize),
        found.f_bavail.saturating_mul(found.f_frsize),
    ))
}

/// The processor's thermal zone: the one whose type says so, else the first.
fn temperature(root: &Path) -> Option<f64> {
    let zones: Vec<_> = (0..8)
        .map(|n| root.join(format!("sys/class/thermal/thermal_zone{n}")))
        .take_while(|zone| zone.exists())
        .collect();
    let is_cpu = |zone: &&std::path::PathBuf| {
        fs::read_to_string(zone.join("type"))
            .is_ok_and(|kind| kind.contains("cpu") || kind.contains("x86_pkg"))
    };
    let zone = zones.iter().find(is_cpu).or(zones.first())?;
    let thousandths = first_number(&zone.join("temp"))?;
    // A zone without a sensor behind it reads as zero or as an absurd number.
    (thousandths > 0.0 && thousandths < 150_000.0).then_some(thousandths / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn every_sensor_is_read() {
        let root = tree(&[
            ("proc/uptime", "93784.51 370000.00\n"),
            ("proc/loadavg", "0.42 0.30 0.25 1/123 4567\n"),
            ("proc/meminfo", "MemTotal: 949448 kB\nMemAvailable: 700000 kB\n"),
            ("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "20000\n"),
            ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "48312\n"),
        ]);
        let vitals = read(root.path(), root.path());
        assert_eq!(vitals.uptime_s, 93_784);
        assert_eq!(vitals.load, 0.42);
        assert_eq!(vitals.memory_available_bytes, 700_000 * 1024);
        assert_eq!(vitals.temperature_c, Some(48.312));
        assert!(vitals.disk_total_bytes >= vitals.disk_free_bytes && vitals.disk_free_bytes > 0);
    }

    #[test]
    fn a_machine_without_sensors_reads_as_absent() {
        let root = tree(&[]);
        let vitals = read(root.path(), Path::new("/nonexistent"));
        assert_eq!(vitals, Vitals::default());
    }
}
