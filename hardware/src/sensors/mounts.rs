//! Which file system holds a path.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    /// Number of its block device, `179:2`.
    pub(super) device: String,
    /// Whether nothing can be written by way of this mount.
    pub(super) read_only: bool,
    /// Whether the file system itself is read-only, for everybody. A service may see a writable one read-only.
    pub(super) system_read_only: bool,
}

/// All that is mounted, in the order of mounting.
pub(super) fn read(root: &Path) -> Vec<Mount> {
    let text = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    text.lines().filter_map(mount).collect()
}

/// The file system that holds `path`: the deepest, and of those at one place the last, which hides the others.
pub(super) fn holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// Whether the system's own table has a root file system that is to be written to.
pub(super) fn wants_writable_root(root: &Path) -> bool {
    let table = fs::read_to_string(root.join("etc/fstab")).unwrap_or_default();
    let options = table.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .filter(|_| !line.trim_start().starts_with('#'));
        let (_, point, _, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (point == "/").then_some(options)
    });
    options.is_some_and(|options| options.split(',').all(|option| option != "ro"))
}

/// `36 35 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw`
fn mount(line: &str) -> Option<Mount> {
    let (mount, system) = line.split_once(" - ")?;
    let mut words = mount.split(' ').skip(2);
    let (device, _, point, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    let system_read_only = system.split(' ').nth(2).is_some_and(is_read_only);
    Some(Mount {
        point: PathBuf::from(unescaped(point)),
        device: device.to_owned(),
        read_only: is_read_only(options) || system_read_only,
        system_read_only,
    })
}

/// The kernel writes blanks in names as `\040` and the like.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(point.to_owned(), |text, (code, character)| {
            text.replace(code, character)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn the_deepest_and_latest_file_system_holds_a_path() {
        let root = tree(&[(
            "proc/self/mountinfo",
            "1 0 0:1 / / rw - rootfs rootfs rw\n\
             2 1 179:2 / / ro,noatime shared:1 - ext4 /dev/mmcblk0p2 ro\n\
             3 2 179:3 / /var/lib rw - ext4 /dev/mmcblk0p3 rw,errors=remount-ro\n\
             4 2 8:1 / /media/a\\040stick rw - vfat /dev/sda1 ro,sync\n",
        )]);
        let mounts = read(root.path());
        let held = |path: &str| {
            let mount = holding(&mounts, Path::new(path)).unwrap();
            (mount.device.as_str(), mount.read_only)
        };
        assert_eq!(held("/etc"), ("179:2", true));
        assert_eq!(held("/var/lib/bramble"), ("179:3", false));
        assert_eq!(held("/var/library"), ("179:2", true));
        assert_eq!(held("/media/a stick/x"), ("8:1", true));
    }

    #[test]
    fn a_service_that_may_not_write_says_nothing_of_the_file_system() {
        // As `ProtectSystem=strict` has it: first a card that can be written to, then one that cannot.
        for (system, read_only) in [("rw,errors=remount-ro", false), ("ro", true)] {
            let line = format!("2 1 179:2 / / ro,noatime shared:1 - ext4 /dev/mmcblk0p2 {system}\n");
            let mounts = read(tree(&[("proc/self/mountinfo", &line)]).path());
            let root = holding(&mounts, Path::new("/")).unwrap();
            assert_eq!(
                (root.read_only, root.system_read_only),
                (true, read_only),
                "{system}"
            );
        }
    }
}
