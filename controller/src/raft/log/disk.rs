//! The few things that the room asks of a disk, and the real one: files in one directory.
//!
//! Everything here is synchronous and may take long: on an SD card a sync can stall for seconds. What calls it does
//! so from a thread of its own, unless [`Disk::stalls`] says that it need not.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A flat directory of files. Nothing is safe from a power cut before it was synced: bytes by [`DiskFile::sync`],
/// names (created, renamed, removed) by [`Disk::sync_names`].
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A new, empty file; one of that name must not exist.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, to change it.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, replacing the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes every change of names so far safe.
    fn sync_names(&self) -> io::Result<()>;
    /// Whether calls may take long, so that they belong on a thread of their own. Not so in a simulation, where
    /// another thread would make time and order depend on luck.
    fn stalls(&self) -> bool {
        true
    }
    /// How long the next batch takes by tokio's clock, on a slow disk in a simulation; `None` on every other disk.
    fn simulated_delay(&self) -> Option<Duration> {
        None
    }
}

/// One file of a [`Disk`], open for writing.
pub trait DiskFile: Send {
    /// Writes `bytes` at `offset`; beyond the end the file grows.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Makes everything written so far safe.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of a real file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    dir: PathBuf,
}

impl RealDisk {
    /// The directory `dir`, created where it does not exist.
    ///
    /// # Errors
    /// Where it can be neither found nor created.
    pub fn new(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Keeps every other process away from this directory for as long as the answer lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another process has it.
    pub fn lock(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.dir.join(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(self.dir.join(name))?,
        ))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(
            OpenOptions::new().write(true).open(self.dir.join(name))?,
        ))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: also safe when the file grew, and without a journal write when it did not.
        self.sync_data()
    }
}
