//! The first partition of an image or a card, read and written without mounting it.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use fatfs::{Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions};

use crate::layout::{Part, SECTOR};

/// One partition of a larger file.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    part: Part,
    at: u64,
}

impl<'a> Window<'a> {
    /// The bytes of `part` in `file`.
    pub fn new(file: &'a File, part: Part) -> Self {
        Self { file, part, at: 0 }
    }

    fn room(&self, wanted: usize) -> usize {
        let left = self.part.length.saturating_sub(self.at);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }

    fn place(&self) -> io::Result<&'a File> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.part.start + self.at))?;
        Ok(file)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let room = self.room(bytes.len());
        let read = self.place()?.read(&mut bytes[..room])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room(bytes.len());
        let written = self.place()?.write(&bytes[..room])?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.part.length.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// An open FAT partition.
pub struct Fat<'a>(FileSystem<Window<'a>>);

impl std::fmt::Debug for Fat<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fat").finish()
    }
}

impl<'a> Fat<'a> {
    /// Makes an empty file system in `part`. The same bytes each time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn format(file: &'a File, part: Part) -> io::Result<Self> {
        let sectors = u32::try_from(part.length / SECTOR).map_err(io::Error::other)?;
        // FAT32 needs more clusters than 256 MiB have in the usual size; 512 MiB would be wasted.
        let options = FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_cluster(1024)
            .total_sectors(sectors)
            .volume_id(crate::layout::LABEL_ID)
            .volume_label(*b"BRAMBLE    ");
        fatfs::format_volume(Window::new(file, part), options)?;
        Self::open(file, part)
    }

    /// Opens the file system in `part`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(file: &'a File, part: Part) -> io::Result<Self> {
        FileSystem::new(Window::new(file, part), FsOptions::new()).map(Self)
    }

    /// Writes a file, in place of one that is there; folders are made.
    ///
    /// # Errors
    /// When there is no room.
    pub fn write(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let mut folder = self.0.root_dir();
        let mut parts = path.split('/').peekable();
        while let Some(name) = parts.next() {
            if parts.peek().is_some() {
                folder = folder.create_dir(name)?;
                continue;
            }
            let mut file = folder.create_file(name)?;
            file.truncate()?;
            file.write_all(content)?;
            file.flush()?;
        }
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.0.root_dir().open_file(path)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// All files with their sizes, in the order of their paths.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        list(&self.0.root_dir(), "", &mut found)?;
        found.sort();
        Ok(found)
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn free(&self) -> io::Result<u64> {
        let stats = self.0.stats()?;
        Ok(u64::from(stats.free_clusters()) * u64::from(stats.cluster_size()))
    }

    /// Ends writing.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub fn close(self) -> io::Result<()> {
        self.0.unmount()
    }
}

fn list(folder: &Dir<'_, Window<'_>>, prefix: &str, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in folder.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{prefix}{name}");
        match entry.is_dir() {
            true => list(&entry.to_dir(), &format!("{path}/"), found)?,
            false => found.push((path, entry.len())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn what_is_written_is_read_and_the_rest_of_the_card_is_left_alone() {
        let file = tempfile::tempfile().unwrap();
        let [part, root, _] = layout::plan(layout::MIB, layout::MIB);
        file.set_len(root.end()).unwrap();
        let fat = Fat::format(&file, part).unwrap();
        fat.write("bramble.toml", b"a long first text").unwrap();
        fat.write("bramble.toml", b"short").unwrap();
        fat.write("overlays/README", b"x").unwrap();
        assert_eq!(fat.read("bramble.toml").unwrap(), b"short");
        assert_eq!(
            fat.files().unwrap(),
            [("bramble.toml".to_owned(), 5), ("overlays/README".to_owned(), 1)]
        );
        fat.close().unwrap();

        let mut before = vec![1; usize::try_from(part.start).unwrap()];
        (&file).seek(SeekFrom::Start(0)).unwrap();
        (&file).read_exact(&mut before).unwrap();
        assert!(before.iter().all(|byte| *byte == 0));
    }
}
