//! The card or disk below a file system: what it is, how much was written to it, and how worn it says it is.
//!
//! SD cards count no wear. What can be known early: errors of the file system, and how much is written.

use std::path::Path;

use super::mounts::Mount;
use crate::files;

/// A card or disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// The kernel's name for it: `mmcblk0`.
    pub device: String,
    /// What it is.
    pub kind: StorageKind,
    /// The name that its maker gave it: `SD64G`.
    pub name: Option<String>,
    /// Number of its maker, for SD cards and eMMC.
    pub maker_id: Option<u32>,
    /// When it was made: `09/2023`.
    pub made: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The whole of its identity register, in hexadecimal: no two cards have the same.
    pub cid: Option<String>,
    /// Its size, in bytes; zero where it does not say.
    pub size_bytes: u64,
    /// Bytes written to it since the machine started.
    pub written_since_boot_bytes: Option<u64>,
    /// Bytes written to its file systems since they were made, where those count (ext4).
    pub written_ever_bytes: Option<u64>,
    /// Errors that its file systems met since they were last repaired.
    pub errors: u64,
    /// How much of its life is used up at most, in percent; eMMC only.
    pub life_used_percent: Option<u8>,
    /// Whether it is about to run out of spare blocks; eMMC only.
    pub spare_low: bool,
}

/// What a card or disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageKind {
    /// An SD card.
    SdCard,
    /// Flash memory that is soldered to the board.
    Emmc,
    /// A disk, a stick, or something that the machine only makes up.
    #[default]
    Disk,
}

/// Makers of cards by their number. The numbers are not public; these are the ones that users report.
const MAKERS: &[(u32, &str)] = &[
    (0x02, "Kioxia"),
    (0x03, "SanDisk"),
    (0x1b, "Samsung"),
    (0x1d, "ADATA"),
    (0x27, "Phison"),
    (0x28, "Lexar"),
    (0x41, "Kingston"),
    (0x74, "Transcend"),
    (0x9f, "Kingston"),
];

impl Storage {
    /// The maker's name, where the number is one that is known.
    pub fn maker(&self) -> Option<&'static str> {
        let id = self.maker_id?;
        MAKERS
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, name)| *name)
    }
}

/// What is below this file system; else, because overlays and containers hide it, the card in the slot.
pub(super) fn below(root: &Path, mount: Option<&Mount>) -> Option<Storage> {
    let blocks = root.join("sys/block");
    let named = mount.and_then(|mount| {
        let event = files::text(&root.join("sys/dev/block").join(&mount.device).join("uevent"))?;
        let name = event
            .lines()
            .find_map(|line| line.strip_prefix("DEVNAME="))?
            .to_owned();
        // A partition is a directory inside its disk's.
        files::entries(&blocks)
            .into_iter()
            .find(|(disk, path)| *disk == name || path.join(&name).is_dir())
            .map(|(disk, _)| disk)
    });
    let slot = || Some("mmcblk0".to_owned()).filter(|card| blocks.join(card).exists());
    let device = named.or_else(slot)?;
    let block = blocks.join(&device);
    let facts = block.join("device");
    let systems: Vec<_> = files::entries(&root.join("sys/fs/ext4"))
        .into_iter()
        .filter(|(system, _)| *system == device || block.join(system).is_dir())
        .map(|(_, path)| path)
        .collect();
    let of_systems = |file: &str| {
        let counts: Vec<u64> = systems
            .iter()
            .filter_map(|s| files::number(&s.join(file)))
            .collect();
        (!counts.is_empty()).then(|| counts.into_iter().fold(0, u64::saturating_add))
    };
    Some(Storage {
        kind: match files::text(&facts.join("type")).as_deref() {
            Some("SD") => StorageKind::SdCard,
            Some("MMC") => StorageKind::Emmc,
            _ => StorageKind::Disk,
        },
        name: files::text(&facts.join("name")).or_else(|| files::text(&facts.join("model"))),
        maker_id: files::text(&facts.join("manfid")).and_then(|id| files::hexadecimal(&id)),
        made: files::text(&facts.join("date")),
        serial: files::text(&facts.join("serial")),
        cid: files::text(&facts.join("cid")),
        size_bytes: files::number::<u64>(&block.join("size"))
            .map_or(0, |sectors| sectors.saturating_mul(512)),
        written_since_boot_bytes: files::text(&block.join("stat"))
            .and_then(|stat| stat.split_whitespace().nth(6)?.parse::<u64>().ok())
            .map(|sectors| sectors.saturating_mul(512)),
        written_ever_bytes: of_systems("lifetime_write_kbytes").map(|kib| kib.saturating_mul(1024)),
        errors: of_systems("errors_count").unwrap_or(0),
        life_used_percent: files::text(&facts.join("life_time")).and_then(|text| life_used(&text)),
        spare_low: files::text(&facts.join("pre_eol_info"))
            .and_then(|text| files::hexadecimal(&text))
            .is_some_and(|state| state >= 2),
        device,
    })
}

