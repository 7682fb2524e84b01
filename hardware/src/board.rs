//! Which board this is.
//!
//! Asked in this order: the device tree's revision, that of `/proc/cpuinfo`, the device tree's `compatible` list, its
//! model text. Kernels differ in which of them they show; a machine that shows none is no Pi and says so.

use std::{fs, path::Path};

use crate::{
    files,
    revision::{Model, Processor, Revision, model_of_compatible},
    system::{System, meminfo_bytes},
};

/// A board, or whatever machine stands in for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// In people's words: `Raspberry Pi 3 Model B Plus`; `PC` or `unknown board` where it is no Pi.
    pub words: String,
    /// Short, for node names: `pi-3b-plus`, `pc`.
    pub short: String,
    /// The revision code, where there is one.
    pub revision: Option<Revision>,
    /// Memory that was fitted, in MiB; more than the operating system sees.
    pub memory_mib: Option<u32>,
    /// The serial number.
    pub serial: Option<String>,
    /// The system on a chip, where this is a Pi.
    pub processor: Option<Processor>,
}

/// Says which board this is, from the files below `root`.
pub fn read(root: &Path) -> Board {
    let tree = root.join("proc/device-tree");
    let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let compatible = files::text(&tree.join("compatible")).unwrap_or_default();
    // Others put numbers of their own there.
    let may_be_pi = compatible.is_empty() || compatible.contains("raspberrypi,");
    let revision = tree_revision(&tree).or_else(|| {
        let code = cpuinfo_value(&cpuinfo, "Revision").filter(|_| may_be_pi)?;
        Revision::parse(code)
    });
    let model_text = files::text(&tree.join("model"))
        .or_else(|| cpuinfo_value(&cpuinfo, "Model").map(str::to_owned))
        .map(|text| without_version(&text));
    let serial = files::text(&tree.join("serial-number"))
        .or_else(|| cpuinfo_value(&cpuinfo, "Serial").map(str::to_owned))
        .filter(|serial| serial.bytes().any(|b| b.is_ascii_alphanumeric() && b != b'0'));

    let model = revision
        .and_then(|r| r.model)
        .or_else(|| model_of_compatible(&compatible));
    let is_pi = revision.is_some() || compatible.contains("raspberrypi,");
    let (words, short) = match (model, &model_text) {
        // One type code serves the 500 and the 500+: what the firmware writes is more exact than the table.
        (Some(model), Some(text)) if text.starts_with(model.words) => (text.clone(), model.short.to_owned()),
        (Some(Model { words, short, .. }), _) => ((*words).to_owned(), (*short).to_owned()),
        (None, Some(text)) => (text.clone(), short_of(text)),
        (None, None) if is_pi => ("Raspberry Pi".to_owned(), "pi".to_owned()),
        (None, None) => no_pi(root),
    };
    Board {
        words,
        short,
        revision,
        memory_mib: revision
            .and_then(|r| r.memory_mib)
            .or_else(|| fitted_mib(root).filter(|_| is_pi)),
        serial,
        processor: revision
            .map(|r| r.processor)
            .or_else(|| model.map(|m| m.processor))
            .or(is_pi.then_some(Processor::Unknown)),
    }
}

impl Board {
    /// Platforms whose images this board can run under this system, the best first, in Docker's words.
    ///
    /// What the cores can do, less what the kernel forbids: a 32-bit kernel runs no 64-bit programs, and a kernel
    /// with pages other than 4 KiB no 32-bit ones.
    pub fn platforms(&self, system: &System) -> Vec<String> {
        let cores: &[&str] = match system.machine.as_str() {
            "x86_64" => &["linux/amd64"],
            "i386" | "i486" | "i586" | "i686" => &["linux/386"],
            "riscv64" => &["linux/riscv64"],
            "aarch64" => match self.processor {
                // The device tree alone cannot tell the two boards named 2 B apart, but this kernel does.
                Some(Processor::Bcm2836) => Processor::Bcm2837.platforms(),
                Some(processor) => processor.platforms(),
                None => &["linux/arm64"],
            },
            "armv6l" => Processor::Bcm2835.platforms(),
            "armv7l" | "armv8l" => Processor::Bcm2836.platforms(),
            other => return vec![format!("linux/{other}")],
        };
        let is_arm_32 = |platform: &str| platform.starts_with("linux/arm/");
        cores
            .iter()
            .filter(|platform| !is_arm_32(platform) || system.page_bytes == 4096)
            .map(|&platform| platform.to_owned())
            .collect()
    }
}

fn tree_revision(tree: &Path) -> Option<Revision> {
    let bytes = fs::read(tree.join("system/linux,revision")).ok()?;
    Revision::decode(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn cpuinfo_value<'a>(cpuinfo: &'a str, key: &str) -> Option<&'a str> {
    let line = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    Some(line.trim()).filter(|value| !value.is_empty())
}

