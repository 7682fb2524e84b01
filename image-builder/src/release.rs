//! What lies beside an image: sums, a manifest for Raspberry Pi Imager, a bill of materials, a block map.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{arch::Arch, layout::SECTOR};

/// A hash in the usual letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Size and SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sum(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hash = Sha256::new();
    let (mut size, mut block) = (0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((size, hex(&hash.finalize())));
        }
        size += read as u64;
        hash.update(&block[..read]);
    }
}

/// An image and its compressed form, as Imager wants to know them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which boards.
    pub arch: Arch,
    /// Of the program.
    pub version: String,
    /// Where the compressed image is found, beside the manifest or by URL.
    pub url: String,
    /// YYYY-MM-DD.
    pub date: String,
    /// Bytes and SHA-256 of the image.
    pub image: (u64, String),
    /// Bytes and SHA-256 of the compressed image.
    pub download: (u64, String),
}

/// A `.rpi-imager-manifest`: with it Imager offers the image for the boards that it fits, and its settings page.
pub fn manifest(facts: &Facts) -> Value {
    let (tags, architecture) = facts.arch.imager();
    let device = |tag: &&str| {
        let board = match tag.as_bytes()[2] {
            b'4' => "Raspberry Pi 4 and 400",
            b'3' => "Raspberry Pi 3 and Zero 2 W",
            _ if facts.arch == Arch::Arm64 => "Raspberry Pi 2 B v1.2",
            _ => "Raspberry Pi 2 B v1.1",
        };
        json!({
            "name": board, "description": board, "tags": [tag], "icon": "", "matching_type": "exclusive",
            "architecture": architecture,
        })
    };
    json!({
        "imager": { "devices": tags.iter().map(device).collect::<Vec<_>>() },
        "os_list": [{
            "name": format!("Bramble {} ({})", facts.version, facts.arch.name()),
            "description": format!("One serverless computer of many Pis. For {}", facts.arch.boards()),
            "icon": "",
            "url": facts.url,
            "extract_size": facts.image.0,
            "extract_sha256": facts.image.1,
            "image_download_size": facts.download.0,
            "image_download_sha256": facts.download.1,
            "release_date": facts.date,
            "devices": tags,
            // The first start reads user-data and network-config, without cloud-init being there.
            "init_format": "cloudinit",
            "architecture": architecture,
        }],
    })
}

/// A bill of materials in SPDX 2.3, from dpkg's list of what is installed.
pub fn bill(facts: &Facts, dpkg_status: &str) -> Value {
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-bramble", "name": "bramble", "versionInfo": facts.version,
        "downloadLocation": "NOASSERTION", "licenseDeclared": "Apache-2.0 OR MIT",
    })];
    for (name, version) in installed(dpkg_status) {
        packages.push(json!({
            "SPDXID": format!("SPDXRef-deb-{}", name.replace('+', "-plus")),
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                "referenceLocator": format!("pkg:deb/debian/{name}@{version}?arch={}", facts.arch.name()),
            }],
        }));
    }
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("bramble-{}-{}", facts.version, facts.arch.name()),
        "documentNamespace": format!("urn:sha256:{}", facts.image.1),
        "creationInfo": { "created": format!("{}T00:00:00Z", facts.date), "creators": ["Tool: bramble-image"] },
        "packages": packages,
    })
}

