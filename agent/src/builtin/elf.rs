//! Whether a file is a program that runs in an empty image.

use api::Platform;

/// Why a file does not run in an empty image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// No program at all, or a damaged one.
    #[error("it is no ELF program")]
    NotElf,
    /// It asks for a dynamic loader.
    #[error("it needs the loader {0}, which an empty image does not have")]
    Dynamic(String),
    /// Made for a processor that no node has.
    #[error("it is made for an unknown processor ({0})")]
    Machine(u16),
}

const PT_LOAD: u64 = 1;
const PT_INTERP: u64 = 3;

/// What the static program `bytes` runs on.
///
/// # Errors
/// [`ElfError`] where it is no program, or not static.
pub(super) fn check_static(bytes: &[u8]) -> Result<Platform, ElfError> {
    let elf = Elf::open(bytes).ok_or(ElfError::NotElf)?;
    if let Some(loader) = elf.loader().ok_or(ElfError::NotElf)? {
        return Err(ElfError::Dynamic(loader));
    }
    match elf.number(18, 2).and_then(|machine| u16::try_from(machine).ok()) {
        Some(3) => Ok(Platform::new("linux", "386", "")),
        Some(40) => Ok(Platform::new("linux", "arm", "v7")),
        Some(62) => Ok(Platform::new("linux", "amd64", "")),
        Some(183) => Ok(Platform::new("linux", "arm64", "")),
        Some(243) => Ok(Platform::new("linux", "riscv64", "")),
        Some(other) => Err(ElfError::Machine(other)),
        None => Err(ElfError::NotElf),
    }
}

/// Largest memory pages that the program whose beginning is `bytes` can be loaded with, where that can be told.
pub(crate) fn page_bytes(bytes: &[u8]) -> Option<u32> {
    Elf::open(bytes)?.page_bytes()
}

/// A little-endian ELF file, as all our platforms are.
struct Elf<'a> {
    bytes: &'a [u8],
    is_64: bool,
}

impl<'a> Elf<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(..6)? {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), 1] => Some(Self {
                bytes,
                is_64: *class == 2,
            }),
            _ => None,
        }
    }

    fn number(&self, offset: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(size)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn place(&self, offset: usize, size: usize) -> Option<usize> {
        usize::try_from(self.number(offset, size)?).ok()
    }

    /// Where each entry of the table of segments begins; `None` where the file is cut off.
    fn segments(&self) -> Option<Vec<usize>> {
        let (table, entry_size, entries, word) = if self.is_64 {
            (32, 54, 56, 8)
        } else {
            (28, 42, 44, 4)
        };
        let table = self.place(table, word)?;
        let (entry_size, entries) = (self.place(entry_size, 2)?, self.place(entries, 2)?);
        (0..entries)
            .map(|entry| table.checked_add(entry.checked_mul(entry_size)?))
            .collect()
    }

    /// The smallest alignment of what is loaded: pages must not be larger.
    fn page_bytes(&self) -> Option<u32> {
        let mut smallest = None;
        for at in self.segments()? {
            if self.number(at, 4)? != PT_LOAD {
                continue;
            }
            let (offset, word) = if self.is_64 { (48, 8) } else { (28, 4) };
            let alignment = u32::try_from(self.number(at.checked_add(offset)?, word)?).ok()?;
            smallest = Some(smallest.map_or(alignment, |smallest: u32| smallest.min(alignment)));
        }
        smallest.filter(|smallest| smallest.is_power_of_two())
    }

    /// The dynamic loader that it asks for; `None` where the file is cut off.
    fn loader(&self) -> Option<Option<String>> {
        let word = if self.is_64 { 8 } else { 4 };
        for at in self.segments()? {
            if self.number(at, 4)? != PT_INTERP {
                continue;
            }
            let (offset, length) = if self.is_64 { (8, 32) } else { (4, 16) };
            let start = self.place(at.checked_add(offset)?, word)?;
            let end = start.checked_add(self.place(at.checked_add(length)?, word)?)?;
            let text = String::from_utf8_lossy(self.bytes.get(start..end)?);
            return Some(Some(text.trim_end_matches('\0').to_owned()));
        }
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_refused_and_never_a_panic() {
        assert_eq!(check_static(b"#!/bin/sh\n"), Err(ElfError::NotElf));
        let shell = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for cut in 0..200 {
            assert!(check_static(&shell[..cut]).is_err());
        }
    }

    #[test]
    fn a_program_with_a_loader_is_refused_by_name() {
        // This very test program is an ordinary, dynamic one.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        match check_static(&own) {
            Err(ElfError::Dynamic(loader)) => assert!(loader.contains("ld-"), "{loader}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_tells_with_which_memory_pages_it_can_run() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let pages = page_bytes(&own[..64 << 10]).unwrap();
        assert!(pages >= 4096 && pages.is_power_of_two(), "{pages}");
        assert_eq!(page_bytes(b"#!/bin/sh\n"), None);
        for cut in 0..200 {
            _ = page_bytes(&own[..cut]);
        }
    }
}
