//! The partitions of a card. Pure: the table as bytes, and read back.
//!
//! | part | file system | mounted | written |
//! | --- | --- | --- | --- |
//! | 1, 256 MiB | FAT | `/boot/firmware` | settings by people, the status by the Pi |
//! | 2 | ext4 | `/`, read only | never |
//! | 3, to the end of the card | ext4 | `/var` | state of the node, Docker's images |

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Partitions begin and end at multiples of this.
pub const MIB: u64 = 1024 * 1024;
/// Where the first partition starts.
pub const START: u64 = 4 * MIB;
/// Bytes of the first partition.
pub const FAT_BYTES: u64 = 256 * MIB;
/// Names the card, and with -01 to -03 its partitions, from the first start on.
pub const LABEL_ID: u32 = 0x5049_434c;

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its kind, as the table has it: 0x0c is FAT32, 0x83 Linux.
    pub kind: u8,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

impl Part {
    /// The byte after it.
    pub fn end(self) -> u64 {
        self.start + self.length
    }
}

/// The three partitions for a root and a `/var` of these sizes in bytes.
pub fn plan(root: u64, var: u64) -> [Part; 3] {
    let fat = Part {
        kind: 0x0c,
        start: START,
        length: FAT_BYTES,
    };
    let root = Part {
        kind: 0x83,
        start: fat.end(),
        length: root.next_multiple_of(MIB),
    };
    let var = Part {
        kind: 0x83,
        start: root.end(),
        length: var.next_multiple_of(MIB),
    };
    [fat, root, var]
}

/// The first sector of a card with these partitions.
pub fn table(parts: &[Part; 3]) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[440..444].copy_from_slice(&LABEL_ID.to_le_bytes());
    for (part, entry) in parts.iter().zip(sector[446..510].chunks_exact_mut(16)) {
        let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).expect("images are smaller than 2 TiB");
        if part.kind == 0x0c {
            entry[0] = 0x80;
        }
        // Cylinders and heads say "ask the numbers below".
        entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[4] = part.kind;
        entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[8..12].copy_from_slice(&sectors(part.start).to_le_bytes());
        entry[12..16].copy_from_slice(&sectors(part.length).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// The partitions in a first sector, empty when there is no table.
pub fn read(sector: &[u8; 512]) -> Vec<Part> {
    if sector[510..] != [0x55, 0xaa] {
        return Vec::new();
    }
    let number = |bytes: &[u8]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    sector[446..510]
        .chunks_exact(16)
        .filter(|entry| entry[4] != 0)
        .map(|entry| Part {
            kind: entry[4],
            start: number(&entry[8..12]) * SECTOR,
            length: number(&entry[12..16]) * SECTOR,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_planned() {
        let parts = plan(500 * MIB + 1, 90 * MIB);
        assert_eq!(read(&table(&parts)), parts);
        assert_eq!(parts[1].length, 501 * MIB);
        assert_eq!(read(&[0; 512]), []);
    }

    #[test]
    fn no_two_partitions_overlap() {
        let [fat, root, var] = plan(MIB, MIB);
        assert!(fat.end() <= root.start && root.end() <= var.start);
    }
}