/// The firmware appends ` Rev 1.4` to the model: the board's version, which the revision code holds as well.
fn without_version(text: &str) -> String {
    text.split(" Rev ").next().unwrap_or(text).trim().to_owned()
}

/// A short name out of a model text that no table knows: `Orange Pi Zero3` gives `orange-pi-zero3`.
fn short_of(text: &str) -> String {
    let text = text.replace("Raspberry Pi", "pi").to_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut short = words.join("-");
    short.truncate(24);
    let short = short.trim_end_matches('-');
    if short.is_empty() {
        "board".to_owned()
    } else {
        short.to_owned()
    }
}

fn no_pi(root: &Path) -> (String, String) {
    let named = files::text(&root.join("sys/class/dmi/id/product_name")).filter(|name| {
        !matches!(
            name.as_str(),
            "To Be Filled By O.E.M." | "System Product Name" | "None"
        )
    });
    let has_dmi = root.join("sys/class/dmi/id").exists();
    let is_x86 = fs::read_to_string(root.join("proc/cpuinfo")).is_ok_and(|text| text.contains("vendor_id"));
    match named {
        Some(name) => (format!("PC ({name})"), "pc".to_owned()),
        None if has_dmi || is_x86 => ("PC".to_owned(), "pc".to_owned()),
        None => ("unknown board".to_owned(), "board".to_owned()),
    }
}

