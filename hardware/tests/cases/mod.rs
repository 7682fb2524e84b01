//! What makes a board sick, and what is said of it: for the tests of this room and for those of a whole bramble.

use hardware::Code;

/// Paths below a root directory, and what is in them.
pub(crate) type Files = &'static [(&'static str, &'static str)];

/// What makes a board that is well sick.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sick {
    /// These files of the kernel's.
    Files(Files),
    /// That this file is not there.
    Without(&'static str),
    /// Free space of 30 GB. No file tells it: `statvfs` is the one question that goes to the running kernel.
    Free(#[allow(dead_code, reason = "tests of whole brambles cannot fill a card")] u64),
    /// That its card was measured, and is so quick. The node keeps that in a file of its own.
    Card {
        /// Half of all small writes take as long.
        p50_ms: u64,
        /// One in a hundred takes as long.
        p99_ms: u64,
    },
}

/// A board that is well: a 4 B with Raspberry Pi's kernel.
pub(crate) const WELL: Files = &[
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

const THROTTLED: &str = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";
pub(crate) const TEMPERATURE: &str = "sys/class/thermal/thermal_zone0/temp";

/// What makes a board sick, the warning that comes of it, and words of its sentence and cure.
pub(crate) type Case = (Sick, Code, &'static str);

/// What makes a board sick, and the one warning that comes of it, with words of its sentence and cure.
pub(crate) const CASES: &[Case] = &[
    (
        Sick::Files(&[("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")]),
        Code::PowerLow,
        "too weak at this moment",
    ),
    (
        Sick::Files(&[(THROTTLED, "50005\n")]),
        Code::PowerLow,
        "power supply that was made for this board",
    ),
    (
        Sick::Files(&[(THROTTLED, "50000\n")]),
        Code::PowerDipped,
        "at some time since it was started",
    ),
    (
        Sick::Files(&[(TEMPERATURE, "80200\n")]),
        Code::Hot,
        "80 °C hot: it soon has to slow down",
    ),
    (
        Sick::Files(&[(TEMPERATURE, "86000\n")]),
        Code::TooHot,
        "heat sink or a fan",
    ),
    (
        Sick::Files(&[(THROTTLED, "80008\n")]),
        Code::Slowed,
        "nothing is harmed",
    ),
    (
        Sick::Files(&[(THROTTLED, "4\n")]),
        Code::Slowed,
        "its firmware holds it back",
    ),
    (
        Sick::Files(&[("proc/cpuinfo", "Revision : a020d3\n"), (TEMPERATURE, "63000\n")]),
        Code::Slowed,
        "above 60 °C",
    ),
    (
        Sick::Files(&[(
            "proc/self/mountinfo",
            "1 0 179:2 / / rw - ext4 /dev/root ro,errors=remount-ro\n",
        )]),
        Code::ReadOnly,
        "write the image to a new card",
    ),
    (
        Sick::Files(&[
            (
                "etc/fstab",
                "# all\nPARTUUID=ab-02  /  ext4  defaults,noatime  0  1\n",
            ),
            (
                "proc/self/mountinfo",
                "1 0 179:2 / / ro - ext4 /dev/root ro\n2 1 179:3 / /tmp rw - ext4 /dev/mmcblk0p3 rw\n",
            ),
        ]),
        Code::RootReadOnly,
        "can no longer be written to",
    ),
    (
        Sick::Files(&[("sys/fs/ext4/mmcblk0p2/errors_count", "1\n")]),
        Code::CardErrors,
        "found damaged once",
    ),
    (
        Sick::Files(&[("sys/fs/ext4/mmcblk0p2/errors_count", "7\n")]),
        Code::CardErrors,
        "found damaged 7 times",
    ),
    (
        Sick::Files(&[
            ("sys/block/mmcblk0/device/type", "MMC\n"),
            ("sys/block/mmcblk0/device/life_time", "0x02 0x09\n"),
        ]),
        Code::CardWorn,
        "used up 90 % of its life",
    ),
    (
        Sick::Files(&[
            ("sys/block/mmcblk0/device/type", "MMC\n"),
            ("sys/block/mmcblk0/device/pre_eol_info", "0x02\n"),
        ]),
        Code::CardWorn,
        "hardly any spare blocks",
    ),
    (
        Sick::Files(&[("sys/block/mmcblk0/stat", "0 0 0 0 0 0 90000000 0\n")]),
        Code::CardBusy,
        "42.9 GiB since it was started",
    ),
    (
        Sick::Files(&[("proc/meminfo", "MemTotal:  1900000 kB\nMemAvailable:  50000 kB\n")]),
        Code::MemoryLow,
        "left on this Pi: 48 MiB. Lower the scale",
    ),
    (
        Sick::Files(&[(
            "proc/pressure/memory",
            "some avg10=0.00 avg60=34.20 avg300=0.00 total=0\n",
        )]),
        Code::MemoryPressure,
        "34 % of their time waiting for memory",
    ),
    (
        Sick::Files(&[("proc/loadavg", "3000.00 2100.00 900.00 9/100 1000\n")]),
        Code::Overloaded,
        "2100 programs at a time for ",
    ),
    (
        Sick::Files(&[("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")]),
        Code::MemoryLimitsOff,
        "cgroup_enable=memory",
    ),
    (
        Sick::Files(&[("sys/class/net/eth0/speed", "10\n")]),
        Code::NetworkSlow,
        "only 10 Mbit/s. Try another cable",
    ),
    (
        Sick::Files(&[
            ("sys/class/net/eth0/operstate", "down\n"),
            ("sys/class/net/eth0/speed", "-1\n"),
            ("sys/class/net/wlan0/device/uevent", ""),
            ("sys/class/net/wlan0/wireless/x", ""),
            ("sys/class/net/wlan0/operstate", "up\n"),
            ("proc/net/wireless", " wlan0: 0000   20.  -82.  -256\n"),
        ]),
        Code::WifiWeak,
        "weak (-82 dBm). Move it closer",
    ),
    (
        Sick::Files(&[("proc/self/smaps", "KernelPageSize:       16 kB\n")]),
        Code::LargePages,
        "kernel=kernel8.img",
    ),
    (
        Sick::Without("run/systemd/timesync/synchronized"),
        Code::ClockNotSet,
        "no time server has answered",
    ),
    (
        Sick::Free(900_000_000),
        Code::DiskNearlyFull,
        "nearly full: 858 MiB are left. Remove functions",
    ),
    (
        Sick::Free(100_000_000),
        Code::DiskFull,
        "nearly full: 95 MiB are left",
    ),
    (Sick::Free(0), Code::DiskFull, "0 MiB are left"),
    (
        Sick::Card {
            p50_ms: 51,
            p99_ms: 90,
        },
        Code::CardSlow,
        "takes 51 ms, and now and then 90 ms",
    ),
    (
        Sick::Card {
            p50_ms: 9,
            p99_ms: 900,
        },
        Code::CardSlow,
        "others are chosen before it",
    ),
];
