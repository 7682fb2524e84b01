//! What is on an image or a card, and whether it is whole.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::{
    fat::Fat,
    layout::{self, Part},
    tools,
};

/// What must be on the first partition so that a board starts.
const BOOT_FILES: &[&str] = &["bramble.toml", "cmdline.txt", "config.txt"];

/// What must be in the root.
const ROOT_FILES: &[&str] = &[
    "/etc/fstab",
    "/usr/bin/bramble-firstboot",
    "/usr/lib/bramble/bramble",
    "/usr/lib/bramble/builtin/functions",
    "/usr/lib/bramble/builtin/fwatchdog",
    "/usr/lib/systemd/system/bramble.service",
];

/// An opened image or card.
#[derive(Debug)]
pub struct Image {
    /// The file.
    pub file: File,
    /// Its partitions.
    pub parts: Vec<Part>,
}

impl Image {
    /// Opens an image or a card, for writing as well if `write`.
    ///
    /// # Errors
    /// When it cannot be opened, or is none of ours.
    pub fn open(path: &Path, write: bool) -> Result<Self> {
        if path.extension().is_some_and(|end| end == "xz") {
            bail!(
                "{0} is compressed; unpack it first: xz --decompress --keep {0}",
                path.display()
            );
        }
        let file = File::options()
            .read(true)
            .write(write)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let mut sector = [0; 512];
        (&file)
            .read_exact(&mut sector)
            .with_context(|| format!("{} is too short to be an image", path.display()))?;
        let parts = layout::read(&sector);
        if parts.len() < 2 || parts[0].kind != 0x0c {
            bail!(
                "{} is no image of a card: its first partition is not FAT",
                path.display()
            );
        }
        Ok(Self { file, parts })
    }

    /// The first partition.
    ///
    /// # Errors
    /// When its file system is damaged.
    pub fn fat(&self) -> Result<Fat<'_>> {
        Fat::open(&self.file, self.parts[0])
            .context("the first partition cannot be read: write the card again")
    }
}

/// What is on an image or a card, in words. Secrets are not shown.
///
/// # Errors
/// When it cannot be read.
pub fn inspect(path: &Path) -> Result<String> {
    let image = Image::open(path, false)?;
    let mut text = String::new();
    let names = [
        "boot and settings (FAT)",
        "system (read only)",
        "state and functions (grows)",
    ];
    for (number, (part, name)) in image.parts.iter().zip(names).enumerate() {
        text += &format!(
            "partition {}  {:>6} MiB  {name}\n",
            number + 1,
            part.length / layout::MIB
        );
    }
    let fat = image.fat()?;
    let files = fat.files()?;
    let used: u64 = files.iter().map(|(_, size)| size).sum();
    text += &format!("boot files    {} in {} MiB\n", files.len(), used / layout::MIB);
    let settings = fat.read("bramble.toml").unwrap_or_default();
    let (node, card) = appliance::card::split(&String::from_utf8_lossy(&settings));
    let (node, wrong) = api::settings::read(&node);
    let (card, wrong_card) = appliance::card::read(&card);
    let shown = |name: &str, value: Option<&str>| format!("{name:<14}{}\n", value.unwrap_or("(as usual)"));
    let secret = |there: bool| Some(if there { "set" } else { "none" });
    text += &shown("bramble", node.bramble.as_deref());
    text += &shown("portal", node.portal.as_deref());
    text += &shown("join key", secret(node.join_key.is_some()));
    text += &shown("first visit", secret(node.first_visit_code.is_some()));
    text += &shown("password", secret(node.admin_password_hash.is_some()));
    let wifi: Vec<_> = card
        .wifi
        .iter()
        .map(|wifi| String::from_utf8_lossy(&wifi.ssid))
        .collect();
    text += &shown(
        "Wi-Fi",
        Some(wifi.join(", ")).filter(|names| !names.is_empty()).as_deref(),
    );
    if let Some(made) = &card.access_point {
        text += &shown("makes Wi-Fi", Some(&String::from_utf8_lossy(&made.ssid)));
    }
    text += &shown("country", card.country.as_deref());
    text += &shown("time zone", card.time_zone.as_deref());
    text += &shown(
        "ssh",
        Some(if card.ssh_keys.is_empty() {
            "off"
        } else {
            "on, by key"
        }),
    );
    for complaint in wrong.iter().chain(&wrong_card) {
        text += &format!("to mend       {complaint}\n");
    }
    Ok(text)
}

/// What is wrong with an image or a card; empty when all is well.
///
/// # Errors
/// When it cannot be looked at.
pub fn check(path: &Path) -> Result<Vec<String>> {
    tools::check(&[("e2fsck", "e2fsprogs"), ("debugfs", "e2fsprogs")])?;
    let mut image = Image::open(path, false)?;
    let mut faults = Vec::new();
    let length = image.file.seek(SeekFrom::End(0))?;
    for (number, part) in image.parts.iter().enumerate() {
        if part.end() > length {
            faults.push(format!(
                "partition {} is cut off: the file is too short",
                number + 1
            ));
        }
    }
    if !faults.is_empty() {
        return Ok(faults);
    }
    let fat = image.fat()?;
    let files = fat.files()?;
    for wanted in BOOT_FILES {
        if !files.iter().any(|(name, _)| name == wanted) {
            faults.push(format!("{wanted} is not on the first partition"));
        }
    }
    if let Ok(line) = fat.read("cmdline.txt") {
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.trim_end().contains('\n') || !line.contains("root=") {
            faults.push("cmdline.txt must be one line that says root=".to_owned());
        }
    }
    for (number, part) in image.parts.iter().enumerate().skip(1) {
        let at = format!("{}?offset={}", path.display(), part.start);
        if let Err(error) = tools::run(tools::command("e2fsck").arg("-fn").arg(&at)) {
            faults.push(format!("partition {}: {error:#}", number + 1));
        }
    }
    if let Some(root) = image.parts.get(1) {
        let at = format!("{}?offset={}", path.display(), root.start);
        for file in ROOT_FILES {
            let told = tools::run(
                tools::command("debugfs")
                    .arg("-R")
                    .arg(format!("stat {file}"))
                    .arg(&at),
            )?;
            if !told.contains("Inode:") {
                faults.push(format!("{file} is not there"));
            }
        }
    }
    Ok(faults)
}