/// Pis have memory in few sizes, and the system sees a little less than was fitted.
fn fitted_mib(root: &Path) -> Option<u32> {
    let seen_mib = meminfo_bytes(root, "MemTotal")? / (1024 * 1024);
    [256, 512, 1024, 2048, 3072, 4096, 8192, 16_384]
        .into_iter()
        .find(|size| u64::from(*size) >= seen_mib)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A root directory with these files.
    pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn system(machine: &str, page_bytes: u32) -> System {
        System {
            machine: machine.to_owned(),
            os: String::new(),
            cores: 4,
            page_bytes,
            memory_bytes: 0,
        }
    }

    #[test]
    fn a_pi_with_its_own_kernel_is_known_by_cpuinfo() {
        let root = tree(&[(
            "proc/cpuinfo",
            "processor\t: 0\n\nRevision\t: a020d3\nSerial\t\t: 00000000abcdef12\nModel\t\t: Raspberry Pi 3 Model B Plus Rev 1.3\n",
        )]);
        let board = read(root.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("Raspberry Pi 3 Model B Plus", "pi-3b-plus")
        );
        assert_eq!(board.memory_mib, Some(1024));
        assert_eq!(board.serial.as_deref(), Some("00000000abcdef12"));
        assert_eq!(
            board.platforms(&system("aarch64", 4096)),
            ["linux/arm64", "linux/arm/v7", "linux/arm/v6"]
        );
    }

    #[test]
    fn a_pi_with_a_mainline_kernel_is_known_by_its_device_tree() {
        let root = tree(&[
            ("proc/cpuinfo", "processor\t: 0\n"),
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            (
                "proc/device-tree/compatible",
                "raspberrypi,4-model-b\0brcm,bcm2711\0",
            ),
            ("proc/meminfo", "MemTotal:        3884332 kB\n"),
        ]);
        let board = read(root.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("Raspberry Pi 4 Model B", "pi-4b")
        );
        assert_eq!((board.memory_mib, board.revision), (Some(4096), None));
    }

    #[test]
    fn the_device_trees_revision_is_four_bytes_the_highest_first() {
        let root = tree(&[("proc/device-tree/system/x", "")]);
        fs::write(
            root.path().join("proc/device-tree/system/linux,revision"),
            0x00c0_3130_u32.to_be_bytes(),
        )
        .unwrap();
        assert_eq!(read(root.path()).short, "pi-400");
    }

    #[test]
    fn the_device_tree_is_believed_before_cpuinfo() {
        let root = tree(&[
            (
                "proc/cpuinfo",
                "Revision : a02082\nSerial : 00000000aaaaaaaa\nModel : Raspberry Pi 3 Model B Rev 1.2\n",
            ),
            ("proc/device-tree/serial-number", "10000000bbbbbbbb\0"),
            ("proc/device-tree/system/x", ""),
        ]);
        let revision = 0x00d0_4170_u32.to_be_bytes();
        fs::write(
            root.path().join("proc/device-tree/system/linux,revision"),
            revision,
        )
        .unwrap();
        let board = read(root.path());
        assert_eq!((board.short.as_str(), board.memory_mib), ("pi-5", Some(8192)));
        assert_eq!(board.serial.as_deref(), Some("10000000bbbbbbbb"));
    }

    #[test]
    fn memory_that_the_code_leaves_open_is_rounded_up_from_what_is_seen() {
        let fitted = |code: &str, seen_kib: u32| {
            let root = tree(&[
                ("proc/cpuinfo", &format!("Revision : {code}\n")),
                ("proc/meminfo", &format!("MemTotal: {seen_kib} kB\n")),
            ]);
            read(root.path()).memory_mib
        };
        assert_eq!(fitted("f03111", 3_884_332), Some(4096));
        assert_eq!(fitted("f04170", 8_252_416), Some(8192));
        assert_eq!(fitted("0015", 240_000), Some(256));
        assert_eq!(fitted("0015", 496_000), Some(512));
        assert_eq!(fitted("902120", 430_000), Some(512));
    }

    #[test]
    fn the_500_plus_is_told_by_what_the_firmware_writes() {
        let root = tree(&[(
            "proc/cpuinfo",
            "Revision : e04190\nModel : Raspberry Pi 500+ Rev 1.0\n",
        )]);
        let board = read(root.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("Raspberry Pi 500+", "pi-500")
        );
        assert_eq!(board.memory_mib, Some(16_384));
    }

    #[test]
    fn a_revision_that_is_cut_short_is_passed_over() {
        let root = tree(&[
            ("proc/cpuinfo", "Revision : a020d3\n"),
            ("proc/device-tree/system/linux,revision", "ab"),
        ]);
        assert_eq!(read(root.path()).short, "pi-3b-plus");
    }

    #[test]
    fn a_2_b_of_the_first_kind_runs_no_64_bit_image_and_its_successor_does() {
        let board = |code: &str| read(tree(&[("proc/cpuinfo", &format!("Revision : {code}\n"))]).path());
        assert_eq!(
            board("a01041").platforms(&system("armv7l", 4096)),
            ["linux/arm/v7", "linux/arm/v6"]
        );
        assert_eq!(
            board("a02042").platforms(&system("armv7l", 4096)),
            ["linux/arm/v7", "linux/arm/v6"]
        );
        assert_eq!(
            board("a02042").platforms(&system("aarch64", 4096))[0],
            "linux/arm64"
        );
    }

    #[test]
    fn large_pages_leave_out_32_bit_images() {
        let board = read(tree(&[("proc/cpuinfo", "Revision : c04170\n")]).path());
        assert_eq!(board.platforms(&system("aarch64", 16_384)), ["linux/arm64"]);
        assert_eq!(board.platforms(&system("aarch64", 4096)).len(), 3);
    }

    #[test]
    fn a_board_newer_than_this_program_joins_with_what_it_says() {
        let root = tree(&[
            ("proc/device-tree/model", "Raspberry Pi 7 Model B Rev 1.0\0"),
            (
                "proc/device-tree/compatible",
                "raspberrypi,7-model-b\0brcm,bcm2799\0",
            ),
            ("proc/cpuinfo", "Revision : d06250\n"),
        ]);
        let board = read(root.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("Raspberry Pi 7 Model B", "pi-7-model-b")
        );
        assert_eq!(board.memory_mib, Some(8192));
        assert_eq!(board.platforms(&system("aarch64", 4096)), ["linux/arm64"]);
    }

    #[test]
    fn the_board_of_another_maker_is_no_pi_whatever_its_revision_is() {
        let root = tree(&[
            ("proc/cpuinfo", "Revision : 0010\nSerial : 00000000abcdef12\n"),
            ("proc/device-tree/model", "Hardkernel ODROID-C2\0"),
            (
                "proc/device-tree/compatible",
                "hardkernel,odroid-c2\0amlogic,meson-gxbb\0",
            ),
            ("proc/meminfo", "MemTotal: 1900000 kB\n"),
        ]);
        let board = read(root.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("Hardkernel ODROID-C2", "hardkernel-odroid-c2")
        );
        assert_eq!(
            (board.revision, board.processor, board.memory_mib),
            (None, None, None)
        );
        assert_eq!(board.platforms(&system("aarch64", 4096)), ["linux/arm64"]);
    }

    #[test]
    fn a_machine_that_is_no_pi_says_so_and_works() {
        let named = tree(&[("sys/class/dmi/id/product_name", "ThinkPad X220\n")]);
        let board = read(named.path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("PC (ThinkPad X220)", "pc")
        );
        assert_eq!(board.platforms(&system("x86_64", 4096)), ["linux/amd64"]);

        let board = read(tree(&[]).path());
        assert_eq!(
            (board.words.as_str(), board.short.as_str()),
            ("unknown board", "board")
        );
        assert_eq!((board.memory_mib, board.serial), (None, None));
    }
}
