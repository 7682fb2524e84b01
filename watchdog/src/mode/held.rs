//! Answers that are held until it is known how their process ended, which the status depends on.
//!
//! Small ones are ordinary memory. Large ones go to a file that exists in memory only: what was sent of it is given back to
//! the system at once, to the page, where freed memory may stay with the process for good. All large answers together have
//! a limit, because a system without memory ends whole replicas.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::process::Resource;

/// In which pieces an answer is sent, and after how many bytes sent their memory is given back.
const PIECE: u64 = 64 * 1024;
const GIVE_BACK: u64 = 1024 * 1024;

/// The memory for large answers.
pub(super) struct Room {
    most: u64,
    taken: Cell<u64>,
}

/// Why an answer cannot be held.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRoom {
    /// All the room there is, in bytes.
    #[error("there is room for {0} bytes")]
    Full(u64),
    #[error("there is no file in memory")]
    NoFile(#[source] io::Error),
}

impl Room {
    /// With room for this many bytes.
    pub(super) fn new(most: u64) -> Rc<Self> {
        let taken = Cell::default();
        Rc::new(Self { most, taken })
    }

    /// As much as this machine, or the container around this process, can spare.
    pub(super) fn of_machine() -> Rc<Self> {
        let system = rustix::system::sysinfo();
        // As wide as the machine's own numbers times 32 bits.
        let machine = u128::from(system.totalram) * u128::from(system.mem_unit);
        let machine = u64::try_from(machine).unwrap_or(u64::MAX);
        // Of containers, with either version of control groups, and of replicas that are plain processes.
        let of_container = [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ]
        .map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
        let of_process = rustix::process::getrlimit(Resource::Data).current;
        let limits = of_container.into_iter().chain([of_process]).flatten();
        Self::new(share(machine, limits))
    }
}

/// A quarter of the machine's memory, or half of what this process may have.
fn share(machine: u64, limits: impl Iterator<Item = u64>) -> u64 {
    limits.map(|limit| limit / 2).fold(machine / 4, u64::min)
}

/// A large answer.
pub(crate) struct Held {
    file: File,
    room: Rc<Room>,
    written: u64,
    sent: u64,
    given_back: u64,
}

impl Held {
    pub(super) fn new(room: &Rc<Room>) -> Result<Self, NoRoom> {
        let made = rustix::fs::memfd_create("answer", MemfdFlags::CLOEXEC);
        Ok(Self {
            file: made.map_err(|error| NoRoom::NoFile(error.into()))?.into(),
            room: room.clone(),
            written: 0,
            sent: 0,
            given_back: 0,
        })
    }

    /// Adds to it, before anything is sent of it.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), NoRoom> {
        let (most, taken) = (self.room.most, self.room.taken.get());
        let more = piece.len() as u64;
        if more > most.saturating_sub(taken) {
            return Err(NoRoom::Full(most));
        }
        self.room.taken.set(taken + more);
        self.written += more;
        self.file.write_all(piece).map_err(NoRoom::NoFile)
    }

    /// From here on it is sent.
    pub(super) fn finished(mut self) -> Result<Self, NoRoom> {
        self.file.rewind().map_err(NoRoom::NoFile)?;
        Ok(self)
    }

    /// How much has not been sent.
    pub(crate) fn left(&self) -> u64 {
        self.written - self.sent
    }

    /// The next piece to send; `None` at the end.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let most = self.left().min(PIECE);
        if most == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(most as usize).writer();
        self.sent += io::copy(&mut (&self.file).take(most), &mut piece)?;
        if self.sent - self.given_back >= GIVE_BACK {
            self.give_back();
        }
        Ok(Some(piece.into_inner().freeze()))
    }

    /// Gives back the memory of what was sent. Where the system cannot, it is given back at the end.
    fn give_back(&mut self) {
        let (from, length) = (self.given_back, self.sent - self.given_back);
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.file, how, from, length).is_ok() {
            self.given_back = self.sent;
            self.room.taken.update(|taken| taken - length);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let rest = self.written - self.given_back;
        self.room.taken.update(|taken| taken - rest);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn what_was_held_is_sent_as_it_was() {
        let room = Room::new(10 * MIB);
        let whole: Vec<u8> = (0..1_300_000_u32)
            .map(|at| at.to_le_bytes()[at as usize % 3])
            .collect();
        let mut held = Held::new(&room).unwrap();
        for piece in whole.chunks(70_001) {
            held.add(piece).unwrap();
        }
        let mut held = held.finished().unwrap();
        let mut sent = Vec::new();
        while let Some(piece) = held.next_piece().unwrap() {
            assert!(piece.len() as u64 <= PIECE);
            sent.extend_from_slice(&piece);
        }

        assert!(sent == whole);
        assert_eq!(held.left(), 0);
    }

    #[test]
    fn memory_is_given_back_while_it_is_sent() {
        let room = Room::new(10 * MIB);
        let mut held = Held::new(&room).unwrap();
        held.add(&vec![1; 4 * 1024 * 1024]).unwrap();
        let mut held = held.finished().unwrap();
        let in_memory = |held: &Held| held.file.metadata().unwrap().blocks() * 512;
        assert_eq!(in_memory(&held), 4 * MIB);

        while held.left() > MIB {
            held.next_piece().unwrap();
        }

        assert_eq!((in_memory(&held), room.taken.get()), (MIB, MIB));
        drop(held);
        assert_eq!(room.taken.get(), 0);
    }

    #[test]
    fn all_answers_together_have_the_room_there_is() {
        let room = Room::new(10);
        let (mut one, mut other) = (Held::new(&room).unwrap(), Held::new(&room).unwrap());
        one.add(b"123456").unwrap();
        assert!(matches!(other.add(b"12345"), Err(NoRoom::Full(10))));

        drop(one);

        other.add(b"12345").unwrap();
        other.add(b"12345").unwrap();
        assert!(other.add(b"1").is_err());
    }

    #[test]
    fn answers_get_a_quarter_of_the_machine_or_half_of_what_a_replica_may_have() {
        assert_eq!(share(1000, [].into_iter()), 250);
        assert_eq!(share(1000, [u64::MAX, 900].into_iter()), 250);
        assert_eq!(share(1000, [u64::MAX, 128].into_iter()), 64);
    }
}