/// Two kinds of cells, each in tenths: `0x01 0x03` means that up to 30 % are used. Zero means not known.
fn life_used(text: &str) -> Option<u8> {
    let worst = text.split_whitespace().filter_map(files::hexadecimal).max()?;
    (worst > 0).then(|| u8::try_from(worst.saturating_mul(10).min(100)).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{board::tests::tree, sensors::mounts};

    const CARD: &[(&str, &str)] = &[
        ("proc/self/mountinfo", "1 0 179:2 / / rw - ext4 /dev/root rw\n"),
        (
            "sys/dev/block/179:2/uevent",
            "MAJOR=179\nMINOR=2\nDEVNAME=mmcblk0p2\n",
        ),
        ("sys/block/mmcblk0/mmcblk0p2/partition", "2\n"),
        ("sys/block/mmcblk0/size", "62333952\n"),
        (
            "sys/block/mmcblk0/stat",
            "  100 0 2000 30 400 50 6000 70 0 80 90\n",
        ),
        ("sys/block/mmcblk0/device/type", "SD\n"),
        ("sys/block/mmcblk0/device/name", "SC32G\n"),
        ("sys/block/mmcblk0/device/manfid", "0x000003\n"),
        ("sys/block/mmcblk0/device/date", "09/2023\n"),
        ("sys/block/mmcblk0/device/serial", "0x1234abcd\n"),
        (
            "sys/block/mmcblk0/device/cid",
            "035344534333324780abcdef12016900\n",
        ),
        ("sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", "1048576\n"),
        ("sys/fs/ext4/mmcblk0p2/errors_count", "3\n"),
        ("sys/fs/ext4/sda1/errors_count", "99\n"),
        ("sys/block/sda/sda1/partition", "1\n"),
    ];

    fn found(files: &[(&str, &str)]) -> Option<Storage> {
        let root = tree(files);
        let mounts = mounts::read(root.path());
        below(root.path(), mounts::holding(&mounts, Path::new("/var")))
    }

    #[test]
    fn a_card_tells_who_made_it_and_what_was_written_to_it() {
        let card = found(CARD).unwrap();
        assert_eq!(
            (card.device.as_str(), card.kind),
            ("mmcblk0", StorageKind::SdCard)
        );
        assert_eq!(
            (card.name.as_deref(), card.maker()),
            (Some("SC32G"), Some("SanDisk"))
        );
        assert_eq!(
            (card.made.as_deref(), card.serial.as_deref()),
            (Some("09/2023"), Some("0x1234abcd"))
        );
        assert_eq!(card.cid.as_deref(), Some("035344534333324780abcdef12016900"));
        assert_eq!(card.size_bytes, 31_914_983_424);
        assert_eq!(card.written_since_boot_bytes, Some(6000 * 512));
        assert_eq!(card.written_ever_bytes, Some(1 << 30));
        assert_eq!(
            (card.errors, card.life_used_percent, card.spare_low),
            (3, None, false)
        );
    }

    #[test]
    fn flash_on_the_board_tells_its_wear() {
        let emmc = found(&[
            ("sys/block/mmcblk0/device/type", "MMC\n"),
            ("sys/block/mmcblk0/device/life_time", "0x02 0x05\n"),
            ("sys/block/mmcblk0/device/pre_eol_info", "0x02\n"),
        ])
        .unwrap();
        assert_eq!(emmc.kind, StorageKind::Emmc);
        assert_eq!((emmc.life_used_percent, emmc.spare_low), (Some(50), true));
        assert_eq!(life_used("0x00 0x00"), None);
    }

    #[test]
    fn a_disk_by_usb_is_no_card() {
        let disk = found(&[
            ("proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"),
            ("sys/dev/block/8:1/uevent", "DEVNAME=sda1\n"),
            ("sys/block/sda/sda1/partition", "1\n"),
            ("sys/block/sda/device/model", "Portable SSD T5 \n"),
            ("sys/block/mmcblk0/device/type", "SD\n"),
        ])
        .unwrap();
        assert_eq!((disk.device.as_str(), disk.kind), ("sda", StorageKind::Disk));
        assert_eq!(disk.name.as_deref(), Some("Portable SSD T5"));
    }

    #[test]
    fn a_machine_without_a_card_has_none() {
        assert_eq!(found(&[]), None);
    }
}
