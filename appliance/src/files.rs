//! The files that turn a Debian system into a bramble node, as they lie in `appliance/files`.

/// A file of the system, the same on every Pi.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Where it goes, from the root, without a slash in front.
    pub path: &'static str,
    /// What is in it.
    pub content: &'static str,
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(File { path: $path, content: include_str!(concat!("../files/", $path)) }),*]
    };
}

/// All of them. Owned by root, readable by all, executable by nobody.
pub const FILES: &[File] = &files![
    "etc/issue",
    "etc/ssh/sshd_config.d/50-bramble.conf",
    "usr/lib/bramble/containerd.toml",
    "usr/lib/sysctl.d/50-bramble.conf",
    "usr/lib/systemd/journald.conf.d/50-bramble.conf",
    "usr/lib/systemd/network/80-bramble.network",
    "usr/lib/systemd/resolved.conf.d/50-bramble.conf",
    "usr/lib/systemd/system.conf.d/50-bramble.conf",
    "usr/lib/systemd/system/bramble-firstboot.service",
    "usr/lib/systemd/system/bramble-grow.service",
    "usr/lib/systemd/system/bramble-lastwords.service",
    "usr/lib/systemd/system/bramble-status.service",
    "usr/lib/systemd/system/bramble.service",
    "usr/lib/systemd/system/containerd.service.d/50-bramble.conf",
    "usr/lib/systemd/system/docker.service.d/50-bramble.conf",
    "usr/lib/systemd/system/emergency.service.d/50-bramble.conf",
    "usr/lib/systemd/system/ssh.service.d/50-bramble.conf",
    "usr/lib/systemd/system/wpa_supplicant@wlan0.service.d/50-bramble.conf",
    "usr/lib/systemd/timesyncd.conf.d/50-bramble.conf",
    "usr/lib/systemd/zram-generator.conf",
    "usr/lib/tmpfiles.d/50-bramble.conf",
    "usr/lib/udev/rules.d/80-bramble-devices.rules",
    "usr/lib/udev/rules.d/80-bramble-wifi.rules",
];

/// Units that start by themselves, each after the target that wants it.
pub const ENABLED: &[(&str, &str)] = &[
    ("sysinit.target", "bramble-firstboot.service"),
    ("multi-user.target", "bramble-grow.service"),
    ("multi-user.target", "bramble-status.service"),
    ("multi-user.target", "bramble.service"),
    ("multi-user.target", "docker.service"),
    ("multi-user.target", "ssh.service"),
    ("multi-user.target", "systemd-networkd.service"),
    ("sysinit.target", "systemd-resolved.service"),
    ("sysinit.target", "systemd-timesyncd.service"),
];

/// Units that a Debian system starts and the appliance does without.
pub const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    // Its keys would lie in the root; ssh.service makes one in /var.
    "sshd-keygen.service",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-networkd-wait-online.service",
    "wpa_supplicant.service",
];

/// Links from the read-only root to what [`crate::apply`] makes at each start.
pub const LINKS: &[(&str, &str)] = &[
    ("etc/hosts", "/run/bramble/hosts"),
    ("etc/localtime", "/run/bramble/localtime"),
    ("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn below(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => below(&path, root, found),
                false => _ = found.insert(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_list_and_the_other_way_round() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
        let mut found = BTreeSet::new();
        below(&root, &root, &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn the_node_may_use_the_devices_of_lights_and_no_others() {
        let unit = FILES
            .iter()
            .find(|file| file.path.ends_with("/bramble.service"))
            .unwrap();
        let allowed: Vec<&str> = unit
            .content
            .lines()
            .filter_map(|line| line.strip_prefix("DeviceAllow="))
            .collect();
        assert_eq!(
            allowed,
            ["char-gpiochip rw", "/dev/gpiomem rw", "/dev/gpiomem0 rw"]
        );
        assert!(unit.content.contains("\nDevicePolicy=closed\n"));
    }

    #[test]
    fn what_a_unit_of_ours_is_told_to_read_is_there() {
        let unit = FILES
            .iter()
            .find(|file| file.path.contains("/containerd.service.d/"))
            .unwrap();
        let (_, config) = unit.content.split_once("--config /").unwrap();
        assert!(FILES.iter().any(|file| file.path == config.trim_end()));
    }

    #[test]
    fn our_own_units_give_up_what_they_do_not_need() {
        let units = FILES
            .iter()
            .filter(|file| file.path.contains("/bramble") && file.path.ends_with(".service"));
        for unit in units {
            for line in [
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
                "CapabilityBoundingSet=",
                "SystemCallFilter=",
            ] {
                assert!(unit.content.contains(line), "{} lacks {line}", unit.path);
            }
        }
    }
}
