//! A partition table whose last partition fills the card. Pure.

/// Less than this is not worth a write: 64 MiB, in sectors.
const WORTH_IT: u32 = 64 * 2048;

/// Bytes of the table's entries within the first sector, and of one entry.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;

/// The first sector with the third partition grown to a card of `sectors` sectors, or `None` when there is nothing to gain
/// or it is not a table of ours.
pub fn grown(first_sector: &[u8; 512], sectors: u64) -> Option<[u8; 512]> {
    if first_sector[510..] != [0x55, 0xaa] {
        return None;
    }
    let number = |at: usize| {
        let bytes = first_sector.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let last = ENTRIES + 2 * ENTRY;
    let (start, length) = (number(last + 8)?, number(last + 12)?);
    // The fourth entry must be unused.
    if start == 0 || number(last + ENTRY + 12)? != 0 {
        return None;
    }
    // The table counts to 2 TiB; whole MiB only.
    let end = u32::try_from(sectors).unwrap_or(u32::MAX) / 2048 * 2048;
    let wanted = end.checked_sub(start)?;
    if wanted < length.saturating_add(WORTH_IT) {
        return None;
    }
    let mut table = *first_sector;
    table[last + 12..last + 16].copy_from_slice(&wanted.to_le_bytes());
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(start: u32, length: u32) -> [u8; 512] {
        let mut table = [0; 512];
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        table[ENTRIES + 2 * ENTRY + 8..][..4].copy_from_slice(&start.to_le_bytes());
        table[ENTRIES + 2 * ENTRY + 12..][..4].copy_from_slice(&length.to_le_bytes());
        table
    }

    #[test]
    fn the_last_partition_grows_to_the_end_of_the_card_once() {
        let grown_once = grown(&table(1_000_000, 200_000), 31_116_288).unwrap();
        assert_eq!(grown_once, table(1_000_000, 31_116_288 / 2048 * 2048 - 1_000_000));
        assert_eq!(grown(&grown_once, 31_116_288), None);
    }

    #[test]
    fn tables_that_are_not_ours_stay_as_they_are() {
        let mut four = table(1_000_000, 200_000);
        four[ENTRIES + 3 * ENTRY + 12] = 1;
        assert_eq!(grown(&four, 31_116_288), None);
        assert_eq!(grown(&[0; 512], 31_116_288), None);
        assert_eq!(grown(&table(1_000_000, 200_000), 1_000), None);
    }

    #[test]
    fn cards_beyond_two_tebibytes_are_used_as_far_as_the_table_counts() {
        assert!(grown(&table(1_000_000, 200_000), u64::MAX).is_some());
    }
}
