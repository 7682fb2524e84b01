//! Whether the kernel keeps memory limits. Raspberry Pi's kernels start with that switched off, and Docker then
//! ignores the limits without a word.

use std::{fs, path::Path};

use crate::files;

/// Whether memory limits are kept, by cgroup v2 where it is mounted, else v1; absent where neither tells.
pub(super) fn memory(root: &Path) -> Option<bool> {
    if let Ok(controllers) = fs::read_to_string(root.join("sys/fs/cgroup/cgroup.controllers")) {
        return Some(controllers.split_whitespace().any(|name| name == "memory"));
    }
    let table = files::text(&root.join("proc/cgroups"))?;
    let enabled = table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "memory").then(|| words.nth(2) == Some("1"))
    });
    Some(enabled.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn limits_are_kept_where_either_generation_of_cgroups_says_so() {
        let v1 = |enabled: u8| {
            format!(
                "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t40\t1\nmemory\t0\t80\t{enabled}\n"
            )
        };
        let said = |files: &[(&str, &str)]| memory(tree(files).path());
        assert_eq!(
            said(&[("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n")]),
            Some(true)
        );
        assert_eq!(
            said(&[("sys/fs/cgroup/cgroup.controllers", "cpu io pids\n")]),
            Some(false)
        );
        assert_eq!(said(&[("sys/fs/cgroup/cgroup.controllers", "\n")]), Some(false));
        assert_eq!(said(&[("proc/cgroups", &v1(1))]), Some(true));
        assert_eq!(said(&[("proc/cgroups", &v1(0))]), Some(false));
        assert_eq!(said(&[]), None);
    }
}
