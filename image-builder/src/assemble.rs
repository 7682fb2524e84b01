//! An image file from a Debian system and an overlay: no mounts, no loop devices.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::{
    base::EPOCH,
    fat::Fat,
    layout::{self, MIB, Part},
    tools,
    tree::{Entry, Tree},
};

/// What every file needs besides its bytes, so that a file system is large enough: an inode, and half a block at its end.
const PER_FILE: u64 = 256 + 2048;

/// Makes the image `out` from the tar file `base` and `overlay`, with `work` as an empty folder to work in.
///
/// # Errors
/// When something does not fit or a tool fails.
pub fn assemble(base: &Path, overlay: &Tree, work: &Path, out: &Path) -> Result<()> {
    let root = work.join("root");
    fs::create_dir_all(&root)?;
    let mut tar = tools::command("tar");
    tar.args([
        "--extract",
        "--numeric-owner",
        "--same-owner",
        "--preserve-permissions",
    ])
    .args([
        "--xattrs",
        "--xattrs-include=*",
        "--exclude=./dev/*",
        "--exclude=dev/*",
        "--file",
    ])
    .arg(base)
    .arg("--directory")
    .arg(&root);
    tools::run(&mut tar).context("the Debian system cannot be unpacked")?;
    lay_over(overlay, &root)?;

    // The two file systems are filled from folders of their own.
    let var = work.join("var");
    if root.join("var").exists() {
        fs::rename(root.join("var"), &var)?;
    } else {
        fs::create_dir_all(&var)?;
    }
    fs::create_dir(root.join("var"))?;
    let boot = work.join("firmware");
    fs::rename(root.join("boot/firmware"), &boot).context("the system has no boot/firmware")?;
    fs::create_dir(root.join("boot/firmware"))?;

    // The root is never written, so little room is lost; /var fills the card at the first start.
    let parts = layout::plan(room(&root, 10)? + 24 * MIB, room(&var, 10)? + 64 * MIB);
    let mut image = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(out)?;
    image.set_len(parts[2].end())?;
    image.rewind()?;
    image.write_all(&layout::table(&parts))?;
    let fat = Fat::format(&image, parts[0])?;
    fill(&fat, &boot, "").context("the boot files do not fit the first partition")?;
    fat.close()?;
    image.sync_all()?;
    ext4(out, parts[1], &root, "bramble-root", 2)?;
    ext4(out, parts[2], &var, "bramble-var", 3)?;
    Ok(())
}

/// Puts the overlay's entries below `root`.
fn lay_over(overlay: &Tree, root: &Path) -> Result<()> {
    for (path, entry) in &overlay.0 {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let made = match entry {
            Entry::File(mode, content) => {
                // Not through a link that the system has there.
                _ = fs::remove_file(&path);
                fs::write(&path, content)
                    .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(*mode)))
            }
            Entry::Link(target) => {
                _ = fs::remove_file(&path);
                symlink(target, &path)
            }
            Entry::Dir(mode) => fs::create_dir_all(&path)
                .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(*mode))),
        };
        made.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Bytes for the files below `folder`, and so many hundredths more.
fn room(folder: &Path, more: u64) -> Result<u64> {
    fn add(folder: &Path, sum: &mut u64) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            *sum += facts.size() + PER_FILE;
            if facts.is_dir() {
                add(&entry.path(), sum)?;
            }
        }
        Ok(())
    }
    let mut sum = 0;
    add(folder, &mut sum)?;
    Ok(sum / 100 * (100 + more))
}

fn fill(fat: &Fat<'_>, folder: &Path, prefix: &str) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    // The order in which files are written is the order in which they lie there.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else {
            bail!("{} has a name that FAT cannot keep", entry.path().display());
        };
        let path = format!("{prefix}{name}");
        match entry.file_type()?.is_dir() {
            true => fill(fat, &entry.path(), &format!("{path}/"))?,
            false => fat.write(&path, &fs::read(entry.path())?)?,
        }
    }
    Ok(())
}

/// Fills one partition with the files of `folder`. The same files give the same bytes.
fn ext4(image: &Path, part: Part, folder: &Path, label: &str, number: u8) -> Result<()> {
    let uuid = format!("5049434c-0000-4000-8000-00000000000{number}");
    let at = format!("{}?offset={}", image.display(), part.start);
    let mut make = tools::command("mke2fs");
    make.args([
        "-q", "-F", "-t", "ext4", "-L", label, "-U", &uuid, "-m", "1", "-b", "4096", "-I", "256",
    ])
    .args(["-O", "^orphan_file,^metadata_csum_seed"])
    .args([
        "-E",
        &format!(
            "offset={},hash_seed={uuid},lazy_itable_init=0,lazy_journal_init=0",
            part.start
        ),
    ])
    .arg("-d")
    .arg(folder)
    .arg(image)
    .arg(format!("{}k", part.length / 1024))
    .env("E2FSPROGS_FAKE_TIME", EPOCH.to_string())
    .env("SOURCE_DATE_EPOCH", EPOCH.to_string());
    tools::run(&mut make)?;

    // Older mke2fs takes over when each file was made here, which nothing can set. So every inode is told the same time.
    let mut script = String::new();
    for inode in used_inodes(&tools::run(tools::command("dumpe2fs").arg(&at))?) {
        for time in ["atime", "ctime", "mtime", "crtime"] {
            script += &format!("sif <{inode}> {time} @{EPOCH}\n");
        }
        for extra in ["atime_extra", "ctime_extra", "mtime_extra", "crtime_extra"] {
            script += &format!("sif <{inode}> {extra} 0\n");
        }
    }
    let commands = folder.with_extension("debugfs");
    fs::write(&commands, script)?;
    let mut debugfs = tools::command("debugfs");
    debugfs
        .arg("-w")
        .arg("-f")
        .arg(&commands)
        .arg(&at)
        .env("E2FSPROGS_FAKE_TIME", EPOCH.to_string());
    tools::run(&mut debugfs)?;
    Ok(())
}

/// The inodes in use, from what dumpe2fs tells of each group: its inodes, and which of them are free.
fn used_inodes(told: &str) -> Vec<u32> {
    let header = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u32>().ok()
    };
    let count = header("Inode count:").unwrap_or(0);
    let mut free = vec![false; count as usize + 1];
    for line in told.lines() {
        let Some(ranges) = line.trim_start().strip_prefix("Free inodes:") else {
            continue;
        };
        for range in ranges.split(',').map(str::trim) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
                free.iter_mut()
                    .take(last + 1)
                    .skip(first)
                    .for_each(|free| *free = true);
            }
        }
    }
    // 2 is the root; 1 and 3 to 10 are the file system's own.
    (2..=count)
        .filter(|inode| !free[*inode as usize] && (*inode == 2 || *inode > 10))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inodes_in_use_are_those_that_are_not_free() {
        let told = "Inode count:              32\nGroup 0: (Blocks 0-9)\n  Free blocks: 7-9\n  Free inodes: 13, 15-16\nGroup 1:\n  Free inodes: 18-32\n";
        assert_eq!(used_inodes(told), [2, 11, 12, 14, 17]);
    }
}
