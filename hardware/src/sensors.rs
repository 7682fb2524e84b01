//! How the machine is at this moment: load, free memory, free space, temperature.

use std::{fs, path::Path};

use sysinfo::{MemoryRefreshKind, System};

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

/// How the running machine is. Load, memory and uptime are asked of its kernel; what differs from board to board is
/// read below `root`; free space is that of the file system that holds `disk`. A few small reads of kernel files; asks
/// no disk for data.
pub fn read(root: &Path, disk: &Path) -> Vitals {
    let (disk_total_bytes, disk_free_bytes) = space(disk).unwrap_or_default();
    Vitals {
        uptime_s: System::uptime().unwrap_or(0),
        load: System::load_average().map_or(0.0, |load| load.one),
        memory_available_bytes: memory_available().unwrap_or(0),
        disk_total_bytes,
        disk_free_bytes,
        temperature_c: temperature(root),
    }
}

fn memory_available() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    Some(system.available_memory())
}

fn first_number(file: &Path) -> Option<f64> {
    fs::read_to_string(file)
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
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
    fn the_processors_own_thermal_zone_is_found_among_others() {
        let root = tree(&[
            ("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "20000\n"),
            ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "48312\n"),
        ]);
        assert_eq!(read(root.path(), root.path()).temperature_c, Some(48.312));
    }

    #[test]
    fn the_running_machine_tells_how_it_is() {
        let root = tree(&[]);
        let vitals = read(root.path(), root.path());
        let kernel = |file: &str| fs::read_to_string(file).unwrap();
        let uptime: f64 = kernel("/proc/uptime")
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((vitals.uptime_s as f64 - uptime).abs() < 5.0);
        let load: f64 = kernel("/proc/loadavg")
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((vitals.load - load).abs() < 1.0);
        let total: u64 = kernel("/proc/meminfo")
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(vitals.memory_available_bytes > 0 && vitals.memory_available_bytes < total * 1024);
        assert!(vitals.disk_total_bytes >= vitals.disk_free_bytes && vitals.disk_free_bytes > 0);
    }

    #[test]
    fn what_a_machine_does_not_have_is_absent() {
        let root = tree(&[]);
        let vitals = read(root.path(), Path::new("/nonexistent"));
        assert_eq!(vitals.temperature_c, None);
        assert_eq!((vitals.disk_total_bytes, vitals.disk_free_bytes), (0, 0));
    }
}
