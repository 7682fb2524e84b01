//! How busy the machine is: asked of the running system, or read from a tree of its files.

use std::path::Path;

use sysinfo::{MemoryRefreshKind, System};

use crate::{files, system::meminfo_bytes};

/// Uptime, load and memory; zero where the machine cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    pub(super) uptime_s: u64,
    /// Runnable processes on average over one minute and over five.
    pub(super) averages: (f64, f64),
    pub(super) memory_total_bytes: u64,
    pub(super) memory_available_bytes: u64,
}

impl Load {
    /// Of the running machine where `root` is its own, else of the one whose files are there.
    pub(super) fn of(root: &Path) -> Self {
        match root == Path::new("/") {
            true => Self::of_the_running_machine(),
            false => Self::in_the_files_below(root),
        }
    }

    fn of_the_running_machine() -> Self {
        let mut load = Self {
            uptime_s: System::uptime().unwrap_or(0),
            averages: System::load_average().map_or((0.0, 0.0), |load| (load.one, load.five)),
            ..Self::default()
        };
        if let Ok(mut system) = System::new() {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            load.memory_total_bytes = system.total_memory();
            load.memory_available_bytes = system.available_memory();
        }
        load
    }

    fn in_the_files_below(root: &Path) -> Self {
        let uptime = files::text(&root.join("proc/uptime"));
        Self {
            uptime_s: uptime
                .and_then(|text| text.split(['.', ' ']).next()?.parse().ok())
                .unwrap_or(0),
            averages: averages(root).unwrap_or_default(),
            memory_total_bytes: meminfo_bytes(root, "MemTotal").unwrap_or(0),
            memory_available_bytes: meminfo_bytes(root, "MemAvailable").unwrap_or(0),
        }
    }
}

fn averages(root: &Path) -> Option<(f64, f64)> {
    let text = files::text(&root.join("proc/loadavg"))?;
    let mut words = text.split_whitespace().map(files::sensible);
    Some((words.next()??, words.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_machine_and_its_files_say_the_same() {
        let (asked, read) = (Load::of(Path::new("/")), Load::in_the_files_below(Path::new("/")));
        assert_eq!(asked.memory_total_bytes, read.memory_total_bytes);
        assert!(asked.uptime_s.abs_diff(read.uptime_s) <= 2);
    }
}
