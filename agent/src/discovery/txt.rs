//! An announcement as the TXT record of `_bramble._tcp`, and back. Written by strangers: everything is checked, and what
//! does not fit is nobody.

use api::{
    Memory,
    join::{Announcement, Role, Standing},
};

/// Version of the record. Another one is not looked at.
const VERSION: &str = "1";

/// Longest text that is taken over from a record.
const LONGEST: usize = 100;

/// The record's entries.
pub(super) fn write(announcement: &Announcement) -> Vec<(&'static str, String)> {
    let mut entries = vec![("v", VERSION.to_owned()), ("id", announcement.node.to_string())];
    let key = match announcement.standing {
        Standing::Candidate { key } => {
            entries.push(("role", "candidate".to_owned()));
            key
        }
        Standing::Member {
            bramble,
            key,
            role,
            work,
        } => {
            entries.push(("bramble", bramble.to_string()));
            let role = match role {
                Role::Leader(term) => {
                    entries.push(("term", term.to_string()));
                    "leader"
                }
                Role::Controller => "controller",
                Role::Node => "node",
            };
            entries.push(("role", role.to_owned()));
            entries.push(("work", u8::from(work).to_string()));
            key
        }
    };
    entries.extend(key.map(|key| ("key", key.to_string())));
    entries.push(("board", shortened(&announcement.board)));
    entries.push(("ram", announcement.memory.bytes().to_string()));
    entries.push(("program", shortened(&announcement.version)));
    entries
}

/// What a record says, entry by entry.
pub(super) fn read<'a>(entry: impl Fn(&str) -> Option<&'a str>) -> Option<Announcement> {
    if entry("v")? != VERSION {
        return None;
    }
    // A key that is there and cannot be read must not pass for none.
    let key = match entry("key") {
        Some(key) => Some(key.parse().ok()?),
        None => None,
    };
    let member = |role| {
        Some(Standing::Member {
            bramble: entry("bramble")?.parse().ok()?,
            key,
            role,
            work: entry("work")? == "1",
        })
    };
    Some(Announcement {
        node: entry("id")?.parse().ok()?,
        standing: match entry("role")? {
            "candidate" => Standing::Candidate { key },
            "leader" => member(Role::Leader(entry("term")?.parse().ok()?))?,
            "controller" => member(Role::Controller)?,
            "node" => member(Role::Node)?,
            _ => return None,
        },
        board: shortened(entry("board")?),
        memory: Memory::from_bytes(entry("ram")?.parse().ok()?),
        version: shortened(entry("program")?),
    })
}

/// Texts that people get to see: short, and without anything that moves their cursor.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::{
        NodeId,
        join::{BrambleId, KeyTag},
    };

    use super::*;

    fn announcements() -> Vec<Announcement> {
        let key = Some(KeyTag::from_bytes([7; 8]));
        let member = |role, key, work| Standing::Member {
            bramble: BrambleId::from_number(3),
            key,
            role,
            work,
        };
        [
            Standing::Candidate { key },
            Standing::Candidate { key: None },
            member(Role::Leader(17), key, true),
            member(Role::Controller, None, false),
            member(Role::Node, key, false),
        ]
        .into_iter()
        .map(|standing| Announcement {
            node: NodeId::from_number(1),
            standing,
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory: Memory::from_mib(924),
            version: "0.1.0".to_owned(),
        })
        .collect()
    }

    fn record(announcement: &Announcement) -> BTreeMap<&'static str, String> {
        write(announcement).into_iter().collect()
    }

    fn read_back(record: &BTreeMap<&'static str, String>) -> Option<Announcement> {
        read(|key| record.get(key).map(String::as_str))
    }

    #[test]
    fn an_announcement_comes_back_as_it_was_written() {
        for announcement in announcements() {
            assert_eq!(read_back(&record(&announcement)), Some(announcement));
        }
    }

    #[test]
    fn a_record_that_lacks_or_bends_anything_is_nobodys() {
        for announcement in announcements() {
            let whole = record(&announcement);
            for key in whole.keys().filter(|key| **key != "key") {
                let mut record = whole.clone();
                record.remove(key);
                assert_eq!(read_back(&record), None, "without {key}");
                record.insert(key, "…".to_owned());
                let harmless = ["board", "program", "work"].contains(key);
                assert!(harmless || read_back(&record).is_none(), "with a bent {key}");
            }
            let mut record = whole.clone();
            record.insert("key", "zz".to_owned());
            assert_eq!(read_back(&record), None, "a bent key is not no key");
        }
    }

    #[test]
    fn a_record_fits_into_one_packet_with_room_to_spare() {
        for announcement in announcements() {
            let bytes: usize = write(&announcement)
                .iter()
                .map(|(key, value)| key.len() + value.len() + 2)
                .sum();
            assert!(bytes < 400, "{bytes}");
        }
    }

    #[test]
    fn texts_of_strangers_are_cut_and_cleaned() {
        let mut announcement = announcements().remove(0);
        announcement.board = format!("\u{1b}[2J{}", "x".repeat(1_000));
        let board = read_back(&record(&announcement)).unwrap().board;
        assert_eq!(board.len(), LONGEST);
        assert!(board.starts_with("[2Jx"));
    }
}
