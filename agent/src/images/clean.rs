//! What to remove when the disk runs low. Pure: images, disk and what is used are passed in.
//!
//! Only what Bramble brought, what no container and no function uses, and what can be had again: a registry or another
//! node has it. What somebody sent to the bramble stays on the node that took it until it is removed by name. The
//! longest unused goes first, until there is room.

use std::collections::BTreeSet;

use api::images::{Brought, built_in};

/// One image of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the engine calls it.
    pub id: String,
    /// What it is told by on all nodes.
    pub content: String,
    /// What it is called here.
    pub names: BTreeSet<String>,
    /// Where it was fetched from.
    pub digests: BTreeSet<String>,
    /// How it came here, where Bramble brought it.
    pub brought: Option<Brought>,
    /// When it was used last, in seconds since 1970.
    pub last_used: i64,
    /// How much room it takes at most; layers may be shared.
    pub size_bytes: u64,
}

/// The disk that images are on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total_bytes: u64,
    /// How much of it is free.
    pub free_bytes: u64,
}

/// Free space below which images are removed: a tenth of the disk, but never more than this, so that a computer with
/// a large disk that is rather full loses nothing.
const LOW_AT_MOST: u64 = 1 << 30;

impl Disk {
    fn low(self) -> u64 {
        (self.total_bytes / 10).min(LOW_AT_MOST)
    }

    /// Whether images should go.
    pub fn is_low(self) -> bool {
        self.free_bytes < self.low()
    }

    /// How much should become free: half as much again as what counts as low, so that it is not low again at once.
    fn missing(self) -> u64 {
        (self.low() + self.low() / 2).saturating_sub(self.free_bytes)
    }
}

/// The images to remove, in this order. `in_use` has the ids, digests and contents of everything that a container
/// here or a function anywhere uses.
pub fn removals<'a>(stored: &'a [Stored], in_use: &BTreeSet<String>, disk: Disk) -> Vec<&'a Stored> {
    if !disk.is_low() {
        return Vec::new();
    }
    let is_used = |image: &Stored| {
        let digests = image.digests.iter().filter_map(|text| text.split_once('@'));
        let mut known = [image.id.as_str(), &image.content]
            .into_iter()
            .chain(digests.map(|(_, digest)| digest));
        known.any(|id| in_use.contains(id))
    };
    let may_go = |image: &&Stored| {
        matches!(image.brought, Some(Brought::Fetched | Brought::Copied))
            && !image.names.iter().any(|name| built_in(name).is_some())
            && !is_used(image)
    };
    let mut able: Vec<&Stored> = stored.iter().filter(may_go).collect();
    able.sort_by_key(|image| (image.last_used, image.id.clone()));
    let mut missing = disk.missing();
    able.retain(|image| {
        let goes = missing > 0;
        missing = missing.saturating_sub(image.size_bytes);
        goes
    });
    able
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1_000_000_000;

    fn stored(number: i64, brought: Option<Brought>) -> Stored {
        Stored {
            id: format!("sha256:{number}"),
            content: format!("sha256:c{number}"),
            names: BTreeSet::new(),
            digests: BTreeSet::new(),
            brought,
            last_used: number,
            size_bytes: GB / 2,
        }
    }

    fn ids(removals: &[&Stored]) -> Vec<String> {
        removals.iter().map(|image| image.id.clone()).collect()
    }

    const FULL: Disk = Disk {
        total_bytes: 8 * GB,
        free_bytes: GB / 10,
    };

    #[test]
    fn the_longest_unused_goes_first_until_there_is_room() {
        let all = [3, 1, 2, 4, 5].map(|number| stored(number, Some(Brought::Fetched)));
        assert_eq!(
            ids(&removals(&all, &BTreeSet::new(), FULL)),
            ["sha256:1", "sha256:2", "sha256:3"]
        );
        let roomy = Disk {
            free_bytes: GB,
            ..FULL
        };
        assert!(removals(&all, &BTreeSet::new(), roomy).is_empty());
    }

    #[test]
    fn what_is_used_by_any_of_its_ids_stays() {
        let mut by_digest = stored(1, Some(Brought::Fetched));
        by_digest.digests.insert("ghcr.io/x/y@sha256:list".to_owned());
        let all = [
            by_digest,
            stored(2, Some(Brought::Copied)),
            stored(3, Some(Brought::Copied)),
        ];
        let used = ["sha256:list", "sha256:2", "sha256:c3"].map(str::to_owned).into();
        assert!(removals(&all, &used, FULL).is_empty());
    }

    #[test]
    fn the_owners_images_sent_ones_and_built_in_ones_stay() {
        let mut built_in = stored(3, Some(Brought::Copied));
        built_in.names.insert("bramble/env:latest".to_owned());
        let all = [stored(1, None), stored(2, Some(Brought::Pushed)), built_in];
        assert!(removals(&all, &BTreeSet::new(), FULL).is_empty());
    }

    #[test]
    fn a_large_disk_that_is_rather_full_is_not_low() {
        let disk = Disk {
            total_bytes: 1000 * GB,
            free_bytes: 20 * GB,
        };
        assert!(!disk.is_low());
    }

    proptest! {
        #[test]
        fn only_what_may_go_goes_and_no_more_than_needed(
            kinds in proptest::collection::vec((0..4_u8, 0..1000_i64, 0..2 * GB, any::<bool>()), 0..20),
            total in GB..64 * GB,
            free in 0..64 * GB,
        ) {
            let disk = Disk { total_bytes: total, free_bytes: free.min(total) };
            let mut used = BTreeSet::new();
            let all: Vec<Stored> = kinds.iter().enumerate().map(|(number, (kind, last_used, size, is_used))| {
                let brought = [None, Some(Brought::Fetched), Some(Brought::Copied), Some(Brought::Pushed)];
                let id = i64::try_from(number).unwrap();
                let image = Stored { last_used: *last_used, size_bytes: *size, ..stored(id, brought[usize::from(*kind)]) };
                if *is_used { used.insert(image.id.clone()); }
                image
            }).collect();
            let gone = removals(&all, &used, disk);
            for image in &gone {
                prop_assert!(matches!(image.brought, Some(Brought::Fetched | Brought::Copied)));
                prop_assert!(!used.contains(&image.id));
            }
            prop_assert!(gone.is_sorted_by_key(|image| image.last_used));
            prop_assert!(disk.is_low() || gone.is_empty());
            // Without the last of them there would not be enough room.
            if let Some((_, before)) = gone.split_last() {
                let freed: u64 = before.iter().map(|image| image.size_bytes).sum();
                prop_assert!(freed < disk.missing());
            }
        }
    }
}
