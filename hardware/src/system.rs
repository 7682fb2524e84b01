//! The system that runs on the board: kernel, operating system, cores, memory.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};

use crate::files;

/// What the system says of itself; read once, since it changes only with a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The kernel's architecture as `uname -m` prints it: `aarch64`, `armv7l`, `x86_64`.
    ///
    /// A 64-bit kernel may carry a 32-bit operating system: ask the engine too before choosing images by it.
    pub machine: String,
    /// The operating system in people's words: `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Cores that this process may use.
    pub cores: u16,
    /// Size of a memory page, in bytes: 4096, or 16384 on a Pi 5 with its own kernel.
    pub page_bytes: u32,
    /// Memory that the operating system sees, in bytes; zero where it does not say.
    pub memory_bytes: u64,
}

impl System {
    /// Reads below `root`; what no file tells comes from the running kernel.
    pub fn read(root: &Path) -> Self {
        Self {
            machine: files::text(&root.join("proc/sys/kernel/arch"))
                .unwrap_or_else(|| rustix::system::uname().machine().to_string_lossy().into_owned()),
            os: os_name(root).unwrap_or_else(|| "Linux".to_owned()),
            cores: std::thread::available_parallelism()
                .ok()
                .and_then(|n| u16::try_from(n.get()).ok())
                .unwrap_or(1),
            page_bytes: page_bytes(root)
                .or_else(|| u32::try_from(rustix::param::page_size()).ok())
                .unwrap_or(4096),
            memory_bytes: meminfo_bytes(root, "MemTotal").unwrap_or(0),
        }
    }
}

/// The page size as the kernel tells it of any process: `KernelPageSize:       16 kB`.
fn page_bytes(root: &Path) -> Option<u32> {
    // The file is long, and only its first lines are needed.
    let file = BufReader::new(File::open(root.join("proc/self/smaps")).ok()?);
    let line = file
        .lines()
        .take(8)
        .find_map(|line| Some(line.ok()?.strip_prefix("KernelPageSize:")?.to_owned()))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `PRETTY_NAME` of os-release.
fn os_name(root: &Path) -> Option<String> {
    let text = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|file| fs::read_to_string(root.join(file)).ok())?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// One amount of `/proc/meminfo`, in bytes.
pub(crate) fn meminfo_bytes(root: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn the_operating_system_is_named_as_it_names_itself() {
        let root = tree(&[(
            "etc/os-release",
            "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
        )]);
        assert_eq!(System::read(root.path()).os, "Debian GNU/Linux 13 (trixie)");
    }

    #[test]
    fn architecture_and_page_size_come_from_the_tree() {
        let root = tree(&[
            ("proc/sys/kernel/arch", "aarch64\n"),
            (
                "proc/self/smaps",
                "00400000-00404000 r-xp 00000000 b3:02 1 /usr/bin/x\nSize:  16 kB\nKernelPageSize:       16 kB\nMMUPageSize:  16 kB\n",
            ),
        ]);
        let system = System::read(root.path());
        assert_eq!((system.machine.as_str(), system.page_bytes), ("aarch64", 16_384));
        let this = System::read(Path::new("/"));
        assert_eq!(this.page_bytes as usize, rustix::param::page_size());
    }

    #[test]
    fn a_system_that_tells_nothing_still_has_a_core_and_pages() {
        let system = System::read(tree(&[]).path());
        assert_eq!((system.os.as_str(), system.memory_bytes), ("Linux", 0));
        assert!(system.cores >= 1 && system.page_bytes >= 4096 && !system.machine.is_empty());
    }
}
