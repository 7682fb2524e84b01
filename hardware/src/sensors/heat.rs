//! Temperature and frequency of the processor.

use std::path::Path;

use crate::files;

/// How fast the first core runs, in MHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// At this moment.
    pub now_mhz: u32,
    /// At most.
    pub max_mhz: u32,
}

/// Sensors of processors among the `hwmon` chips, for machines without a thermal zone.
const CHIPS: &[&str] = &["cpu_thermal", "coretemp", "k10temp"];

/// The processor's thermal zone: the one whose type says so, else the first, else a sensor chip of its own.
pub(super) fn temperature_c(root: &Path) -> Option<f64> {
    let zones: Vec<_> = files::entries(&root.join("sys/class/thermal"))
        .into_iter()
        .filter(|(name, _)| name.starts_with("thermal_zone"))
        .collect();
    let is_cpu = |kind: String| kind.contains("cpu") || kind.contains("x86_pkg");
    let (of_cpu, others): (Vec<_>, Vec<_>) = zones
        .into_iter()
        .partition(|(_, zone)| files::text(&zone.join("type")).is_some_and(is_cpu));
    let zone = of_cpu
        .iter()
        .chain(&others)
        .find_map(|(_, zone)| celsius(&zone.join("temp")));
    let chip = || {
        files::entries(&root.join("sys/class/hwmon"))
            .into_iter()
            .filter(|(_, chip)| {
                files::text(&chip.join("name")).is_some_and(|name| CHIPS.contains(&name.as_str()))
            })
            .find_map(|(_, chip)| celsius(&chip.join("temp1_input")))
    };
    zone.or_else(chip)
}

/// A sensor that is not there reads as exactly zero or as an absurd number.
fn celsius(file: &Path) -> Option<f64> {
    let thousandths: f64 = files::number(file)?;
    let is_sensible = thousandths != 0.0 && (-60_000.0..150_000.0).contains(&thousandths);
    is_sensible.then_some(thousandths / 1000.0)
}

pub(super) fn frequency(root: &Path) -> Option<Frequency> {
    let policy = root.join("sys/devices/system/cpu/cpu0/cpufreq");
    let mhz = |file: &str| files::number::<u32>(&policy.join(file)).map(|khz| khz / 1000);
    Some(Frequency {
        now_mhz: mhz("scaling_cur_freq")?,
        max_mhz: mhz("cpuinfo_max_freq")?,
    })
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
        assert_eq!(temperature_c(root.path()), Some(48.312));
    }

    #[test]
    fn a_sensor_chip_stands_in_for_a_missing_zone() {
        let root = tree(&[
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon3/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon3/temp1_input", "51200\n"),
        ]);
        assert_eq!(temperature_c(root.path()), Some(51.2));
    }

    #[test]
    fn a_zone_with_nothing_behind_it_tells_nothing() {
        for nonsense in ["0\n", "-274000\n", "999999\n", "what\n"] {
            let root = tree(&[("sys/class/thermal/thermal_zone0/temp", nonsense)]);
            assert_eq!(temperature_c(root.path()), None, "{nonsense}");
        }
    }

    #[test]
    fn the_frequency_is_in_mhz() {
        let root = tree(&[
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "600000\n"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
                "1400000\n",
            ),
        ]);
        assert_eq!(
            frequency(root.path()),
            Some(Frequency {
                now_mhz: 600,
                max_mhz: 1400
            })
        );
    }
}
