//! What is added to the Debian system. Pure: from settings to files.

use crate::{arch::Arch, layout::LABEL_ID, tree::Tree};

/// The programs of `make dist` that go onto a card.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// `bramble`.
    pub bramble: Vec<u8>,
    /// `bramble-firstboot`.
    pub firstboot: Vec<u8>,
    /// `fwatchdog`, for function images.
    pub fwatchdog: Vec<u8>,
    /// `functions`, for function images.
    pub functions: Vec<u8>,
}

/// The example of settings that lies on every card.
const SETTINGS: &str = include_str!("../../docs/bramble.toml");

/// The card's own settings, below the node's.
const CARD_SETTINGS: &str = include_str!("../../docs/card.toml");

/// Lines for `cmdline.txt` besides the root and the consoles, which raspi-firmware adds.
pub const CMDLINE: &str =
    "ro rootfstype=ext4 fsck.repair=yes net.ifnames=0 cgroup_enable=memory panic=10 quiet loglevel=4";

/// Everything that makes the Debian system of `arch` a bramble node. Paths below `boot/firmware` go into the FAT partition.
pub fn overlay(arch: Arch, programs: &Programs, version: &str) -> Tree {
    let mut tree = Tree::default();
    for file in appliance::files::FILES {
        tree.file(file.path, 0o644, file.content);
    }
    for (target, unit) in appliance::files::ENABLED {
        tree.link(
            format!("etc/systemd/system/{target}.wants/{unit}"),
            format!("/usr/lib/systemd/system/{unit}"),
        );
    }
    for unit in appliance::files::MASKED {
        tree.link(format!("etc/systemd/system/{unit}"), "/dev/null");
    }
    for (path, target) in appliance::files::LINKS {
        tree.link(*path, *target);
    }
    // The node looks for the built-in functions beside itself.
    tree.file("usr/lib/bramble/bramble", 0o755, programs.bramble.clone());
    tree.link("usr/bin/bramble", "../lib/bramble/bramble");
    tree.file("usr/bin/bramble-firstboot", 0o755, programs.firstboot.clone());
    tree.file(
        "usr/lib/bramble/builtin/fwatchdog",
        0o755,
        programs.fwatchdog.clone(),
    );
    tree.file(
        "usr/lib/bramble/builtin/functions",
        0o755,
        programs.functions.clone(),
    );

    tree.file("etc/fstab", 0o644, fstab());
    tree.file("etc/hostname", 0o644, "bramble\n");
    // Every card gets its own, from the first start on.
    tree.file("etc/machine-id", 0o444, "");
    tree.file(
        "etc/bramble-release",
        0o644,
        format!("{version} {}\n", arch.name()),
    );
    // Caches are as new as the system: otherwise each start would make them again, for nothing.
    tree.file("etc/.updated", 0o644, "");
    tree.file("var/.updated", 0o644, "");
    tree.dir("boot/firmware", 0o755);
    tree.file("boot/firmware/bramble.toml", 0o644, settings());
    for (path, content) in firmware(arch) {
        tree.file(path, 0o644, content);
    }
    tree
}

/// What people find on a card: every setting, none of them used.
pub fn settings() -> String {
    format!("{SETTINGS}\n{CARD_SETTINGS}")
}

fn fstab() -> String {
    let part = |number: u8| format!("PARTUUID={LABEL_ID:08x}-{number:02}");
    format!(
        "{} / ext4 ro,noatime 0 1\n\
         # What a node promises is synced by the node itself; the rest may wait half a minute.\n\
         # Both are waited for, as long as it takes on a slow card: without state there is no node, and without the first\n\
         # partition the settings would be missing.\n\
         {} /var ext4 noatime,commit=30,x-systemd.device-timeout=5min 0 2\n\
         {} /boot/firmware vfat noatime,sync,umask=0077,nofail,x-systemd.device-timeout=3min 0 2\n",
        part(2),
        part(3),
        part(1),
    )
}

/// Settings for Debian's package raspi-firmware, which writes `config.txt` and `cmdline.txt` from them at each new kernel.
fn firmware(arch: Arch) -> [(&'static str, String); 3] {
    [
        (
            "etc/default/raspi-firmware",
            format!(
                "ROOTPART=PARTUUID={LABEL_ID:08x}-02\nCONSOLES=\"{},115200 tty1\"\nCMA=0\n",
                arch.console()
            ),
        ),
        (
            "etc/default/raspi-firmware-custom",
            "gpu_mem=16\ndisable_splash=1\nboot_delay=0\n".to_owned(),
        ),
        ("etc/default/raspi-extra-cmdline", format!("{CMDLINE}\n")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    fn made(arch: Arch) -> Tree {
        overlay(arch, &Programs::default(), "1.2.3")
    }

    fn text(tree: &Tree, path: &str) -> String {
        match &tree.0[path] {
            Entry::File(_, bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn the_root_is_read_only_and_state_is_in_one_place() {
        let fstab = text(&made(Arch::Arm64), "etc/fstab");
        assert!(fstab.contains("PARTUUID=5049434c-02 / ext4 ro,noatime"));
        assert!(
            fstab.contains("PARTUUID=5049434c-03 /var ext4 noatime,commit=30,x-systemd.device-timeout=5min")
        );
        assert!(!fstab.contains("swap"));
        assert!(
            fstab.contains("nofail,x-systemd.device-timeout=3min"),
            "a slow start must not pass by the settings"
        );
    }

    #[test]
    fn every_unit_that_starts_by_itself_is_linked_to_a_file() {
        let tree = made(Arch::Arm64);
        let link = &tree.0["etc/systemd/system/multi-user.target.wants/bramble.service"];
        assert_eq!(
            *link,
            Entry::Link("/usr/lib/systemd/system/bramble.service".to_owned())
        );
        assert!(tree.0.contains_key("usr/lib/systemd/system/bramble.service"));
    }

    #[test]
    fn no_card_is_like_another_after_its_first_start() {
        let tree = made(Arch::Armhf);
        assert_eq!(text(&tree, "etc/machine-id"), "");
        assert!(!tree.0.keys().any(|path| path.contains("ssh_host")));
    }

    #[test]
    fn the_settings_on_a_card_say_nothing_as_they_are() {
        let (node, card) = appliance::card::split(&settings());
        assert_eq!(api::settings::read(&node), Default::default());
        assert_eq!(appliance::card::read(&card), Default::default());
    }

    #[test]
    fn the_settings_on_a_card_all_work_when_their_lines_are_used() {
        let used: String = settings()
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let (node, card) = appliance::card::split(&used);
        assert_eq!(api::settings::read(&node).1, []);
        let (card, complaints) = appliance::card::read(&card);
        assert_eq!(complaints, []);
        assert!(card.access_point.is_some() && card.country.is_some() && card.time_zone.is_some());
        assert!(!card.wifi.is_empty() && !card.ssh_keys.is_empty() && card.container_addresses.is_some());
    }

    #[test]
    fn the_same_settings_give_the_same_files() {
        assert_eq!(made(Arch::Arm64), made(Arch::Arm64));
        assert_ne!(made(Arch::Arm64), made(Arch::Armhf));
    }
}