/// Packages with their versions, from dpkg's status file.
pub fn installed(dpkg_status: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = dpkg_status
        .split("\n\n")
        .filter_map(|entry| {
            let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
            Some((field("Package: ")?, field("Version: ")?))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Bytes of a block of the map.
const BLOCK: u64 = 4096;

/// A block map, as bmaptool reads it: which parts of the image are not all zeros, with their sums.
///
/// # Errors
/// When the image cannot be read.
pub fn block_map(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut ranges, mut mapped, mut at) = (String::new(), 0_u64, 0_u64);
    let mut open: Option<(u64, Sha256)> = None;
    let close = |open: &mut Option<(u64, Sha256)>, end: u64, ranges: &mut String| {
        if let Some((first, hash)) = open.take() {
            let last = end - 1;
            let sum = hex(&hash.finalize());
            *ranges += &match first == last {
                true => format!("    <Range chksum=\"{sum}\"> {first} </Range>\n"),
                false => format!("    <Range chksum=\"{sum}\"> {first}-{last} </Range>\n"),
            };
        }
    };
    let mut block = vec![0; usize::try_from(BLOCK)?];
    loop {
        let read = fill(&mut file, &mut block)?;
        if read == 0 {
            break;
        }
        match block[..read].iter().all(|byte| *byte == 0) {
            true => close(&mut open, at, &mut ranges),
            false => {
                mapped += 1;
                open.get_or_insert_with(|| (at, Sha256::new()))
                    .1
                    .update(&block[..read]);
            }
        }
        at += 1;
    }
    close(&mut open, at, &mut ranges);
    let text = |sum: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n  <ImageSize> {size} </ImageSize>\n  <BlockSize> {BLOCK} </BlockSize>\n  <BlocksCount> {} </BlocksCount>\n  <MappedBlocksCount> {mapped} </MappedBlocksCount>\n  <ChecksumType> sha256 </ChecksumType>\n  <BmapFileChecksum> {sum} </BmapFileChecksum>\n  <BlockMap>\n{ranges}  </BlockMap>\n</bmap>\n",
            size.div_ceil(BLOCK)
        )
    };
    // The map's own sum is made with zeros in its place.
    let own = hex(&Sha256::digest(text(&"0".repeat(64)).as_bytes()));
    Ok(text(&own))
}

fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A day as YYYY-MM-DD, from seconds since 1970.
pub fn day(seconds: u64) -> String {
    // Days since the first of March of the year 0, in eras of 400 years.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{date:02}", era * 400 + year + next)
}

/// Whether a size is one that Imager takes.
pub fn is_whole(size: u64) -> bool {
    size > 0 && size.is_multiple_of(SECTOR)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn facts(arch: Arch) -> Facts {
        Facts {
            arch,
            version: "0.1.0".to_owned(),
            url: "bramble.img.xz".to_owned(),
            date: day(crate::base::EPOCH),
            image: (1024, "a".to_owned()),
            download: (512, "b".to_owned()),
        }
    }

    #[test]
    fn every_board_of_an_entry_is_one_that_the_manifest_knows() {
        for arch in [Arch::Arm64, Arch::Armhf] {
            let manifest = manifest(&facts(arch));
            let known: Vec<&Value> = manifest["imager"]["devices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|device| &device["tags"][0])
                .collect();
            for tag in manifest["os_list"][0]["devices"].as_array().unwrap() {
                assert!(known.contains(&tag), "{tag}");
            }
            assert_eq!(manifest["os_list"][0]["release_date"], "2025-12-01");
        }
    }

    #[test]
    fn days_are_counted_as_calendars_do() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_767_225_599), "2025-12-31");
    }

    #[test]
    fn the_bill_names_every_package_with_its_version() {
        let bill = bill(
            &facts(Arch::Arm64),
            "Package: zlib\nStatus: x\nVersion: 1.3\n\nPackage: g++\nVersion: 4\n",
        );
        assert_eq!(bill["packages"][1]["name"], "g++");
        assert_eq!(
            bill["packages"][2]["externalRefs"][0]["referenceLocator"],
            "pkg:deb/debian/zlib@1.3?arch=arm64"
        );
    }

    #[test]
    fn the_block_map_leaves_out_what_is_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 5 * 4096];
        bytes[4096] = 1;
        bytes[2 * 4096] = 1;
        bytes[4 * 4096] = 1;
        fs::write(file.path(), bytes).unwrap();
        let map = block_map(file.path()).unwrap();
        assert!(
            map.contains("> 1-2 </Range>") && map.contains("> 4 </Range>"),
            "{map}"
        );
        assert!(map.contains("<MappedBlocksCount> 3 <"));
    }
}
